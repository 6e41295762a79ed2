//! Manifests of registries (OCI image specification 1.1, and Docker's schema 2, which it came from).

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use linkgate_verifier::verdict::shown;
use serde::Deserialize;
use serde::de::{self, Deserializer, MapAccess, SeqAccess, Visitor};

use crate::digest::Digest;

const OCI_MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const OCI_INDEX: &str = "application/vnd.oci.image.index.v1+json";
const DOCKER_MANIFEST: &str = "application/vnd.docker.distribution.manifest.v2+json";
const DOCKER_LIST: &str = "application/vnd.docker.distribution.manifest.list.v2+json";

/// What is accepted as a manifest.
pub const ACCEPTED: &str = "application/vnd.oci.image.manifest.v1+json, application/vnd.oci.image.index.v1+json, \
    application/vnd.docker.distribution.manifest.v2+json, application/vnd.docker.distribution.manifest.list.v2+json";

/// Bytes of a manifest. Registries take no larger ones (OCI distribution specification 1.1, "Pushing Manifests").
pub const BYTES: usize = 4 << 20;

/// A manifest, read.
#[derive(Clone, Debug)]
pub enum Manifest {
    /// A list of manifests, for several platforms or about one subject.
    Index(Vec<Descriptor>),
    /// An image's, or an artifact's.
    Image(Artifact),
}

/// What an image's or artifact's manifest says.
#[derive(Clone, Debug)]
pub struct Artifact {
    /// What kind of artifact it is; of older ones their configuration's media type.
    pub kind: String,
    /// The configuration's blob.
    pub config: Descriptor,
    /// The layers.
    pub layers: Vec<Descriptor>,
    /// What it is about.
    pub subject: Option<Digest>,
}

/// What a manifest says about another content.
#[derive(Clone, Debug)]
pub struct Descriptor {
    /// Its media type.
    pub media_type: String,
    /// Its digest.
    pub digest: Digest,
    /// Its bytes' number.
    pub size: u64,
    /// What kind of artifact it is.
    pub artifact_type: Option<String>,
    /// Its annotations.
    pub annotations: BTreeMap<String, String>,
}

impl Manifest {
    /// Reads bytes, whose digest is checked elsewhere.
    pub fn read(bytes: &[u8]) -> Result<Self, String> {
        let json = |error: serde_json::Error| format!("no manifest: {error}");
        let _: OneReading<true> = serde_json::from_slice(bytes).map_err(json)?;
        let written: Written = serde_json::from_slice(bytes).map_err(json)?;
        written.read()
    }

    /// The manifests that an index lists; none of an image's.
    pub fn manifests(&self) -> Vec<Digest> {
        self.listed().iter().map(|listed| listed.digest.clone()).collect()
    }

    /// The blobs that an image consists of; none of an index.
    pub fn blobs(&self) -> Vec<Digest> {
        let Self::Image(artifact) = self else {
            return Vec::new();
        };
        let blobs = [&artifact.config].into_iter().chain(&artifact.layers);
        blobs.map(|blob| blob.digest.clone()).collect()
    }

    /// What an index lists; nothing of an image's.
    pub fn listed(&self) -> &[Descriptor] {
        match self {
            Self::Index(listed) => listed,
            Self::Image(_) => &[],
        }
    }
}

/// Members that mean something to somebody.
const KNOWN: [&str; 16] = [
    "annotations",
    "artifactType",
    "blobs",
    "config",
    "data",
    "digest",
    "fsLayers",
    "history",
    "layers",
    "manifests",
    "mediaType",
    "platform",
    "schemaVersion",
    "size",
    "subject",
    "urls",
];

/// Any JSON in which no member stands twice. Of manifests (`FOLDED`) no name differs from another one, or from one that is
/// known, in case alone either: container runtimes are written in Go, whose JSON reader takes `Manifests` for `manifests`.
#[derive(Debug)]
pub(crate) struct OneReading<const FOLDED: bool>;

impl<'de, const FOLDED: bool> Deserialize<'de> for OneReading<FOLDED> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Self)
    }
}

