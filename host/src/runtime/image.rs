//! The component's machine code, where it lies in this program.
//!
//! On Linux the code lies among the program's own: the loader has mapped it to be read and executed, never to be
//! written, so that it runs in place, page by page as it is needed and shared between processes. Elsewhere it is copied
//! into memory that is then made executable; that costs a third of a short run.

#![expect(
    unsafe_code,
    reason = "loading precompiled code is a promise about where it comes from"
)]

use wasmtime::component::Component;
use wasmtime::{Config, Engine};

/// Of a page on each system that there is, which is what the code within the image is aligned to.
#[repr(C, align(65536))]
struct Aligned<T: ?Sized>(T);

/// The component as this host runs it: an image that `build.rs` precompiled.
// SAFETY: the section holds code and constants of this program alone, and nothing jumps into the image but wasmtime.
#[cfg_attr(target_os = "linux", unsafe(link_section = ".text.linkgate_verifier"))]
static IMAGE: Aligned<[u8; include_bytes!(concat!(env!("OUT_DIR"), "/verifier.cwasm")).len()]> =
    Aligned(*include_bytes!(concat!(env!("OUT_DIR"), "/verifier.cwasm")));

#[cfg(target_os = "linux")]
pub(super) use in_place::{configure, load};

#[cfg(not(target_os = "linux"))]
pub(super) fn configure(_: &mut Config) {}

/// Loads a copy of the image.
#[cfg(not(target_os = "linux"))]
pub(super) fn load(engine: &Engine) -> wasmtime::Result<Component> {
    // SAFETY: the bytes are what `build.rs` precompiled from the component and embedded in this very program.
    unsafe { Component::deserialize(engine, &IMAGE.0) }
}

#[cfg(target_os = "linux")]
mod in_place {
    use std::ptr::NonNull;
    use std::sync::Arc;

    use wasmtime::CustomCodeMemory;

    use super::{Component, Config, Engine, IMAGE};

    pub(in super::super) fn configure(config: &mut Config) {
        config.with_custom_code_memory(Some(Arc::new(Mapped)));
    }

    /// Loads the image where it lies.
    pub(in super::super) fn load(engine: &Engine) -> wasmtime::Result<Component> {
        // SAFETY: the bytes are what `build.rs` precompiled from the component and embedded in this very program. They
        // live as long as it, and their pages cannot be written.
        unsafe { Component::deserialize_raw(engine, NonNull::from(&IMAGE.0)) }
    }

    /// Code that the system's loader has made executable.
    struct Mapped;

    impl CustomCodeMemory for Mapped {
        fn required_alignment(&self) -> usize {
            4096
        }

        fn publish_executable(&self, code: *const u8, length: usize) -> wasmtime::Result<()> {
            let image = IMAGE.0.as_ptr_range();
            // Only the image is executable: other code would have to be copied first.
            if image.start <= code && length <= image.end.addr() - code.addr() {
                Ok(())
            } else {
                Err(wasmtime::Error::msg("the code is not that of this program"))
            }
        }

        fn unpublish_executable(&self, _: *const u8, _: usize) -> wasmtime::Result<()> {
            Ok(())
        }
    }
}
