//! Public keys: what they are made of, how they are written, and the keyids under which they are known.
//!
//! A [`PublicKey`] can always be used: its curve, size and exponent are within the rules, its point is on the curve, and
//! its scheme is one of its family. A key is its decoded [`Material`], never its text: whoever counts keys compares
//! that. The scheme is bound to the key, as in-toto has it, and nothing in a signature can change it.
//!
//! Texts are read as strictly as the bytes below them: an SPKI (RFC 5280, section 4.1.2.7) or a PKCS#1 key (RFC 8017,
//! appendix A.1.1) is DER with nothing left over, RSA's parameters are NULL (RFC 3279), a curve is named and never
//! spelled out (RFC 5480). A compressed point is decoded, and is the same key as its uncompressed form.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use linkgate_arithmetic::is_ed25519_point;
use sha2::{Digest as _, Sha256};

pub use linkgate_arithmetic::Curve;

pub use crate::scheme::Scheme;

use crate::der::{self, Der};
use crate::prelude::*;
use crate::verdict::shown;
use crate::{canonical, envelope};

/// Content of the OBJECT IDENTIFIER id-Ed25519 (RFC 8410).
const ID_ED25519: &[u8] = &[0x2b, 0x65, 0x70];
/// Content of the OBJECT IDENTIFIER id-ecPublicKey (RFC 5480).
const ID_EC_PUBLIC_KEY: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01];
/// Content of the OBJECT IDENTIFIER rsaEncryption (RFC 8017).
const RSA_ENCRYPTION: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x01];

/// Bits of an RSA modulus: below, a key is too weak (NIST SP 800-131A); above, a check costs too much.
pub const RSA_BITS: core::ops::RangeInclusive<u32> = 2048..=8192;
/// The least RSA exponent: those below it are not used by any tool that signs, and have a history of attacks (FIPS 186-5, A.1.1).
pub const RSA_LEAST_EXPONENT: u32 = 65_537;

/// Why something is no key that this verifier can use.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// A GPG key. It is known, and not supported.
    #[error("a GPG key (scheme `{0}`), which is not supported")]
    Gpg(String),
    /// A key type that in-toto or this verifier does not know.
    #[error("the key type `{0}` is none of `ed25519`, `ecdsa` and `rsa`")]
    Type(String),
    /// A scheme that is not one of the key type's.
    #[error("`{scheme}` is no scheme of a key of type `{keytype}`")]
    Scheme {
        /// The key's type.
        keytype: String,
        /// Its scheme.
        scheme: String,
    },
    /// The public key's text or bytes are not what its type asks for.
    #[error("the public key is not {0}")]
    Encoding(&'static str),
    /// An SPKI of an algorithm other than Ed25519, ECDSA and RSA.
    #[error("the key's algorithm `{0}` is none of Ed25519, ECDSA and RSA")]
    Algorithm(String),
    /// A curve other than the three NIST curves.
    #[error("the key's curve `{0}` is none of P-256, P-384 and P-521")]
    Curve(String),
    /// A scheme for another family or curve than the key's.
    #[error("the scheme `{scheme}` does not fit {found}")]
    Mismatch {
        /// The scheme that was named.
        scheme: &'static str,
        /// What the key is.
        found: &'static str,
    },
    /// A point that is not on the curve, is infinity or has a small order, or is not in canonical form.
    #[error("the public key is no sound point of {0}")]
    Point(&'static str),
    /// An RSA modulus outside [`RSA_BITS`].
    #[error("the RSA modulus has {0} bits, not {low} to {high}", low = RSA_BITS.start(), high = RSA_BITS.end())]
    Size(u32),
    /// An even RSA modulus, which is no product of two large primes.
    #[error("the RSA modulus is even")]
    EvenModulus,
    /// An RSA exponent that is even or outside [`RSA_LEAST_EXPONENT`]..2^32.
    #[error("the RSA exponent `0x{0}` is even, or not from {RSA_LEAST_EXPONENT} to 4294967295")]
    Exponent(String),
}

/// Content of a curve's OBJECT IDENTIFIER (RFC 5480, section 2.1.1.1).
const fn identifier_of(curve: Curve) -> &'static [u8] {
    match curve {
        Curve::P256 => &[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07],
        Curve::P384 => &[0x2b, 0x81, 0x04, 0x00, 0x22],
        Curve::P521 => &[0x2b, 0x81, 0x04, 0x00, 0x23],
    }
}

