//! The component's machine code, where it lies in this program.
//!
//! On Linux the code lies among the program's own: the loader has mapped it to be read and executed, never to be
//! written, so that it runs in place, page by page as it is needed and shared between processes. Elsewhere, and for a
//! second verifier in one process, it is copied into memory that is then made executable; that costs a third of a short
//! run.

#![expect(
    unsafe_code,
    reason = "loading precompiled code is a promise about where it comes from"
)]

use std::ptr::NonNull;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use wasmtime::component::Component;
use wasmtime::{Config, CustomCodeMemory, Engine};

/// To the largest page that a system has, which is what the code within the image is aligned to. Where the image is copied the
/// linker may refuse as much, and a small page does.
#[cfg_attr(target_os = "linux", repr(C, align(65536)))]
#[cfg_attr(not(target_os = "linux"), repr(C, align(4096)))]
struct Aligned<T: ?Sized>(T);

/// The component as this host runs it: an image that `build.rs` precompiled.
// SAFETY: the section holds code and constants of this program alone, and nothing jumps into the image but wasmtime.
#[cfg_attr(target_os = "linux", unsafe(link_section = ".text.linkgate_verifier"))]
static IMAGE: Aligned<[u8; include_bytes!(concat!(env!("OUT_DIR"), "/verifier.cwasm")).len()]> =
    Aligned(*include_bytes!(concat!(env!("OUT_DIR"), "/verifier.cwasm")));

/// Whether somebody runs the image in place: wasmtime knows code by its address, and knows it once.
static TAKEN: AtomicBool = AtomicBool::new(false);

/// How a verifier has the image.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Image {
    /// Where it lies, until the process ends.
    InPlace,
    /// A copy of its own.
    Copied,
}

impl Image {
    /// The best that is still to be had.
    pub(super) fn take() -> Self {
        if cfg!(target_os = "linux") && !TAKEN.swap(true, Ordering::Relaxed) {
            Self::InPlace
        } else {
            Self::Copied
        }
    }

    /// Prepares an engine for [`Image::load`].
    pub(super) fn configure(self, config: &mut Config) {
        if self == Self::InPlace {
            config.with_custom_code_memory(Some(Arc::new(Mapped)));
        }
    }

    /// Loads the image into an engine.
    pub(super) fn load(self, engine: &Engine) -> wasmtime::Result<Component> {
        match self {
            // SAFETY: the bytes are what `build.rs` precompiled from the component and embedded in this very program. They
            // live as long as it, and their pages cannot be written.
            Self::InPlace => unsafe { Component::deserialize_raw(engine, NonNull::from(&IMAGE.0)) },
            // SAFETY: as above, and wasmtime has the copy for itself.
            Self::Copied => unsafe { Component::deserialize(engine, IMAGE.0.as_slice()) },
        }
    }
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
        if image.contains(&code) && length <= image.end.addr() - code.addr() {
            Ok(())
        } else {
            Err(wasmtime::Error::msg("the code is not that of this program"))
        }
    }

    fn unpublish_executable(&self, _: *const u8, _: usize) -> wasmtime::Result<()> {
        Ok(())
    }
}
