//! The arithmetic of public keys and signatures: that of the curves by well-kept crates, and that of RSA, which only raises
//! public numbers to a small power, here. A general library for numbers of any size would be an eighth of a module.
//!
//! Nothing is decided here: `linkgate-verifier` makes every structural check and asks for the arithmetic alone. It is a
//! crate of its own because generic code is compiled with the settings of the crate that names its types: that of the
//! curves and of RSA is half of a WebAssembly module, rarely runs where a host answers for signatures, and so is built
//! for size, while the verifier around it is not.

#![no_std]

extern crate alloc;

mod ecdsa;
mod modulus;
mod rsa;

pub use ecdsa::Curve;
pub use rsa::{Hash, Padding, Rsa};

/// Whether 32 bytes decode to a point of the Edwards curve (RFC 8032, section 5.1.3). Forms that are not canonical and
/// points of small order decode too: the caller refuses these.
#[must_use]
pub fn is_ed25519_point(bytes: &[u8; 32]) -> bool {
    ed25519_dalek::VerifyingKey::from_bytes(bytes).is_ok()
}

/// Ed25519 (RFC 8032, section 5.1.7) without cofactor, and with neither key nor R of small order.
#[must_use]
pub fn verify_ed25519(point: &[u8; 32], message: &[u8], signature: &[u8; 64]) -> bool {
    let signature = ed25519_dalek::Signature::from_bytes(signature);
    ed25519_dalek::VerifyingKey::from_bytes(point).is_ok_and(|key| key.verify_strict(message, &signature).is_ok())
}
