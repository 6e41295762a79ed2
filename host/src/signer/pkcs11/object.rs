//! Objects in a token: how keys are found, and how a public key is read from them.
//!
//! Tokens keep public keys in several forms, and some keep none: the point of a curve raw or wrapped in an OCTET STRING,
//! Edwards parameters as an identifier or as a name, the whole key beside the private one, or only a certificate.

use cryptoki::error::Error;
use cryptoki::object::{Attribute, AttributeType, KeyType, ObjectClass, ObjectHandle};
use linkgate_verifier::key::{self as verifier, PublicKey, Scheme};
use pkcs8::der::asn1::{BitStringRef, ObjectIdentifier, OctetStringRef, UintRef};
use pkcs8::der::{AnyRef, Decode as _, Encode as _, Tag};
use pkcs8::spki::{AlgorithmIdentifierRef, SubjectPublicKeyInfoRef};
use x509_cert::Certificate;

use super::reference::Reference;
use super::token::Seat;

const EC_PUBLIC_KEY: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.2.1");

/// The curves that in-toto has schemes for, and how long an uncompressed point on each is.
const CURVES: [(ObjectIdentifier, usize); 3] = [
    (ObjectIdentifier::new_unwrap("1.2.840.10045.3.1.7"), 65),
    (ObjectIdentifier::new_unwrap("1.3.132.0.34"), 97),
    (ObjectIdentifier::new_unwrap("1.3.132.0.35"), 133),
];

/// How Ed25519 is named in `CKA_EC_PARAMS`: by RFC 8410's identifier, or by PKCS#11's name.
const ED25519: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.101.112");
const ED25519_NAME: &[u8] = b"edwards25519";

/// Which objects are looked for.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Query {
    pub(super) class: Class,
    /// As it stands in the token, which need not be text.
    pub(super) label: Option<Vec<u8>>,
    pub(super) id: Option<Vec<u8>>,
}

/// A kind of object.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Class {
    Private,
    Public,
    Certificate,
}

impl Query {
    pub(super) fn of(reference: &Reference, class: Class) -> Self {
        Self {
            class,
            label: reference.label.clone().map(String::into_bytes),
            id: reference.id.clone(),
        }
    }

    /// All objects of a class.
    pub(super) fn all(class: Class) -> Self {
        Self {
            class,
            label: None,
            id: None,
        }
    }

    pub(super) fn attributes(&self) -> Vec<Attribute> {
        let class = match self.class {
            Class::Private => ObjectClass::PRIVATE_KEY,
            Class::Public => ObjectClass::PUBLIC_KEY,
            Class::Certificate => ObjectClass::CERTIFICATE,
        };
        let mut attributes = vec![Attribute::Class(class)];
        attributes.extend(self.label.clone().map(Attribute::Label));
        attributes.extend(self.id.clone().map(Attribute::Id));
        attributes
    }
}

/// What tells one key of a token from another.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Identity {
    pub(super) label: Vec<u8>,
    pub(super) id: Vec<u8>,
}

impl Identity {
    pub(super) fn read(seat: &Seat, object: ObjectHandle) -> Result<Self, Error> {
        let mut identity = Self::default();
        for attribute in seat
            .session
            .get_attributes(object, &[AttributeType::Label, AttributeType::Id])?
        {
            match attribute {
                Attribute::Label(label) => identity.label = label,
                Attribute::Id(id) => identity.id = id,
                _ => {}
            }
        }
        Ok(identity)
    }

    /// The label.
    pub(super) fn name(&self) -> String {
        let label = String::from_utf8_lossy(&self.label);
        label.trim_end_matches('\0').to_owned()
    }

    /// A reference to it.
    pub(super) fn uri(&self) -> String {
        let label = (!self.label.is_empty()).then(|| format!("object={}", escaped(&self.label, true)));
        let id = (!self.id.is_empty()).then(|| format!("id={}", escaped(&self.id, false)));
        let attributes: Vec<String> = label.into_iter().chain(id).collect();
        format!("pkcs11:{}", attributes.join(";"))
    }
}

/// Bytes as a PKCS#11 URI has them; all of them escaped, or those that must be.
fn escaped(bytes: &[u8], plain: bool) -> String {
    let is_plain = |byte: u8| plain && (byte.is_ascii_alphanumeric() || b"-._~".contains(&byte));
    let escape = |&byte: &u8| {
        if is_plain(byte) {
            char::from(byte).to_string()
        } else {
            format!("%{byte:02x}")
        }
    };
    bytes.iter().map(escape).collect()
}

