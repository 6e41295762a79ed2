//! Signature checks by tokens, for those keys that are theirs.

use std::collections::BTreeMap;

use linkgate_verifier::key::Scheme;
use linkgate_verifier::signature::Outcome;

use super::key::TokenKey;

/// The keys whose signatures their tokens check.
#[derive(Default)]
pub struct TokenChecker {
    /// By DER `SubjectPublicKeyInfo`.
    keys: BTreeMap<Vec<u8>, TokenKey>,
}

impl TokenChecker {
    /// Hands the checks by a key that somebody named over to its token, if that can check.
    pub fn add(&mut self, key: TokenKey) {
        if key.checks() {
            self.keys.insert(key.public.spki_der(), key);
        }
    }

    /// Hands the checks by a key that was found over to its token, unless they are another's.
    pub fn add_found(&mut self, key: TokenKey) {
        if key.checks() {
            self.keys.entry(key.public.spki_der()).or_insert(key);
        }
    }

    /// Whether no token checks anything.
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    /// What the key's token says, and what that is called; nothing where the key is no token's. The error names the token,
    /// the key and the return code.
    pub fn answer(
        &self,
        scheme: &str,
        spki: &[u8],
        message: &[u8],
        signature: &[u8],
    ) -> Option<(String, Result<Outcome, String>)> {
        let key = self.keys.get(spki)?;
        let scheme = Scheme::parse(scheme)?;
        let answer = key.check(scheme, message, signature).map_err(|error| error.to_string());
        Some((key.shown(), answer))
    }
}
