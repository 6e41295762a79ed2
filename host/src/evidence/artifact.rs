//! The links of OCI artifacts as pieces of evidence, and how many of them are looked at.

use linkgate_image::Image;
use linkgate_image::manifest::{Artifact, Descriptor};

use super::Piece;

/// Referrers of one image that are looked at: each build that is attested adds some, and nobody waits for more.
pub(super) const REFERRERS: usize = 1_000;

/// Layers of all of them, as many as there may be documents in a request.
pub(super) const LAYERS: usize = 10_000;

/// The links that an artifact holds, and where.
pub(super) fn pieces(artifact: &Artifact, at: Option<&Image>) -> impl Iterator<Item = Piece> {
    artifact.links().map(move |layer| piece(layer, at))
}

fn piece(layer: &Descriptor, at: Option<&Image>) -> Piece {
    Piece {
        name: layer.link_name(),
        step: layer.step().map(str::to_owned),
        digest: layer.digest.clone(),
        size: layer.size,
        content: None,
        at: at.cloned(),
    }
}
