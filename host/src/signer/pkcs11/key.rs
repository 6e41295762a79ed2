//! One key in a token: what it signs, and what it checks.

use std::fmt;
use std::sync::Arc;

use cryptoki::context::Function;
use cryptoki::error::{Error, RvError};
use cryptoki::object::{Attribute, AttributeType, ObjectHandle};
use linkgate_verifier::key::{PublicKey, Scheme};
use linkgate_verifier::signature::Outcome;

use super::error::TokenError;
use super::library::Library;
use super::mechanism;
use super::object::{Class, Identity, Query, public_key};
use super::options::Options;
use super::reference::{Half, Reference};
use super::token::{Fault, Need, Seat, Token};
use crate::checker::Native;
use crate::signer::{SignError, Signer};

/// A private key in a token.
pub struct TokenSigner {
    token: Arc<Token>,
    private: Query,
    name: String,
    public: PublicKey,
}

/// A public key in a token.
#[derive(Clone)]
pub struct TokenKey {
    token: Arc<Token>,
    /// The object that checks; none where the token only tells the public half, and cannot check by it.
    object: Option<Query>,
    /// Whether it is seen by anybody.
    need: Need,
    /// Whether the token may be given a PIN, if it wants one.
    may_log_in: bool,
    name: String,
    /// The key.
    pub public: PublicKey,
}

impl TokenSigner {
    /// Looks a private key up, and reads its public half. The PIN is asked for.
    pub(super) fn open(reference: &Reference, options: &Options) -> Result<Self, TokenError> {
        if reference.half == Some(Half::Public) {
            return Err(TokenError::PublicForPrivate(reference.text.clone()));
        }
        let token = Library::named(reference, options)?.token(reference, options)?;
        let (shown, name, scheme) = (token.shown(), reference.name(), reference.scheme);
        let private = Query::of(reference, Class::Private);
        let sought = private.clone();
        let (exact, public) = token.call(Need::User, &reference.name(), move |seat| {
            let object = one(seat, &sought, &shown, &name, "private")?;
            usable(seat, object, &shown, &name)?;
            let identity = Identity::read(seat, object)?;
            let public = public_half(seat, &sought, &identity, object, &shown, &name, scheme)?;
            Ok((exactly(&sought, &identity), public))
        })?;
        Ok(Self {
            token,
            private: exact,
            name: reference.name(),
            public,
        })
    }

    fn try_sign(&self, message: &[u8]) -> Result<Vec<u8>, TokenError> {
        let scheme = self.public.scheme();
        let input = mechanism::input(scheme, message);
        let (query, shown, name) = (self.private.clone(), self.token.shown(), self.name.clone());
        let signed = self.token.call(Need::User, &self.name, move |seat| {
            let object = known(seat, &query, &shown, &name)?;
            Ok(seat.session.sign(&mechanism::of(scheme), object, &input)?)
        })?;
        let signature = mechanism::from_token(scheme, signed).map_err(|reason| TokenError::Kind {
            token: self.token.shown(),
            key: self.name.clone(),
            reason,
        })?;
        // What nobody could verify is better not signed at all.
        match Native::answer(scheme.name(), &self.public.spki_der(), message, &signature) {
            Outcome::Valid => Ok(signature),
            Outcome::Invalid | Outcome::NotHandled => Err(TokenError::NoPair {
                token: self.token.shown(),
                key: self.name.clone(),
            }),
        }
    }
}

impl fmt::Debug for TokenSigner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TokenSigner")
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

impl Signer for TokenSigner {
    fn public_key(&self) -> &PublicKey {
        &self.public
    }

    fn keyid(&self) -> String {
        self.public.keyid()
    }

    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, SignError> {
        self.try_sign(message).map_err(SignError::Token)
    }
}

