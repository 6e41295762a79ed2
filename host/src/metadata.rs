//! Metadata files: made, signed and checked, without ever touching the bytes that others have signed.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use linkgate_verifier::envelope::{self, Envelope, EnvelopeError, Form, PAYLOAD_TYPE};
use linkgate_verifier::json::{self, JsonError, Reader};
use linkgate_verifier::key::{self, PublicKey};
use linkgate_verifier::limits::Budget;
use linkgate_verifier::signature::{CheckError, Checked, check};
use linkgate_verifier::{canonical, json::Kind as JsonKind};
use serde::Serialize as _;
use serde_json::ser::PrettyFormatter;
use serde_json::{Value, json};

use crate::checker::Native;
use crate::signer::{SignError, Signer};

/// Why metadata could not be made, signed or checked.
#[derive(Debug, thiserror::Error)]
pub enum MetadataError {
    /// The file is no envelope.
    #[error(transparent)]
    Envelope(#[from] EnvelopeError),
    /// The payload is not strict JSON, or has no canonical form.
    #[error("the payload cannot be signed")]
    Json(#[from] JsonError),
    /// The payload is neither a layout nor a link.
    #[error("`_type` of the payload is `{0}`, neither `layout` nor `link`")]
    Type(String),
    /// A bare layout or link with its signature inside.
    #[error("`signatures` stands inside the bare {0}: take it out, then sign")]
    SignaturesInside(&'static str),
    /// A key that could not sign.
    #[error(transparent)]
    Sign(#[from] SignError),
    /// A signature that could not be checked.
    #[error(transparent)]
    Check(#[from] CheckError),
}

/// What a payload is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A layout
    Layout,
    /// A link
    Link,
}

impl Kind {
    /// The payload's `_type`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Layout => "layout",
            Self::Link => "link",
        }
    }
}

/// Whether existing signatures stay.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Others {
    /// Signatures by others stay; one by the same key is replaced.
    Keep,
    /// They go.
    Drop,
}

/// What a file says about one key's signature.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verification {
    /// Every signature that claims to be by the key holds, and there is one.
    Valid,
    /// A signature that claims to be by the key does not hold.
    Invalid,
    /// No signature claims to be by the key.
    Missing,
}

/// Puts a payload into an envelope and has it signed.
///
/// A Metablock is written as in-toto writes it: sorted, with one space of indentation. In a DSSE envelope the payload is
/// the sorted JSON.
pub fn seal(payload: &Value, form: Form, signers: &[&dyn Signer]) -> Result<String, MetadataError> {
    let text = match form {
        Form::Metablock => pretty(payload, ""),
        Form::Dsse => payload.to_string(),
    };
    seal_text(&text, form, signers)
}

/// [`seal`] of a payload's text, whose bytes are kept.
fn seal_text(payload: &str, form: Form, signers: &[&dyn Signer]) -> Result<String, MetadataError> {
    // Also what DSSE would take with a float or a duplicate key is refused: no verifier should be asked to read it.
    let canonical = canonical::encode(payload)?;
    Ok(match form {
        Form::Metablock => {
            let signatures = sign(canonical.as_bytes(), form, signers)?;
            let signatures = pretty(&Value::Array(signatures), " ");
            let payload = payload.replace('\n', "\n ");
            format!("{{\n \"signatures\": {signatures},\n \"signed\": {payload}\n}}")
        }
        Form::Dsse => {
            let signatures = sign(&envelope::pae(PAYLOAD_TYPE, payload.as_bytes()), form, signers)?;
            let envelope = json!({
                "payload": STANDARD.encode(payload),
                "payloadType": PAYLOAD_TYPE,
                "signatures": signatures,
            });
            envelope.to_string()
        }
    })
}

/// A metadata file: an envelope, or a layout or link as its author wrote it, without any.
#[derive(Clone, Debug)]
pub struct Document {
    text: String,
    /// Its envelope's form; none if it has none.
    form: Option<Form>,
    payload: String,
    message: Vec<u8>,
    kind: Kind,
    name: Option<String>,
}

impl Document {
    /// Reads a file's text.
    pub fn read(text: String) -> Result<Self, MetadataError> {
        let (form, payload, message) = match Envelope::parse(text.as_bytes()) {
            Ok(envelope) => {
                let message = message(&envelope)?;
                (Some(envelope.form), envelope.payload().to_owned(), message)
            }
            Err(EnvelopeError::Bare(_)) => (None, text.trim().to_owned(), Vec::new()),
            Err(error) => return Err(error.into()),
        };
        let head = Head::read(&payload)?;
        let kind = head.kind()?;
        if form.is_none() && head.signatures {
            return Err(MetadataError::SignaturesInside(kind.name()));
        }
        Ok(Self {
            text,
            form,
            payload,
            message,
            kind,
            name: head.name,
        })
    }

    /// What the payload is.
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// The payload's `name`, which links have.
    pub fn name(&self) -> Option<&str> {
        self.name.as_deref()
    }

    /// The envelope's form; none for a bare layout or link.
    pub fn form(&self) -> Option<Form> {
        self.form
    }