/// Reads the public key that an object holds: a public key, a certificate, or a private key that knows its other half.
/// The outer error is the token's, the inner one says why the object is no key for in-toto.
pub(super) fn public_key(
    seat: &Seat,
    object: ObjectHandle,
    class: Class,
    scheme: Option<Scheme>,
) -> Result<Result<PublicKey, String>, Error> {
    let types = match class {
        Class::Certificate => vec![AttributeType::Value],
        Class::Public | Class::Private => vec![
            AttributeType::KeyType,
            AttributeType::EcParams,
            AttributeType::EcPoint,
            AttributeType::Modulus,
            AttributeType::PublicExponent,
            AttributeType::PublicKeyInfo,
        ],
    };
    let mut parts = Parts::default();
    for attribute in seat.session.get_attributes(object, &types)? {
        parts.add(attribute);
    }
    Ok(parts.key(scheme))
}

/// The attributes of an object that make up a public key.
#[derive(Debug, Default)]
struct Parts {
    kind: Option<KeyType>,
    parameters: Vec<u8>,
    point: Vec<u8>,
    modulus: Vec<u8>,
    exponent: Vec<u8>,
    /// A whole `SubjectPublicKeyInfo`.
    spki: Vec<u8>,
    certificate: Vec<u8>,
}

impl Parts {
    fn add(&mut self, attribute: Attribute) {
        match attribute {
            Attribute::KeyType(kind) => self.kind = Some(kind),
            Attribute::EcParams(parameters) => self.parameters = parameters,
            Attribute::EcPoint(point) => self.point = point,
            Attribute::Modulus(modulus) => self.modulus = modulus,
            Attribute::PublicExponent(exponent) => self.exponent = exponent,
            Attribute::PublicKeyInfo(spki) => self.spki = spki,
            Attribute::Value(certificate) => self.certificate = certificate,
            _ => {}
        }
    }

    fn key(&self, scheme: Option<Scheme>) -> Result<PublicKey, String> {
        let told = |error: &dyn std::fmt::Display| error.to_string();
        if !self.certificate.is_empty() {
            let certificate = Certificate::from_der(&self.certificate)
                .map_err(|error| format!("its certificate is malformed: {error}"))?;
            let spki = certificate.tbs_certificate().subject_public_key_info().to_der();
            let spki = spki.map_err(|error| told(&error))?;
            return PublicKey::from_spki(&spki, scheme).map_err(|error| told(&error));
        }
        let has_rsa = !self.modulus.is_empty() && !self.exponent.is_empty();
        match self.kind {
            Some(KeyType::RSA) if has_rsa => {
                let pkcs1 = sequence_of_unsigned(&[&self.modulus, &self.exponent])?;
                PublicKey::from_pkcs1(&pkcs1, scheme).map_err(|error| told(&error))
            }
            Some(KeyType::EC | KeyType::EC_EDWARDS) if !self.point.is_empty() && !self.parameters.is_empty() => {
                self.point_key(scheme)
            }
            // SoftHSM has the attribute, and nothing in it.
            _ if !self.spki.is_empty() => PublicKey::from_spki(&self.spki, scheme).map_err(|error| told(&error)),
            Some(kind) if ![KeyType::RSA, KeyType::EC, KeyType::EC_EDWARDS].contains(&kind) => {
                Err("it is of a kind that in-toto has no scheme for".to_owned())
            }
            _ => Err("the token does not tell its public half".to_owned()),
        }
    }

    /// A key that is a point.
    fn point_key(&self, scheme: Option<Scheme>) -> Result<PublicKey, String> {
        let parameters =
            AnyRef::from_der(&self.parameters).map_err(|_| "its CKA_EC_PARAMS are malformed".to_owned())?;
        let is_ed25519 = match parameters.header().tag() {
            Tag::ObjectIdentifier => self.parameters == ED25519.to_der().unwrap_or_default(),
            Tag::PrintableString | Tag::Utf8String => parameters.value() == ED25519_NAME,
            _ => false,
        };
        if is_ed25519 {
            let point = octets(&self.point, 32)?;
            let scheme = scheme.unwrap_or(Scheme::Ed25519);
            return PublicKey::from_parts("ed25519", scheme.name(), &verifier::hex(point))
                .map_err(|error| error.to_string());
        }
        let curve = ObjectIdentifier::from_der(&self.parameters)
            .map_err(|_| "its curve is given by parameters of its own, and not named".to_owned())?;
        let (curve, length) = CURVES
            .into_iter()
            .find(|(known, _)| *known == curve)
            .ok_or_else(|| format!("in-toto has no scheme for its curve {curve}"))?;
        let spki = spki_of_point(curve, octets(&self.point, length)?)
            .map_err(|error| format!("its point cannot be encoded: {error}"))?;
        PublicKey::from_spki(&spki, scheme).map_err(|error| error.to_string())
    }
}