impl TokenKey {
    /// Looks the public half of a key up. Without a login, if the token tells it to anybody.
    pub(super) fn open(reference: &Reference, options: &Options) -> Result<Self, TokenError> {
        let token = Library::named(reference, options)?.token(reference, options)?;
        let look = |need| {
            let (shown, reference) = (token.shown(), reference.clone());
            token.call(need, &reference.name(), move |seat| public_of(seat, &reference, &shown))
        };
        let (need, (object, public)) = match look(Need::Public) {
            // Some tokens hide all objects from those who are not logged in.
            Err(error) if error.wants_login() || matches!(error, TokenError::NoKey { .. }) => {
                (Need::User, look(Need::User)?)
            }
            looked => (Need::Public, looked?),
        };
        Ok(Self {
            token,
            object,
            need,
            may_log_in: true,
            name: reference.name(),
            public,
        })
    }

    /// Every public key that can check, of the tokens that the options mean. What in-toto has no scheme for is left out,
    /// and what another object of the token looks like.
    pub(super) fn all(options: &Options) -> Result<Vec<Self>, TokenError> {
        let anything = Reference {
            text: "--hsm-verify".to_owned(),
            ..Reference::default()
        };
        let mut keys = Vec::new();
        let tokens = Library::named(&anything, options)?.tokens(options, false)?;
        // A PIN is of one token, and is not tried on others.
        let may_log_in = tokens.len() == 1;
        for (_, token) in tokens {
            for (identity, public) in token.call(Need::Public, "", checking)? {
                keys.push(Self {
                    token: Arc::clone(&token),
                    object: Some(exactly(&Query::all(Class::Public), &identity)),
                    need: Need::Public,
                    may_log_in,
                    name: if identity.label.is_empty() {
                        identity.uri()
                    } else {
                        identity.name()
                    },
                    public,
                });
            }
        }
        Ok(keys)
    }

    /// What messages call the key and its token.
    pub(super) fn shown(&self) -> String {
        format!("{}, key `{}`", self.token.shown(), self.name)
    }

    /// Whether the token can answer nothing until the process is restarted.
    pub fn needs_restart(&self) -> bool {
        self.checks() && self.token.needs_restart()
    }

    /// Whether the token itself can check signatures by the key.
    pub fn checks(&self) -> bool {
        self.object.is_some()
    }

    /// What the token says of a structurally sound signature by this key in a scheme. The arithmetic of a public key is
    /// no secret: it is done here as well, and where both do not agree there is no answer. So a token can keep a chain from
    /// being judged, and can neither accept nor reject what the verifier would not. The error says which token did not
    /// answer, and how.
    pub(super) fn check(&self, scheme: Scheme, message: &[u8], signature: &[u8]) -> Result<Outcome, TokenError> {
        let Some(valid) = self.ask(scheme, message, signature)? else {
            return Ok(Outcome::NotHandled);
        };
        match Native::answer(scheme.name(), &self.public.spki_der(), message, signature) {
            Outcome::Valid if valid => Ok(Outcome::Valid),
            Outcome::Invalid if !valid => Ok(Outcome::Invalid),
            // A salt of another length than the token's, say: the verifier looks for itself.
            Outcome::NotHandled => Ok(Outcome::NotHandled),
            Outcome::Valid | Outcome::Invalid => Err(TokenError::Contradiction {
                token: self.token.shown(),
                key: self.name.clone(),
            }),
        }
    }

