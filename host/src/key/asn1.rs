//! As much of ASN.1 as tells what is in the way of a private key: how it is encrypted, or of which kind it is.

use linkgate_verifier::key::{KeyError, PublicKey};
use pkcs8::PrivateKeyInfoRef;
use pkcs8::der::asn1::{AnyRef, ObjectIdentifier};
use pkcs8::der::{Decode, Encode, Reader, SliceReader, Tag, TagNumber, Tagged};

use super::{PrivateForm, PrivateKeyFile, Problem};

/// How a DER `EncryptedPrivateKeyInfo` (RFC 5958, section 3) is encrypted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Encryption {
    /// PBES2 with AES, which is read.
    Read,
    /// Something else, by its name.
    Other(String),
}

const PBES2: &str = "1.2.840.113549.1.5.13";
const PBKDF2: &str = "1.2.840.113549.1.5.12";
/// AES-128, 192 and 256 in CBC mode, AES-128 and 256 in GCM mode.
const AES: [&str; 5] = ["2", "22", "42", "6", "46"];
const AES_ARC: &str = "2.16.840.1.101.3.4.1.";
const HMAC_SHA1: &str = "1.2.840.113549.2.7";

/// What OpenSSL calls these.
const ENCRYPTIONS: [(&str, &str); 16] = [
    ("1.2.840.113549.1.5.3", "PBE-MD5-DES"),
    ("1.2.840.113549.1.5.6", "PBE-MD5-RC2-64"),
    ("1.2.840.113549.1.5.10", "PBE-SHA1-DES"),
    ("1.2.840.113549.1.5.11", "PBE-SHA1-RC2-64"),
    ("1.2.840.113549.1.12.1.1", "PBE-SHA1-RC4-128"),
    ("1.2.840.113549.1.12.1.2", "PBE-SHA1-RC4-40"),
    ("1.2.840.113549.1.12.1.3", "PBE-SHA1-3DES"),
    ("1.2.840.113549.1.12.1.4", "PBE-SHA1-2DES"),
    ("1.2.840.113549.1.12.1.5", "PBE-SHA1-RC2-128"),
    ("1.2.840.113549.1.12.1.6", "PBE-SHA1-RC2-40"),
    ("1.2.840.113549.3.2", "RC2-CBC"),
    ("1.2.840.113549.3.7", "DES-EDE3-CBC"),
    ("1.3.14.3.2.7", "DES-CBC"),
    ("1.2.392.200011.61.1.1.1.2", "CAMELLIA-128-CBC"),
    ("1.2.392.200011.61.1.1.1.4", "CAMELLIA-256-CBC"),
    (HMAC_SHA1, "hmacWithSHA1"),
];

/// Kinds of keys and curves that people have, and this program does not use.
const KINDS: [(&str, &str); 10] = [
    ("1.3.101.110", "X25519"),
    ("1.3.101.111", "X448"),
    ("1.3.101.113", "Ed448"),
    ("1.2.840.10040.4.1", "DSA"),
    ("1.2.840.113549.1.1.10", "RSA-PSS"),
    ("1.2.840.113549.1.3.1", "DH"),
    ("1.2.840.10045.3.1.1", "P-192"),
    ("1.3.132.0.33", "P-224"),
    ("1.3.132.0.10", "secp256k1"),
    ("1.3.36.3.3.2.8.1.1.7", "brainpoolP256r1"),
];

/// How some DER is encrypted, if it is an encrypted private key at all.
pub(super) fn encryption(der: &[u8]) -> Option<Encryption> {
    let outer = sequence(der)?;
    let [algorithm, data] = outer.as_slice() else {
        return None;
    };
    if data.tag() != Tag::OctetString || algorithm.tag() != Tag::Sequence {
        return None;
    }
    let (scheme, parameters) = identified(algorithm)?;
    let other = |of: &str| {
        Some(Encryption::Other(
            known(&ENCRYPTIONS, of).map_or_else(|| of.to_owned(), str::to_owned),
        ))
    };
    if scheme != PBES2 {
        return other(&scheme);
    }
    let parts = children(parameters?.value())?;
    let [derivation, cipher] = parts.as_slice() else {
        return None;
    };
    let ((derivation, parameters), (cipher, _)) = (identified(derivation)?, identified(cipher)?);
    if !cipher.strip_prefix(AES_ARC).is_some_and(|mode| AES.contains(&mode)) {
        return other(&cipher);
    }
    match parameters {
        Some(parameters) if derivation == PBKDF2 && function(&parameters)? == HMAC_SHA1 => other(HMAC_SHA1),
        _ => Some(Encryption::Read),
    }
}

