//! Container images as artifacts: the digest that a cluster pulls, under the name that it pulls it by.
//!
//! An image is read from an OCI layout (image-spec 1.1, `image-layout.md`), as a folder or inside the archive that a
//! modern `docker save` writes. The digest is that of the manifest or index that `index.json` names; its blob must be
//! there and hash to it. An archive of the older form carries no manifest, only what one could be made of: a registry's
//! digest is not in it, and none is invented.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, BufReader, Read, Seek as _};
use std::path::{Path, PathBuf};
use std::str::FromStr;

use linkgate_verifier::artifact::is_name;
use serde::Deserialize;

use super::hash::Digest;

/// Bytes of one JSON document of an image: registries refuse manifests above 4 MiB.
const DOCUMENT_BYTES: u64 = 8 << 20;
const REF_NAME: &str = "org.opencontainers.image.ref.name";
/// Where containerd and Docker keep the whole name; `REF_NAME` is then the tag alone.
const IMAGE_NAME: &str = "io.containerd.image.name";

/// Why an image has no digest.
#[derive(Debug, thiserror::Error)]
pub enum ImageError {
    /// Not of the form that arguments have.
    #[error("`{0}` is not NAME=oci-layout:DIR[:TAG] or NAME=docker-archive:FILE[:TAG]")]
    Argument(String),
    /// A verifier would not count a link with this name.
    #[error("verifiers refuse the artifact name `{0}` (empty, or an empty, `.` or inner `..` segment): choose another")]
    Name(String),
    /// A file of the image cannot be read.
    #[error("cannot read `{}`: {cause}", .path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system says.
        cause: io::Error,
    },
    /// The folder has no `oci-layout` and `index.json`.
    #[error("`{}` is not an OCI image layout: it has no `{missing}`", .path.display())]
    NoLayout {
        /// The folder.
        path: PathBuf,
        /// What is missing.
        missing: &'static str,
    },
    /// An archive without the manifest's digest.
    #[error(
        "`{}` is an archive of the older form, which does not carry the digest that a registry gives the image; write an OCI \
         layout instead (`docker buildx build --output type=oci,tar=false,dest=DIR`, or `skopeo copy docker-archive:FILE oci:DIR:TAG`) \
         and record that with `oci-layout:DIR`", .0.display()
    )]
    OlderArchive(PathBuf),
    /// A JSON document that is none, or not of its kind.
    #[error("`{document}` of the image `{}` is malformed: {cause}", .path.display())]
    Malformed {
        /// The layout or archive.
        path: PathBuf,
        /// Which document of it.
        document: String,
        /// What is wrong with it.
        cause: String,
    },
    /// No such image.
    #[error("`{}` has no image `{tag}`; it has {candidates}", .path.display())]
    NotFound {
        /// The layout or archive.
        path: PathBuf,
        /// What was asked for.
        tag: String,
        /// What is there.
        candidates: String,
    },
    /// A layout or archive of nothing.
    #[error("`{}` holds no image: its `index.json` names none", .path.display())]
    Empty {
        /// The layout or archive.
        path: PathBuf,
    },
    /// Several images that could be meant.
    #[error("`{}` has several images: add one of these after a colon: {candidates}", .path.display())]
    Ambiguous {
        /// The layout or archive.
        path: PathBuf,
        /// What is there.
        candidates: String,
    },
    /// The image's manifest is not what its digest says.
    #[error("the blob `{digest}` of `{}` hashes to `sha256:{found}`: the image is damaged", .path.display())]
    Damaged {
        /// The layout or archive.
        path: PathBuf,
        /// The digest in the index.
        digest: String,
        /// The blob's digest.
        found: Digest,
    },
}

/// An image that is to be recorded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Image {
    /// The artifact's name.
    pub name: String,
    source: Source,
    /// The layout or archive, and the tag if one was given; the path wins where the whole text is one.
    place: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Source {
    Layout,
    Archive,
}