    /// Whether the token takes a signature for valid; nothing if it cannot be asked about this one.
    fn ask(&self, scheme: Scheme, message: &[u8], signature: &[u8]) -> Result<Option<bool>, TokenError> {
        let (Some(query), Some(signature)) = (&self.object, mechanism::for_token(scheme, signature)) else {
            return Ok(None);
        };
        let input = Arc::new(mechanism::input(scheme, message));
        let (signature, spki) = (Arc::new(signature), Arc::new(self.public.spki_der()));
        let ask = |need| {
            let (query, shown, name) = (query.clone(), self.token.shown(), self.name.clone());
            let (input, signature, spki) = (Arc::clone(&input), Arc::clone(&signature), Arc::clone(&spki));
            self.token.call(need, &self.name, move |seat| {
                let object = known(seat, &query, &shown, &name)?;
                if !seat.is_the_key(object, &spki)? {
                    return Err(gone(&shown, &name));
                }
                match seat.session.verify(&mechanism::of(scheme), object, &input, &signature) {
                    Ok(()) => Ok(true),
                    // Only of the check itself, and not of what comes before it, this is a judgement.
                    Err(Error::Pkcs11(RvError::SignatureInvalid | RvError::SignatureLenRange, Function::Verify)) => {
                        Ok(false)
                    }
                    Err(error) => Err(error.into()),
                }
            })
        };
        match ask(self.need) {
            Err(error) if error.wants_login() && self.may_log_in && self.need == Need::Public => ask(Need::User),
            answered => answered,
        }
        .map(Some)
    }
}

