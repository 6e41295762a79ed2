//! Public keys as they are read, and the tokens among them.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use super::pkcs11::{self, Reference, TokenChecker, TokenError, TokenKey};
use super::{SignerError, of_token};
use crate::key::{self, PublicKeyFile};
use crate::runtime::Arithmetic;

/// Reads public keys, and keeps those whose tokens then check their signatures.
#[derive(Default)]
pub struct Keyring {
    checker: TokenChecker,
    read: TokenKeys,
    known: TokenKeys,
    asks: Asks,
    unanswered: Vec<TokenError>,
}

/// Keys of tokens that were read, by the references that mean them.
#[derive(Clone, Default)]
pub struct TokenKeys(BTreeMap<String, TokenKey>);

/// Which keys tokens are asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Asks {
    /// All. A known one is kept where its token gives none.
    #[default]
    All,
    /// None: there are only those that are known, so that nothing is waited for.
    None,
}

impl Keyring {
    /// One that knows the keys which were read before.
    pub fn knowing(known: TokenKeys, asks: Asks) -> Self {
        Self {
            known,
            asks,
            ..Self::default()
        }
    }

    /// The public keys of a file or token. By a token's own key the token checks.
    pub fn read(&mut self, path: &Path, tokens: &pkcs11::Options) -> Result<Vec<PublicKeyFile>, SignerError> {
        let Some(reference) = path.to_str().filter(|path| Reference::is_meant(path)) else {
            return Ok(key::read_public(path)?);
        };
        Ok(vec![self.of_token(reference, tokens)?])
    }

    /// The public key in a token that a reference means.
    pub fn of_token(&mut self, reference: &str, tokens: &pkcs11::Options) -> Result<PublicKeyFile, TokenError> {
        let known = self.known.0.get(reference).cloned();
        let key = match (self.asks, known) {
            (Asks::None, Some(known)) => known,
            (Asks::None, None) => return Err(TokenError::NotRead(reference.to_owned())),
            (Asks::All, known) => match (pkcs11::key(reference, tokens), known) {
                (Err(error), Some(known)) => {
                    self.unanswered.push(error);
                    known
                }
                (answered, _) => answered?,
            },
        };
        let file = of_token(reference, &key);
        self.read.0.insert(reference.to_owned(), key.clone());
        self.checker.add(key);
        Ok(file)
    }

    /// Lets the tokens check by every key that they hold.
    pub fn add_all(&mut self, tokens: &pkcs11::Options) -> Result<(), SignerError> {
        for key in pkcs11::all(tokens)? {
            self.checker.add_found(key);
        }
        Ok(())
    }

    /// The keys of tokens that were read, or known from before.
    pub fn token_keys(&self) -> TokenKeys {
        self.read.clone()
    }

    /// Lets the tokens check by keys that are known from before, though nothing that was read names them.
    pub fn keep(&mut self, references: impl IntoIterator<Item = String>) {
        for reference in references {
            let known = self.known.0.get(&reference).cloned();
            if let (Some(key), false) = (known, self.read.0.contains_key(&reference)) {
                self.read.0.insert(reference, key.clone());
                self.checker.add_found(key);
            }
        }
    }

    /// Why known keys were kept instead of being read anew.
    pub fn unanswered(&self) -> &[TokenError] {
        &self.unanswered
    }

    /// Who does the arithmetic of signatures, with these keys.
    pub fn arithmetic(self, pure: bool) -> Arithmetic {
        match (pure, self.checker.is_empty()) {
            (true, _) => Arithmetic::Pure,
            (false, true) => Arithmetic::Native,
            (false, false) => Arithmetic::Tokens(Arc::new(self.checker)),
        }
    }
}

impl TokenKeys {
    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The references whose tokens can answer nothing until the process is restarted.
    pub fn need_restart(&self) -> impl Iterator<Item = &str> {
        let needing = self.0.iter().filter(|(_, key)| key.needs_restart());
        needing.map(|(reference, _)| reference.as_str())
    }
}