impl Source {
    /// Whether this path can be a layout's or archive's.
    fn may_be(self, path: &Path) -> bool {
        match self {
            Self::Layout => path.is_dir(),
            Self::Archive => path.exists() && !path.is_dir(),
        }
    }
}

impl FromStr for Image {
    type Err = ImageError;

    fn from_str(argument: &str) -> Result<Self, ImageError> {
        let malformed = || ImageError::Argument(argument.to_owned());
        let (name, image) = argument.split_once('=').ok_or_else(malformed)?;
        let (source, place) = match image.split_once(':') {
            Some(("oci-layout", place)) => (Source::Layout, place),
            Some(("docker-archive", place)) => (Source::Archive, place),
            _ => return Err(malformed()),
        };
        if place.is_empty() {
            return Err(malformed());
        }
        if !is_name(name) {
            return Err(ImageError::Name(name.to_owned()));
        }
        Ok(Self {
            name: name.to_owned(),
            source,
            place: place.to_owned(),
        })
    }
}

impl Image {
    /// Looks up the digest, and checks the blob that it is of. Relative paths start at `base`.
    pub fn digest(&self, base: &Path) -> Result<Digest, ImageError> {
        let (path, tag) = self.path_and_tag(base);
        let documents = match self.source {
            Source::Layout => Documents::of_layout(&path)?,
            Source::Archive => Documents::of_archive(&path)?,
        };
        documents.digest(tag)
    }

    /// A tag may be a whole reference, with colons of its own: it begins after the shortest path that is there.
    fn path_and_tag(&self, base: &Path) -> (PathBuf, Option<&str>) {
        let whole = base.join(&self.place);
        if whole.exists() {
            return (whole, None);
        }
        let mut colons = self.place.match_indices(':');
        let split = colons.find_map(|(at, _)| {
            let path = base.join(&self.place[..at]);
            (at > 0 && self.source.may_be(&path)).then(|| (path, Some(&self.place[at + 1..])))
        });
        split.unwrap_or((whole, None))
    }
}

#[derive(Deserialize)]
struct Layout {
    #[serde(rename = "imageLayoutVersion")]
    version: String,
}

#[derive(Deserialize)]
struct Index {
    manifests: Vec<Descriptor>,
}

#[derive(Clone, Deserialize)]
struct Descriptor {
    digest: String,
    #[serde(default)]
    annotations: Option<BTreeMap<String, String>>,
}

impl Descriptor {
    fn is_called(&self, tag: &str) -> bool {
        self.names().any(|name| name == tag) || self.digest == tag
    }

    fn names(&self) -> impl Iterator<Item = &str> {
        [IMAGE_NAME, REF_NAME]
            .into_iter()
            .filter_map(|key| self.annotations.as_ref()?.get(key))
            .map(String::as_str)
    }
}

/// Where the JSON documents of an image come from.
struct Documents {
    path: PathBuf,
    index: Index,
}

