//! Public keys as they are read, and the tokens among them.

use std::collections::{BTreeMap, BTreeSet};
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
    refused: BTreeSet<String>,
}

/// Keys of tokens that were read, by the references that mean them.
#[derive(Clone, Default)]
pub struct TokenKeys(BTreeMap<String, TokenKey>);

/// Which keys tokens are asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Asks {
    /// All. A known one is kept where its token does not answer.
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

    /// The public key in a token that a reference means. One that is known is kept where the token does not answer
    /// ([`TokenError::is_silence`]); an answer that gives no key, or another one, is what counts.
    pub fn of_token(&mut self, reference: &str, tokens: &pkcs11::Options) -> Result<PublicKeyFile, TokenError> {
        let known = self.known.0.get(reference).cloned();
        let key = match (self.asks, known) {
            (Asks::None, Some(known)) => known,
            (Asks::None, None) => return Err(TokenError::NotRead(reference.to_owned())),
            (Asks::All, known) => match (pkcs11::key(reference, tokens), known) {
                (Err(error), Some(known)) if error.is_silence() => {
                    self.unanswered.push(error);
                    known
                }
                (Err(error), _) => {
                    self.refused.insert(reference.to_owned());
                    return Err(error);
                }
                (Ok(key), _) => key,
            },
        };
        let file = of_token(reference, &key);
        self.read.0.insert(reference.to_owned(), key.clone());
        self.checker.add(key);
        Ok(file)
    }

    /// Why the key that was known of a reference is not to be believed any more, where its token says so.
    pub fn taken_back(&mut self, reference: &str, tokens: &pkcs11::Options) -> Option<String> {
        if self.asks == Asks::None {
            return None;
        }
        let known = self.known.0.get(reference)?.public.clone();
        match self.of_token(reference, tokens) {
            Ok(file) if file.key == known => None,
            Ok(_) => Some(format!("`{reference}` is not the key that was read")),
            Err(error) => Some(error.to_string()),
        }
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

    /// Lets the tokens check by keys that are known from before, though nothing that was read names them. Not by
    /// those that their tokens do not have any more.
    pub fn keep(&mut self, references: impl IntoIterator<Item = String>) {
        for reference in references {
            let known = self.known.0.get(&reference).cloned();
            let is_settled = self.read.0.contains_key(&reference) || self.refused.contains(&reference);
            if let (Some(key), false) = (known, is_settled) {
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
