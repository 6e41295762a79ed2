//! A record between its start and its stop: a signed link without products, in the current folder.
//!
//! Between the two it lies about, so it counts at the stop only with a valid signature by the key that stops it.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use linkgate_verifier::envelope::{Envelope, EnvelopeError, Form};
use linkgate_verifier::json::JsonError;
use linkgate_verifier::limits::Budget;
use linkgate_verifier::signature::{self, CheckError, Checked, Pure};
use serde_json::{Value, json};

use super::collect::Artifacts;
use super::link::{self, RECORDER, StepName};
use crate::signer::Signer;

/// Why a record cannot be finished.
#[derive(Debug, thiserror::Error)]
pub enum UnfinishedError {
    /// It was never started, by another key, or elsewhere.
    #[error("`{}` is not here: start the record first, with the same key and in the same folder", .0.display())]
    NotStarted(PathBuf),
    /// It cannot be read.
    #[error("cannot read `{}`: {cause}", .path.display())]
    Unreadable {
        /// The unfinished record.
        path: PathBuf,
        /// What the system says.
        cause: io::Error,
    },
    /// It is no envelope.
    #[error("`{}` is malformed: {cause}; start the record again", .path.display())]
    Envelope {
        /// The unfinished record.
        path: PathBuf,
        /// What is wrong with it.
        cause: EnvelopeError,
    },
    /// Its signature cannot be checked.
    #[error("the signature of `{}` was not checked: {cause}", .path.display())]
    Check {
        /// The unfinished record.
        path: PathBuf,
        /// Why.
        cause: CheckError,
    },
    /// Someone changed it, or another key signed it.
    #[error("`{}` has no valid signature by the key `{keyid}`: it was changed, or another key signed it; start the record again", .path.display())]
    NotSigned {
        /// The unfinished record.
        path: PathBuf,
        /// The key that stops the record.
        keyid: String,
    },
    /// It is signed, but it is not this step's, or it is a link: the same key signs those too, and an old one has old materials.
    #[error("`{}` is not an unfinished record of the step `{name}`, whoever put it there; start the record again", .path.display())]
    Another {
        /// The unfinished record.
        path: PathBuf,
        /// The step.
        name: String,
    },
}

/// A record that was started, and whose signature holds.
#[derive(Clone, Debug)]
pub struct Unfinished {
    /// The envelope that it has, and that the link gets.
    pub form: Form,
    payload: Value,
}

/// The payload of a record that begins.
pub fn begin(name: &StepName, materials: &Artifacts) -> Value {
    let environment = json!({"started": link::now().to_string(), "recorder": RECORDER});
    link::payload(name, &[], materials, &Artifacts::new(), json!({}), environment)
}

impl Unfinished {
    /// Reads a record and checks that this signer started it.
    pub fn read(path: &Path, name: &StepName, signer: &dyn Signer) -> Result<Self, UnfinishedError> {
        let bytes = fs::read(path).map_err(|cause| match cause.kind() {
            io::ErrorKind::NotFound => UnfinishedError::NotStarted(path.to_owned()),
            _ => UnfinishedError::Unreadable {
                path: path.to_owned(),
                cause,
            },
        })?;
        let malformed = |cause| UnfinishedError::Envelope {
            path: path.to_owned(),
            cause,
        };
        let envelope = Envelope::parse(&bytes).map_err(malformed)?;
        let message = message(&envelope).map_err(|cause| malformed(cause.into()))?;
        if !is_signed(&envelope, &message, signer).map_err(|cause| UnfinishedError::Check {
            path: path.to_owned(),
            cause,
        })? {
            return Err(UnfinishedError::NotSigned {
                path: path.to_owned(),
                keyid: signer.keyid(),
            });
        }
        match serde_json::from_str(envelope.payload()) {
            Ok(payload) if is_of(&payload, name) => Ok(Self {
                form: envelope.form,
                payload,
            }),
            _ => Err(UnfinishedError::Another {
                path: path.to_owned(),
                name: name.as_str().to_owned(),
            }),
        }
    }

    /// The payload of the finished link.
    pub fn finish(mut self, products: &Artifacts) -> Value {
        self.payload["products"] = link::artifacts(products);
        self.payload["environment"]["finished"] = json!(link::now().to_string());
        self.payload["environment"]["recorder"] = json!(RECORDER);
        self.payload
    }
}

/// The bytes that are signed.
fn message(envelope: &Envelope<'_>) -> Result<Vec<u8>, JsonError> {
    let mut reader = envelope.reader();
    reader.skip()?;
    Ok(envelope.message(reader.finish()?))
}

fn is_signed(envelope: &Envelope<'_>, message: &[u8], signer: &dyn Signer) -> Result<bool, CheckError> {
    let budget = Budget::default();
    for made in &envelope.signatures {
        if signature::check(signer.public_key(), message, &made.bytes, &budget, &mut Pure)? == Checked::Valid {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Whether a payload is what [`begin`] makes for a step: it says when the record started and not that it ended, and has nothing
/// that comes with the end.
fn is_of(payload: &Value, name: &StepName) -> bool {
    let (materials, environment) = (&payload["materials"], &payload["environment"]);
    let has = |member: &str, wanted: Value| payload.get(member) == Some(&wanted);
    let Some(members) = payload.as_object() else {
        return false;
    };
    let is_begun = has("_type", json!("link"))
        && has("name", json!(name.as_str()))
        && has("command", json!([]))
        && has("products", json!({}))
        && has("byproducts", json!({}))
        && materials.is_object()
        && members.len() == 7;
    let environment = environment.as_object();
    is_begun && environment.is_some_and(|made| made.contains_key("started") && !made.contains_key("finished"))
}
