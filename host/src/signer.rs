//! Stand-in until the signers are merged.

use linkgate_verifier::key::PublicKey;

/// A stand-in.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct SignError(String);

/// Signs.
pub trait Signer {
    /// Its public key.
    fn public_key(&self) -> &PublicKey;
    /// Its keyid.
    fn keyid(&self) -> String {
        self.public_key().keyid()
    }
    /// Signs.
    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, SignError>;
}

struct Ed25519(PublicKey, aws_lc_rs::signature::Ed25519KeyPair);

impl Signer for Ed25519 {
    fn public_key(&self) -> &PublicKey {
        &self.0
    }
    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, SignError> {
        Ok(self.1.sign(message).as_ref().to_vec())
    }
}

/// Loads a key.
pub fn load(reference: &str, _password: Option<&str>) -> Result<Box<dyn Signer>, SignError> {
    use aws_lc_rs::signature::KeyPair as _;
    let text = std::fs::read_to_string(reference).map_err(|e| SignError(format!("cannot read `{reference}`: {e}")))?;
    let body: String = text.lines().filter(|line| !line.starts_with('-')).collect();
    let der = base64::Engine::decode(&base64::engine::general_purpose::STANDARD, body)
        .map_err(|e| SignError(e.to_string()))?;
    let pair =
        aws_lc_rs::signature::Ed25519KeyPair::from_pkcs8_maybe_unchecked(&der).map_err(|e| SignError(e.to_string()))?;
    let hex: String = pair.public_key().as_ref().iter().map(|b| format!("{b:02x}")).collect();
    let key = PublicKey::from_parts("ed25519", "ed25519", &hex).map_err(|e| SignError(e.to_string()))?;
    Ok(Box::new(Ed25519(key, pair)))
}
