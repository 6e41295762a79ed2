//! `POST /v1/verify`: for OPA's `http.send`, Kyverno's `apiCall`, and whoever else speaks JSON.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{RawQuery, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use linkgate_verifier::request::Subject;
use linkgate_verifier::verdict;
use serde::{Deserialize, Serialize};

use super::{Face, deadline, json, overloaded, problem, read, read_up_to};
use crate::gate::decision::{Decision, Reason};
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
pub(super) async fn decide(State(gate): State<Arc<Gate>>, RawQuery(query): RawQuery, body: Body) -> Response {
    let question: Question = match read(body).await {
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
        gate.metrics().overloaded();
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
pub(super) async fn whole(State(gate): State<Arc<Gate>>, body: Body) -> Response {
    let request: linkgate_verifier::request::Request = match read_up_to(body, WHOLE).await {
        Ok(request) => request,
        Err(problem) => return problem.into_response(),
    };
    let (verifier, arithmetic) = (Arc::clone(gate.verifier()), gate.policies().arithmetic.clone());
    let judged = gate
        .queue()
        .run(move || verdict::to_json(&verifier.verify(&request, &arithmetic).answer))
        .await;
    match judged {
        Ok(answer) => (
            [(header::CONTENT_TYPE, HeaderValue::from_static("application/json"))],
            answer,
        )
            .into_response(),
        Err(_) => overloaded(),
    }
}