impl Documents {
    fn of_layout(path: &Path) -> Result<Self, ImageError> {
        let part = |name: &'static str| match read_bounded(&path.join(name)) {
            Ok(bytes) => Ok(bytes),
            Err(cause) if matches!(cause.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
                Err(ImageError::NoLayout {
                    path: path.to_owned(),
                    missing: name,
                })
            }
            Err(cause) => Err(ImageError::Unreadable {
                path: path.join(name),
                cause,
            }),
        };
        let layout = part("oci-layout")?;
        Self::new(path, &layout, &part("index.json")?)
    }

    fn of_archive(path: &Path) -> Result<Self, ImageError> {
        let mut found = read_archive(path, &["oci-layout", "index.json"])?;
        match (found.remove("oci-layout"), found.remove("index.json")) {
            (Some(layout), Some(index)) => Self::new(path, &layout, &index),
            _ => Err(ImageError::OlderArchive(path.to_owned())),
        }
    }

    fn new(path: &Path, layout: &[u8], index: &[u8]) -> Result<Self, ImageError> {
        let malformed = |document: &str, cause: String| ImageError::Malformed {
            path: path.to_owned(),
            document: document.to_owned(),
            cause,
        };
        let layout: Layout =
            serde_json::from_slice(layout).map_err(|error| malformed("oci-layout", error.to_string()))?;
        if layout.version != "1.0.0" {
            return Err(malformed(
                "oci-layout",
                format!("version `{}` is not 1.0.0", layout.version),
            ));
        }
        let index = serde_json::from_slice(index).map_err(|error| malformed("index.json", error.to_string()))?;
        Ok(Self {
            path: path.to_owned(),
            index,
        })
    }

    fn digest(&self, tag: Option<&str>) -> Result<Digest, ImageError> {
        let descriptor = self.choose(tag)?;
        let digits = descriptor
            .digest
            .strip_prefix("sha256:")
            .filter(|digits| digits.len() == 64 && digits.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f')))
            .ok_or_else(|| ImageError::Malformed {
                path: self.path.clone(),
                document: "index.json".to_owned(),
                cause: format!("the digest `{}` is no SHA-256", descriptor.digest),
            })?;
        let blob = self.blob(&format!("blobs/sha256/{digits}"))?;
        let found = Digest::of(&blob);
        if found.to_string() != digits {
            return Err(ImageError::Damaged {
                path: self.path.clone(),
                digest: descriptor.digest.clone(),
                found,
            });
        }
        Ok(found)
    }

    /// The one image that can be meant. Two entries with one digest are one image under two names.
    fn choose(&self, tag: Option<&str>) -> Result<&Descriptor, ImageError> {
        let mut meant = self
            .index
            .manifests
            .iter()
            .filter(|descriptor| tag.is_none_or(|tag| descriptor.is_called(tag)));
        let first = meant.next().ok_or_else(|| match tag {
            Some(tag) if !self.index.manifests.is_empty() => ImageError::NotFound {
                path: self.path.clone(),
                tag: tag.to_owned(),
                candidates: self.candidates(),
            },
            _ => ImageError::Empty {
                path: self.path.clone(),
            },
        })?;
        if meant.any(|other| other.digest != first.digest) {
            return Err(ImageError::Ambiguous {
                path: self.path.clone(),
                candidates: self.candidates(),
            });
        }
        Ok(first)
    }

    fn candidates(&self) -> String {
        let shown: Vec<&str> = self
            .index
            .manifests
            .iter()
            .map(|descriptor| descriptor.names().next().unwrap_or(&descriptor.digest))
            .collect();
        format!("`{}`", shown.join("`, `"))
    }

    fn blob(&self, name: &str) -> Result<Vec<u8>, ImageError> {
        let unreadable = |cause| ImageError::Unreadable {
            path: self.path.join(name),
            cause,
        };
        if self.path.is_dir() {
            return read_bounded(&self.path.join(name)).map_err(unreadable);
        }
        read_archive(&self.path, &[name])?
            .remove(name)
            .ok_or_else(|| unreadable(io::ErrorKind::NotFound.into()))
    }
}

fn read_bounded(path: &Path) -> io::Result<Vec<u8>> {
    take_bounded(File::open(path)?)
}

fn take_bounded(from: impl Read) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    from.take(DOCUMENT_BYTES + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > DOCUMENT_BYTES {
        return Err(io::Error::other("larger than 8 MiB, which no manifest is"));
    }
    Ok(bytes)
}

/// The named members of a tar archive, which may be gzipped.
fn read_archive(path: &Path, names: &[&str]) -> Result<BTreeMap<String, Vec<u8>>, ImageError> {
    let read = || {
        let mut file = BufReader::new(File::open(path)?);
        let mut magic = [0; 2];
        let gzipped = file.read_exact(&mut magic).is_ok() && magic == [0x1f, 0x8b];
        file.rewind()?;
        if gzipped {
            members(flate2::bufread::MultiGzDecoder::new(file), names)
        } else {
            members(file, names)
        }
    };
    read().map_err(|cause| ImageError::Unreadable {
        path: path.to_owned(),
        cause,
    })
}