    /// The envelope; for a bare layout or link one that stands for it, without signatures.
    pub fn envelope(&self) -> Result<Envelope<'_>, EnvelopeError> {
        match self.form {
            Some(_) => Envelope::parse(self.text.as_bytes()),
            None => Envelope::bare(self.payload.as_bytes()),
        }
    }

    /// The file's text with new signatures. What was signed keeps its bytes; a bare layout or link gets an envelope of
    /// the form `bare`.
    pub fn sign(&self, signers: &[&dyn Signer], others: Others, bare: Form) -> Result<String, MetadataError> {
        let Some(form) = self.form else {
            return seal_text(&self.tidy(), bare, signers);
        };
        let made = sign(&self.message, form, signers)?;
        let array = self.signatures_text()?;
        let mut signatures: Vec<Value> = match others {
            Others::Keep => serde_json::from_str(array).unwrap_or_default(),
            Others::Drop => Vec::new(),
        };
        signatures.retain(|signature| {
            !signers
                .iter()
                .any(|signer| claims(signature["keyid"].as_str(), *signer))
        });
        signatures.extend(made);
        let signatures = match form {
            Form::Metablock if self.text.contains('\n') => pretty(&Value::Array(signatures), " "),
            _ => Value::Array(signatures).to_string(),
        };
        let begins = array.as_ptr().addr() - self.text.as_ptr().addr();
        let mut text = self.text.clone();
        text.replace_range(begins..begins + array.len(), &signatures);
        Ok(text)
    }

    /// What the file says about the signature of a key, which may also be known under a keyid that it declares.
    pub fn verify(&self, key: &PublicKey, declared: Option<&str>) -> Result<Verification, MetadataError> {
        if self.form.is_none() {
            return Ok(Verification::Missing);
        }
        let envelope = Envelope::parse(self.text.as_bytes())?;
        let budget = Budget::default();
        let mut keyids = key.keyids();
        keyids.extend(declared.map(str::to_owned));
        let mut found = Verification::Missing;
        for signature in &envelope.signatures {
            let attributed = signature
                .keyid
                .as_deref()
                .map(|keyid| keyids.iter().any(|own| own.eq_ignore_ascii_case(keyid)));
            if attributed == Some(false) {
                continue;
            }
            match check(key, &self.message, &signature.bytes, &budget, &mut Native)? {
                Checked::Valid => found = Verification::Valid,
                // Without a keyid it may be by anyone.
                Checked::Invalid if attributed.is_none() => {}
                Checked::Invalid => return Ok(Verification::Invalid),
            }
        }
        Ok(found)
    }

    /// A bare payload as in-toto writes it, or as it stands where that would change what it says (a number of more
    /// digits than this program's model holds, say).
    fn tidy(&self) -> String {
        let tidied = serde_json::from_str::<Value>(&self.payload).map(|value| pretty(&value, ""));
        match tidied {
            Ok(tidied) if canonical::encode(&tidied) == canonical::encode(&self.payload) => tidied,
            _ => self.payload.clone(),
        }
    }

    /// The text of the array of signatures.
    fn signatures_text(&self) -> Result<&str, MetadataError> {
        let mut found = "";
        let mut reader = Reader::new(&self.text);
        reader.object(|reader, key| {
            match key {
                "signatures" => found = reader.span()?,
                _ => reader.skip()?,
            }
            Ok::<_, JsonError>(())
        })?;
        match found {
            "" => Err(EnvelopeError::Missing("signatures").into()),
            found => Ok(found),
        }
    }
}

/// What tells payloads apart.
#[derive(Default)]
struct Head {
    kind: Option<String>,
    name: Option<String>,
    signatures: bool,
}

impl Head {
    fn read(payload: &str) -> Result<Self, MetadataError> {
        let mut head = Self::default();
        let mut reader = Reader::new(payload);
        reader.object(|reader, key| {
            match (key, reader.peek()?) {
                ("_type", JsonKind::String) => head.kind = Some(reader.string()?.into_owned()),
                ("name", JsonKind::String) => head.name = Some(reader.string()?.into_owned()),
                (key, _) => {
                    head.signatures |= key == "signatures";
                    reader.skip()?;
                }
            }
            Ok::<_, JsonError>(())
        })?;
        reader.finish()?;
        Ok(head)
    }

    fn kind(&self) -> Result<Kind, MetadataError> {
        match self.kind.as_deref() {
            Some("layout") => Ok(Kind::Layout),
            Some("link") => Ok(Kind::Link),
            other => Err(MetadataError::Type(other.unwrap_or_default().to_owned())),
        }
    }
}

/// The bytes that an envelope's signatures are over.
fn message(envelope: &Envelope<'_>) -> Result<Vec<u8>, JsonError> {
    let mut reader = envelope.reader();
    reader.skip()?;
    reader.finish().map(|canonical| envelope.message(canonical))
}

/// One signature by each signer, in their order.
fn sign(message: &[u8], form: Form, signers: &[&dyn Signer]) -> Result<Vec<Value>, SignError> {
    let signed = |signer: &&dyn Signer| {
        let signature = signer.sign(message)?;
        let sig = match form {
            Form::Metablock => key::hex(&signature),
            Form::Dsse => STANDARD.encode(signature),
        };
        Ok(json!({"keyid": signer.keyid(), "sig": sig}))
    };
    signers.iter().map(signed).collect()
}

/// Whether a signature with this keyid claims to be by the signer.
fn claims(keyid: Option<&str>, signer: &dyn Signer) -> bool {
    keyid.is_some_and(|keyid| {
        let mut own = signer.public_key().keyids();
        own.push(signer.keyid());
        own.iter().any(|own| own.eq_ignore_ascii_case(keyid))
    })
}

/// A value as Python's `json.dumps(.., indent=1, sort_keys=True)` lays it out, each line but the first after `margin`.
fn pretty(value: &Value, margin: &str) -> String {
    let mut text = Vec::new();
    let mut serializer = serde_json::Serializer::with_formatter(&mut text, PrettyFormatter::with_indent(b" "));
    // Writing a JSON value into memory has no way to fail.
    let written = value.serialize(&mut serializer).is_ok();
    debug_assert!(written);
    let text = json::text(&text).unwrap_or_default();
    text.replace('\n', &format!("\n{margin}"))
}
