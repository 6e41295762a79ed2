//! Evidence in OCI image layouts: what a registry has, in a folder (OCI image specification 1.1, "Image Layout").

use std::collections::BTreeSet;
use std::fs::File;
use std::io;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use linkgate_image::ManifestDigest;
use linkgate_image::evidence::{IN_TOTO, attestation_tag};
use linkgate_image::manifest::{Artifact, Descriptor, MANIFEST_BYTES, ManifestError};
use linkgate_verifier::limits;
use rustix::fs::OFlags;
use serde::Deserialize;

use super::artifact::{LAYERS, REFERRERS, pieces};
use super::disk::Disk;
use super::manifest::{Manifest, Unread};
use super::{About, Answer, Listed, Piece, Source, SourceError};
use crate::memory::{Memory, NoRoom};

/// An image layout that holds images' evidence beside them.
#[derive(Clone, Debug)]
pub struct ImageLayout {
    path: PathBuf,
    memory: Memory,
    disk: Disk,
}

/// Why a layout's evidence could not be read.
#[derive(Debug, thiserror::Error)]
enum LayoutError {
    #[error("`{}`: {cause}", .path.display())]
    Io { path: PathBuf, cause: io::Error },
    #[error("`{}` is larger than {most} bytes", .path.display())]
    TooLarge { path: PathBuf, most: usize },
    #[error("`{}` is {cause}", .path.display())]
    Manifest { path: PathBuf, cause: ManifestError },
    #[error("`{}`: {cause}", .path.display())]
    NoRoom { path: PathBuf, cause: NoRoom },
    #[error("`{}` is of no known version of image layouts", .0.display())]
    Version(PathBuf),
    #[error("`{}` does not have the digest that it is called by", .0.display())]
    Digest(PathBuf),
    #[error("`{path}` has {length} bytes, and is said to have {size}", path = .path.display())]
    Length { path: PathBuf, length: u64, size: u64 },
    #[error("more than {0} {1}")]
    Many(usize, &'static str),
}

/// The file `oci-layout`.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Marker {
    image_layout_version: String,
}

/// The annotation of what a layout calls by a tag.
const REF_NAME: &str = "org.opencontainers.image.ref.name";

/// Bytes of the file `oci-layout`.
const MARKER_BYTES: usize = 64 << 10;

/// Manifests of a layout that are read, whatever they are about.
const MANIFESTS: usize = 10 * REFERRERS;

impl ImageLayout {
    /// The layout in this folder, which is read into this memory.
    pub fn new(path: PathBuf, memory: Memory) -> Self {
        Self {
            path,
            memory,
            disk: Disk::new(),
        }
    }

    fn pieces(&self, about: &About) -> Result<Listed, LayoutError> {
        self.check_version()?;
        let index = self.path.join("index.json");
        let bytes = self.read(&index, MANIFEST_BYTES)?;
        let digest = ManifestDigest::of(&bytes);
        let index = Manifest::read(bytes, digest, &self.memory).map_err(|cause| LayoutError::unread(index, cause))?;
        let mut found = Listed::new(self.memory.nothing());
        let mut held = self.memory.nothing();
        let mut seen = BTreeSet::new();
        let mut waiting: Vec<Descriptor> = index.says.index().to_vec();
        while let Some(descriptor) = waiting.pop() {
            // What is listed once more in another way may be evidence only in one of them.
            let listed = (
                descriptor.digest.clone(),
                descriptor.artifact_type.clone(),
                descriptor.annotations.get(REF_NAME).cloned(),
            );
            if !descriptor.may_be_evidence() || !seen.insert(listed) {
                continue;
            }
            if seen.len() > MANIFESTS {
                return Err(LayoutError::Many(MANIFESTS, "manifests"));
            }
            let Some(manifest) = self.manifest(&descriptor)? else {
                continue;
            };
            if !manifest.says.index().is_empty() {
                let room = held.grow(Manifest::room(&manifest.bytes));
                room.map_err(|cause| self.no_room(cause))?;
                waiting.extend_from_slice(manifest.says.index());
            }
            if waiting.len() > MANIFESTS {
                return Err(LayoutError::Many(MANIFESTS, "manifests"));
            }
            let artifact = manifest.says.artifact();
            let artifact = artifact.filter(|artifact| is_wanted(artifact, &descriptor, &about.digest));
            for piece in artifact.into_iter().flat_map(|artifact| pieces(artifact, None)) {
                if found.pieces.len() == LAYERS {
                    return Err(LayoutError::Many(LAYERS, "links"));
                }
                found.push(piece).map_err(|cause| self.no_room(cause))?;
            }
        }
        Ok(found)
    }

    fn check_version(&self) -> Result<(), LayoutError> {
        let path = self.path.join("oci-layout");
        let marker: Option<Marker> = serde_json::from_slice(&self.read(&path, MARKER_BYTES)?).ok();
        match marker {
            Some(marker) if marker.image_layout_version.starts_with("1.") => Ok(()),
            _ => Err(LayoutError::Version(path)),
        }
    }

