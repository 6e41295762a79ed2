//! What tokens hold, and what can be made in them.

use linkgate_verifier::key::PublicKey;

/// A token and what it holds.
#[derive(Clone, Debug)]
pub struct Inventory {
    /// The token's label.
    pub token: String,
    /// Its slot's number.
    pub slot: u64,
    /// Its place among the tokens that are ready, from 0.
    pub index: usize,
    /// Its manufacturer, model and serial number.
    pub make: String,
    /// What is odd about its PIN: that it is locked, or the next wrong one will lock it.
    pub pin: Option<&'static str>,
    /// Mechanisms that linkgate uses, as PKCS#11 names them, and what for; whether the token has each.
    pub mechanisms: Vec<(String, &'static str, bool)>,
    /// Keys and certificates that it tells to those who are not logged in, or all after a login.
    pub keys: Vec<Item>,
}

/// A key or certificate.
#[derive(Clone, Debug)]
pub struct Item {
    /// What it is.
    pub kind: &'static str,
    /// A reference to it.
    pub uri: String,
    /// Its label.
    pub label: String,
    /// The public key, or why it cannot be used.
    pub public: Result<PublicKey, String>,
}

/// What kind of key is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NewKey {
    /// Ed25519.
    Ed25519,
    /// ECDSA on NIST's P-256.
    P256,
    /// ECDSA on NIST's P-384.
    P384,
    /// ECDSA on NIST's P-521.
    P521,
    /// RSA of that many bits.
    Rsa(u32),
}
