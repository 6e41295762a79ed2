//! Who signs: a key in a file, and later a key in a token.

use linkgate_verifier::key::{KeyError, PublicKey};

use crate::key::{KeyFileError, Password};

mod file;

pub use file::FileSigner;

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
    /// A reference to a key that is not in a file.
    #[error("`{0}`: keys in hardware tokens are not supported by this build; give a key file")]
    Token(String),
}

/// The error that a signer could not sign.
#[derive(Debug, thiserror::Error)]
#[error("the key `{keyid}` could not sign")]
pub struct SignError {
    /// The key.
    pub keyid: String,
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

/// The signer of a reference: the path of a key file. `hsm:` and `pkcs11:` are kept for tokens.
pub fn load(reference: &str, password: &Password) -> Result<Box<dyn Signer>, SignerError> {
    if reference.starts_with("hsm:") || reference.starts_with("pkcs11:") {
        return Err(SignerError::Token(reference.to_owned()));
    }
    Ok(Box::new(FileSigner::open(reference.as_ref(), password)?))
}
