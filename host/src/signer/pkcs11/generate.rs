//! Making a key pair in a token: its private half is sensitive, not extractable, and never was anywhere else.

use cryptoki::error::Error;
use cryptoki::mechanism::Mechanism;
use cryptoki::object::{Attribute, KeyType};
use linkgate_verifier::key::PublicKey;

use super::contents::NewKey;
use super::error::TokenError;
use super::library::Library;
use super::object::{Class, Query, public_key};
use super::options::Options;
use super::reference::Reference;
use super::token::{Fault, Need, Seat};

/// Makes a key pair under a label that no key in the token has, and returns the token's name and the public half. The
/// reference says which token and which label; the id is drawn.
pub(super) fn generate(
    reference: &Reference,
    label: &str,
    key: NewKey,
    options: &Options,
) -> Result<(String, PublicKey), TokenError> {
    let reference = reference.clone();
    let token = Library::named(&reference, options)?.token(&reference, options)?;
    let (shown, label) = (token.shown(), label.to_owned());
    let public = token.call(Need::Making, &label.clone(), move |seat| {
        for class in [Class::Private, Class::Public] {
            if !seat.find(&Query::of(&reference, class))?.is_empty() {
                return Err(Fault::Found(TokenError::Exists {
                    token: shown.clone(),
                    key: label.clone(),
                }));
            }
        }
        let object = make(seat, &label, key)?;
        public_key(seat, object, Class::Public, None)?.map_err(|reason| {
            Fault::Found(TokenError::Kind {
                token: shown.clone(),
                key: label.clone(),
                reason,
            })
        })
    })?;
    Ok((token.shown(), public))
}

/// Makes the pair and returns the public half's object.
fn make(seat: &Seat, label: &str, key: NewKey) -> Result<cryptoki::object::ObjectHandle, Error> {
    /// An identifier in DER (RFC 5480, section 2.1.1.1; RFC 8410, section 3).
    const P256: &[u8] = &[0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07];
    const P384: &[u8] = &[0x06, 0x05, 0x2b, 0x81, 0x04, 0x00, 0x22];
    const P521: &[u8] = &[0x06, 0x05, 0x2b, 0x81, 0x04, 0x00, 0x23];
    const ED25519: &[u8] = &[0x06, 0x03, 0x2b, 0x65, 0x70];
    let (mechanism, kind, parameters) = match key {
        NewKey::Ed25519 => (Mechanism::EccEdwardsKeyPairGen, KeyType::EC_EDWARDS, Some(ED25519)),
        NewKey::P256 => (Mechanism::EccKeyPairGen, KeyType::EC, Some(P256)),
        NewKey::P384 => (Mechanism::EccKeyPairGen, KeyType::EC, Some(P384)),
        NewKey::P521 => (Mechanism::EccKeyPairGen, KeyType::EC, Some(P521)),
        NewKey::Rsa(_) => (Mechanism::RsaPkcsKeyPairGen, KeyType::RSA, None),
    };
    let mut id = [0; 8];
    seat.session.generate_random_slice(&mut id)?;
    let both = [
        Attribute::Token(true),
        Attribute::KeyType(kind),
        Attribute::Label(label.into()),
        Attribute::Id(id.to_vec()),
    ];
    let mut public = both.to_vec();
    public.extend([Attribute::Private(false), Attribute::Verify(true)]);
    public.extend(parameters.map(|parameters| Attribute::EcParams(parameters.to_vec())));
    if let NewKey::Rsa(bits) = key {
        public.push(Attribute::ModulusBits(u64::from(bits).into()));
        public.push(Attribute::PublicExponent(vec![1, 0, 1]));
    }
    let mut private = both.to_vec();
    private.extend([
        Attribute::Private(true),
        Attribute::Sensitive(true),
        Attribute::Extractable(false),
        Attribute::Sign(true),
        Attribute::Decrypt(false),
        Attribute::Unwrap(false),
    ]);
    let (public, _) = seat.session.generate_key_pair(&mechanism, &public, &private)?;
    Ok(public)
}
