//! Checking one signature by one key.
//!
//! [`check`] is the only place where a signature becomes valid. It pays from the budget, makes every structural check
//! itself, and only then asks a [`Checker`], which may know a faster way or not handle the question; then it does the
//! arithmetic here. So whoever answers cannot widen what is accepted:
//!
//! - Ed25519 (RFC 8032): 64 bytes, S below the group's order, R and the key canonical and of no small order, and the
//!   equation without cofactor.
//! - ECDSA (FIPS 186-5): strict DER, r and s from 1 to n - 1. A high s is accepted, as both reference implementations do.
//! - RSA (RFC 8017): as long as the modulus, and below it.

/// The arithmetic that [`check`] does for Ed25519, for a native checker to do likewise.
pub use linkgate_arithmetic::verify_ed25519;
use linkgate_arithmetic::{Hash, Padding, Rsa};

use crate::der::Der;
use crate::key::{Curve, Material, PublicKey, Scheme};
use crate::limits::{Budget, Spent};
use crate::prelude::*;

/// What a [`Checker`] says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The key made this signature over this message.
    Valid,
    /// It did not.
    Invalid,
    /// The checker does not know; the verifier does the arithmetic itself.
    NotHandled,
}

/// Someone who may do a signature's arithmetic instead of this crate: a host with native code, say.
///
/// It is trusted with the verdict. It answers [`Outcome::Invalid`] only where its accepted set is this crate's own, and
/// [`Outcome::NotHandled`] in any doubt.
pub trait Checker {
    /// Checks a structurally sound signature over `message`. The error says why it could not be asked.
    fn check(&mut self, key: &PublicKey, message: &[u8], signature: &[u8]) -> Result<Outcome, String>;
}

/// The checker that leaves everything to this crate.
#[derive(Clone, Copy, Debug, Default)]
pub struct Pure;

impl Checker for Pure {
    fn check(&mut self, _key: &PublicKey, _message: &[u8], _signature: &[u8]) -> Result<Outcome, String> {
        Ok(Outcome::NotHandled)
    }
}

/// Whether a signature holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Checked {
    /// It is structurally sound, and the key made it over this message.
    Valid,
    /// It is not, or the key did not.
    Invalid,
}

/// Why it is not known whether a signature holds.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CheckError {
    /// Nothing is left to pay for the check.
    #[error(transparent)]
    Spent(#[from] Spent),
    /// The checker could not be asked.
    #[error("a signature could not be checked: {0}")]
    Unchecked(String),
}

/// Why bytes cannot be a signature by a key, whatever the message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unsound {
    /// Of another length than the scheme's (Ed25519) or the modulus's (RSA).
    #[error("the signature has {found} bytes, not {wanted}")]
    Length {
        /// The length it must have.
        wanted: usize,
        /// The length it has.
        found: usize,
    },
    /// Ed25519: S is not below the group's order.
    #[error("the number S of the signature is not below the group's order")]
    Scalar,
    /// Ed25519: R is not in canonical form, or of small order.
    #[error("the point R of the signature is not canonical, or of small order")]
    Point,
    /// ECDSA: not the DER of a sequence of two numbers.
    #[error("the signature is not DER of two numbers")]
    Encoding,
    /// ECDSA: r or s is 0, or not below the curve's order.
    #[error("a number of the signature is 0, or not below the curve's order")]
    Range,
    /// RSA: the signature's number is not below the modulus.
    #[error("the signature is not below the modulus")]
    Modulus,
}

/// Checks a signature by a key over a message.
pub fn check(
    key: &PublicKey,
    message: &[u8],
    signature: &[u8],
    budget: &Budget,
    checker: &mut dyn Checker,
) -> Result<Checked, CheckError> {
    budget.signature(cost(key, message))?;
    let Ok(sound) = Sound::parse(key, signature) else {
        return Ok(Checked::Invalid);
    };
    let valid = match checker.check(key, message, signature).map_err(CheckError::Unchecked)? {
        Outcome::Valid => true,
        Outcome::Invalid => false,
        Outcome::NotHandled => sound.verify(key, message),
    };
    Ok(if valid { Checked::Valid } else { Checked::Invalid })
}

/// Makes the structural checks alone, to tell why a signature can hold for no message.
pub fn structure(key: &PublicKey, signature: &[u8]) -> Result<(), Unsound> {
    Sound::parse(key, signature).map(drop)
}

