//! RSA signatures with appendix (RFC 8017, section 8).

use rsa::{BoxedUint, Pkcs1v15Sign, Pss, PublicKey};
use sha2::{Digest, Sha256, Sha384, Sha512};

/// The hash of a signature, and of PSS's mask.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hash {
    /// SHA-256
    Sha256,
    /// SHA-384
    Sha384,
    /// SHA-512
    Sha512,
}

/// How the hash is padded to the modulus.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Padding {
    /// RSASSA-PSS (RFC 8017, section 8.1) with MGF1 of the same hash and a salt of any length.
    Pss,
    /// RSASSA-PKCS1-v1_5 (RFC 8017, section 8.2), whose encoding has NULL parameters.
    Pkcs1v15,
}

/// An RSA public key.
#[derive(Clone, Copy, Debug)]
pub struct Rsa<'a> {
    /// n, big-endian.
    pub modulus: &'a [u8],
    /// e, big-endian.
    pub exponent: &'a [u8],
}

impl Rsa<'_> {
    /// Whether the key made a signature over a message.
    #[must_use]
    pub fn verify(self, padding: Padding, hash: Hash, message: &[u8], signature: &[u8]) -> bool {
        match hash {
            Hash::Sha256 => self.verify_by::<Sha256>(padding, message, signature),
            Hash::Sha384 => self.verify_by::<Sha384>(padding, message, signature),
            Hash::Sha512 => self.verify_by::<Sha512>(padding, message, signature),
        }
    }

    fn verify_by<D>(self, padding: Padding, message: &[u8], signature: &[u8]) -> bool
    where
        D: Digest + sha2::digest::const_oid::AssociatedOid + sha2::digest::FixedOutputReset,
    {
        let modulus = BoxedUint::from_be_slice_vartime(self.modulus);
        let exponent = BoxedUint::from_be_slice_vartime(self.exponent);
        let Ok(key) = PublicKey::new(modulus, exponent) else {
            return false;
        };
        let digest = D::digest(message);
        match padding {
            // The salt's length is found from the padding, so that any is accepted.
            Padding::Pss => {
                let pss = Pss::<D> {
                    salt_len: None,
                    ..Pss::new()
                };
                key.verify(pss, &digest, signature)
            }
            Padding::Pkcs1v15 => key.verify(Pkcs1v15Sign::new::<D>(), &digest, signature),
        }
        .is_ok()
    }
}