/// The one scheme of a curve's keys.
const fn scheme_of(curve: Curve) -> Scheme {
    match curve {
        Curve::P256 => Scheme::EcdsaSha2Nistp256,
        Curve::P384 => Scheme::EcdsaSha2Nistp384,
        Curve::P521 => Scheme::EcdsaSha2Nistp521,
    }
}

/// What a key is: two keys of equal material are one key, whatever their texts, schemes and keyids.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Material {
    /// The point, canonical and of large order.
    Ed25519([u8; 32]),
    /// A point of a NIST curve.
    Ecdsa {
        /// Which curve.
        curve: Curve,
        /// The point in SEC 1's uncompressed form.
        point: Vec<u8>,
    },
    /// An RSA key.
    Rsa {
        /// n, big-endian, without leading zeros.
        modulus: Vec<u8>,
        /// e, big-endian, without leading zeros.
        exponent: Vec<u8>,
    },
}

impl Material {
    fn ed25519(bytes: &[u8]) -> Result<Self, KeyError> {
        let point: [u8; 32] = bytes.try_into().map_err(|_| KeyError::Encoding("32 bytes"))?;
        let sound = crate::signature::is_sound_point(&point) && is_ed25519_point(&point);
        if sound {
            Ok(Self::Ed25519(point))
        } else {
            Err(KeyError::Point("Ed25519"))
        }
    }

    fn ecdsa(curve: Curve, bytes: &[u8]) -> Result<Self, KeyError> {
        match curve.point(bytes) {
            Some(point) => Ok(Self::Ecdsa { curve, point }),
            None => Err(KeyError::Point(curve.name())),
        }
    }

    /// An RSA key of n and e as [`Der::unsigned`] gives them.
    fn rsa(modulus: &[u8], exponent: &[u8]) -> Result<Self, KeyError> {
        let bits = bits(modulus);
        if !RSA_BITS.contains(&bits) {
            return Err(KeyError::Size(bits));
        }
        if modulus.last().is_none_or(|last| last & 1 == 0) {
            return Err(KeyError::EvenModulus);
        }
        let value = exponent
            .iter()
            .fold(0_u64, |value, &byte| value.wrapping_shl(8) | u64::from(byte));
        if exponent.len() > 4 || value < u64::from(RSA_LEAST_EXPONENT) || value & 1 == 0 {
            return Err(KeyError::Exponent(shown(&hex(exponent))));
        }
        Ok(Self::Rsa {
            modulus: modulus.to_vec(),
            exponent: exponent.to_vec(),
        })
    }

    fn from_spki(bytes: &[u8]) -> Result<Self, KeyError> {
        const SPKI: KeyError = KeyError::Encoding("DER of a SubjectPublicKeyInfo");
        let mut spki = Der::document(bytes).ok_or(SPKI)?;
        let mut algorithm = spki.sequence().ok_or(SPKI)?;
        let key = spki.octets().ok_or(SPKI)?;
        spki.end().ok_or(SPKI)?;
        match algorithm.value(der::OBJECT_IDENTIFIER).ok_or(SPKI)? {
            ID_ED25519 => {
                algorithm.end().ok_or(SPKI)?;
                Self::ed25519(key)
            }
            ID_EC_PUBLIC_KEY => {
                let named = algorithm
                    .value(der::OBJECT_IDENTIFIER)
                    .ok_or(KeyError::Encoding("on a curve that is named"))?;
                algorithm.end().ok_or(SPKI)?;
                let curve = Curve::ALL.into_iter().find(|&curve| identifier_of(curve) == named);
                Self::ecdsa(curve.ok_or_else(|| KeyError::Curve(shown(&der::dotted(named))))?, key)
            }
            RSA_ENCRYPTION => {
                algorithm.value(der::NULL).filter(|null| null.is_empty()).ok_or(SPKI)?;
                algorithm.end().ok_or(SPKI)?;
                Self::from_pkcs1(key)
            }
            other => Err(KeyError::Algorithm(shown(&der::dotted(other)))),
        }
    }

    fn from_pkcs1(bytes: &[u8]) -> Result<Self, KeyError> {
        const PKCS1: KeyError = KeyError::Encoding("DER of a PKCS#1 RSAPublicKey");
        let mut key = Der::document(bytes).ok_or(PKCS1)?;
        let modulus = key.unsigned().ok_or(PKCS1)?;
        let exponent = key.unsigned().ok_or(PKCS1)?;
        key.end().ok_or(PKCS1)?;
        Self::rsa(modulus, exponent)
    }