    /// A manifest; none where a layout that holds only some of its images does not have it.
    fn manifest(&self, descriptor: &Descriptor) -> Result<Option<Manifest>, LayoutError> {
        let is_evidence = descriptor.artifact_type.as_deref() == Some(IN_TOTO);
        let bytes = match self.blob(&descriptor.digest, MANIFEST_BYTES) {
            Err(LayoutError::Io { cause, .. }) if cause.kind() == io::ErrorKind::NotFound && !is_evidence => {
                return Ok(None);
            }
            bytes => bytes?,
        };
        let manifest = Manifest::read(bytes, descriptor.digest.clone(), &self.memory);
        manifest
            .map(Some)
            .map_err(|cause| LayoutError::unread(self.blob_path(&descriptor.digest), cause))
    }

    fn blob(&self, digest: &ManifestDigest, most: usize) -> Result<Bytes, LayoutError> {
        let path = self.blob_path(digest);
        let bytes = self.read(&path, most)?;
        if digest.is_of(&bytes) {
            Ok(bytes)
        } else {
            Err(LayoutError::Digest(path))
        }
    }

    fn read(&self, path: &Path, most: usize) -> Result<Bytes, LayoutError> {
        read(path, most, &self.memory)
    }

    fn no_room(&self, cause: NoRoom) -> LayoutError {
        let path = self.path.clone();
        LayoutError::NoRoom { path, cause }
    }

    /// Where a blob is. A digest was parsed: it leads nowhere else.
    fn blob_path(&self, digest: &ManifestDigest) -> PathBuf {
        self.path.join("blobs").join(digest.algorithm()).join(digest.hex())
    }

    fn link(&self, digest: &ManifestDigest, size: u64) -> Result<Bytes, LayoutError> {
        let bytes = self.blob(digest, limits::DOCUMENT_BYTES)?;
        let length = bytes.len() as u64;
        if length == size {
            Ok(bytes)
        } else {
            let path = self.blob_path(digest);
            Err(LayoutError::Length { path, length, size })
        }
    }
}

impl LayoutError {
    fn unread(path: PathBuf, cause: Unread) -> Self {
        match cause {
            Unread::Manifest(cause) => Self::Manifest { path, cause },
            Unread::NoRoom(cause) => Self::NoRoom { path, cause },
        }
    }

    /// The same as the error of a source.
    fn of(self, source: &ImageLayout) -> SourceError {
        SourceError {
            no_room: match &self {
                Self::NoRoom { cause, .. } => Some(*cause),
                Self::Io { cause, .. } => NoRoom::behind(cause),
                _ => None,
            },
            ..source.failed(&self)
        }
    }
}

/// Whether an artifact is evidence about an image: it says so, or is under the tag that cosign gave it.
fn is_wanted(artifact: &Artifact, descriptor: &Descriptor, subject: &ManifestDigest) -> bool {
    let name = descriptor.annotations.get(REF_NAME);
    let tag = name.map(|name| name.rsplit_once(':').map_or(name.as_str(), |(_, tag)| tag));
    artifact.is_evidence_about(subject) || tag == Some(attestation_tag(subject).as_str())
}

/// Reads a file that is no larger than it may be.
fn read(path: &Path, most: usize, memory: &Memory) -> Result<Bytes, LayoutError> {
    let failed = |cause| LayoutError::Io {
        path: path.to_owned(),
        cause,
    };
    // Nobody writes into what is a pipe.
    let nonblocking = i32::try_from(OFlags::NONBLOCK.bits()).unwrap_or_default();
    let file = File::options()
        .read(true)
        .custom_flags(nonblocking)
        .open(path)
        .map_err(failed)?;
    let kind = file.metadata().map_err(failed)?;
    if !kind.is_file() {
        return Err(failed(io::ErrorKind::InvalidInput.into()));
    }
    let expected = usize::try_from(kind.len()).unwrap_or(usize::MAX);
    let bytes = memory.read(file, expected, most + 1).map_err(failed)?;
    if bytes.len() > most {
        return Err(LayoutError::TooLarge {
            path: path.to_owned(),
            most,
        });
    }
    Ok(bytes)
}

impl Source for ImageLayout {
    fn name(&self) -> String {
        format!("image layout {}", self.path.display())
    }

    fn scope(&self, about: &About) -> String {
        about.digest.to_string()
    }

    fn list<'a>(&'a self, about: &'a About) -> Answer<'a, Listed> {
        let (source, about) = (self.clone(), about.clone());
        let read = move || source.pieces(&about).map_err(|error| error.of(&source));
        Box::pin(async move { self.disk.read(&self.name(), read).await })
    }

