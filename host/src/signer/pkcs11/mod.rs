//! Keys in hardware tokens, by PKCS#11 (OASIS, version 2.40 and 3.0): they sign and check without ever leaving it.
//!
//! A key is named by a [`Reference`] wherever a key file may stand; [`Options`] and the environment say how its token is
//! reached. [`signer`] and [`key`] look it up, and give ordinary public keys and keyids, so that what a token signed
//! verifies everywhere.

mod contents;
mod error;
mod options;
mod reference;

#[cfg(feature = "pkcs11")]
mod checker;
#[cfg(feature = "pkcs11")]
mod generate;
#[cfg(feature = "pkcs11")]
mod inventory;
#[cfg(feature = "pkcs11")]
mod key;
#[cfg(feature = "pkcs11")]
mod library;
#[cfg(feature = "pkcs11")]
mod mechanism;
#[cfg(feature = "pkcs11")]
mod object;
#[cfg(feature = "pkcs11")]
mod patience;
#[cfg(feature = "pkcs11")]
mod token;

#[cfg(not(feature = "pkcs11"))]
mod absent;

#[cfg(not(feature = "pkcs11"))]
pub use absent::{TokenChecker, TokenKey, TokenSigner, all, forget_pins, generate, key, left_behind, list, signer};
pub use contents::{Inventory, Item, NewKey};
pub use error::TokenError;
pub use options::{HEADING, MODULE_VARIABLE, Options, PIN_VARIABLE, SLOT_VARIABLE};
pub use reference::{Half, Reference, ReferenceError};
#[cfg(feature = "pkcs11")]
pub use {
    checker::TokenChecker,
    key::{TokenKey, TokenSigner},
    library::forget_pins,
    patience::left_behind,
    present::{all, generate, key, list, signer},
};

/// What can be asked of tokens.
#[cfg(feature = "pkcs11")]
mod present {
    use linkgate_verifier::key::PublicKey;

    use super::{Inventory, NewKey, Options, Reference, TokenError, TokenKey, TokenSigner};

    /// The private key that a reference means, ready to sign.
    pub fn signer(reference: &str, options: &Options) -> Result<TokenSigner, TokenError> {
        TokenSigner::open(&Reference::parse(reference)?, options)
    }

    /// The public key that a reference means.
    pub fn key(reference: &str, options: &Options) -> Result<TokenKey, TokenError> {
        TokenKey::open(&Reference::parse(reference)?, options)
    }

    /// Every public key of the tokens that the options mean.
    pub fn all(options: &Options) -> Result<Vec<TokenKey>, TokenError> {
        TokenKey::all(options)
    }

    /// Makes a key pair under a new label, in the token that a reference means; returns what the token is called, and the
    /// public half.
    pub fn generate(
        reference: &Reference,
        label: &str,
        key: NewKey,
        options: &Options,
    ) -> Result<(String, PublicKey), TokenError> {
        super::generate::generate(reference, label, key, options)
    }

    /// What the tokens that the options mean hold, private keys too after a login.
    pub fn list(options: &Options, log_in: bool) -> Result<Vec<Inventory>, TokenError> {
        super::inventory::list(options, log_in)
    }
}
