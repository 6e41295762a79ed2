//! `POST /v1/verify`: for OPA's `http.send`, Kyverno's `apiCall`, and whoever else speaks JSON.

use std::sync::Arc;

use axum::Extension;
use axum::body::Body;
use axum::extract::{RawQuery, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use linkgate_verifier::request::{Request, Subject};
use linkgate_verifier::verdict;
use serde::{Deserialize, Serialize};

use super::room::{Reading, Taken};
use super::{Face, NAMES, deadline, json, overloaded, problem, read};
use crate::gate::decision::{Decision, Reason};
use crate::gate::queue::Computed;
use crate::gate::{Asked, Gate};

/// The description of this interface.
const OPENAPI: &str = include_str!("../openapi.json");
/// Artifacts of one request.
const SUBJECTS: usize = 100;
/// Bytes of a whole request.
const WHOLE: usize = 128 << 20;

/// What callers name.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Question {
    image: Option<String>,
    subjects: Option<Vec<Subject>>,
    #[serde(default)]
    namespace: String,
}

/// The decision; of several artifacts, the first one that refuses, with all of them beneath.
#[derive(Serialize)]
struct Answer {
    #[serde(flatten)]
    decision: Decision,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    decisions: Vec<Decision>,
}

/// Decides on an image or on artifacts.
pub(super) async fn decide(
    State(gate): State<Arc<Gate>>,
    Extension(taken): Extension<Taken>,
    RawQuery(query): RawQuery,
    body: Body,
) -> Response {
    let question: Question = match read(&gate, body, &taken, NAMES, Reading::Values).await {
        Ok(question) => question,
        Err(problem) => return problem.into_response(),
    };
    let asked = match question.asked() {
        Ok(asked) => asked,
        Err(message) => return problem(StatusCode::BAD_REQUEST, &message),
    };
    let until = deadline(query.as_deref(), gate.settings().timeout);
    let decisions = gate.decide_all(asked, &question.namespace, Face::Verify, until).await;
    if decisions.iter().any(|decision| decision.reason == Reason::Overloaded) {
        return overloaded();
    }
    let first = decisions
        .iter()
        .find(|decision| !decision.allowed)
        .or(decisions.first());
    let Some(decision) = first.cloned() else {
        return problem(StatusCode::BAD_REQUEST, "`subjects` names no artifact");
    };
    let answer = Answer {
        decision,
        decisions: if decisions.len() > 1 { decisions } else { Vec::new() },
    };
    json(StatusCode::OK, &answer)
}

impl Question {
    fn asked(&self) -> Result<Vec<Asked>, String> {
        match (&self.image, &self.subjects) {
            (Some(image), None) => Ok(vec![Asked::Image(image.clone())]),
            (None, Some(subjects)) if subjects.len() > SUBJECTS => {
                Err(format!("`subjects` names more than {SUBJECTS} artifacts"))
            }
            (None, Some(subjects)) => Ok(subjects.iter().cloned().map(Asked::Artifact).collect()),
            _ => Err("name either `image` or `subjects`".to_owned()),
        }
    }
}

/// The description of this interface.
pub(super) async fn openapi() -> Response {
    (
        [(header::CONTENT_TYPE, HeaderValue::from_static("application/json"))],
        OPENAPI,
    )
        .into_response()
}

/// Judges a request whose caller names everything: layout, keys, links and time. Only on a listener of its own, since
/// whoever asks there chooses what is believed.
pub(super) async fn whole(State(gate): State<Arc<Gate>>, Extension(taken): Extension<Taken>, body: Body) -> Response {
    let request: Request = match read(&gate, body, &taken, WHOLE, Reading::Values).await {
        Ok(request) => request,
        Err(problem) => return problem.into_response(),
    };
    let (verifier, arithmetic) = (Arc::clone(gate.verifier()), gate.policies().arithmetic.clone());
    let bytes = request.documents.iter().map(|document| document.content.0.len());
    let bytes = bytes.sum::<usize>() + request.layout.0.len();
    let judge = move |memory| {
        let judged = verifier.verify_within(&request, &[], &arithmetic, memory);
        Computed {
            value: verdict::to_json(&judged.answer),
            wanted_memory: judged.wanted_memory,
        }
    };
    let judged = gate.queue().run(bytes, judge).await;
    match judged {
        Ok(answer) => (
            [(header::CONTENT_TYPE, HeaderValue::from_static("application/json"))],
            answer,
        )
            .into_response(),
        Err(_) => overloaded(),
    }
}