/// The pseudo-random function of PBKDF2's parameters: HMAC-SHA1 where none is named (RFC 8018, appendix A.2).
fn function(parameters: &AnyRef<'_>) -> Option<String> {
    let parts = children(parameters.value())?;
    match parts.iter().find(|part| part.tag() == Tag::Sequence) {
        Some(function) => Some(identified(function)?.0),
        None => Some(HMAC_SHA1.to_owned()),
    }
}

/// Why a private key cannot be used, in the words that its public half would get.
pub(crate) fn fault(file: &PrivateKeyFile) -> Problem {
    match file.form {
        PrivateForm::Seed => Problem::Damaged("Ed25519 key"),
        PrivateForm::Pkcs1 => rsa(&file.bytes),
        PrivateForm::Sec1 => ecdsa(sec1_curve(&file.bytes).as_deref()),
        PrivateForm::Pkcs8 => match PrivateKeyInfoRef::from_der(&file.bytes) {
            Err(_) => Problem::Damaged("PKCS#8 document"),
            Ok(info) => match info.algorithm.oid.to_string().as_str() {
                "1.3.101.112" => Problem::Damaged("Ed25519 key"),
                "1.2.840.10045.2.1" => ecdsa(info.algorithm.parameters.and_then(|curve| oid(&curve)).as_deref()),
                "1.2.840.113549.1.1.1" => rsa(info.private_key.as_bytes()),
                other => KeyError::Algorithm(named(other)).into(),
            },
        },
    }
}

fn rsa(der: &[u8]) -> Problem {
    let numbers = sequence(der).unwrap_or_default();
    match numbers.as_slice() {
        // version, n, e, d, p, q and three for speed (RFC 8017, appendix A.1.2)
        [_, modulus, exponent, _, _, _, _, _, _] => match rsa_public(modulus, exponent) {
            Some(Err(error)) => error.into(),
            _ => Problem::Damaged("RSA key"),
        },
        // version, p, q, g, y and x, as OpenSSL writes them
        [_, _, _, _, _, _] => KeyError::Algorithm("DSA".to_owned()).into(),
        _ => Problem::Damaged("RSA key"),
    }
}

fn rsa_public(modulus: &AnyRef<'_>, exponent: &AnyRef<'_>) -> Option<Result<PublicKey, KeyError>> {
    let numbers = [modulus.to_der().ok()?, exponent.to_der().ok()?].concat();
    let der = AnyRef::new(Tag::Sequence, &numbers).ok()?.to_der().ok()?;
    Some(PublicKey::from_pkcs1(&der, None))
}

fn ecdsa(curve: Option<&str>) -> Problem {
    match curve {
        None => KeyError::Encoding("on a curve that is named").into(),
        Some("1.2.840.10045.3.1.7" | "1.3.132.0.34" | "1.3.132.0.35") => Problem::Damaged("ECDSA key"),
        Some(other) => KeyError::Curve(named(other)).into(),
    }
}

/// The curve that a SEC 1 key names (RFC 5915, section 3).
fn sec1_curve(der: &[u8]) -> Option<String> {
    const PARAMETERS: Tag = Tag::ContextSpecific {
        number: TagNumber(0),
        constructed: true,
    };
    let parts = sequence(der)?;
    let parameters = parts.iter().find(|part| part.tag() == PARAMETERS)?;
    oid(children(parameters.value())?.first()?)
}

fn named(oid: &str) -> String {
    known(&KINDS, oid).map_or_else(|| oid.to_owned(), |name| format!("{name} ({oid})"))
}

fn known(table: &[(&str, &'static str)], oid: &str) -> Option<&'static str> {
    table.iter().find(|(known, _)| *known == oid).map(|(_, name)| *name)
}

/// The members of some DER that is one sequence.
fn sequence(der: &[u8]) -> Option<Vec<AnyRef<'_>>> {
    let any = AnyRef::from_der(der).ok()?;
    (any.tag() == Tag::Sequence).then(|| children(any.value())).flatten()
}

fn children(content: &[u8]) -> Option<Vec<AnyRef<'_>>> {
    let mut reader = SliceReader::new(content).ok()?;
    let mut children = Vec::new();
    while !reader.is_finished() {
        children.push(AnyRef::decode(&mut reader).ok()?);
    }
    Some(children)
}

/// An algorithm's identifier and parameters.
fn identified<'a>(algorithm: &AnyRef<'a>) -> Option<(String, Option<AnyRef<'a>>)> {
    let parts = children(algorithm.value())?;
    Some((oid(parts.first()?)?, parts.get(1).copied()))
}

fn oid(any: &AnyRef<'_>) -> Option<String> {
    any.decode_as::<ObjectIdentifier>().ok().map(|oid| oid.to_string())
}