    fn spki_der(&self) -> Vec<u8> {
        let identifier = |content| der::encode(der::OBJECT_IDENTIFIER, &[content]);
        let (algorithm, key) = match self {
            Self::Ed25519(point) => (identifier(ID_ED25519), point.to_vec()),
            Self::Ecdsa { curve, point } => (
                [identifier(ID_EC_PUBLIC_KEY), identifier(identifier_of(*curve))].concat(),
                point.clone(),
            ),
            Self::Rsa { modulus, exponent } => (
                [identifier(RSA_ENCRYPTION), der::encode(der::NULL, &[])].concat(),
                der::encode(
                    der::SEQUENCE,
                    &[&der::encode_unsigned(modulus), &der::encode_unsigned(exponent)],
                ),
            ),
        };
        der::encode(
            der::SEQUENCE,
            &[
                &der::encode(der::SEQUENCE, &[&algorithm]),
                &der::encode(der::BIT_STRING, &[&[0], &key]),
            ],
        )
    }

    /// What the key is, in words.
    const fn kind(&self) -> &'static str {
        match self {
            Self::Ed25519(_) => "an Ed25519 key",
            Self::Ecdsa { curve: Curve::P256, .. } => "a P-256 key",
            Self::Ecdsa { curve: Curve::P384, .. } => "a P-384 key",
            Self::Ecdsa { curve: Curve::P521, .. } => "a P-521 key",
            Self::Rsa { .. } => "an RSA key",
        }
    }

    pub(crate) const fn default_scheme(&self) -> Scheme {
        match self {
            Self::Ed25519(_) => Scheme::Ed25519,
            Self::Ecdsa { curve, .. } => scheme_of(*curve),
            Self::Rsa { .. } => Scheme::RsassaPssSha256,
        }
    }
}

/// A public key that can be used: sound material, and the scheme that is bound to it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct PublicKey {
    material: Material,
    scheme: Scheme,
}

impl PublicKey {
    /// The key of an in-toto key object: its `keytype`, `scheme` and `keyval.public` (specification 1.0, section 4.2).
    ///
    /// `public` is hexadecimal for `ed25519`, else PEM. The key type of an ECDSA key may be, as in old metadata, the
    /// scheme's own name.
    pub fn from_parts(keytype: &str, scheme: &str, public: &str) -> Result<Self, KeyError> {
        if scheme.starts_with("pgp+") {
            return Err(KeyError::Gpg(shown(scheme)));
        }
        let known = Scheme::parse(scheme);
        match known.filter(|known| known.keytype() == keytype || known.old_keytype() == Some(keytype)) {
            Some(Scheme::Ed25519) => {
                let bytes = envelope::decode_hex(public).ok_or(KeyError::Encoding("hexadecimal"))?;
                Self::new(Material::ed25519(&bytes)?, Scheme::Ed25519)
            }
            Some(scheme) => Self::from_pem(public, Some(scheme)),
            None if is_keytype(keytype) => Err(KeyError::Scheme {
                keytype: shown(keytype),
                scheme: shown(scheme),
            }),
            None => Err(KeyError::Type(shown(keytype))),
        }
    }

    /// The key of one PEM block, `PUBLIC KEY` (SPKI) or `RSA PUBLIC KEY` (PKCS#1), with only white space around it.
    ///
    /// Without a scheme it gets its family's: `ed25519`, the curve's, or `rsassa-pss-sha256`.
    pub fn from_pem(text: &str, scheme: Option<Scheme>) -> Result<Self, KeyError> {
        match decode_pem(text) {
            Some(("PUBLIC KEY", bytes)) => Self::from_spki(&bytes, scheme),
            Some(("RSA PUBLIC KEY", bytes)) => Self::from_pkcs1(&bytes, scheme),
            _ => Err(KeyError::Encoding("PEM of a `PUBLIC KEY` or an `RSA PUBLIC KEY`")),
        }
    }

    /// The key of a DER `SubjectPublicKeyInfo`, with the scheme of [`PublicKey::from_pem`].
    pub fn from_spki(der: &[u8], scheme: Option<Scheme>) -> Result<Self, KeyError> {
        let material = Material::from_spki(der)?;
        let scheme = scheme.unwrap_or(material.default_scheme());
        Self::new(material, scheme)
    }

