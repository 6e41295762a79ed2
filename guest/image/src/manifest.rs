//! Manifests of registries and image layouts (OCI image specification 1.1, and Docker's schema 2, which it came from).

use alloc::collections::{BTreeMap, BTreeSet};

use linkgate_verifier::json::{self, JsonError, Kind, Reader};
use linkgate_verifier::verdict::shown;
use serde::{Deserialize, de};

use crate::digest::{DigestError, ManifestDigest};
use crate::prelude::*;

/// The media type of an image's manifest, and of an artifact's.
pub const OCI_MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";

/// The media type of an index.
pub const OCI_INDEX: &str = "application/vnd.oci.image.index.v1+json";

const DOCKER_MANIFEST: &str = "application/vnd.docker.distribution.manifest.v2+json";
const DOCKER_LIST: &str = "application/vnd.docker.distribution.manifest.list.v2+json";

/// The media types that are known.
const KNOWN_TYPES: [&str; 4] = [OCI_MANIFEST, OCI_INDEX, DOCKER_MANIFEST, DOCKER_LIST];

/// What clients that read manifests accept, as the header `accept` has it: the media types that are known.
pub const ACCEPTED: &str = "application/vnd.oci.image.manifest.v1+json, application/vnd.oci.image.index.v1+json, \
    application/vnd.docker.distribution.manifest.v2+json, application/vnd.docker.distribution.manifest.list.v2+json";

/// Bytes of a manifest or a page of an index. Registries take no larger ones (OCI distribution specification 1.1,
/// "Pushing Manifests").
pub const MANIFEST_BYTES: usize = 4 << 20;

/// Why bytes are no manifest.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ManifestError {
    /// Not JSON, or JSON of another form.
    #[error("no manifest: {0}")]
    Json(String),
    /// A manifest of a kind that is not known.
    #[error("a manifest of the unknown media type `{0}`")]
    MediaType(String),
    /// One client would read it as an index, another one as an image.
    #[error("a manifest that has `manifests` and `layers`, or not those that its media type says")]
    Ambiguous,
    /// A descriptor without a digest that means one content.
    #[error(transparent)]
    Digest(#[from] DigestError),
}

impl From<JsonError> for ManifestError {
    fn from(error: JsonError) -> Self {
        Self::Json(error.to_string())
    }
}

impl From<serde_json::Error> for ManifestError {
    fn from(error: serde_json::Error) -> Self {
        Self::Json(error.to_string())
    }
}

/// A manifest, read. That its bytes have its digest is checked elsewhere.
#[derive(Clone, Debug)]
pub struct Manifest {
    /// What it says that it is, or what its form shows. What a registry says beside it is not covered by its digest, and not
    /// used.
    pub media_type: &'static str,
    content: Content,
}

#[derive(Clone, Debug)]
enum Content {
    /// A list of manifests, for several platforms or about one subject.
    Index(Vec<Descriptor>),
    /// An image's manifest, or an artifact's.
    Image(Artifact),
}

/// What an image's or artifact's manifest says (OCI image specification 1.1, "Image Manifest Property Descriptions").
#[derive(Clone, Debug)]
pub struct Artifact {
    /// What kind of artifact it is; of older ones their configuration's media type.
    pub kind: String,
    /// The configuration's blob.
    pub config: Descriptor,
    /// The layers, in their order.
    pub layers: Vec<Descriptor>,
    /// What it is about.
    pub subject: Option<ManifestDigest>,
}

/// What a manifest says about another content (OCI image specification 1.1, "OCI Content Descriptors").
#[derive(Clone, Debug)]
pub struct Descriptor {
    /// Its media type; empty if none is said.
    pub media_type: String,
    /// Its digest.
    pub digest: ManifestDigest,
    /// Its bytes' number.
    pub size: u64,
    /// What kind of artifact it is.
    pub artifact_type: Option<String>,
    /// Its annotations.
    pub annotations: BTreeMap<String, String>,
}

