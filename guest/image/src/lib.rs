//! What an image is: references, digests, manifests, evidence, patterns, and where registries' paths and Kubernetes'
//! objects name them.
//!
//! The gate, the filter of Envoy and the policy of Kubewarden decide on images without each other, and must mean the same by
//! them: each rule stands here, once. Nothing here asks, fetches or judges. What comes from others is read so strictly that
//! nobody can read it in another way, and what could be read in two is an error.
//!
//! [`Image`] and [`ManifestDigest`] name an image, a [`pattern`] names many; [`path`] and [`object`] are where clients and
//! clusters name them; [`manifest`] is what a registry says that one is, [`evidence`] what speaks for it, [`answer`] and
//! [`link`] what a registry says beside that. [`one_line`] is how anything by others is shown.

#![cfg_attr(not(test), no_std)]
#![forbid(unsafe_code)]
#![deny(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::string_slice
)]

extern crate alloc;

pub mod answer;
mod digest;
pub mod evidence;
mod image;
mod line;
pub mod link;
pub mod manifest;
pub mod object;
pub mod path;
pub mod pattern;
mod prelude;

pub use digest::{DigestError, ManifestDigest};
pub use image::{Image, ImageError};
pub use line::one_line;
