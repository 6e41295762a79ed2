//! How a token signs and checks in each scheme: which mechanism, what it is given, and what its signature looks like.

use aws_lc_rs::digest;
use cryptoki::mechanism::eddsa::{EddsaParams, EddsaSignatureScheme};
use cryptoki::mechanism::rsa::{PkcsMgfType, PkcsPssParams};
use cryptoki::mechanism::{Mechanism, MechanismType};
use linkgate_verifier::key::Scheme;
use pkcs8::der::asn1::UintRef;
use pkcs8::der::{self, Decode as _, Reader as _, SliceReader};

use super::object::sequence_of_unsigned;

/// The mechanism of a scheme. Made where it is used: it holds pointers for the module.
pub(super) fn of(scheme: Scheme) -> Mechanism<'static> {
    let pss = |hash, generator, salt: u64| PkcsPssParams {
        hash_alg: hash,
        mgf: generator,
        s_len: salt.into(),
    };
    match scheme {
        Scheme::Ed25519 => Mechanism::Eddsa(EddsaParams::new(EddsaSignatureScheme::Ed25519)),
        // Over a digest that the host makes: not every token has the mechanisms that hash.
        Scheme::EcdsaSha2Nistp256 | Scheme::EcdsaSha2Nistp384 | Scheme::EcdsaSha2Nistp521 => Mechanism::Ecdsa,
        // A salt as long as the digest, as securesystemslib and AWS-LC have it.
        Scheme::RsassaPssSha256 => {
            Mechanism::Sha256RsaPkcsPss(pss(MechanismType::SHA256, PkcsMgfType::MGF1_SHA256, 32))
        }
        Scheme::RsassaPssSha384 => {
            Mechanism::Sha384RsaPkcsPss(pss(MechanismType::SHA384, PkcsMgfType::MGF1_SHA384, 48))
        }
        Scheme::RsassaPssSha512 => {
            Mechanism::Sha512RsaPkcsPss(pss(MechanismType::SHA512, PkcsMgfType::MGF1_SHA512, 64))
        }
        Scheme::RsaPkcs1v15Sha256 => Mechanism::Sha256RsaPkcs,
        Scheme::RsaPkcs1v15Sha384 => Mechanism::Sha384RsaPkcs,
        Scheme::RsaPkcs1v15Sha512 => Mechanism::Sha512RsaPkcs,
    }
}

/// What the mechanism is given: the message, or for ECDSA its digest.
pub(super) fn input(scheme: Scheme, message: &[u8]) -> Vec<u8> {
    match curve(scheme) {
        Some((algorithm, _)) => digest::digest(algorithm, message).as_ref().to_vec(),
        None => message.to_vec(),
    }
}

/// The token's signature in in-toto's form: an ECDSA signature, r and s side by side, becomes DER.
pub(super) fn from_token(scheme: Scheme, signature: Vec<u8>) -> Result<Vec<u8>, String> {
    let Some((_, octets)) = curve(scheme) else {
        return Ok(signature);
    };
    match signature.split_at_checked(octets) {
        Some((r, s)) if s.len() == octets => sequence_of_unsigned(&[r, s]),
        _ => Err(format!(
            "its signature has {} bytes, not {}",
            signature.len(),
            2 * octets
        )),
    }
}

/// A signature in in-toto's form as the token wants it; nothing if it is none.
pub(super) fn for_token(scheme: Scheme, signature: &[u8]) -> Option<Vec<u8>> {
    let Some((_, octets)) = curve(scheme) else {
        return Some(signature.to_vec());
    };
    let mut reader = SliceReader::new(signature).ok()?;
    let (r, s) = reader
        .sequence(|numbers| Ok::<_, der::Error>((UintRef::decode(numbers)?, UintRef::decode(numbers)?)))
        .ok()?;
    reader.finish().ok()?;
    let mut both = Vec::with_capacity(2 * octets);
    for number in [r.as_bytes(), s.as_bytes()] {
        both.resize(both.len() + octets.checked_sub(number.len())?, 0);
        both.extend_from_slice(number);
    }
    Some(both)
}

/// The digest of an ECDSA scheme, and how long a number of its signatures is.
fn curve(scheme: Scheme) -> Option<(&'static digest::Algorithm, usize)> {
    match scheme {
        Scheme::EcdsaSha2Nistp256 => Some((&digest::SHA256, 32)),
        Scheme::EcdsaSha2Nistp384 => Some((&digest::SHA384, 48)),
        Scheme::EcdsaSha2Nistp521 => Some((&digest::SHA512, 66)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ecdsa_signatures_both_ways() {
        let scheme = Scheme::EcdsaSha2Nistp256;
        for (r, s) in [(1, 0x80), (0x80, 1), (0xff, 0xff)] {
            let mut raw = vec![0; 64];
            raw[31] = r;
            raw[32] = s;
            let der = from_token(scheme, raw.clone()).unwrap();
            assert_eq!(for_token(scheme, &der), Some(raw));
        }
        assert!(from_token(scheme, vec![1; 63]).is_err() && from_token(scheme, vec![1; 96]).is_err());
        for malformed in [&b""[..], &[0x30, 3, 2, 1, 1], &[0x30, 6, 2, 1, 1, 2, 1, 1, 0]] {
            assert_eq!(for_token(scheme, malformed), None, "{malformed:?}");
        }
        let too_long = sequence_of_unsigned(&[&[1; 33], &[1]]).unwrap();
        assert_eq!(for_token(scheme, &too_long), None);
    }
}
