//! `POST /mutate`: Kubernetes' mutating webhook pins tags, so that what is decided on is what will run.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Extension;
use axum::body::Body;
use axum::extract::{RawQuery, State};
use axum::response::{IntoResponse as _, Response};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use futures_util::stream::{self, StreamExt as _};
use linkgate_image::object::{Named, different};
use linkgate_image::{Image, ImageError};
use serde_json::json;

use super::admission::{Answer, Review};
use super::room::{Reading, Taken};
use super::{BODY, deadline, read};
use crate::gate::Gate;
use crate::gate::decision::Reason;
use crate::gate::policy::Governed;

/// How many tags are resolved at once.
const ABREAST: usize = 16;

/// Why an image cannot be pinned.
type Refusal = (Reason, String);

/// Replaces the tags of an object's images by their digests, or says why that cannot be done.
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
    let images = match request.changed_images() {
        Ok(images) => images,
        Err(error) => return Answer::refused(&request.uid, Reason::InvalidImage, &error.to_string()).into_response(),
    };
    let until = deadline(query.as_deref(), gate.settings().timeout);
    let pinned = until
        .bound(pin(&gate, &images, &request.namespace))
        .await
        .unwrap_or_else(|| {
            let message = format!("the tags were not resolved within {} s", until.seconds());
            Err((Reason::Timeout, message))
        });
    let answer = match pinned {
        Ok(pinned) => patch(&request.uid, &images, &pinned),
        Err((reason, message)) => Answer::refused(&request.uid, reason, &message),
    };
    answer.into_response()
}

/// What to write in the place of each image that is named by a tag.
async fn pin(gate: &Gate, images: &[Named], namespace: &str) -> Result<BTreeMap<String, String>, Refusal> {
    let written = different(images).map_err(|error| (Reason::InvalidImage, error.to_string()))?;
    let written: Vec<String> = written.into_iter().map(str::to_owned).collect();
    let mut pinned = BTreeMap::new();
    let mut resolved = stream::iter(written)
        .map(|written| async move {
            let resolved = resolve(gate, &written, namespace).await;
            (written, resolved)
        })
        .buffered(ABREAST);
    while let Some((written, resolved)) = resolved.next().await {
        if let Some(by_digest) = resolved? {
            pinned.insert(written, by_digest);
        }
    }
    Ok(pinned)
}

/// An image with the digest that its tag has now; nothing if it has one already, or if no policy governs it: whoever may
/// create a Pod shall not make the gate ask any host that a Pod can name.
async fn resolve(gate: &Gate, written: &str, namespace: &str) -> Result<Option<String>, Refusal> {
    let image: Image = written
        .parse()
        .map_err(|error: ImageError| (Reason::InvalidImage, error.to_string()))?;
    let governing = gate.policies().governing(Governed::Image(&image.name()), namespace);
    if image.digest().is_some() || governing.is_empty() {
        return Ok(None);
    }
    match gate.resolve(&image).await {
        Ok(Some(digest)) => Ok(Some(format!("{written}@{digest}"))),
        Ok(None) => Err((Reason::InvalidImage, format!("{image}: its registry has no such image"))),
        Err(error) => Err((
            Reason::of_source(&error),
            format!("{image}: its tag could not be resolved: {error}"),
        )),
    }
}

/// A patch (RFC 6902) that each time makes sure of what it replaces.
fn patch(uid: &str, images: &[Named], pinned: &BTreeMap<String, String>) -> Answer {
    let operations: Vec<_> = images
        .iter()
        .filter_map(|named| Some((named, pinned.get(&named.image)?)))
        .flat_map(|(named, by_digest)| {
            [
                json!({"op": "test", "path": named.pointer, "value": named.image}),
                json!({"op": "replace", "path": named.pointer, "value": by_digest}),
            ]
        })
        .collect();
    let mut answer = Answer::allowed(uid);
    if !operations.is_empty() {
        answer.patch_type = Some("JSONPatch");
        answer.patch = Some(STANDARD.encode(json!(operations).to_string()));
        let said: Vec<String> = pinned
            .iter()
            .map(|(tag, by_digest)| format!("{tag} -> {by_digest}"))
            .collect();
        answer.audit_annotations = [("pinned".to_owned(), said.join("; "))].into();
    }
    answer
}
