//! How links are stored as the layers of OCI artifacts: what makes one evidence, what it is called, and under which tags
//! older registries list it.

use crate::digest::ManifestDigest;
use crate::manifest::{Artifact, Descriptor};
use crate::prelude::*;

/// The artifact type, and the media type of layers, of what in-toto attests.
pub const IN_TOTO: &str = "application/vnd.in-toto+json";

/// The media type under which cosign and its kin store DSSE envelopes.
pub const DSSE: &str = "application/vnd.dsse.envelope.v1+json";

/// The media type of a configuration that says nothing (OCI image specification 1.1, "Guidance for an Empty Descriptor").
pub const EMPTY: &str = "application/vnd.oci.empty.v1+json";

/// The annotation of a layer that holds its path among the evidence (OCI image specification 1.1, "Annotations").
pub const TITLE: &str = "org.opencontainers.image.title";

/// The annotation of a layer that holds the step that its link is of.
pub const STEP: &str = "dev.linkgate.step";

impl Descriptor {
    /// Whether it may lead to evidence: it says so, or does not say what it leads to. There are registries that look for
    /// that in the configuration, where an artifact's says nothing.
    pub fn may_be_evidence(&self) -> bool {
        self.artifact_type
            .as_deref()
            .is_none_or(|kind| [IN_TOTO, EMPTY].contains(&kind))
    }

    /// What a layer that is a link is called among the evidence: by its title, if that is safe.
    pub fn link_name(&self) -> String {
        let title = self.annotations.get(TITLE).filter(|title| is_safe(title));
        title.map_or_else(|| format!("{}.link", self.digest.hex()), Clone::clone)
    }

    /// The step that a layer says that its link is of.
    pub fn step(&self) -> Option<&str> {
        self.annotations.get(STEP).map(String::as_str)
    }
}

impl Artifact {
    /// Whether it is evidence about a subject.
    pub fn is_evidence_about(&self, subject: &ManifestDigest) -> bool {
        self.kind == IN_TOTO && self.subject.as_ref() == Some(subject)
    }

    /// The layers that are links, or sublayouts.
    pub fn links(&self) -> impl Iterator<Item = &Descriptor> {
        let layers = self.layers.iter();
        layers.filter(|layer| [IN_TOTO, DSSE].contains(&layer.media_type.as_str()))
    }
}

/// The tag under which clients list referrers in registries that do not (OCI distribution specification 1.1, "Referrers
/// Tag Schema").
pub fn fallback_tag(subject: &ManifestDigest) -> String {
    format!("{}-{:.64}", subject.algorithm(), subject.hex())
}

/// The tag under which cosign stored attestations before there were referrers.
pub fn attestation_tag(subject: &ManifestDigest) -> String {
    format!("{}-{}.att", subject.algorithm(), subject.hex())
}

/// Whether a title is a path of a link that stays in its folder and that every system has. No other file is written for
/// whoever may attach something: no layout, no key, nothing that another program reads by its name.
pub fn is_safe(title: &str) -> bool {
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
    use crate::manifest::Manifest;

    fn descriptor(kind: &str, more: &str) -> String {
        let digest = ManifestDigest::of(b"test");
        format!(r#"{{"mediaType":"{kind}","digest":"{digest}","size":4{more}}}"#)
    }

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

    #[test]
    fn links_of_artifacts() {
        let annotated = |title: &str| format!(r#","annotations":{{"{TITLE}":"{title}","{STEP}":"build"}}"#);
        let layers = [
            descriptor(IN_TOTO, &annotated("a.link")),
            descriptor(DSSE, &annotated("../a.link")),
            descriptor("text/plain", &annotated("b.link")),
        ];
        let (config, subject) = (descriptor(EMPTY, ""), descriptor("t", ""));
        let written = |kind: &str| {
            let layers = layers.join(",");
            format!(r#"{{"artifactType":"{kind}","config":{config},"layers":[{layers}],"subject":{subject}}}"#)
        };
        let read = Manifest::read(written(IN_TOTO).as_bytes()).unwrap();
        let artifact = read.artifact().unwrap();
        let names: Vec<String> = artifact.links().map(Descriptor::link_name).collect();
        assert_eq!(
            names,
            [
                "a.link".to_owned(),
                format!("{}.link", ManifestDigest::of(b"test").hex())
            ]
        );
        assert!(artifact.links().all(|link| link.step() == Some("build")));
        assert!(artifact.is_evidence_about(&ManifestDigest::of(b"test")));
        assert!(!artifact.is_evidence_about(&ManifestDigest::of(b"another")));
        let other = Manifest::read(written("text/plain").as_bytes()).unwrap();
        assert!(
            !other
                .artifact()
                .unwrap()
                .is_evidence_about(&ManifestDigest::of(b"test"))
        );
    }

    #[test]
    fn what_may_lead_to_evidence() {
        for (kind, may_be) in [("", true), (IN_TOTO, true), (EMPTY, true), ("text/plain", false)] {
            let listed = descriptor("t", &format!(r#","artifactType":"{kind}""#));
            let index = Manifest::read(format!(r#"{{"manifests":[{listed}]}}"#).as_bytes()).unwrap();
            assert_eq!(index.index()[0].may_be_evidence(), may_be, "{kind}");
        }
    }
}
