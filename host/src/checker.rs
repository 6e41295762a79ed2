//! Signature checks in native code, for the verifier to ask about.
//!
//! Native code does the arithmetic some three to thirty times faster than the component. It only ever sees what passed
//! the verifier's structural checks, and says [`Outcome::Invalid`] only where, among those, it accepts exactly what the
//! verifier accepts:
//!
//! - Ed25519: the verifier's own arithmetic, compiled for this processor. It is faster than AWS-LC's on long messages,
//!   and cannot differ.
//! - ECDSA: AWS-LC, which like the verifier takes any r and s from 1 to n - 1, a high s too. What could differ (the DER's
//!   strictness) is refused before.
//! - RSA PKCS#1 v1.5: AWS-LC; both compare the recovered block with the one encoding of the digest, whose parameters are
//!   NULL.
//! - RSA PSS: AWS-LC wants a salt as long as the digest, the verifier takes any length. So a failure here is
//!   [`Outcome::NotHandled`], and the verifier looks for itself.
//!
//! A key that AWS-LC does not take is not handled either.

use aws_lc_rs::signature::{self as aws, ParsedPublicKey, VerificationAlgorithm};

use linkgate_verifier::key::{PublicKey, Scheme};
use linkgate_verifier::signature::{Checker, Outcome, verify_ed25519};

/// The checker that asks AWS-LC.
#[derive(Clone, Copy, Debug, Default)]
pub struct Native;

impl Native {
    /// Whether the key of this DER `SubjectPublicKeyInfo` made this structurally sound signature in the scheme of this name.
    pub fn answer(scheme: &str, spki: &[u8], message: &[u8], signature: &[u8]) -> Outcome {
        let Some(scheme) = Scheme::parse(scheme) else {
            return Outcome::NotHandled;
        };
        let Some(algorithm) = algorithm(scheme) else {
            return ed25519(spki, message, signature);
        };
        let Ok(key) = ParsedPublicKey::new(algorithm, spki) else {
            return Outcome::NotHandled;
        };
        match (key.verify_sig(message, signature), scheme) {
            (Ok(()), _) => Outcome::Valid,
            (Err(_), Scheme::RsassaPssSha256 | Scheme::RsassaPssSha384 | Scheme::RsassaPssSha512) => {
                Outcome::NotHandled
            }
            (Err(_), _) => Outcome::Invalid,
        }
    }
}

impl Checker for Native {
    fn check(&mut self, key: &PublicKey, message: &[u8], signature: &[u8]) -> Result<Outcome, String> {
        Ok(Self::answer(key.scheme().name(), &key.spki_der(), message, signature))
    }
}

fn ed25519(spki: &[u8], message: &[u8], signature: &[u8]) -> Outcome {
    /// What stands before the point in the one DER that a `SubjectPublicKeyInfo` has (RFC 8410, section 4).
    const HEAD: &[u8] = &[0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00];
    let point = spki.strip_prefix(HEAD).and_then(|point| point.try_into().ok());
    match (point, signature.try_into()) {
        (Some(point), Ok(signature)) if verify_ed25519(point, message, signature) => Outcome::Valid,
        (Some(_), Ok(_)) => Outcome::Invalid,
        _ => Outcome::NotHandled,
    }
}

/// AWS-LC's algorithm of a scheme; nothing for Ed25519.
fn algorithm(scheme: Scheme) -> Option<&'static dyn VerificationAlgorithm> {
    Some(match scheme {
        Scheme::Ed25519 => return None,
        Scheme::EcdsaSha2Nistp256 => &aws::ECDSA_P256_SHA256_ASN1,
        Scheme::EcdsaSha2Nistp384 => &aws::ECDSA_P384_SHA384_ASN1,
        Scheme::EcdsaSha2Nistp521 => &aws::ECDSA_P521_SHA512_ASN1,
        Scheme::RsassaPssSha256 => &aws::RSA_PSS_2048_8192_SHA256,
        Scheme::RsassaPssSha384 => &aws::RSA_PSS_2048_8192_SHA384,
        Scheme::RsassaPssSha512 => &aws::RSA_PSS_2048_8192_SHA512,
        Scheme::RsaPkcs1v15Sha256 => &aws::RSA_PKCS1_2048_8192_SHA256,
        Scheme::RsaPkcs1v15Sha384 => &aws::RSA_PKCS1_2048_8192_SHA384,
        Scheme::RsaPkcs1v15Sha512 => &aws::RSA_PKCS1_2048_8192_SHA512,
    })
}