    /// The key of a DER `RSAPublicKey` (PKCS#1), with the scheme of [`PublicKey::from_pem`].
    pub fn from_pkcs1(der: &[u8], scheme: Option<Scheme>) -> Result<Self, KeyError> {
        let material = Material::from_pkcs1(der)?;
        let scheme = scheme.unwrap_or(material.default_scheme());
        Self::new(material, scheme)
    }

    fn new(material: Material, scheme: Scheme) -> Result<Self, KeyError> {
        if scheme.fits(&material) {
            Ok(Self { material, scheme })
        } else {
            Err(KeyError::Mismatch {
                scheme: scheme.name(),
                found: material.kind(),
            })
        }
    }

    /// What the key is.
    pub fn material(&self) -> &Material {
        &self.material
    }

    /// How it signs.
    pub fn scheme(&self) -> Scheme {
        self.scheme
    }

    /// Its `keytype` as in-toto spells it now.
    pub fn keytype(&self) -> &'static str {
        self.scheme.keytype()
    }

    /// The key as a DER `SubjectPublicKeyInfo`. It depends on the material alone.
    pub fn spki_der(&self) -> Vec<u8> {
        self.material.spki_der()
    }

    /// The key as PEM: SPKI, 64 columns, LF, a final newline.
    pub fn spki_pem(&self) -> String {
        let body = STANDARD.encode(self.spki_der());
        let mut pem = String::from("-----BEGIN PUBLIC KEY-----\n");
        for (at, character) in body.chars().enumerate() {
            if at > 0 && at.is_multiple_of(64) {
                pem.push('\n');
            }
            pem.push(character);
        }
        pem.push_str("\n-----END PUBLIC KEY-----\n");
        pem
    }

    /// The key as the member `keyval.public` of an in-toto key object: hexadecimal for Ed25519, else PEM.
    pub fn public_text(&self) -> String {
        match &self.material {
            Material::Ed25519(point) => hex(point),
            Material::Ecdsa { .. } | Material::Rsa { .. } => self.spki_pem(),
        }
    }

    /// The keyid that today's tools give the key: the SHA-256 of the canonical JSON of
    /// `{keytype, scheme, keyval: {public}}` (securesystemslib from 1.0 on).
    pub fn keyid(&self) -> String {
        self.keyid_of(self.keytype(), Formula::Modern)
    }

    /// Every keyid under which the key is recognised, today's first: both formulas, under each key type it can have.
    ///
    /// The older formula (securesystemslib before 1.0, in-toto-golang) adds `keyid_hash_algorithms` and strips the PEM's
    /// outer white space.
    pub fn keyids(&self) -> Vec<String> {
        [Some(self.keytype()), self.scheme.old_keytype()]
            .into_iter()
            .flatten()
            .flat_map(|keytype| [Formula::Modern, Formula::Old].map(|formula| self.keyid_of(keytype, formula)))
            .collect()
    }

    /// The key's fingerprint: the SHA-256 of its DER `SubjectPublicKeyInfo`, in lower-case hexadecimal. Unlike a keyid it
    /// depends on the material alone.
    pub fn fingerprint(&self) -> String {
        hex(&Sha256::digest(self.spki_der()))
    }

    fn keyid_of(&self, keytype: &str, formula: Formula) -> String {
        let text = self.public_text();
        let (head, public) = match formula {
            Formula::Modern => ("{", text.as_str()),
            Formula::Old => (r#"{"keyid_hash_algorithms":["sha256","sha512"],"#, text.trim()),
        };
        let mut json = format!(r#"{head}"keytype":"{keytype}","keyval":{{"public":"#);
        canonical::write_string(&mut json, public);
        json.push_str(r#"},"scheme":""#);
        json.push_str(self.scheme.name());
        json.push_str(r#""}"#);
        hex(&Sha256::digest(json))
    }
}

/// The two ways in which keyids are computed.
#[derive(Clone, Copy)]
enum Formula {
    Modern,
    Old,
}

/// Lower-case hexadecimal.
pub fn hex(bytes: &[u8]) -> String {
    let digit = |value: u8| char::from(if value < 10 { b'0' + value } else { b'a' + value - 10 });
    let mut text = String::with_capacity(bytes.len() * 2);
    for byte in bytes {
        text.push(digit(byte >> 4));
        text.push(digit(byte & 15));
    }
    text
}

/// Bits of a big-endian number without leading zeros. Numbers here are shorter than 16 MiB.
fn bits(magnitude: &[u8]) -> u32 {
    let octets = u32::try_from(magnitude.len()).unwrap_or(u32::MAX / 8);
    magnitude.first().map_or(0, |first| octets * 8 - first.leading_zeros())
}

/// A key type that in-toto knows, whatever the scheme.
fn is_keytype(keytype: &str) -> bool {
    Scheme::ALL
        .into_iter()
        .any(|scheme| scheme.keytype() == keytype || scheme.old_keytype() == Some(keytype))
}

/// The label and the content of a text that is one PEM block (RFC 7468). White space may stand anywhere in the content.
fn decode_pem(text: &str) -> Option<(&str, Vec<u8>)> {
    let (label, rest) = text.trim().strip_prefix("-----BEGIN ")?.split_once("-----")?;
    let body = rest
        .strip_suffix("-----")?
        .strip_suffix(label)?
        .strip_suffix("-----END ")?;
    let body: String = body
        .chars()
        .filter(|character| !character.is_ascii_whitespace())
        .collect();
    STANDARD.decode(body).ok().map(|bytes| (label, bytes))
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use serde_json::Value;

    /// What `tests/data/keys.py` had Python's securesystemslib and cryptography make.
    pub(crate) fn vectors() -> Value {
        serde_json::from_str(include_str!("../tests/data/keys.json")).unwrap()
    }

    pub(crate) fn text(value: &Value) -> &str {
        value.as_str().unwrap()
    }

    pub(crate) fn key(vector: &Value) -> PublicKey {
        let part = |name: &str| text(&vector[name]);
        PublicKey::from_parts(part("keytype"), part("scheme"), part("public")).unwrap()
    }

    #[test]
    fn read_and_written_as_python_does() {
        for vector in vectors()["keys"].as_array().unwrap() {
            let key = key(vector);
            assert_eq!(key.public_text(), text(&vector["public"]));
            assert_eq!(key.keytype(), text(&vector["keytype"]));
            assert_eq!(key.scheme().name(), text(&vector["scheme"]));
            assert_eq!(
                key.keyids(),
                serde_json::from_value::<Vec<String>>(vector["keyids"].clone()).unwrap()
            );
            assert_eq!(key.keyid(), key.keyids()[0]);
            assert_eq!(key.fingerprint(), text(&vector["fingerprint"]));
            assert_eq!(
                PublicKey::from_spki(&key.spki_der(), Some(key.scheme())),
                Ok(key.clone())
            );
            assert_eq!(PublicKey::from_pem(&key.spki_pem(), Some(key.scheme())), Ok(key));
        }
    }

    #[test]
    fn keyid_of_in_toto_golangs_alice() {
        const ALICE: &str = "-----BEGIN PUBLIC KEY-----
MIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8AMIIBCgKCAQEAr2u+1EN9NMIAtqYZ2pqF
3ov4omRpdgEorv1L4sBMaFN+2EPyqeMTF838/W4V/1fHLr5jaqIVY0VjcpAmCRJ6
oRhxw/6o7dgiIPsrTCWQHFAkXcElgb+2JUXWZO3azX90fxFliucPPj0IrLgK3u5O
D+XgaT773Za2JJSe7A0Iacjb23Elm2T05ydtrWHy5zVMmg+Yj64iaXRxoLUhFpdp
NOw/rVIUSiFItip+SAZjIsjqQDILzy4RcNUJqBFHG2N/cEwnO+ozb1G9sCtGSya6
BkCQGhmX64xgehpSUomDod2q3ZmNlS2+9aUMpNq4TksLL08mhQkZi7atNoG4rq4p
nwIDAQAB
-----END PUBLIC KEY-----";
        let key = PublicKey::from_parts("rsa", "rsassa-pss-sha256", ALICE).unwrap();
        assert_eq!(
            key.keyids()[1],
            "70ca5750c2eda80b18f41f4ec5f92146789b5d68dd09577be422a0159bd13680"
        );
        assert_eq!(key.spki_pem().trim(), ALICE);
    }

    #[test]
    fn one_material_has_many_texts() {
        let vectors = vectors();
        let keys = vectors["keys"].as_array().unwrap();
        let rsa = key(&keys[4]);
        let pkcs1 = PublicKey::from_parts("rsa", "rsassa-pss-sha256", text(&vectors["rsa_pkcs1"])).unwrap();
        assert_eq!(pkcs1, rsa);
        assert_eq!(key(&keys[5]).material(), rsa.material());
        assert_ne!(key(&keys[5]), rsa);
        let crlf = rsa.spki_pem().replace('\n', "\r\n");
        assert_eq!(PublicKey::from_pem(&format!("\n {crlf}"), None).unwrap(), rsa);
        let ed25519 = key(&keys[0]);
        let upper = ed25519.public_text().to_uppercase();
        assert_eq!(PublicKey::from_parts("ed25519", "ed25519", &upper).unwrap(), ed25519);
        for vector in &keys[1..4] {
            let wanted = key(vector);
            let Material::Ecdsa { curve, point } = wanted.material() else {
                panic!("{wanted:?}")
            };
            let compressed = envelope::decode_hex(text(&vector["compressed"])).unwrap();
            assert_eq!(&curve.point(&compressed).unwrap(), point);
            let old =
                PublicKey::from_parts(wanted.scheme().name(), wanted.scheme().name(), &wanted.spki_pem()).unwrap();
            assert_eq!(old, wanted);
        }
    }

    #[test]
    fn refused_names() {
        let vectors = vectors();
        let p256 = text(&vectors["keys"][1]["public"]);
        let rsa = text(&vectors["keys"][4]["public"]);
        let scheme = |keytype: &str, scheme: &str| KeyError::Scheme {
            keytype: keytype.into(),
            scheme: scheme.into(),
        };
        let mismatch = |scheme, found| KeyError::Mismatch { scheme, found };
        for (keytype, name, public, wanted) in [
            ("rsa", "pgp+rsa-pkcsv1.5", "", KeyError::Gpg("pgp+rsa-pkcsv1.5".into())),
            ("x", "ed25519", "", KeyError::Type("x".into())),
            ("RSA", "rsassa-pss-sha256", rsa, KeyError::Type("RSA".into())),
            ("rsa", "ed25519", rsa, scheme("rsa", "ed25519")),
            ("rsa", "rsassa-pss-sha224", rsa, scheme("rsa", "rsassa-pss-sha224")),
            ("ecdsa", "", p256, scheme("ecdsa", "")),
            (
                "ecdsa-sha2-nistp256",
                "ecdsa-sha2-nistp384",
                p256,
                scheme("ecdsa-sha2-nistp256", "ecdsa-sha2-nistp384"),
            ),
            (
                "ecdsa",
                "ecdsa-sha2-nistp384",
                p256,
                mismatch("ecdsa-sha2-nistp384", "a P-256 key"),
            ),
            (
                "ecdsa",
                "ecdsa-sha2-nistp256",
                rsa,
                mismatch("ecdsa-sha2-nistp256", "an RSA key"),
            ),
        ] {
            assert_eq!(PublicKey::from_parts(keytype, name, public), Err(wanted));
        }
    }

    #[test]
    fn refused_texts() {
        let vectors = vectors();
        let rsa = text(&vectors["keys"][4]["public"]);
        let pem = "the public key is not PEM of a `PUBLIC KEY` or an `RSA PUBLIC KEY`";
        let curve = |curve| format!("the key's curve `{curve}` is none of P-256, P-384 and P-521");
        let refused = |name: &str| text(&vectors["refused"][name]);
        for (public, wanted) in [
            (refused("secp256k1"), &*curve("1.3.132.0.10")),
            (refused("p224"), &curve("1.3.132.0.33")),
            (refused("rsa1024"), "the RSA modulus has 1024 bits, not 2048 to 8192"),
            (
                refused("rsa_e3"),
                "the RSA exponent `0x03` is even, or not from 65537 to 4294967295",
            ),
            ("", pem),
            (&format!("{rsa}{rsa}"), pem),
            (&rsa.replace("-----END PUBLIC KEY-----\n", ""), pem),
            (&rsa.replace("END PUBLIC", "END RSA PUBLIC"), pem),
            (&rsa.replace("END ", "END"), pem),
            (
                &rsa.replace("PUBLIC KEY", "RSA PUBLIC KEY"),
                "the public key is not DER of a PKCS#1 RSAPublicKey",
            ),
        ] {
            let error = PublicKey::from_parts("rsa", "rsassa-pss-sha256", public).unwrap_err();
            assert_eq!(error.to_string(), wanted);
        }
    }

    #[test]
    fn refused_ed25519() {
        let point = KeyError::Point("Ed25519");
        for (public, wanted) in [
            ("zz".to_owned(), KeyError::Encoding("hexadecimal")),
            ("000".to_owned(), KeyError::Encoding("hexadecimal")),
            ("00".to_owned(), KeyError::Encoding("32 bytes")),
            ("00".repeat(33), KeyError::Encoding("32 bytes")),
            ("00".repeat(32), point.clone()),
            // y = 2 is no point of the curve; y = p + 3 is, but is not canonical.
            (format!("02{}", "00".repeat(31)), point.clone()),
            (format!("f0{}7f", "ff".repeat(30)), point),
        ] {
            assert_eq!(PublicKey::from_parts("ed25519", "ed25519", &public), Err(wanted));
        }
    }

    #[test]
    fn refused_der() {
        let vectors = vectors();
        let p256 = key(&vectors["keys"][1]).spki_der();
        let rsa = key(&vectors["keys"][4]).spki_der();
        let changed = |der: &[u8], at: usize, to: u8| {
            let mut der = der.to_vec();
            der[at] = to;
            der
        };
        let spki = KeyError::Encoding("DER of a SubjectPublicKeyInfo");
        for (name, der, wanted) in [
            ("trailing", [rsa.as_slice(), &[0]].concat(), spki.clone()),
            ("cut", rsa[..rsa.len() - 1].to_vec(), spki.clone()),
            ("empty", Vec::new(), spki.clone()),
            ("no NULL", changed(&rsa, 17, 4), spki.clone()),
            ("unused bits", changed(&p256, 25, 1), spki),
            (
                "off the curve",
                changed(&p256, 30, p256[30] ^ 1),
                KeyError::Point("P-256"),
            ),
            ("hybrid point", changed(&p256, 26, 6), KeyError::Point("P-256")),
            ("compact point", changed(&p256, 26, 5), KeyError::Point("P-256")),
            (
                "another algorithm",
                changed(&p256, 12, 2),
                KeyError::Algorithm("1.2.840.10045.2.2".into()),
            ),
        ] {
            assert_eq!(PublicKey::from_spki(&der, None), Err(wanted), "{name}");
        }
        let even = changed(&rsa, rsa.len() - 6, rsa[rsa.len() - 6] & 0xfe);
        assert_eq!(PublicKey::from_spki(&even, None), Err(KeyError::EvenModulus));
        let infinity = der::encode(
            der::SEQUENCE,
            &[&p256[2..23], &der::encode(der::BIT_STRING, &[&[0, 0]])],
        );
        assert_eq!(PublicKey::from_spki(&infinity, None), Err(KeyError::Point("P-256")));
        let explicit = der::encode(
            der::SEQUENCE,
            &[
                &der::encode(der::SEQUENCE, &[&p256[4..13], &der::encode(der::SEQUENCE, &[])]),
                &p256[23..],
            ],
        );
        assert_eq!(
            PublicKey::from_spki(&explicit, None),
            Err(KeyError::Encoding("on a curve that is named"))
        );
    }

    #[test]
    fn rsa_bounds() {
        let modulus = |octets: usize, first: u8| {
            let mut modulus = vec![0xff; octets];
            modulus[0] = first;
            modulus
        };
        for (octets, first, exponent, accepted) in [
            (256, 0x80, &[1, 0, 1][..], true),
            (256, 0x7f, &[1, 0, 1], false),
            (257, 0x01, &[1, 0, 1], true),
            (1024, 0xff, &[1, 0, 1], true),
            (1025, 0x01, &[1, 0, 1], false),
            (256, 0x80, &[0xff, 0xff, 0xff, 0xff], true),
            (256, 0x80, &[1, 0, 0, 0, 1], false),
            (256, 0x80, &[1, 0, 0, 0, 1, 0, 1, 0, 1], false),
            (256, 0x80, &[0xff, 0xff], false),
            (256, 0x80, &[1, 0, 2], false),
            (256, 0x80, &[1], false),
            (256, 0x80, &[], false),
        ] {
            let found = Material::rsa(&modulus(octets, first), exponent);
            assert_eq!(found.is_ok(), accepted, "{octets} {first:x} {exponent:x?}: {found:?}");
        }
    }
}
