//! What policies are read with.

use std::path::Path;
use std::sync::Arc;

use crate::evidence::registry::Registry;
use crate::key::PublicKeyFile;
use crate::runtime::Verifier;
use crate::signer::SignerError;
use crate::signer::keyring::Keyring;
use crate::signer::pkcs11::{self, Reference};

/// What policies are read with: who reads their layouts, fetches their evidence, and holds their hardware keys.
pub struct Context {
    /// The embedded verifier.
    pub verifier: Arc<Verifier>,
    /// The client of registries.
    pub registry: Arc<Registry>,
    /// How hardware tokens are reached.
    pub tokens: pkcs11::Options,
    /// How many bytes of evidence one artifact may have.
    pub evidence: usize,
}

impl Context {
    /// The public keys of a policy: files beside it, or keys in tokens.
    pub(super) fn keys(
        &self,
        folder: &Path,
        reference: &str,
        keyring: &mut Keyring,
    ) -> Result<Vec<PublicKeyFile>, SignerError> {
        if Reference::is_meant(reference) {
            keyring.read(reference.as_ref(), &self.tokens)
        } else {
            keyring.read(&folder.join(reference), &self.tokens)
        }
    }
}
