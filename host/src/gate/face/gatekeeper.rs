//! `POST /gatekeeper`: Gatekeeper's external data (`externaldata.gatekeeper.sh/v1beta1`).
//!
//! A key is an image, or a namespace, a `|` and an image. An accepted one has the value `accept`, every other one an error:
//! a template that looks for the value alone denies what it should.

use std::sync::Arc;

use axum::Extension;
use axum::body::Body;
use axum::extract::{RawQuery, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use futures_util::stream::{self, StreamExt as _};
use linkgate_image::Image;
use serde::{Deserialize, Serialize};

use super::room::{Reading, Taken};
use super::{Face, NAMES, deadline, json, problem, read};
use crate::gate::decision::{Decision, Outcome};
use crate::gate::{Asked, Deadline, Gate};

/// Keys of one request.
const KEYS: usize = 1_000;
/// How many of those that could not be decided on are told of.
const TOLD: usize = 10;
/// How many of them are decided on at once.
const ABREAST: usize = 16;

/// `ProviderRequest`
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct ProviderRequest {
    api_version: String,
    kind: String,
    request: Keys,
}

#[derive(Debug, Deserialize)]
struct Keys {
    keys: Vec<String>,
}

/// `ProviderResponse`
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct ProviderResponse {
    api_version: String,
    kind: &'static str,
    response: Answered,
}

#[derive(Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
struct Answered {
    /// Whether the same keys get the same values: not where a tag is among them.
    idempotent: bool,
    items: Vec<Item>,
    #[serde(skip_serializing_if = "String::is_empty")]
    system_error: String,
}

#[derive(Debug, Serialize)]
struct Item {
    key: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    value: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
}

/// Decides on a batch of images.
pub(super) async fn provide(
    State(gate): State<Arc<Gate>>,
    Extension(taken): Extension<Taken>,
    RawQuery(query): RawQuery,
    body: Body,
) -> Response {
    let request: ProviderRequest = match read(&gate, body, &taken, NAMES, Reading::Values).await {
        Ok(request) => request,
        Err(problem) => return problem.into_response(),
    };
    let is_known = request.kind == "ProviderRequest"
        && matches!(
            request.api_version.as_str(),
            "externaldata.gatekeeper.sh/v1beta1" | "externaldata.gatekeeper.sh/v1alpha1"
        );
    if !is_known {
        return problem(
            StatusCode::BAD_REQUEST,
            "a ProviderRequest of externaldata.gatekeeper.sh/v1beta1 is expected",
        );
    }
    let response = if request.request.keys.len() > KEYS {
        Answered {
            system_error: format!("more than {KEYS} keys in one request"),
            ..Answered::default()
        }
    } else {
        let until = deadline(query.as_deref(), gate.settings().timeout);
        items(&gate, request.request.keys, until).await
    };
    let answer = ProviderResponse {
        api_version: request.api_version,
        kind: "ProviderResponse",
        response,
    };
    json(StatusCode::OK, &answer)
}

async fn items(gate: &Arc<Gate>, keys: Vec<String>, until: Deadline) -> Answered {
    let idempotent = keys.iter().all(|key| has_digest(parts(key).1));
    let decided: Vec<(String, Decision)> = stream::iter(keys)
        .map(async |key: String| {
            let (namespace, image) = parts(&key);
            let asked = Asked::Image(image.to_owned());
            let decision = gate.decide(&asked, namespace, Face::Gatekeeper, until).await;
            (key, decision)
        })
        .buffered(ABREAST)
        .collect()
        .await;
    // Gatekeeper keeps items for minutes, also those with errors. What may be otherwise in a moment is no item: it is told as
    // the error of the whole, which is not kept.
    let (passing, lasting): (Vec<_>, Vec<_>) = decided
        .into_iter()
        .partition(|(_, decision)| decision.outcome == Outcome::Undecided);
    let told = passing.iter().take(TOLD).map(|(_, decision)| decision.message.as_str());
    Answered {
        idempotent,
        system_error: told.collect::<Vec<_>>().join("; "),
        items: lasting
            .into_iter()
            .map(|(key, decision)| Item {
                key,
                value: decision.allowed.then_some("accept"),
                error: (!decision.allowed).then(|| format!("{}: {}", decision.reason, decision.message)),
            })
            .collect(),
    }
}

/// A key's namespace and image.
fn parts(key: &str) -> (&str, &str) {
    key.split_once('|').unwrap_or(("", key))
}

fn has_digest(image: &str) -> bool {
    image.parse::<Image>().is_ok_and(|image| image.digest().is_some())
}
