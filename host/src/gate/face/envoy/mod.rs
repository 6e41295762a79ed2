//! Envoy's `ext_authz` before a registry: pulls of images pass if the images do.
//!
//! What is decided on must be what is delivered. So a tag is resolved to a digest, the digest is judged, and the request
//! goes on by that digest, whatever the tag means a moment later. Blobs name no image: one passes if a manifest that names
//! it was allowed shortly before.

pub(super) mod grpc;
pub(super) mod http;

use std::sync::Arc;

use linkgate_image::path::{self, Reference, Wanted};
use linkgate_image::{Image, ImageError, ManifestDigest};
use linkgate_verifier::verdict::shown;
use serde_json::json;

use super::Face;
use crate::evidence::SourceError;
use crate::gate::allowed::{Kind, Window};
use crate::gate::decision::{Outcome, Reason};
use crate::gate::policy::Governed;
use crate::gate::{Asked, Blobs, Deadline, Gate};
use crate::terminal::harmless;

/// What Envoy is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Check {
    /// The request goes on, by this path.
    Pass(String),
    /// It ends here.
    Deny(Denial),
}

/// An answer that a registry's client understands (OCI distribution specification 1.1, "Error Codes").
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Denial {
    /// The status.
    pub(super) status: u16,
    code: &'static str,
    message: String,
}

impl Denial {
    fn new(status: u16, code: &'static str, message: String) -> Self {
        Self { status, code, message }
    }

    fn of(reason: Reason, message: String) -> Self {
        match (reason, reason.outcome()) {
            (Reason::Overloaded | Reason::Timeout, _) => Self::new(503, "UNAVAILABLE", message),
            // Failed Dependency (RFC 4918): Envoy passes no body of a 503 on, nor do clients show it; who pulls should
            // read why.
            (_, Outcome::Undecided) => Self::new(424, "UNAVAILABLE", message),
            _ => Self::new(403, "DENIED", message),
        }
    }

    /// Whether the same may be answered otherwise in a moment.
    pub(super) fn passes(&self) -> bool {
        self.status == 503
    }

    /// The body.
    pub(super) fn body(&self) -> String {
        let error = json!({"code": self.code, "message": harmless(&format!("linkgate: {}", self.message))});
        json!({ "errors": [error] }).to_string()
    }
}

/// Decides on one request of a registry's client. Which registry it is for is Envoy's configuration to say, not the
/// client's `Host`.
pub(super) async fn check(gate: &Arc<Gate>, registry: &str, method: &str, path: &str, face: Face) -> Check {
    if method != "GET" && method != "HEAD" {
        let message = format!("{method} does not pass: only images are pulled through this gate");
        return Check::Deny(Denial::new(405, "UNSUPPORTED", message));
    }
    let Some(wanted) = path::parse(path) else {
        let message = "this path does not pass: only images are pulled through this gate".to_owned();
        return Check::Deny(Denial::new(403, "DENIED", message));
    };
    let decided = match &wanted {
        Wanted::Ping => return Check::Pass(path.to_owned()),
        Wanted::Blob { repository, digest } => blob(gate, registry, repository, digest).await,
        Wanted::Manifest {
            repository, reference, ..
        } => {
            let until = Deadline::after(gate.settings().timeout);
            let decided = until
                .bound(manifest(gate, registry, repository, reference, face, until))
                .await;
            decided.unwrap_or_else(|| {
                let message = format!("no answer within {} s", until.seconds());
                Err(Denial::of(Reason::Timeout, message))
            })
        }
    };
    match decided {
        Ok(digest) => Check::Pass(by_digest(&wanted, path, &digest)),
        Err(denial) => Check::Deny(denial),
    }
}

/// The path by which what was decided on is asked for.
fn by_digest(wanted: &Wanted, path: &str, digest: &ManifestDigest) -> String {
    match wanted {
        Wanted::Manifest { repository, query, .. } => format!("/v2/{repository}/manifests/{digest}{query}"),
        Wanted::Ping | Wanted::Blob { .. } => path.to_owned(),
    }
}

/// A blob passes with a manifest that was allowed.
async fn blob(
    gate: &Gate,
    registry: &str,
    repository: &str,
    digest: &ManifestDigest,
) -> Result<ManifestDigest, Denial> {
    let image = named(registry, repository)?.at(digest.clone());
    let may_be_any = gate.settings().blobs == Blobs::Any
        && !gate.policies().governing(Governed::Image(&image.name()), "").is_empty();
    if may_be_any || gate.allowed_part(Kind::Blob, &image).await.is_some() {
        return Ok(digest.clone());
    }
    let message =
        format!("{image}: no image that was allowed within the last minutes has this blob: pull its manifest first");
    Err(Denial::new(403, "DENIED", message))
}

async fn manifest(
    gate: &Arc<Gate>,
    registry: &str,
    repository: &str,
    reference: &Reference,
    face: Face,
    until: Deadline,
) -> Result<ManifestDigest, Denial> {
    let repository = named(registry, repository)?;
    let digest = match reference {
        Reference::Digest(digest) => digest.clone(),
        Reference::Tag(tag) => resolve(gate, &repository.tagged(tag)).await?,
    };
    let image = repository.at(digest.clone());
    let policies = gate.policies().fingerprint;
    // A manifest of an index that was allowed as a whole is allowed, for as long as that is.
    let window = match gate.allowed_part(Kind::Manifest, &image).await {
        Some(window) => window,
        None => decide(gate, &image, face, until).await?,
    };
    let allowed = gate.allow(&image, window, policies).await;
    allowed.map_err(|error| source_down(&image, &error))?;
    Ok(digest)
}

/// How long the parts of an image may be pulled, if it may.
async fn decide(gate: &Arc<Gate>, image: &Image, face: Face, until: Deadline) -> Result<Window, Denial> {
    let asked = Asked::Image(image.to_string());
    let decision = gate.decide(&asked, "", face, until).await;
    if decision.allowed {
        Ok(gate.allowed.window(decision.valid_until()))
    } else {
        Err(Denial::of(decision.reason, decision.message))
    }
}

async fn resolve(gate: &Gate, image: &Image) -> Result<ManifestDigest, Denial> {
    match gate.resolve(image).await {
        Ok(Some(digest)) => Ok(digest),
        Ok(None) => {
            let message = format!("{image}: the registry has no such image");
            Err(Denial::new(404, "MANIFEST_UNKNOWN", message))
        }
        Err(error) => Err(source_down(image, &error)),
    }
}

fn source_down(image: &Image, error: &SourceError) -> Denial {
    Denial::of(Reason::of_source(error), format!("{image}: {error}"))
}

/// A repository of a registry, which Envoy's configuration names as policies do.
fn named(registry: &str, repository: &str) -> Result<Image, Denial> {
    let denied = |message| Denial::new(403, "DENIED", message);
    let image: Image = format!("{registry}/{repository}")
        .parse()
        .map_err(|error: ImageError| denied(error.to_string()))?;
    if image.registry() != registry {
        return Err(denied(format!("`{}` is no name of a registry", shown(registry))));
    }
    Ok(image)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tag_is_pinned_for_the_mirror_that_was_asked() {
        let digest = ManifestDigest::of(b"test");
        let pinned = |path: &str| by_digest(&path::parse(path).unwrap(), path, &digest);
        let manifest = format!("/v2/a/b-c/d.e/manifests/{digest}?ns=docker.io");
        assert_eq!(pinned("/v2/a/b-c/d.e/manifests/v1.0?ns=docker.io"), manifest);
        let blob = format!("/v2/a/blobs/{digest}?ns=docker.io");
        assert_eq!(pinned(&blob), blob);
    }
}