impl Manifest {
    /// Reads the bytes of a manifest.
    pub fn read(bytes: &[u8]) -> Result<Self, ManifestError> {
        let mut reader = Reader::new(json::text(bytes)?);
        check_reading(&mut reader)?;
        reader.finish()?;
        let written: Written = serde_json::from_slice(bytes)?;
        let media_type = written.media_type()?;
        let content = written.content(media_type)?;
        Ok(Self { media_type, content })
    }

    /// Whether it is an index.
    pub fn is_index(&self) -> bool {
        matches!(self.content, Content::Index(_))
    }

    /// The manifests that an index lists, in its order; none of an image's.
    pub fn manifests(&self) -> Vec<ManifestDigest> {
        self.index().iter().map(|listed| listed.digest.clone()).collect()
    }

    /// The blobs that an image consists of: its configuration, and its layers in their order. None of an index.
    pub fn blobs(&self) -> Vec<ManifestDigest> {
        self.artifact().map_or_else(Vec::new, |artifact| {
            let blobs = [&artifact.config].into_iter().chain(&artifact.layers);
            blobs.map(|blob| blob.digest.clone()).collect()
        })
    }

    /// What an index lists; nothing of an image's.
    pub fn index(&self) -> &[Descriptor] {
        match &self.content {
            Content::Index(listed) => listed,
            Content::Image(_) => &[],
        }
    }