impl<'de, const FOLDED: bool> Visitor<'de> for OneReading<FOLDED> {
    type Value = Self;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("JSON")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self, A::Error> {
        let mut names = BTreeSet::new();
        while let Some(name) = map.next_key::<String>()? {
            let compared = if FOLDED { folded(&name) } else { name.clone() };
            let is_other = |known: &&str| **known != name && known.to_ascii_lowercase() == compared;
            if (FOLDED && KNOWN.iter().any(is_other)) || !names.insert(compared) {
                let name = shown(&name);
                return Err(de::Error::custom(format_args!(
                    "`{name}` stands twice, or could be taken for another member"
                )));
            }
            map.next_value::<Self>()?;
        }
        Ok(self)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Self, A::Error> {
        while list.next_element::<Self>()?.is_some() {}
        Ok(self)
    }

    fn visit_bool<E>(self, _: bool) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_i64<E>(self, _: i64) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_u64<E>(self, _: u64) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_f64<E>(self, _: f64) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_str<E>(self, _: &str) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_unit<E>(self) -> Result<Self, E> {
        Ok(self)
    }
}

/// A name as Go compares it: besides ASCII, the long s and the sign for kelvin are letters of another case.
fn folded(name: &str) -> String {
    let fold = |character| match character {
        '\u{17f}' => 's',
        '\u{212a}' => 'k',
        other => other.to_ascii_lowercase(),
    };
    name.chars().map(fold).collect()
}

/// A manifest as it is written. Go writes an empty list as `null` at times.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Written {
    schema_version: Option<u32>,
    media_type: Option<String>,
    artifact_type: Option<String>,
    config: Option<WrittenDescriptor>,
    layers: Option<Vec<WrittenDescriptor>>,
    manifests: Option<Vec<WrittenDescriptor>>,
    subject: Option<WrittenDescriptor>,
    /// What manifests of Docker's first schema and of artifacts before OCI 1.1 have.
    fs_layers: Option<de::IgnoredAny>,
    history: Option<de::IgnoredAny>,
    blobs: Option<de::IgnoredAny>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct WrittenDescriptor {
    #[serde(default)]
    media_type: String,
    digest: String,
    size: u64,
    artifact_type: Option<String>,
    annotations: Option<BTreeMap<String, String>>,
}

impl Written {
    fn read(self) -> Result<Manifest, String> {
        let ambiguous =
            || "a manifest that has `manifests` and `layers`, or not those that its media type says".to_owned();
        let is_index = match self.media_type.as_deref() {
            Some(OCI_INDEX | DOCKER_LIST) => true,
            Some(OCI_MANIFEST | DOCKER_MANIFEST) => false,
            Some(other) if !other.is_empty() => {
                return Err(format!("a manifest of the unknown media type `{}`", shown(other)));
            }
            _ => self.manifests.is_some(),
        };
        let is_older = self.fs_layers.is_some() || self.history.is_some() || self.blobs.is_some();
        if is_older || self.schema_version.is_some_and(|version| version != 2) {
            return Err(ambiguous());
        }
        match (is_index, self.config, self.layers, self.manifests) {
            (true, None, None, listed) => Ok(Manifest::Index(descriptors(listed)?)),
            (false, Some(config), layers, None) => {
                let config = Descriptor::read(config)?;
                let kind = self.artifact_type.filter(|kind| !kind.is_empty());
                Ok(Manifest::Image(Artifact {
                    kind: kind.unwrap_or_else(|| config.media_type.clone()),
                    config,
                    layers: descriptors(layers)?,
                    subject: self.subject.map(|subject| subject.digest.parse()).transpose()?,
                }))
            }
            _ => Err(ambiguous()),
        }
    }
}

fn descriptors(written: Option<Vec<WrittenDescriptor>>) -> Result<Vec<Descriptor>, String> {
    written.unwrap_or_default().into_iter().map(Descriptor::read).collect()
}

impl Descriptor {
    fn read(written: WrittenDescriptor) -> Result<Self, String> {
        Ok(Self {
            media_type: written.media_type,
            digest: written.digest.parse()?,
            size: written.size,
            artifact_type: written.artifact_type.filter(|kind| !kind.is_empty()),
            annotations: written.annotations.unwrap_or_default(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Manifest, String> {
        Manifest::read(text.as_bytes())
    }

    fn descriptor(content: &str) -> String {
        let digest = Digest::of(content.as_bytes());
        format!(r#"{{"mediaType":"t","digest":"{digest}","size":{}}}"#, content.len())
    }

    #[test]
    fn images_and_indexes() {
        let (a, b) = (descriptor("a"), descriptor("b"));
        let image = read(&format!(r#"{{"schemaVersion":2,"config":{a},"layers":[{b}]}}"#)).unwrap();
        assert_eq!(image.blobs(), [Digest::of(b"a"), Digest::of(b"b")]);
        assert!(image.manifests().is_empty());
        let index = read(&format!(r#"{{"mediaType":"{DOCKER_LIST}","manifests":[{b}]}}"#)).unwrap();
        assert_eq!(index.manifests(), [Digest::of(b"b")]);
        assert!(read(&format!(r#"{{"mediaType":"{OCI_INDEX}","manifests":null}}"#)).is_ok());
    }

    #[test]
    fn what_could_be_read_in_two_ways_is_refused() {
        const LONG_S: char = '\u{17f}';
        let a = descriptor("a");
        for wrong in [
            format!(r#"{{"config":{a},"layers":[],"manifests":[]}}"#),
            format!(r#"{{"mediaType":"{OCI_MANIFEST}","manifests":[{a}]}}"#),
            format!(r#"{{"mediaType":"{OCI_INDEX}","manifests":[],"config":{a}}}"#),
            format!(r#"{{"mediaType":"text/html","config":{a}}}"#),
            format!(r#"{{"config":{a},"config":{a}}}"#),
            format!(r#"{{"mediaType":"{OCI_INDEX}","manifests":[],"Manifests":[{a}]}}"#),
            format!(r#"{{"manifests":[{a}],"Config":{a}}}"#),
            format!(r#"{{"manifests":[{a}],"fsLayers":[]}}"#),
            format!(r#"{{"manifests":[{a}],"schemaVersion":1}}"#),
            format!(r#"{{"mediaType":"{OCI_INDEX}","manife{LONG_S}ts":[{a}],"manifests":[]}}"#),
            r#"{"config":{"mediaType":"t","digest":"sha256:../../x","size":1}}"#.to_owned(),
            "<html></html>".to_owned(),
            "[]".to_owned(),
            String::new(),
        ] {
            assert!(read(&wrong).is_err(), "{wrong}");
        }
    }
}