    fn fetch<'a>(&'a self, piece: &'a Piece) -> Answer<'a, Bytes> {
        let (source, digest, size) = (self.clone(), piece.digest.clone(), piece.size);
        let read =
            move || -> Result<Bytes, SourceError> { source.link(&digest, size).map_err(|error| error.of(&source)) };
        Box::pin(async move { self.disk.read(&self.name(), read).await })
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::sync::Arc;

    use linkgate_image::evidence::DSSE;
    use linkgate_image::manifest::{OCI_INDEX, OCI_MANIFEST};
    use serde_json::{Value, json};

    use super::*;

    struct Written {
        folder: tempfile::TempDir,
    }

    impl Written {
        fn new() -> Self {
            let folder = tempfile::tempdir().unwrap();
            fs::create_dir_all(folder.path().join("blobs/sha256")).unwrap();
            fs::write(folder.path().join("oci-layout"), r#"{"imageLayoutVersion":"1.0.0"}"#).unwrap();
            Self { folder }
        }

        fn blob(&self, bytes: &[u8], media_type: &str) -> Value {
            let digest = ManifestDigest::of(bytes);
            fs::write(self.folder.path().join("blobs/sha256").join(digest.hex()), bytes).unwrap();
            json!({"mediaType": media_type, "digest": digest.to_string(), "size": bytes.len()})
        }

        fn artifact(&self, layer: &Value, subject: Option<&ManifestDigest>) -> Value {
            let mut manifest = json!({
                "artifactType": IN_TOTO,
                "config": self.blob(b"{}", "application/vnd.oci.empty.v1+json"),
                "layers": [layer],
            });
            if let Some(subject) = subject {
                manifest["subject"] = json!({"mediaType": "m", "digest": subject.to_string(), "size": 1});
            }
            self.blob(manifest.to_string().as_bytes(), OCI_MANIFEST)
        }

        fn index(&self, listed: &[Value]) {
            let index = json!({"schemaVersion": 2, "manifests": listed});
            fs::write(self.folder.path().join("index.json"), index.to_string()).unwrap();
        }

        fn list(&self, digest: &ManifestDigest) -> Result<Vec<Arc<Piece>>, String> {
            let about = About {
                image: None,
                name: None,
                digest: digest.clone(),
                namespace: String::new(),
            };
            let listed = self.layout().pieces(&about);
            listed.map(|listed| listed.pieces).map_err(|error| error.to_string())
        }

        fn layout(&self) -> ImageLayout {
            ImageLayout::new(self.folder.path().to_owned(), Memory::unbounded())
        }
    }

    #[test]
    fn referrers_nested_ones_and_cosigns_tag() {
        let written = Written::new();
        let image = ManifestDigest::of(b"image");
        let other = ManifestDigest::of(b"other");
        let mut titled = written.blob(b"1", IN_TOTO);
        titled["annotations"] = json!({"org.opencontainers.image.title": "build.link", "dev.linkgate.step": "build"});
        let direct = written.artifact(&titled, Some(&image));
        let nested = written.artifact(&written.blob(b"2", DSSE), Some(&image));
        let nested = written.blob(json!({"manifests": [nested]}).to_string().as_bytes(), OCI_INDEX);
        let mut tagged = written.artifact(&written.blob(b"3", DSSE), None);
        tagged["annotations"] = json!({"org.opencontainers.image.ref.name": format!("sha256-{}.att", image.hex())});
        let elsewhere = written.artifact(&written.blob(b"4", IN_TOTO), Some(&other));
        let image_manifest = json!({"mediaType": "m", "digest": image.to_string(), "size": 5});
        written.index(&[direct, nested, tagged, elsewhere, image_manifest]);
        let mut names: Vec<String> = written
            .list(&image)
            .unwrap()
            .into_iter()
            .map(|piece| piece.name.clone())
            .collect();
        names.sort();
        let hex = |bytes: &[u8]| format!("{}.link", ManifestDigest::of(bytes).hex());
        let mut wanted = vec!["build.link".to_owned(), hex(b"2"), hex(b"3")];
        wanted.sort();
        assert_eq!(names, wanted);
        assert_eq!(written.list(&other).unwrap().len(), 1);
        assert_eq!(written.list(&ManifestDigest::of(b"third")).unwrap().len(), 0);
        let piece = written.list(&other).unwrap().remove(0);
        assert_eq!(written.layout().link(&piece.digest, piece.size).unwrap().as_ref(), b"4");
    }

    #[test]
    fn what_was_changed_is_no_absence() {
        let written = Written::new();
        let image = ManifestDigest::of(b"image");
        assert!(written.list(&image).unwrap_err().contains("index.json"));
        let artifact = written.artifact(&written.blob(b"1", IN_TOTO), Some(&image));
        written.index(std::slice::from_ref(&artifact));
        let hex = artifact["digest"]
            .as_str()
            .unwrap()
            .split_once(':')
            .unwrap()
            .1
            .to_owned();
        let piece = written.list(&image).unwrap().remove(0);
        let blobs = written.folder.path().join("blobs/sha256");
        fs::write(blobs.join(piece.digest.hex()), "2").unwrap();
        let error = written
            .layout()
            .link(&piece.digest, piece.size)
            .unwrap_err()
            .to_string();
        assert!(error.contains("does not have the digest"), "{error}");
        fs::write(blobs.join(hex), "{}").unwrap();
        assert!(written.list(&image).unwrap_err().contains("does not have the digest"));
        fs::write(written.folder.path().join("oci-layout"), "{}").unwrap();
        assert!(written.list(&image).unwrap_err().contains("no known version"));
    }
}
