//! The verifier as a Kubewarden policy: layouts, owners' keys and links come from the policy's settings, and an object is
//! let in only if every image that it brings is what a chain has made.
//!
//! Everything but the module `wapc` is plain Rust, and is tested natively. Whatever is not understood is refused.

#![cfg_attr(target_family = "wasm", no_std)]

extern crate alloc;
#[cfg(target_family = "wasm")]
extern crate linkgate_runtime;

mod decision;
pub mod operation;
mod prelude;
mod settings;
#[cfg(target_family = "wasm")]
mod wapc;
