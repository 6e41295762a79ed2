//! What policies are read with.

use std::sync::Arc;

use crate::evidence::registry::Registry;
use crate::memory::Memory;
use crate::runtime::Verifier;
use crate::signer::pkcs11;

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
    /// Memory for all that others send.
    pub memory: Memory,
}