fn members(archive: impl Read, names: &[&str]) -> io::Result<BTreeMap<String, Vec<u8>>> {
    let mut found = BTreeMap::new();
    for entry in tar::Archive::new(archive).entries()? {
        let entry = entry?;
        let path = entry.path()?.to_string_lossy().into_owned();
        let name = path.strip_prefix("./").unwrap_or(&path);
        if names.contains(&name) && entry.header().entry_type().is_file() {
            let name = name.to_owned();
            found.insert(name, take_bounded(entry)?);
            if found.len() == names.len() {
                break;
            }
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use serde_json::{Value, json};
    use tempfile::TempDir;

    use super::*;

    const LAYOUT: &str = r#"{"imageLayoutVersion":"1.0.0"}"#;

    /// The files of a layout with images of these names, and their digests.
    fn layout(tags: &[Option<&str>]) -> (Vec<(String, Vec<u8>)>, Vec<Digest>) {
        let mut files = vec![("oci-layout".to_owned(), LAYOUT.into())];
        let (mut manifests, mut digests) = (Vec::new(), Vec::new());
        for (number, tag) in tags.iter().enumerate() {
            let manifest = json!({"schemaVersion": 2, "config": {"number": number}}).to_string();
            let digest = Digest::of(manifest.as_bytes());
            let annotations = tag.map_or(Value::Null, |tag| json!({REF_NAME: tag}));
            manifests.push(json!({"mediaType": "application/vnd.oci.image.manifest.v1+json", "digest": format!("sha256:{digest}"), "size": manifest.len(), "annotations": annotations}));
            files.push((format!("blobs/sha256/{digest}"), manifest.into()));
            digests.push(digest);
        }
        files.push((
            "index.json".to_owned(),
            json!({"schemaVersion": 2, "manifests": manifests}).to_string().into(),
        ));
        (files, digests)
    }

    fn folder(files: &[(String, Vec<u8>)]) -> TempDir {
        let folder = tempfile::tempdir().unwrap();
        for (name, bytes) in files {
            let path = folder.path().join("image").join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, bytes).unwrap();
        }
        folder
    }

    fn archive(files: &[(String, Vec<u8>)], gzip: bool) -> TempDir {
        let folder = tempfile::tempdir().unwrap();
        let mut builder = tar::Builder::new(Vec::new());
        for (name, bytes) in files {
            let mut header = tar::Header::new_gnu();
            header.set_size(bytes.len() as u64);
            header.set_mode(0o644);
            builder.append_data(&mut header, name, bytes.as_slice()).unwrap();
        }
        let bytes = builder.into_inner().unwrap();
        let mut out = File::create(folder.path().join("image")).unwrap();
        if gzip {
            let mut encoder = flate2::write::GzEncoder::new(out, flate2::Compression::fast());
            io::Write::write_all(&mut encoder, &bytes).unwrap();
        } else {
            io::Write::write_all(&mut out, &bytes).unwrap();
        }
        folder
    }

    fn digest(argument: &str, base: &TempDir) -> Result<Digest, ImageError> {
        argument.parse::<Image>()?.digest(base.path())
    }

    #[test]
    fn the_digest_of_the_only_image() {
        let (files, digests) = layout(&[None]);
        assert_eq!(digest("a:1=oci-layout:image", &folder(&files)).unwrap(), digests[0]);
        for gzip in [false, true] {
            assert_eq!(
                digest("a:1=docker-archive:image", &archive(&files, gzip)).unwrap(),
                digests[0]
            );
        }
    }

    #[test]
    fn one_of_several_by_its_tag() {
        let (files, digests) = layout(&[Some("1.0"), Some("2.0")]);
        let folder = folder(&files);
        assert_eq!(digest("a=oci-layout:image:2.0", &folder).unwrap(), digests[1]);
        assert_eq!(
            digest("a=docker-archive:image:1.0", &archive(&files, false)).unwrap(),
            digests[0]
        );
        let several = digest("a=oci-layout:image", &folder).unwrap_err().to_string();
        assert!(
            several.ends_with("add one of these after a colon: `1.0`, `2.0`"),
            "{several}"
        );
        let none = digest("a=oci-layout:image:3.0", &folder).unwrap_err().to_string();
        assert!(none.ends_with("has no image `3.0`; it has `1.0`, `2.0`"), "{none}");
    }

    #[test]
    fn a_tag_with_colons_of_its_own() {
        let reference = "ghcr.io/acme/myapp:1.0";
        let (files, digests) = layout(&[Some("0.9"), Some(reference)]);
        let (folder, archive) = (folder(&files), archive(&files, false));
        for (argument, base) in [
            (format!("a=oci-layout:image:{reference}"), &folder),
            (format!("a=docker-archive:image:{reference}"), &archive),
        ] {
            assert_eq!(digest(&argument, base).unwrap(), digests[1], "{argument}");
        }
        // A path with a colon, where the shorter one is nothing that could hold an image.
        fs::rename(archive.path().join("image"), archive.path().join("image:v1")).unwrap();
        fs::create_dir(archive.path().join("image")).unwrap();
        let argument = format!("a=docker-archive:image:v1:{reference}");
        assert_eq!(digest(&argument, &archive).unwrap(), digests[1]);
    }

    #[test]
    fn damaged_and_missing_blobs() {
        let (files, _) = layout(&[None]);
        let folder = folder(&files);
        let blob = folder.path().join("image").join(&files[1].0);
        fs::write(&blob, "{}").unwrap();
        assert!(matches!(
            digest("a=oci-layout:image", &folder),
            Err(ImageError::Damaged { .. })
        ));
        fs::remove_file(&blob).unwrap();
        assert!(matches!(
            digest("a=oci-layout:image", &folder),
            Err(ImageError::Unreadable { .. })
        ));
    }

    #[test]
    fn what_is_no_image() {
        let older = [("manifest.json".to_owned(), b"[]".to_vec())];
        let error = digest("a=docker-archive:image", &archive(&older, false)).unwrap_err();
        assert!(
            matches!(error, ImageError::OlderArchive(_)) && error.to_string().contains("skopeo copy"),
            "{error}"
        );
        assert!(matches!(
            digest("a=oci-layout:image", &folder(&older)),
            Err(ImageError::NoLayout {
                missing: "oci-layout",
                ..
            })
        ));
        let (mut files, _) = layout(&[None]);
        files[0].1 = b"{}".to_vec();
        assert!(matches!(
            digest("a=oci-layout:image", &folder(&files)),
            Err(ImageError::Malformed { .. })
        ));
        let (files, _) = layout(&[]);
        for argument in ["a=oci-layout:image", "a=oci-layout:image:1.0"] {
            let empty = digest(argument, &folder(&files)).unwrap_err().to_string();
            assert!(
                empty.ends_with("holds no image: its `index.json` names none"),
                "{empty}"
            );
        }
    }

    #[test]
    fn arguments() {
        let image: Image = "myapp:1.0.0=oci-layout:dir:tag".parse().unwrap();
        assert_eq!((image.name.as_str(), image.place.as_str()), ("myapp:1.0.0", "dir:tag"));
        for argument in [
            "",
            "a",
            "a=",
            "a=dir",
            "a=oci-layout:",
            "a=docker:x",
            "/../a=oci-layout:x",
            "a/../b=oci-layout:x",
            "=oci-layout:x",
        ] {
            assert!(argument.parse::<Image>().is_err(), "{argument}");
        }
    }
}