/// What a check costs, in the units of [`crate::limits::SIGNATURE_COST`]. RSA's work grows with the square of the
/// modulus, and a long message is hashed for each of its signatures: a unit is 16 KiB of that.
fn cost(key: &PublicKey, message: &[u8]) -> u64 {
    let arithmetic = match key.material() {
        Material::Ed25519(_) => 1,
        Material::Rsa { modulus, .. } => 4 * u64::try_from(modulus.len().div_ceil(256)).unwrap_or(u64::MAX).pow(2),
        Material::Ecdsa { curve: Curve::P256, .. } => 14,
        Material::Ecdsa { curve: Curve::P384, .. } => 40,
        Material::Ecdsa { curve: Curve::P521, .. } => 80,
    };
    arithmetic + u64::try_from(message.len() >> 14).unwrap_or(u64::MAX >> 1)
}

/// What decoding a key of a scheme costs, in the same units: a compressed point is most of it.
pub(crate) fn decoding_cost(scheme: &str) -> u64 {
    match Scheme::parse(scheme) {
        Some(Scheme::EcdsaSha2Nistp256) => 2,
        Some(Scheme::EcdsaSha2Nistp384) => 3,
        Some(Scheme::EcdsaSha2Nistp521) => 5,
        _ => 1,
    }
}