/// A point of this length, raw or wrapped in an OCTET STRING. Its length tells, and not its first byte, which may be that
/// of an OCTET STRING by chance.
fn octets(point: &[u8], length: usize) -> Result<&[u8], String> {
    if point.len() == length {
        return Ok(point);
    }
    <&OctetStringRef>::from_der(point)
        .ok()
        .map(OctetStringRef::as_bytes)
        .filter(|octets| octets.len() == length)
        .ok_or_else(|| {
            format!(
                "its CKA_EC_POINT is malformed: {length} bytes are needed, and {} are there",
                point.len()
            )
        })
}

fn spki_of_point(curve: ObjectIdentifier, point: &[u8]) -> pkcs8::der::Result<Vec<u8>> {
    SubjectPublicKeyInfoRef {
        algorithm: AlgorithmIdentifierRef {
            oid: EC_PUBLIC_KEY,
            parameters: Some((&curve).into()),
        },
        subject_public_key: BitStringRef::from_bytes(point)?,
    }
    .to_der()
}

/// The DER of a sequence of unsigned numbers, each big-endian: an ECDSA signature, or a PKCS#1 `RSAPublicKey`.
pub(super) fn sequence_of_unsigned(numbers: &[&[u8]]) -> Result<Vec<u8>, String> {
    let mut content = Vec::new();
    for number in numbers {
        let encoded = UintRef::new(number).and_then(|number| number.encode_to_vec(&mut content));
        encoded.map_err(|error| error.to_string())?;
    }
    let sequence = AnyRef::new(Tag::Sequence, &content).and_then(|sequence| sequence.to_der());
    sequence.map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The base point of P-256 (FIPS 186-4, D.1.2.3).
    const P256: &str = "046b17d1f2e12c4247f8bce6e563a440f277037d812deb33a0f4a13945d898c2964fe342e2fe1a7f9b8ee7eb4a7c0f9e162bce33576b315ececbb6406837bf51f5";
    /// RFC 8032, section 7.1, test 1.
    const ED: &str = "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a";

    fn bytes(hex: &str) -> Vec<u8> {
        linkgate_verifier::envelope::decode_hex(hex).unwrap()
    }

    fn parts(kind: KeyType, parameters: &[u8], point: Vec<u8>) -> Parts {
        Parts {
            kind: Some(kind),
            parameters: parameters.to_vec(),
            point,
            ..Parts::default()
        }
    }

    #[test]
    fn points_raw_and_wrapped() {
        let curve = CURVES[0].0.to_der().unwrap();
        let wrapped = [vec![4, 65], bytes(P256)].concat();
        let keys = [bytes(P256), wrapped.clone()].map(|point| parts(KeyType::EC, &curve, point).key(None).unwrap());
        assert_eq!(keys[0], keys[1]);
        assert_eq!(keys[0].scheme(), Scheme::EcdsaSha2Nistp256);
        for malformed in [&wrapped[..66], &wrapped[1..], &[]] {
            assert!(parts(KeyType::EC, &curve, malformed.to_vec()).key(None).is_err());
        }
        let other = ObjectIdentifier::new_unwrap("1.3.132.0.10").to_der().unwrap();
        assert!(
            parts(KeyType::EC, &other, wrapped)
                .key(None)
                .unwrap_err()
                .contains("1.3.132.0.10")
        );
    }

    #[test]
    fn edwards_parameters_as_identifier_and_as_name() {
        let identifier = ED25519.to_der().unwrap();
        let name = [&[0x13, 12], ED25519_NAME].concat();
        for parameters in [identifier, name] {
            for point in [bytes(ED), [vec![4, 32], bytes(ED)].concat()] {
                let key = parts(KeyType::EC_EDWARDS, &parameters, point).key(None).unwrap();
                assert_eq!(key.public_text(), ED);
            }
        }
    }

    #[test]
    fn a_raw_point_that_looks_wrapped() {
        // 32 bytes that begin as an OCTET STRING of 30 would.
        let mut point = bytes(ED);
        point[0] = 4;
        point[1] = 30;
        assert_eq!(octets(&point, 32).unwrap(), point);
    }

    #[test]
    fn numbers_in_a_sequence() {
        assert_eq!(
            sequence_of_unsigned(&[&[0, 0, 0x80], &[1]]).unwrap(),
            [0x30, 7, 2, 2, 0, 0x80, 2, 1, 1]
        );
    }

    #[test]
    fn uris_of_what_was_found() {
        let identity = Identity {
            label: b"a b;c".to_vec(),
            id: vec![1, 0xff],
        };
        assert_eq!(identity.uri(), "pkcs11:object=a%20b%3bc;id=%01%ff");
        let read = Reference::parse(&identity.uri()).unwrap();
        assert_eq!((read.label.as_deref(), read.id), (Some("a b;c"), Some(vec![1, 0xff])));
    }
}
