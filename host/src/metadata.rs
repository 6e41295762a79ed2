//! Stand-in until the signers are merged.

use linkgate_verifier::envelope::{Form, PAYLOAD_TYPE, pae};
use serde_json::{Value, json};

use crate::signer::{SignError, Signer};

/// Seals.
pub fn seal(payload: &Value, form: Form, signers: &[&dyn Signer]) -> Result<String, SignError> {
    use base64::Engine as _;
    let b64 = base64::engine::general_purpose::STANDARD;
    let text = payload.to_string();
    let mut signatures = Vec::new();
    let document = match form {
        Form::Metablock => {
            let message = linkgate_verifier::canonical::encode(&text).unwrap_or_default();
            for signer in signers {
                let sig: String = signer
                    .sign(message.as_bytes())?
                    .iter()
                    .map(|b| format!("{b:02x}"))
                    .collect();
                signatures.push(json!({"keyid": signer.keyid(), "sig": sig}));
            }
            json!({"signed": payload, "signatures": signatures})
        }
        Form::Dsse => {
            for signer in signers {
                let sig = b64.encode(signer.sign(&pae(PAYLOAD_TYPE, text.as_bytes()))?);
                signatures.push(json!({"keyid": signer.keyid(), "sig": sig}));
            }
            json!({"payload": b64.encode(&text), "payloadType": PAYLOAD_TYPE, "signatures": signatures})
        }
    };
    Ok(document.to_string())
}
