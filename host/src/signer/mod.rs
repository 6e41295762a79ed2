//! Who signs: a key in a file, or a key in a hardware token.

use std::path::Path;

use linkgate_verifier::key::{KeyError, PublicKey};

use crate::key::{self, KeyFileError, Password, PublicKeyFile};

mod file;
pub mod keyring;
pub mod pkcs11;

pub use file::FileSigner;
use pkcs11::{Reference, TokenError, TokenKey};

/// Why there is no signer.
#[derive(Debug, thiserror::Error)]
pub enum SignerError {
    /// Its key file cannot be used.
    #[error(transparent)]
    File(#[from] KeyFileError),
    /// Its public half is outside the verifier's rules: its signatures would never count.
    #[error("`{path}`: {error}")]
    Public {
        /// The key file.
        path: String,
        /// Why.
        error: KeyError,
    },
    /// Its token cannot be used.
    #[error(transparent)]
    Token(#[from] TokenError),
}

/// Why a signer could not sign.
#[derive(Debug, thiserror::Error)]
pub enum SignError {
    /// The library could not.
    #[error("the key `{keyid}` could not sign")]
    File {
        /// The key.
        keyid: String,
    },
    /// The token did not.
    #[error(transparent)]
    Token(TokenError),
}

/// A private key that can sign, wherever it is.
pub trait Signer {
    /// Its public half, and the scheme in which it signs.
    fn public_key(&self) -> &PublicKey;

    /// The keyid under which it signs.
    fn keyid(&self) -> String;

    /// Signs a message, in the form that the verifier wants for the scheme.
    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, SignError>;
}

/// The signer of a reference: the path of a key file, or `hsm:` or `pkcs11:` and a key in a token.
pub fn load(reference: &str, password: &Password, tokens: &pkcs11::Options) -> Result<Box<dyn Signer>, SignerError> {
    if Reference::is_meant(reference) {
        return Ok(Box::new(pkcs11::signer(reference, tokens)?));
    }
    Ok(Box::new(FileSigner::open(reference.as_ref(), password)?))
}

/// The public keys of a reference: of a key file as many as it holds, of a token one.
pub fn public(reference: &Path, tokens: &pkcs11::Options) -> Result<Vec<PublicKeyFile>, SignerError> {
    match reference.to_str().filter(|reference| Reference::is_meant(reference)) {
        Some(reference) => Ok(vec![of_token(reference, &pkcs11::key(reference, tokens)?)]),
        None => Ok(key::read_public(reference)?),
    }
}

/// A token's key as if it stood in a file that is named after it.
pub fn of_token(reference: &str, key: &TokenKey) -> PublicKeyFile {
    PublicKeyFile {
        path: reference.into(),
        label: Reference::parse(reference).map_or_else(|_| reference.to_owned(), |reference| reference.name()),
        keyid: None,
        key: key.public.clone(),
    }
}
