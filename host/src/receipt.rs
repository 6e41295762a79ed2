//! Receipts: what the host knows about how a verdict came to be, wrapped around it for logs and audits.

use std::time::Duration;

use linkgate_verifier::instant::Instant;
use linkgate_verifier::request::Request;
use linkgate_verifier::verdict::{self, Answer};
use serde::Serialize;
use serde_json::value::RawValue;

use crate::record::hash::Digest;
use crate::runtime::{By, COMPONENT, Check, Judged};

/// A receipt. Digests are SHA-256 in hexadecimal digits, times in milliseconds.
#[derive(Debug, Serialize)]
pub struct Receipt {
    /// The version of this form.
    version: u32,
    /// This program.
    host: &'static str,
    /// The digest of the component that judged.
    component: String,
    /// The time that was judged at.
    judged_at: String,
    /// The wall clock when the verdict was there.
    written_at: String,
    /// Digests of all that was handed over.
    inputs: Inputs,
    /// Who checked each signature that was structurally sound, in order.
    signatures: Vec<CheckedBy>,
    /// How long fetching the evidence took.
    fetch_ms: f64,
    /// How long judging took.
    judge_ms: f64,
    /// The digest of the answer's JSON form.
    answer_sha256: String,
    /// The answer.
    answer: Box<RawValue>,
}

#[derive(Debug, Serialize)]
struct Inputs {
    /// Of the request's whole JSON form.
    request: String,
    layout: String,
    documents: Vec<Input>,
    inspections: Vec<Input>,
}

#[derive(Debug, Serialize)]
struct Input {
    name: String,
    sha256: String,
}

#[derive(Debug, Serialize)]
struct CheckedBy {
    scheme: String,
    /// SHA-256 of the key's `SubjectPublicKeyInfo`: its fingerprint.
    key: String,
    /// `component`, `host`, or the token and its key.
    by: String,
}

/// What took how long.
#[derive(Clone, Copy, Debug)]
pub struct Times {
    /// Fetching the evidence.
    pub fetch: Duration,
    /// Judging.
    pub judge: Duration,
}

impl Receipt {
    /// The receipt of an answer.
    pub fn new(request: &Request, judged: &Judged<Answer>, now: Instant, times: Times) -> serde_json::Result<Self> {
        let answer = verdict::to_json(&judged.answer);
        let input = |name: String, bytes: &[u8]| Input {
            name,
            sha256: sha256(bytes),
        };
        Ok(Self {
            version: 1,
            host: concat!("linkgate ", env!("CARGO_PKG_VERSION")),
            component: sha256(COMPONENT),
            judged_at: Instant(request.now).to_string(),
            written_at: now.to_string(),
            inputs: Inputs {
                request: sha256(serde_json::to_string(request)?.as_bytes()),
                layout: sha256(&request.layout.0),
                documents: request
                    .documents
                    .iter()
                    .map(|document| input(document.name.clone(), &document.content.0))
                    .collect(),
                inspections: request
                    .inspections
                    .iter()
                    .map(|result| {
                        input(
                            [result.at.as_slice(), std::slice::from_ref(&result.name)]
                                .concat()
                                .join("/"),
                            &result.content.0,
                        )
                    })
                    .collect(),
            },
            signatures: judged.checks.iter().map(CheckedBy::new).collect(),
            fetch_ms: times.fetch.as_secs_f64() * 1e3,
            judge_ms: times.judge.as_secs_f64() * 1e3,
            answer_sha256: sha256(answer.as_bytes()),
            answer: RawValue::from_string(answer)?,
        })
    }
}

impl CheckedBy {
    fn new(check: &Check) -> Self {
        Self {
            scheme: check.scheme.clone(),
            key: sha256(&check.spki),
            by: match &check.by {
                By::Component => "component".to_owned(),
                By::Host => "host".to_owned(),
                By::Token(token) => token.clone(),
            },
        }
    }
}

fn sha256(bytes: &[u8]) -> String {
    Digest::of(bytes).to_string()
}
