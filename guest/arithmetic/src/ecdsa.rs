//! ECDSA over the NIST curves (FIPS 186-5, section 6.4).

use alloc::vec::Vec;

use p256::ecdsa::signature::hazmat::PrehashVerifier as _;
use sha2::{Digest as _, Sha256, Sha384, Sha512};

/// A curve of ECDSA keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Curve {
    /// NIST P-256, secp256r1
    P256,
    /// NIST P-384, secp384r1
    P384,
    /// NIST P-521, secp521r1
    P521,
}

impl Curve {
    /// The curves that there are.
    pub const ALL: [Self; 3] = [Self::P256, Self::P384, Self::P521];

    /// The curve's name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::P256 => "P-256",
            Self::P384 => "P-384",
            Self::P521 => "P-521",
        }
    }

    /// Octets of a coordinate, and of a number below the curve's order.
    #[must_use]
    pub const fn octets(self) -> usize {
        match self {
            Self::P256 => 32,
            Self::P384 => 48,
            Self::P521 => 66,
        }
    }

    /// The uncompressed form (SEC 1, section 2.3.3) of a point in compressed or uncompressed form. Nothing if it is in
    /// another form (hybrid, compact), not on the curve, or infinity.
    #[must_use]
    pub fn point(self, bytes: &[u8]) -> Option<Vec<u8>> {
        if !matches!(bytes.first(), Some(2..=4)) {
            return None;
        }
        match self {
            Self::P256 => p256::ecdsa::VerifyingKey::from_sec1_bytes(bytes)
                .map(|key| key.to_sec1_point(false).as_bytes().to_vec())
                .ok(),
            Self::P384 => p384::ecdsa::VerifyingKey::from_sec1_bytes(bytes)
                .map(|key| key.to_sec1_point(false).as_bytes().to_vec())
                .ok(),
            Self::P521 => p521::ecdsa::VerifyingKey::from_sec1_bytes(bytes)
                .map(|key| key.to_sec1_point(false).as_bytes().to_vec())
                .ok(),
        }
    }

    /// Whether r and s, each in [`Curve::octets`], are from 1 to n - 1.
    #[must_use]
    pub fn is_in_range(self, numbers: &[u8]) -> bool {
        match self {
            Self::P256 => p256::ecdsa::Signature::from_slice(numbers).is_ok(),
            Self::P384 => p384::ecdsa::Signature::from_slice(numbers).is_ok(),
            Self::P521 => p521::ecdsa::Signature::from_slice(numbers).is_ok(),
        }
    }

    /// Whether the key at a point made a signature, as r and s, over a message hashed by the SHA-2 of the curve's size.
    /// A high s is accepted.
    #[must_use]
    pub fn verify(self, point: &[u8], message: &[u8], numbers: &[u8]) -> bool {
        match self {
            Self::P256 => p256::ecdsa::VerifyingKey::from_sec1_bytes(point).is_ok_and(|key| {
                p256::ecdsa::Signature::from_slice(numbers)
                    .is_ok_and(|signature| key.verify_prehash(&Sha256::digest(message), &signature).is_ok())
            }),
            Self::P384 => p384::ecdsa::VerifyingKey::from_sec1_bytes(point).is_ok_and(|key| {
                p384::ecdsa::Signature::from_slice(numbers)
                    .is_ok_and(|signature| key.verify_prehash(&Sha384::digest(message), &signature).is_ok())
            }),
            Self::P521 => p521::ecdsa::VerifyingKey::from_sec1_bytes(point).is_ok_and(|key| {
                p521::ecdsa::Signature::from_slice(numbers)
                    .is_ok_and(|signature| key.verify_prehash(&Sha512::digest(message), &signature).is_ok())
            }),
        }
    }
}
