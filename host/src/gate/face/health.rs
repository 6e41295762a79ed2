//! `/healthz`, `/readyz` and `/metrics`.

use std::sync::Arc;

use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use serde_json::json;

use super::{json as answer, problem};
use crate::gate::Gate;
use crate::terminal::harmless;

/// The process answers.
pub(super) async fn alive() -> &'static str {
    "ok\n"
}

/// Policies are in force and the component has passed its self-test, or this listener would not be there. What is wrong
/// with policies that could not be reloaded is told beside that. Not ready is a gate that can judge, or read, by a token's key
/// only after a restart.
pub(super) async fn ready(State(gate): State<Arc<Gate>>) -> Response {
    let policies = gate.policies();
    let names: Vec<&str> = policies.all.iter().map(|policy| policy.name.as_str()).collect();
    let restart = policies.need_restart();
    let status = match restart {
        None => StatusCode::OK,
        Some(_) => StatusCode::SERVICE_UNAVAILABLE,
    };
    let mut detail = json!({
        "ready": restart.is_none(),
        "policies": names,
        "fingerprint": policies.fingerprint.to_string(),
        "reload": gate.broken().map_or_else(|| "ok".to_owned(), |why| harmless(&format!("broken, the policies from before are in force, for these files: {why}"))),
        "component": gate.component,
    });
    if let (Some(why), Some(detail)) = (restart, detail.as_object_mut()) {
        detail.insert("restart".to_owned(), harmless(&why).into());
    }
    answer(status, &detail)
}

/// What was counted.
pub(super) async fn metrics(State(gate): State<Arc<Gate>>) -> Response {
    gate.metrics().queue(gate.queue().waiting());
    gate.metrics().memory(gate.memory());
    match gate.metrics().text() {
        Ok(text) => (
            [(
                header::CONTENT_TYPE,
                "application/openmetrics-text; version=1.0.0; charset=utf-8",
            )],
            text,
        )
            .into_response(),
        Err(_) => problem(StatusCode::INTERNAL_SERVER_ERROR, "the metrics could not be written"),
    }
}