/// The public keys of a token that can check, each of which its name and id mean alone.
fn checking(seat: &Seat) -> Result<Vec<(Identity, PublicKey)>, Fault> {
    let mut found = Vec::new();
    for object in seat.find(&Query::all(Class::Public))? {
        let identity = Identity::read(seat, object)?;
        let checks = seat.session.get_attributes(object, &[AttributeType::Verify])?;
        let is_alone = seat.find(&exactly(&Query::all(Class::Public), &identity))?.len() == 1;
        if checks.contains(&Attribute::Verify(false)) || !is_alone {
            continue;
        }
        match public_key(seat, object, Class::Public, None) {
            Ok(Ok(public)) => found.push((identity, public)),
            // Of a kind that in-toto, or PKCS#11 itself, does not know.
            Ok(Err(_)) | Err(Error::NotSupported) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(found)
}

impl TokenError {
    /// Whether a login would help.
    fn wants_login(&self) -> bool {
        matches!(self, Self::Call { code, .. } if code == "CKR_USER_NOT_LOGGED_IN")
    }
}

/// A query that means one object of those that `query` may mean.
fn exactly(query: &Query, identity: &Identity) -> Query {
    Query {
        class: query.class,
        label: Some(identity.label.clone()).filter(|label: &Vec<u8>| !label.is_empty()),
        id: Some(identity.id.clone()).filter(|id| !id.is_empty()),
    }
}

/// The one object of a query.
fn one(seat: &Seat, query: &Query, token: &str, name: &str, half: &'static str) -> Result<ObjectHandle, Fault> {
    match seat.find(query)?.as_slice() {
        [object] => Ok(*object),
        [] => {
            let others = seat.find(&Query::all(query.class))?;
            Err(Fault::Found(TokenError::NoKey {
                token: token.to_owned(),
                half,
                key: name.to_owned(),
                found: listed(seat, &others)?.map_or_else(|| "none at all".to_owned(), |listed| format!("`{listed}`")),
            }))
        }
        several => Err(Fault::Found(TokenError::ManyKeys {
            token: token.to_owned(),
            key: name.to_owned(),
            ids: uris(seat, several)?,
        })),
    }
}

/// The one object of a query that was found before.
fn known(seat: &Seat, query: &Query, token: &str, name: &str) -> Result<ObjectHandle, Fault> {
    match one(seat, query, token, name, "") {
        Err(Fault::Found(TokenError::NoKey { .. })) => Err(gone(token, name)),
        found => found,
    }
}

/// Whether a private key's attributes let it sign here.
fn usable(seat: &Seat, object: ObjectHandle, token: &str, name: &str) -> Result<(), Fault> {
    let (token, key) = (token.to_owned(), name.to_owned());
    let asked = [AttributeType::Sign, AttributeType::AlwaysAuthenticate];
    for attribute in seat.session.get_attributes(object, &asked)? {
        match attribute {
            Attribute::Sign(false) => return Err(Fault::Found(TokenError::MayNotSign { token, key })),
            Attribute::AlwaysAuthenticate(true) => {
                return Err(Fault::Found(TokenError::AlwaysAuthenticate { token, key }));
            }
            _ => {}
        }
    }
    Ok(())
}

/// The public half of a private key: the public key of the same name and id, else what the private key itself tells, else
/// the certificate.
fn public_half(
    seat: &Seat,
    private: &Query,
    identity: &Identity,
    object: ObjectHandle,
    token: &str,
    name: &str,
    scheme: Option<Scheme>,
) -> Result<PublicKey, Fault> {
    let exact = exactly(private, identity);
    // Some tools give both halves one id, and labels of their own.
    let by_id = Query {
        label: exact.label.clone().filter(|_| exact.id.is_none()),
        ..exact.clone()
    };
    for query in [&exact, &by_id] {
        let query = Query {
            class: Class::Public,
            ..query.clone()
        };
        if !seat.find(&query)?.is_empty() {
            let public = one(seat, &query, token, name, "public")?;
            return read(seat, public, Class::Public, token, name, scheme);
        }
    }
    if let Ok(public) = public_key(seat, object, Class::Private, scheme)? {
        return Ok(public);
    }
    let query = Query {
        class: Class::Certificate,
        ..by_id
    };
    if seat.find(&query)?.is_empty() {
        return Err(Fault::Found(TokenError::NoPublicHalf {
            token: token.to_owned(),
            key: name.to_owned(),
        }));
    }
    let certificate = one(seat, &query, token, name, "public")?;
    read(seat, certificate, Class::Certificate, token, name, scheme)
}

/// The public key that a reference means, and the object that can check by it.
fn public_of(seat: &Seat, reference: &Reference, token: &str) -> Result<(Option<Query>, PublicKey), Fault> {
    let name = reference.name();
    let classes: &[Class] = match reference.half {
        Some(Half::Certificate) => &[Class::Certificate],
        Some(Half::Private) => &[Class::Private],
        None | Some(Half::Public) => &[Class::Public, Class::Certificate, Class::Private],
    };
    for &class in classes {
        let query = Query::of(reference, class);
        if seat.find(&query)?.is_empty() {
            continue;
        }
        let object = one(seat, &query, token, &name, "public")?;
        let identity = Identity::read(seat, object)?;
        return Ok(match class {
            Class::Public => {
                let public = read(seat, object, class, token, &name, reference.scheme)?;
                (Some(exactly(&query, &identity)), public)
            }
            Class::Certificate => (None, read(seat, object, class, token, &name, reference.scheme)?),
            Class::Private => {
                let public = public_half(seat, &query, &identity, object, token, &name, reference.scheme)?;
                (None, public)
            }
        });
    }
    let first = Query::of(reference, *classes.first().unwrap_or(&Class::Public));
    one(seat, &first, token, &name, "public")?;
    Err(gone(token, &name))
}

fn gone(token: &str, name: &str) -> Fault {
    Fault::Found(TokenError::Gone {
        token: token.to_owned(),
        key: name.to_owned(),
    })
}

fn read(
    seat: &Seat,
    object: ObjectHandle,
    class: Class,
    token: &str,
    name: &str,
    scheme: Option<Scheme>,
) -> Result<PublicKey, Fault> {
    public_key(seat, object, class, scheme)?.map_err(|reason| {
        Fault::Found(TokenError::Kind {
            token: token.to_owned(),
            key: name.to_owned(),
            reason,
        })
    })
}

/// Labels of objects; nothing if there are none.
fn listed(seat: &Seat, objects: &[ObjectHandle]) -> Result<Option<String>, Error> {
    let mut labels = Vec::new();
    for object in objects {
        labels.push(Identity::read(seat, *object)?.name());
    }
    labels.sort();
    labels.dedup();
    Ok((!labels.is_empty()).then(|| labels.join("`, `")))
}

fn uris(seat: &Seat, objects: &[ObjectHandle]) -> Result<String, Error> {
    let mut uris = Vec::new();
    for object in objects {
        uris.push(format!("`{}`", Identity::read(seat, *object)?.uri()));
    }
    uris.sort();
    Ok(uris.join(" or "))
}
