//! `POST /verify` and `/validate`: Kubernetes' validating webhook, `AdmissionReview` of `admission.k8s.io/v1`.
//!
//! Nothing is changed by an answer, so that a `dryRun` is answered like any other request.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Extension;
use axum::body::Body;
use axum::extract::{RawQuery, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use linkgate_image::object::{Kind, Named, ObjectError, changed_images, different};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::room::{Reading, Taken};
use super::{BODY, Face, Problem, deadline, json, read};
use crate::gate::decision::{Decision, Outcome, Reason};
use crate::gate::{Asked, Gate};
use crate::terminal::harmless;

/// Warnings of one answer, and characters of each: beyond 120 a client may cut them, beyond 4096 together they are lost.
const WARNINGS: usize = 16;
const WARNING_CHARACTERS: usize = 240;

/// `AdmissionReview`
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Review {
    api_version: String,
    kind: String,
    pub(super) request: Option<Request>,
}

/// `AdmissionRequest`, as far as images depend on it.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Request {
    pub(super) uid: String,
    kind: Kind,
    #[serde(default)]
    pub(super) namespace: String,
    operation: String,
    /// Read only as far as images depend on it.
    object: Option<Box<RawValue>>,
    old_object: Option<Box<RawValue>>,
}

/// `AdmissionReview` with an answer.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Reviewed {
    api_version: &'static str,
    kind: &'static str,
    response: Answer,
}

/// `AdmissionResponse`
#[derive(Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Answer {
    pub(super) uid: String,
    pub(super) allowed: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) status: Option<Status>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) patch_type: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) patch: Option<String>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub(super) audit_annotations: BTreeMap<String, String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) warnings: Vec<String>,
}

/// Why a request is refused, as Kubernetes tells its users.
#[derive(Debug, Serialize)]
pub(super) struct Status {
    code: u16,
    reason: &'static str,
    message: String,
}

/// Decides on the images of an object.
pub(super) async fn review(
    State(gate): State<Arc<Gate>>,
    Extension(taken): Extension<Taken>,
    RawQuery(query): RawQuery,
    body: Body,
) -> Response {
    let review = read(&gate, body, &taken, BODY, Reading::Parts).await;
    let request = match review.and_then(Review::request) {
        Ok(request) => request,
        Err(problem) => return problem.into_response(),
    };
    let until = deadline(query.as_deref(), gate.settings().timeout);
    let images = match request.changed_images() {
        Ok(images) => images,
        Err(error) => return Answer::refused(&request.uid, Reason::InvalidImage, &error.to_string()).into_response(),
    };
    let answer = match different(&images) {
        Err(error) => Answer::refused(&request.uid, Reason::InvalidImage, &error.to_string()),
        Ok(written) => {
            let asked = written.into_iter().map(|image| Asked::Image(image.to_owned()));
            let decisions = gate
                .decide_all(asked.collect(), &request.namespace, Face::Admission, until)
                .await;
            Answer::of(&request.uid, &decisions)
        }
    };
    answer.into_response()
}

impl Review {
    /// The request, if it is one that the gate understands.
    pub(super) fn request(self) -> Result<Request, Problem> {
        if self.kind != "AdmissionReview" || self.api_version != "admission.k8s.io/v1" {
            return Err(Problem::new(
                StatusCode::BAD_REQUEST,
                "an AdmissionReview of admission.k8s.io/v1 is expected",
            ));
        }
        self.request
            .ok_or_else(|| Problem::new(StatusCode::BAD_REQUEST, "the AdmissionReview has no `request`"))
    }
}

impl Request {
    /// The images that the operation brings.
    pub(super) fn changed_images(&self) -> Result<Vec<Named>, ObjectError> {
        changed_images(
            &self.operation,
            &self.kind,
            self.object.as_deref().map(RawValue::get),
            self.old_object.as_deref().map(RawValue::get),
        )
    }
}

impl Answer {
    /// Let it pass; nothing more.
    pub(super) fn allowed(uid: &str) -> Self {
        Self {
            uid: uid.to_owned(),
            allowed: true,
            ..Self::default()
        }
    }

    /// A refusal of the object as a whole.
    pub(super) fn refused(uid: &str, reason: Reason, message: &str) -> Self {
        Self {
            uid: uid.to_owned(),
            status: Some(Status::new(reason, harmless(&format!("linkgate: {message}")))),
            ..Self::default()
        }
    }

    /// The sum of the decisions on an object's images.
    fn of(uid: &str, decisions: &[Decision]) -> Self {
        let refusing: Vec<&Decision> = decisions.iter().filter(|decision| !decision.allowed).collect();
        let mut answer = match refusing.as_slice() {
            [] => Self::allowed(uid),
            [first, others @ ..] => {
                let others: Vec<&str> = others.iter().map(|decision| decision.subject.as_str()).collect();
                let also = if others.is_empty() {
                    String::new()
                } else {
                    format!("; also refused: {}", others.join(", "))
                };
                Self::refused(uid, first.reason, &format!("{}{also}", first.message))
            }
        };
        answer.warnings = warnings(decisions);
        answer.audit_annotations = annotations(decisions);
        answer
    }

    /// The answer as a response.
    pub(super) fn into_response(self) -> Response {
        let reviewed = Reviewed {
            api_version: "admission.k8s.io/v1",
            kind: "AdmissionReview",
            response: self,
        };
        json(StatusCode::OK, &reviewed)
    }
}

impl Status {
    /// Rejected, not to be judged now and late are three codes; clients ask again after the latter two.
    fn new(reason: Reason, message: String) -> Self {
        let (code, name) = match (reason, reason.outcome()) {
            (Reason::Timeout, _) => (504, "Timeout"),
            (_, Outcome::Undecided) => (503, "ServiceUnavailable"),
            _ => (403, "Forbidden"),
        };
        Self {
            code,
            reason: name,
            message,
        }
    }
}

fn warnings(decisions: &[Decision]) -> Vec<String> {
    let all: Vec<&String> = decisions.iter().flat_map(|decision| &decision.warnings).collect();
    let mut warnings: Vec<String> = all
        .iter()
        .take(WARNINGS)
        .map(|warning| {
            format!("linkgate: {warning}")
                .chars()
                .take(WARNING_CHARACTERS)
                .collect()
        })
        .collect();
    if all.len() > WARNINGS {
        warnings.push(format!("linkgate: {} more warnings", all.len() - WARNINGS));
    }
    warnings
}

/// For the audit log: what was decided on each image, and the digest of each answer of the verifier.
fn annotations(decisions: &[Decision]) -> BTreeMap<String, String> {
    let mut annotations = BTreeMap::new();
    let decided: Vec<String> = decisions
        .iter()
        .map(|decision| format!("{} {} ({})", decision.subject, decision.outcome.name(), decision.reason))
        .collect();
    if !decided.is_empty() {
        annotations.insert("decision".to_owned(), harmless(&decided.join("; ")));
    }
    let answers: Vec<String> = decisions
        .iter()
        .flat_map(|decision| {
            decision.policies.iter().filter_map(|policy| {
                let sha256 = policy.answer_sha256.as_ref()?;
                Some(format!("{} by {}: sha256:{sha256}", decision.subject, policy.policy))
            })
        })
        .collect();
    if !answers.is_empty() {
        annotations.insert("verdict".to_owned(), harmless(&answers.join("; ")));
    }
    annotations
}