    /// What an image's or artifact's manifest says; nothing of an index.
    pub fn artifact(&self) -> Option<&Artifact> {
        match &self.content {
            Content::Image(artifact) => Some(artifact),
            Content::Index(_) => None,
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

/// Reads any JSON in which no member's name differs from another one, or from one that is known, in case alone.
///
/// Container runtimes are written in Go, whose JSON reader takes `Manifests` for `manifests`, and the last of several: what
/// would be judged here and what they would pull could be two things.
fn check_reading(reader: &mut Reader<'_>) -> Result<(), ManifestError> {
    match reader.peek()? {
        Kind::Array => reader.array(check_reading),
        Kind::Object => {
            let mut names = BTreeSet::new();
            reader.object(|reader, name| {
                let folded = folded(name);
                let is_other = |known: &str| known != name && known.eq_ignore_ascii_case(&folded);
                if KNOWN.into_iter().any(is_other) || !names.insert(folded) {
                    let name = shown(name);
                    return Err(ManifestError::Json(format!(
                        "`{name}` could be taken for another member"
                    )));
                }
                check_reading(reader)
            })
        }
        _ => Ok(reader.skip()?),
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

/// A descriptor as it is written.
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
    /// What it says that it is, or what its form shows: in OCI's manifests that field may be absent.
    fn media_type(&self) -> Result<&'static str, ManifestError> {
        match self.media_type.as_deref() {
            Some(said) if !said.is_empty() => {
                let known = KNOWN_TYPES.into_iter().find(|known| *known == said);
                known.ok_or_else(|| ManifestError::MediaType(shown(said)))
            }
            _ if self.manifests.is_some() => Ok(OCI_INDEX),
            _ if self.config.is_some() => Ok(OCI_MANIFEST),
            _ => Err(ManifestError::Json(
                "neither `manifests` nor `config` is in it".to_owned(),
            )),
        }
    }

    fn content(self, media_type: &str) -> Result<Content, ManifestError> {
        let is_older = self.fs_layers.is_some() || self.history.is_some() || self.blobs.is_some();
        if is_older || self.schema_version.is_some_and(|version| version != 2) {
            return Err(ManifestError::Ambiguous);
        }
        let is_index = matches!(media_type, OCI_INDEX | DOCKER_LIST);
        match (is_index, self.config, self.layers, self.manifests) {
            (true, None, None, listed) => Ok(Content::Index(descriptors(listed)?)),
            (false, Some(config), layers, None) => {
                let config = Descriptor::try_from(config)?;
                let kind = self.artifact_type.filter(|kind| !kind.is_empty());
                Ok(Content::Image(Artifact {
                    kind: kind.unwrap_or_else(|| config.media_type.clone()),
                    config,
                    layers: descriptors(layers)?,
                    subject: self.subject.map(|subject| subject.digest.parse()).transpose()?,
                }))
            }
            _ => Err(ManifestError::Ambiguous),
        }
    }
}

fn descriptors(written: Option<Vec<WrittenDescriptor>>) -> Result<Vec<Descriptor>, DigestError> {
    let written = written.unwrap_or_default().into_iter();
    written.map(Descriptor::try_from).collect()
}

impl TryFrom<WrittenDescriptor> for Descriptor {
    type Error = DigestError;

    fn try_from(written: WrittenDescriptor) -> Result<Self, DigestError> {
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

    fn read(text: &str) -> Result<Manifest, ManifestError> {
        Manifest::read(text.as_bytes())
    }

    fn descriptor(content: &str) -> String {
        let digest = ManifestDigest::of(content.as_bytes());
        format!(r#"{{"mediaType":"t","digest":"{digest}","size":{}}}"#, content.len())
    }

    #[test]
    fn images_and_indexes() {
        let (a, b) = (descriptor("a"), descriptor("b"));
        let image = read(&format!(r#"{{"schemaVersion":2,"config":{a},"layers":[{b}]}}"#)).unwrap();
        assert!(!image.is_index() && image.manifests().is_empty());
        assert_eq!(image.blobs(), [ManifestDigest::of(b"a"), ManifestDigest::of(b"b")]);
        assert_eq!(image.media_type, OCI_MANIFEST);
        let index = read(&format!(r#"{{"mediaType":"{DOCKER_LIST}","manifests":[{b}]}}"#)).unwrap();
        assert!(index.is_index() && index.blobs().is_empty());
        assert_eq!(index.manifests(), [ManifestDigest::of(b"b")]);
        assert_eq!(index.media_type, DOCKER_LIST);
        let empty = read(&format!(r#"{{"mediaType":"{OCI_INDEX}","manifests":null}}"#)).unwrap();
        assert!(empty.is_index() && empty.manifests().is_empty());
        assert_eq!(ACCEPTED, KNOWN_TYPES.join(", "));
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
            format!(r#"{{"manifests":[{a}],"MediaType":"{OCI_MANIFEST}"}}"#),
            format!(r#"{{"manifests":[{a}],"fsLayers":[],"schemaVersion":1}}"#),
            format!(r#"{{"manifests":[{a}],"fsLayers":[]}}"#),
            format!(r#"{{"manifests":[{a}],"schemaVersion":1}}"#),
            format!(r#"{{"mediaType":"{OCI_INDEX}","manife{LONG_S}ts":[{a}],"manifests":[]}}"#),
            format!(r#"{{"mediaType":"{OCI_INDEX}","manifests":[{{"digest":"","Digest":"","size":1}}]}}"#),
            format!(r#"{{"config":{a},"other":[{{"x":1,"X":2}}]}}"#),
            format!(r#"{{"config":{a}}} {{}}"#),
            r#"{"config":{"mediaType":"t","digest":"sha256:../../x","size":1}}"#.to_owned(),
            r#"{"manifests":[{"digest":"md5:00","size":1}]}"#.to_owned(),
            r#"{"schemaVersion":1,"fsLayers":[]}"#.to_owned(),
            "<html></html>".to_owned(),
            "[]".to_owned(),
            "{}".to_owned(),
            "[".repeat(100_000),
            String::new(),
        ] {
            assert!(read(&wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn errors_say_what_is_wrong() {
        for (wrong, said) in [
            ("<html>", "no manifest: expected a value"),
            ("{}", "no manifest: neither `manifests` nor `config` is in it"),
            (r#"{"config":{}}"#, "no manifest: missing field"),
            (r#"{"Size":1}"#, "no manifest: `Size` could be taken for another member"),
            (
                r#"{"mediaType":"text/html"}"#,
                "a manifest of the unknown media type `text/html`",
            ),
            (
                r#"{"manifests":[{"digest":"md5:00","size":1}]}"#,
                "`md5:00` is no digest",
            ),
        ] {
            let error = read(wrong).unwrap_err().to_string();
            assert!(error.starts_with(said), "{wrong}: {error}");
        }
    }
}
