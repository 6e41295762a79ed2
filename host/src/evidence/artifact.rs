//! How links are stored as the layers of OCI artifacts: what makes one evidence, and what it is called.

use super::manifest::{Artifact, Descriptor};
use super::{DSSE, IN_TOTO, Piece};
use crate::image::{Image, ManifestDigest};

/// The annotation of a layer that holds its path among the evidence (OCI image specification 1.1, "Annotations").
pub(super) const TITLE: &str = "org.opencontainers.image.title";

/// The annotation of a layer that holds the step that its link is of.
pub(super) const STEP: &str = "dev.linkgate.step";

/// The media type of a configuration that says nothing (OCI image specification 1.1, "Guidance for an Empty Descriptor").
pub(super) const EMPTY: &str = "application/vnd.oci.empty.v1+json";

/// Referrers of one image that are looked at: each build that is attested adds some, and nobody waits for more.
pub(super) const REFERRERS: usize = 1_000;

/// Layers of all of them, as many as there may be documents in a request.
pub(super) const LAYERS: usize = 10_000;

impl Descriptor {
    /// Whether it may lead to evidence: it says so, or does not say what it leads to. There are registries that look for
    /// that in the configuration, where an artifact's says nothing.
    pub(super) fn may_be_evidence(&self) -> bool {
        self.artifact_type
            .as_deref()
            .is_none_or(|kind| [IN_TOTO, EMPTY].contains(&kind))
    }
}

impl Artifact {
    /// Whether it is evidence about a subject.
    pub(super) fn is_evidence_about(&self, subject: &ManifestDigest) -> bool {
        self.kind == IN_TOTO && self.subject.as_ref() == Some(subject)
    }

    /// The links that it holds, and where.
    pub(super) fn pieces(&self, at: Option<&Image>) -> impl Iterator<Item = Piece> {
        let layers = self.layers.iter();
        layers
            .filter(|layer| [IN_TOTO, DSSE].contains(&layer.media_type.as_str()))
            .map(move |layer| piece(layer, at))
    }
}

fn piece(layer: &Descriptor, at: Option<&Image>) -> Piece {
    let title = layer.annotations.get(TITLE).filter(|title| is_safe(title));
    Piece {
        name: title.map_or_else(|| format!("{}.link", layer.digest.hex()), Clone::clone),
        step: layer.annotations.get(STEP).cloned(),
        digest: layer.digest.clone(),
        size: layer.size,
        content: None,
        at: at.cloned(),
    }
}

/// The tag under which clients list referrers in registries that do not (OCI distribution specification 1.1, "Referrers
/// Tag Schema").
pub(super) fn fallback_tag(subject: &ManifestDigest) -> String {
    format!("{}-{:.64}", subject.algorithm(), subject.hex())
}

/// The tag under which cosign stored attestations before there were referrers.
pub(super) fn attestation_tag(subject: &ManifestDigest) -> String {
    format!("{}-{}.att", subject.algorithm(), subject.hex())
}

/// Whether a title is a path of a link that stays in its folder and that every system has. No other file is written for
/// whoever may attach something: no layout, no key, nothing that another program reads by its name.
pub(crate) fn is_safe(title: &str) -> bool {
    // What file systems hold of a name, and of a path.
    let is_part = |part: &str| !part.is_empty() && !part.starts_with('.') && part.len() <= 255;
    title.len() <= 1024
        && title.strip_suffix(".link").is_some()
        && title.split('/').all(is_part)
        && !title.contains(|character: char| character == '\\' || character.is_control())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn titles_stay_in_their_folder() {
        for good in ["build.776a00e2.link", "build.776a00e2/inner.link", "a b.link"] {
            assert!(is_safe(good), "{good}");
        }
        let long = format!("{}.link", "a".repeat(256));
        for bad in [
            "",
            "root.layout",
            "Makefile",
            ".git/hooks/post-checkout",
            ".hidden.link",
            "/etc/passwd.link",
            "../x.link",
            "a/../b.link",
            "a//b.link",
            "a.link/",
            "./a.link",
            "a\\b.link",
            "a\nb.link",
            "a\0.link",
            &long,
        ] {
            assert!(!is_safe(bad), "{bad:?}");
        }
    }

    #[test]
    fn tags_are_those_of_the_specification() {
        let digest = ManifestDigest::of(b"test");
        let hex = digest.hex();
        assert_eq!(fallback_tag(&digest), format!("sha256-{hex}"));
        assert_eq!(attestation_tag(&digest), format!("sha256-{hex}.att"));
        let long: ManifestDigest = format!("sha512:{}", "0".repeat(128)).parse().unwrap();
        assert_eq!(fallback_tag(&long), format!("sha512-{}", "0".repeat(64)));
    }
}