/// A signature that passed every structural check for one key.
enum Sound<'a> {
    Ed25519(&'a [u8; 64]),
    /// r and s.
    Ecdsa(Vec<u8>),
    Rsa(&'a [u8]),
}

impl<'a> Sound<'a> {
    fn parse(key: &PublicKey, signature: &'a [u8]) -> Result<Self, Unsound> {
        match key.material() {
            Material::Ed25519(_) => ed25519(signature).map(Self::Ed25519),
            Material::Ecdsa { curve, .. } => {
                let numbers = fixed_numbers(signature, curve.octets())?;
                if !curve.is_in_range(&numbers) {
                    return Err(Unsound::Range);
                }
                Ok(Self::Ecdsa(numbers))
            }
            Material::Rsa { modulus, .. } if signature.len() != modulus.len() => Err(Unsound::Length {
                wanted: modulus.len(),
                found: signature.len(),
            }),
            // Of one length, big-endian numbers compare as their bytes do.
            Material::Rsa { modulus, .. } if signature >= modulus.as_slice() => Err(Unsound::Modulus),
            Material::Rsa { .. } => Ok(Self::Rsa(signature)),
        }
    }

    /// The arithmetic. A key that its library does not take cannot be here, and would verify nothing.
    fn verify(&self, key: &PublicKey, message: &[u8]) -> bool {
        match (self, key.material()) {
            (Self::Ed25519(signature), Material::Ed25519(point)) => verify_ed25519(point, message, signature),
            (Self::Ecdsa(numbers), Material::Ecdsa { curve, point }) => curve.verify(point, message, numbers),
            (Self::Rsa(signature), Material::Rsa { modulus, exponent }) => rsa(key.scheme())
                .is_some_and(|(padding, hash)| Rsa { modulus, exponent }.verify(padding, hash, message, signature)),
            _ => false,
        }
    }
}

/// How an RSA scheme pads and hashes.
fn rsa(scheme: Scheme) -> Option<(Padding, Hash)> {
    match scheme {
        Scheme::RsassaPssSha256 => Some((Padding::Pss, Hash::Sha256)),
        Scheme::RsassaPssSha384 => Some((Padding::Pss, Hash::Sha384)),
        Scheme::RsassaPssSha512 => Some((Padding::Pss, Hash::Sha512)),
        Scheme::RsaPkcs1v15Sha256 => Some((Padding::Pkcs1v15, Hash::Sha256)),
        Scheme::RsaPkcs1v15Sha384 => Some((Padding::Pkcs1v15, Hash::Sha384)),
        Scheme::RsaPkcs1v15Sha512 => Some((Padding::Pkcs1v15, Hash::Sha512)),
        Scheme::Ed25519 | Scheme::EcdsaSha2Nistp256 | Scheme::EcdsaSha2Nistp384 | Scheme::EcdsaSha2Nistp521 => None,
    }
}

/// An Ed25519 signature R || S that [`check`] may go on with.
fn ed25519(signature: &[u8]) -> Result<&[u8; 64], Unsound> {
    /// The group's order L (RFC 8032, section 5.1), big-endian.
    const ORDER: [u8; 32] = [
        0x10, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x14, 0xde, 0xf9, 0xde, 0xa2, 0xf7, 0x9c, 0xd6, 0x58, 0x12,
        0x63, 0x1a, 0x5c, 0xf5, 0xd3, 0xed,
    ];
    let length = Unsound::Length {
        wanted: 64,
        found: signature.len(),
    };
    let signature: &[u8; 64] = signature.try_into().map_err(|_| length)?;
    let (Some(r), Some(s)) = (signature.first_chunk(), signature.last_chunk::<32>()) else {
        return Err(length);
    };
    if s.iter().rev().ge(&ORDER) {
        return Err(Unsound::Scalar);
    }
    if !is_sound_point(r) {
        return Err(Unsound::Point);
    }
    Ok(signature)
}

/// Whether 32 bytes are the canonical form of a y coordinate (below p = 2^255 - 19) that no point of small order has.
///
/// Points of small order are the eight whose y is in the table, with either sign of x: RFC 8032's decoding refuses one
/// of those signs for the two with x = 0, so that what is not canonical in x is refused with them.
pub(crate) fn is_sound_point(bytes: &[u8; 32]) -> bool {
    /// p, big-endian.
    const P: [u8; 32] = prime_minus(0);
    /// The y coordinates of the points of order 1, 4, 2 and 8, big-endian.
    const SMALL_ORDER: [[u8; 32]; 5] = [
        {
            let mut one = [0; 32];
            one[31] = 1;
            one
        },
        [0; 32],
        prime_minus(1),
        [
            0x05, 0xfc, 0x53, 0x6d, 0x88, 0x02, 0x38, 0xb1, 0x39, 0x33, 0xc6, 0xd3, 0x05, 0xac, 0xdf, 0xd5, 0xf0, 0x98,
            0xef, 0xf2, 0x89, 0xf4, 0xc3, 0x45, 0xb0, 0x27, 0xb2, 0xc2, 0x8f, 0x95, 0xe8, 0x26,
        ],
        [
            0x7a, 0x03, 0xac, 0x92, 0x77, 0xfd, 0xc7, 0x4e, 0xc6, 0xcc, 0x39, 0x2c, 0xfa, 0x53, 0x20, 0x2a, 0x0f, 0x67,
            0x10, 0x0d, 0x76, 0x0b, 0x3c, 0xba, 0x4f, 0xd8, 0x4d, 0x3d, 0x70, 0x6a, 0x17, 0xc7,
        ],
    ];
    let mut y = *bytes;
    y.reverse();
    if let Some(first) = y.first_mut() {
        *first &= 0x7f;
    }
    y < P && !SMALL_ORDER.contains(&y)
}

/// p - `less`, big-endian, where `less` is small.
const fn prime_minus(less: u8) -> [u8; 32] {
    let mut number = [0xff; 32];
    number[0] = 0x7f;
    number[31] = 0xed - less;
    number
}

/// The numbers of an ECDSA signature, each in as many octets as the curve's order has.
fn fixed_numbers(signature: &[u8], octets: usize) -> Result<Vec<u8>, Unsound> {
    let mut sequence = Der::document(signature).ok_or(Unsound::Encoding)?;
    let r = sequence.unsigned().ok_or(Unsound::Encoding)?;
    let s = sequence.unsigned().ok_or(Unsound::Encoding)?;
    sequence.end().ok_or(Unsound::Encoding)?;
    let mut numbers = Vec::with_capacity(2 * octets);
    for number in [r, s] {
        let zeros = octets.checked_sub(number.len()).ok_or(Unsound::Range)?;
        numbers.extend(core::iter::repeat_n(0, zeros));
        numbers.extend_from_slice(number);
    }
    Ok(numbers)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::envelope::decode_hex;
    use crate::key::tests::{key, text, vectors};
    use crate::limits::{Limit, SIGNATURE_COST};
    use curve25519_dalek::constants::EIGHT_TORSION;

    const MESSAGE: &[u8] = b"linkgate";

    fn pure(key: &PublicKey, message: &[u8], signature: &[u8]) -> Checked {
        check(key, message, signature, &Budget::default(), &mut Pure).unwrap()
    }

    /// A checker that answers the same whatever it is asked, and counts.
    struct Answer(Result<Outcome, String>, u32);

    impl Checker for Answer {
        fn check(&mut self, _: &PublicKey, _: &[u8], _: &[u8]) -> Result<Outcome, String> {
            self.1 += 1;
            self.0.clone()
        }
    }

    #[test]
    fn pythons_signatures_hold_for_their_message_and_scheme_alone() {
        let vectors = vectors();
        let keys = vectors["keys"].as_array().unwrap();
        for (at, vector) in keys.iter().enumerate() {
            let signature = decode_hex(text(&vector["signature"])).unwrap();
            for (other_at, other) in keys.iter().enumerate() {
                let wanted = if at == other_at {
                    Checked::Valid
                } else {
                    Checked::Invalid
                };
                assert_eq!(pure(&key(other), MESSAGE, &signature), wanted, "{at} {other_at}");
            }
            assert_eq!(pure(&key(vector), b"linkgatE", &signature), Checked::Invalid);
            for flipped in [0, signature.len() / 2, signature.len() - 1] {
                let mut signature = signature.clone();
                signature[flipped] ^= 1;
                assert_eq!(pure(&key(vector), MESSAGE, &signature), Checked::Invalid);
            }
        }
    }

    #[test]
    fn a_pss_salt_has_any_length_and_mgf1_the_same_hash() {
        let vectors = vectors();
        let key = key(&vectors["keys"][4]);
        let signature = |value| decode_hex(text(value)).unwrap();
        for salt in vectors["pss_salts"].as_array().unwrap() {
            assert_eq!(pure(&key, MESSAGE, &signature(salt)), Checked::Valid);
        }
        assert_eq!(
            pure(&key, MESSAGE, &signature(&vectors["pss_mgf_sha1"])),
            Checked::Invalid
        );
    }

    #[test]
    fn points_of_small_order_are_refused_in_every_form() {
        for point in EIGHT_TORSION {
            let bytes = point.compress().to_bytes();
            for sign in [0, 0x80] {
                let mut bytes = bytes;
                bytes[31] = bytes[31] & 0x7f | sign;
                assert!(!is_sound_point(&bytes), "{bytes:02x?}");
            }
        }
        // The base point, and its negative.
        let mut base = [0x66; 32];
        base[0] = 0x58;
        assert!(is_sound_point(&base));
        base[31] |= 0x80;
        assert!(is_sound_point(&base));
    }

    #[test]
    fn points_are_canonical() {
        // p + 18 is the greatest y that 255 bits hold, p - 2 the greatest sound one.
        for last in 0xed..=0xff {
            let mut bytes = [0xff; 32];
            bytes[0] = last;
            bytes[31] = 0x7f;
            assert!(!is_sound_point(&bytes), "{last:x}");
        }
        let mut bytes = [0xff; 32];
        bytes[0] = 0xeb;
        assert!(is_sound_point(&bytes));
    }

    #[test]
    fn unsound_ed25519() {
        let vector = &vectors()["keys"][0];
        let key = key(vector);
        let sound = decode_hex(text(&vector["signature"])).unwrap();
        assert_eq!(structure(&key, &sound), Ok(()));
        let with_r = |r: [u8; 32]| [&r, &sound[32..]].concat();
        let mut order = [0; 32];
        order[..16].copy_from_slice(&decode_hex("edd3f55c1a631258d69cf7a2def9de14").unwrap());
        order[31] = 0x10;
        let plus_order: Vec<u8> = {
            let mut carry = 0;
            sound[32..]
                .iter()
                .zip(order)
                .map(|(&s, l)| {
                    carry += u16::from(s) + u16::from(l);
                    let [low, _] = carry.to_le_bytes();
                    carry >>= 8;
                    low
                })
                .collect()
        };
        let mut below_order = order;
        below_order[0] -= 1;
        for (name, signature, wanted) in [
            ("empty", Vec::new(), Unsound::Length { wanted: 64, found: 0 }),
            (
                "long",
                [&sound[..], &[0]].concat(),
                Unsound::Length { wanted: 64, found: 65 },
            ),
            ("S = L", [&sound[..32], &order].concat(), Unsound::Scalar),
            ("S + L", [&sound[..32], &plus_order].concat(), Unsound::Scalar),
            (
                "R is the neutral element",
                with_r(EIGHT_TORSION[0].compress().to_bytes()),
                Unsound::Point,
            ),
            (
                "R has order 8",
                with_r(EIGHT_TORSION[1].compress().to_bytes()),
                Unsound::Point,
            ),
            ("R is not canonical", with_r([0xff; 32]), Unsound::Point),
        ] {
            assert_eq!(structure(&key, &signature), Err(wanted), "{name}");
        }
        assert_eq!(structure(&key, &[&sound[..32], &below_order].concat()), Ok(()));
    }

    #[test]
    fn unsound_ecdsa() {
        const ORDER: &str = "00ffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551";
        const BELOW: &str = "00ffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632550";
        let key = key(&vectors()["keys"][1]);
        for (signature, wanted) in [
            ("3006020101020101".to_owned(), Ok(())),
            (format!("30260221{BELOW}020101"), Ok(())),
            (format!("3026{}{BELOW}", "0201010221"), Ok(())),
            (format!("30260221{ORDER}020101"), Err(Unsound::Range)),
            (format!("3026{}{ORDER}", "0201010221"), Err(Unsound::Range)),
            ("3006020100020101".to_owned(), Err(Unsound::Range)),
            ("3006020101020100".to_owned(), Err(Unsound::Range)),
            (
                format!("302702{}01{}020101", "22", "00".repeat(33)),
                Err(Unsound::Range),
            ),
            (String::new(), Err(Unsound::Encoding)),
            ("3006020101020181".to_owned(), Err(Unsound::Encoding)),
            ("300702020001020101".to_owned(), Err(Unsound::Encoding)),
            ("308106020101020101".to_owned(), Err(Unsound::Encoding)),
            ("3080020101020101".to_owned() + "0000", Err(Unsound::Encoding)),
            ("300602010102010100".to_owned(), Err(Unsound::Encoding)),
            ("3009020101020101020101".to_owned(), Err(Unsound::Encoding)),
            ("3003020101".to_owned(), Err(Unsound::Encoding)),
            ("00".repeat(64), Err(Unsound::Encoding)),
        ] {
            assert_eq!(structure(&key, &decode_hex(&signature).unwrap()), wanted, "{signature}");
        }
    }

    #[test]
    fn unsound_rsa() {
        let key = key(&vectors()["keys"][4]);
        let Material::Rsa { modulus, .. } = key.material() else {
            panic!("{key:?}")
        };
        let mut below = modulus.clone();
        below[255] -= 1;
        for (signature, wanted) in [
            (below.clone(), Ok(())),
            (vec![0; 256], Ok(())),
            (modulus.clone(), Err(Unsound::Modulus)),
            (vec![0xff; 256], Err(Unsound::Modulus)),
            (
                vec![0; 255],
                Err(Unsound::Length {
                    wanted: 256,
                    found: 255,
                }),
            ),
            (
                [&[0], &below[..]].concat(),
                Err(Unsound::Length {
                    wanted: 256,
                    found: 257,
                }),
            ),
        ] {
            assert_eq!(structure(&key, &signature), wanted);
            assert_eq!(pure(&key, MESSAGE, &signature), Checked::Invalid);
        }
    }

    #[test]
    fn a_checker_is_asked_about_sound_signatures_alone() {
        let vector = &vectors()["keys"][0];
        let key = key(vector);
        let sound = decode_hex(text(&vector["signature"])).unwrap();
        let budget = Budget::default();
        for (answer, wanted) in [
            (Ok(Outcome::Valid), Ok(Checked::Valid)),
            (Ok(Outcome::Invalid), Ok(Checked::Invalid)),
            (Ok(Outcome::NotHandled), Ok(Checked::Valid)),
            (
                Err("no token".to_owned()),
                Err(CheckError::Unchecked("no token".to_owned())),
            ),
        ] {
            let mut answer = Answer(answer, 0);
            assert_eq!(check(&key, MESSAGE, &sound, &budget, &mut answer), wanted);
            assert_eq!(answer.1, 1);
            assert_eq!(
                check(&key, MESSAGE, &[0xff; 64], &budget, &mut answer),
                Ok(Checked::Invalid)
            );
            assert_eq!(answer.1, 1);
        }
    }

    #[test]
    fn checks_are_paid_for() {
        let vectors = vectors();
        let costs: Vec<u64> = [0, 1, 2, 3, 4, 10]
            .map(|at| cost(&key(&vectors["keys"][at]), &[]))
            .to_vec();
        assert_eq!(costs, [1, 14, 40, 80, 4, 16]);
        let key = key(&vectors["keys"][0]);
        assert_eq!(cost(&key, &vec![0; 1 << 20]), 65);
        let budget = Budget::default();
        budget.signature(SIGNATURE_COST).unwrap();
        let spent = Err(CheckError::Spent(Spent(Limit::SignatureCost)));
        assert_eq!(check(&key, MESSAGE, &[], &budget, &mut Pure), spent);
    }
}
