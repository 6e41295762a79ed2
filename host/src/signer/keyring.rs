//! Public keys as they are read, and the tokens among them.

use std::path::Path;
use std::sync::Arc;

use super::pkcs11::{self, Reference, TokenChecker};
use super::{SignerError, of_token};
use crate::key::{self, PublicKeyFile};
use crate::runtime::Arithmetic;

/// Reads public keys, and keeps those whose tokens then check their signatures.
#[derive(Default)]
pub struct Keyring(TokenChecker);

impl Keyring {
    /// The public keys of a file or token. By a token's own key the token checks.
    pub fn read(&mut self, path: &Path, tokens: &pkcs11::Options) -> Result<Vec<PublicKeyFile>, SignerError> {
        let Some(reference) = path.to_str().filter(|path| Reference::is_meant(path)) else {
            return Ok(key::read_public(path)?);
        };
        let key = pkcs11::key(reference, tokens)?;
        let file = of_token(reference, &key);
        self.0.add(key);
        Ok(vec![file])
    }

    /// Lets the tokens check by every key that they hold.
    pub fn add_all(&mut self, tokens: &pkcs11::Options) -> Result<(), SignerError> {
        for key in pkcs11::all(tokens)? {
            self.0.add_found(key);
        }
        Ok(())
    }

    /// Who does the arithmetic of signatures, with these keys.
    pub fn arithmetic(self, pure: bool) -> Arithmetic {
        match (pure, self.0.is_empty()) {
            (true, _) => Arithmetic::Pure,
            (false, true) => Arithmetic::Native,
            (false, false) => Arithmetic::Tokens(Arc::new(self.0)),
        }
    }
}
