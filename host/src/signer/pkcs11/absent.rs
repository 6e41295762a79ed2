//! What stands for tokens where the feature `pkcs11` is off: every answer says how to get them.

use std::convert::Infallible;

use linkgate_verifier::key::PublicKey;
use linkgate_verifier::signature::Outcome;

use super::contents::{Inventory, NewKey};
use super::error::TokenError;
use super::options::Options;
use super::reference::Reference;
use crate::signer::{SignError, Signer};

/// There is none.
#[derive(Debug)]
pub struct TokenSigner(Infallible);

/// There is none.
#[derive(Clone, Debug)]
pub struct TokenKey {
    /// The key.
    pub public: PublicKey,
    never: Infallible,
}

/// Checks nothing.
#[derive(Default)]
pub struct TokenChecker;

impl TokenKey {
    /// Whether the token can answer nothing until the process is restarted.
    pub fn needs_restart(&self) -> bool {
        match self.never {}
    }

    /// Whether the token itself can check signatures by the key.
    pub fn checks(&self) -> bool {
        match self.never {}
    }
}

impl TokenChecker {
    /// Hands the checks by a key that somebody named over to its token.
    #[expect(clippy::needless_pass_by_value, reason = "where there are tokens, it keeps the key")]
    pub fn add(&mut self, key: TokenKey) {
        match key.never {}
    }

    /// Hands the checks by a key that was found over to its token.
    #[expect(clippy::needless_pass_by_value, reason = "where there are tokens, it keeps the key")]
    pub fn add_found(&mut self, key: TokenKey) {
        match key.never {}
    }

    /// Whether no token checks anything.
    pub fn is_empty(&self) -> bool {
        true
    }

    /// Nothing: the key is no token's.
    pub fn answer(&self, _: &str, _: &[u8], _: &[u8], _: &[u8]) -> Option<(String, Result<Outcome, String>)> {
        None
    }
}

impl Signer for TokenSigner {
    fn public_key(&self) -> &PublicKey {
        match self.0 {}
    }

    fn keyid(&self) -> String {
        match self.0 {}
    }

    fn sign(&self, _: &[u8]) -> Result<Vec<u8>, SignError> {
        match self.0 {}
    }
}

/// The private key that a reference would mean.
pub fn signer(reference: &str, _: &Options) -> Result<TokenSigner, TokenError> {
    Err(TokenError::NotBuilt(Reference::shown(reference)))
}

/// The public key that a reference would mean.
pub fn key(reference: &str, _: &Options) -> Result<TokenKey, TokenError> {
    Err(TokenError::NotBuilt(Reference::shown(reference)))
}

/// Every public key of the tokens.
pub fn all(_: &Options) -> Result<Vec<TokenKey>, TokenError> {
    Err(TokenError::NotBuilt("--hsm-verify".to_owned()))
}

/// Would make a key pair.
pub fn generate(reference: &Reference, _: &str, _: NewKey, _: &Options) -> Result<(String, PublicKey), TokenError> {
    Err(TokenError::NotBuilt(Reference::shown(&reference.text)))
}

/// What the tokens would hold.
pub fn list(_: &Options, _: bool) -> Result<Vec<Inventory>, TokenError> {
    Err(TokenError::NotBuilt("hsm list".to_owned()))
}

/// Nothing: no PIN was ever known.
pub fn forget_pins() {}

/// No call was ever made.
pub fn left_behind() -> bool {
    false
}
