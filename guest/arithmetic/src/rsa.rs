//! RSA signatures with appendix (RFC 8017, section 8).

use alloc::vec::Vec;

use sha2::{Digest, Sha256, Sha384, Sha512};

use crate::modulus::Modulus;

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
        let Some(modulus) = Modulus::new(self.modulus) else {
            return false;
        };
        if signature.len() != self.modulus.len() {
            return false;
        }
        let Some(encoded) = modulus.power(signature, self.exponent) else {
            return false;
        };
        let digest = hash.of(&[message]);
        match padding {
            Padding::Pss => is_pss(encoded, modulus.bits() - 1, hash, &digest).is_some(),
            Padding::Pkcs1v15 => is_pkcs1v15(&encoded, hash, &digest),
        }
    }
}

impl Hash {
    /// The digest of parts, one after the other.
    fn of(self, parts: &[&[u8]]) -> Vec<u8> {
        fn digest<D: Digest>(parts: &[&[u8]]) -> Vec<u8> {
            let digest = parts.iter().fold(D::new(), D::chain_update);
            digest.finalize().to_vec()
        }
        match self {
            Self::Sha256 => digest::<Sha256>(parts),
            Self::Sha384 => digest::<Sha384>(parts),
            Self::Sha512 => digest::<Sha512>(parts),
        }
    }

    /// How many bytes a digest has, and the last byte of the hash's object identifier, 2.16.840.1.101.3.4.2.x.
    fn form(self) -> (u8, u8) {
        match self {
            Self::Sha256 => (32, 1),
            Self::Sha384 => (48, 2),
            Self::Sha512 => (64, 3),
        }
    }
}

/// EMSA-PKCS1-v1_5 (RFC 8017, section 9.2): the one encoding of a digest, compared as a whole.
fn is_pkcs1v15(encoded: &[u8], hash: Hash, digest: &[u8]) -> bool {
    let (length, identifier) = hash.form();
    // DigestInfo in DER: the algorithm, an object identifier and NULL, and the octets that follow.
    let information = [
        0x30,
        length + 17,
        0x30,
        13,
        0x06,
        9,
        0x60,
        0x86,
        0x48,
        0x01,
        0x65,
        0x03,
        0x04,
        0x02,
        identifier,
        0x05,
        0,
        0x04,
        length,
    ];
    let filled = encoded.len().checked_sub(information.len() + digest.len() + 3);
    filled.filter(|filled| *filled >= 8).is_some_and(|filled| {
        let head = [0, 1].into_iter().chain(core::iter::repeat_n(0xff, filled)).chain([0]);
        head.chain(information)
            .chain(digest.iter().copied())
            .eq(encoded.iter().copied())
    })
}

/// EMSA-PSS (RFC 8017, section 9.1.2) in this many bits; the salt's length is found from the padding, so that any is accepted.
fn is_pss(mut encoded: Vec<u8>, bits: usize, hash: Hash, digest: &[u8]) -> Option<()> {
    let length = bits.div_ceil(8);
    // A modulus of one bit more than whole bytes has a byte more than what is encoded.
    let over = encoded.len().checked_sub(length)?;
    if encoded.drain(..over).any(|byte| byte != 0) {
        return None;
    }
    let (masked, rest) = encoded.split_at_mut_checked(length.checked_sub(digest.len() + 1)?)?;
    let (hashed, trailer) = rest.split_at_checked(digest.len())?;
    // The bits above those that are encoded.
    let unused = !(0xff_u8 >> (length * 8 - bits));
    if trailer != [0xbc] || masked.first()? & unused != 0 {
        return None;
    }
    unmask(masked, hash, hashed);
    *masked.first_mut()? &= !unused;
    let salt_begins = masked.iter().position(|byte| *byte != 0)? + 1;
    let (padding, salt) = masked.split_at_checked(salt_begins)?;
    let is_it = padding.last() == Some(&1) && hash.of(&[&[0; 8], digest, salt]) == hashed;
    is_it.then_some(())
}

/// MGF1 (RFC 8017, appendix B.2.1), added to what it masks.
fn unmask(masked: &mut [u8], hash: Hash, seed: &[u8]) {
    for (counter, block) in (0_u32..).zip(masked.chunks_mut(seed.len())) {
        for (byte, mask) in block.iter_mut().zip(hash.of(&[seed, &counter.to_be_bytes()])) {
            *byte ^= mask;
        }
    }
}
