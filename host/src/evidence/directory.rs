//! Evidence in directories, mounted `ConfigMap`s among them.

use std::fs;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use linkgate_image::ManifestDigest;
use linkgate_verifier::limits;

use super::disk::Disk;
use super::folder::{self, FolderError};
use super::{About, Answer, Listed, Piece, Source, SourceError};
use crate::memory::{Memory, NoRoom};

/// A directory of links; its path may say which by `{IMAGE_NAME}`, `{IMAGE_DIGEST_HEX}`, `{ARTIFACT_NAME}` and `{NAMESPACE}`.
#[derive(Clone, Debug)]
pub struct Directory {
    path: String,
    most: usize,
    memory: Memory,
    disk: Disk,
}

/// A mounted `ConfigMap`: all its keys are links or sublayouts, whatever they are called. Keys have no `/`: `__` stands for
/// it in those of a sublayout's evidence, after a folder's name, `<step>.<keyid8>`.
#[derive(Clone, Debug)]
pub struct ConfigMap {
    path: PathBuf,
    most: usize,
    memory: Memory,
    disk: Disk,
}

impl Directory {
    /// The directory at this path, whose placeholders are filled for each artifact; of whose links at most so many bytes are
    /// read for one, into this memory.
    pub fn new(path: String, most: usize, memory: Memory) -> Self {
        Self {
            path,
            most,
            memory,
            disk: Disk::new(),
        }
    }

    /// Its path for an artifact; none where a name would lead out of it.
    fn path(&self, about: &About) -> Option<PathBuf> {
        let name = about.name.as_deref().unwrap_or_default();
        let leads_out =
            |value: &str| value.contains(['\0', '\\']) || value.split('/').any(|part| matches!(part, "" | "." | ".."));
        let mut path = self.path.clone();
        for (placeholder, value) in [
            ("{IMAGE_NAME}", name),
            ("{ARTIFACT_NAME}", name),
            ("{IMAGE_DIGEST_HEX}", about.digest.hex()),
            ("{NAMESPACE}", about.namespace.as_str()),
        ] {
            if path.contains(placeholder) {
                if leads_out(value) {
                    return None;
                }
                path = path.replace(placeholder, value);
            }
        }
        Some(path.into())
    }

    fn read(&self, about: &About) -> Result<Listed, SourceError> {
        let name = about.name.as_deref().unwrap_or_default();
        let values = [
            ("{IMAGE_NAME}", name),
            ("{ARTIFACT_NAME}", name),
            ("{NAMESPACE}", about.namespace.as_str()),
        ];
        let is_unsaid = |(placeholder, value): &&(&str, &str)| value.is_empty() && self.path.contains(placeholder);
        if let Some((placeholder, _)) = values.iter().find(is_unsaid) {
            return Err(self.failed(&format!(
                "`{placeholder}` has no value here: whoever asks did not say it"
            )));
        }
        let mut listed = Listed::new(self.memory.nothing());
        let Some(path) = self.path(about) else {
            return Ok(listed);
        };
        // What has placeholders is there for some artifacts only; what is before them should be there.
        if let Some((before, _)) = self.path.split_once('{') {
            let root = before.rsplit_once('/').map_or(".", |(root, _)| root);
            if !path.try_exists().map_err(|error| self.failed(&error))? {
                fs::read_dir(root).map_err(|error| self.failed(&format!("`{root}`: {error}")))?;
                return Ok(listed);
            }
        }
        let documents = folder::read_shared(&path, self.most, &self.memory).map_err(|error| unread(self, &error))?;
        for document in documents {
            let listing = listed.push(piece(document.name, document.content));
            listing.map_err(|no_room| self.no_room(no_room))?;
        }
        Ok(listed)
    }
}

impl Source for Directory {
    fn name(&self) -> String {
        format!("directory {}", self.path)
    }

    fn scope(&self, about: &About) -> String {
        let path = self.path(about).unwrap_or_default();
        path.to_string_lossy().into_owned()
    }

    fn list<'a>(&'a self, about: &'a About) -> Answer<'a, Listed> {
        let (source, about) = (self.clone(), about.clone());
        Box::pin(async move { self.disk.read(&self.name(), move || source.read(&about)).await })
    }

    fn fetch<'a>(&'a self, piece: &'a Piece) -> Answer<'a, Bytes> {
        Box::pin(async move { here(self, piece) })
    }
}

impl ConfigMap {
    /// The `ConfigMap` that is mounted at this path, of which at most so many bytes are read, into this memory.
    pub fn new(path: PathBuf, most: usize, memory: Memory) -> Self {
        Self {
            path,
            most,
            memory,
            disk: Disk::new(),
        }
    }

    fn read(&self) -> Result<Listed, SourceError> {
        let (mut listed, mut left) = (Listed::new(self.memory.nothing()), self.most);
        for entry in fs::read_dir(&self.path).map_err(|error| self.failed(&error))? {
            let path = entry.map_err(|error| self.failed(&error))?.path();
            let Some(name) = path.file_name().and_then(|name| name.to_str()) else {
                continue;
            };
            // `..data` and what it leads to are how a mount is exchanged.
            if name.starts_with("..") || path.is_dir() {
                continue;
            }
            if listed.pieces.len() == limits::DOCUMENTS {
                return Err(self.failed(&format!("more than {} keys", limits::DOCUMENTS)));
            }
            let bytes = folder::read_file_shared(&path, &self.memory).map_err(|error| SourceError {
                no_room: NoRoom::behind(&error),
                ..self.failed(&format!("`{name}`: {error}"))
            })?;
            let Some(rest) = left.checked_sub(bytes.len()) else {
                return Err(self.failed(&format!("more than {} bytes", self.most)));
            };
            left = rest;
            let listing = listed.push(piece(path_of(name), bytes));
            listing.map_err(|no_room| self.no_room(no_room))?;
        }
        Ok(listed)
    }
}

impl Source for ConfigMap {
    fn name(&self) -> String {
        format!("ConfigMap {}", self.path.display())
    }

    fn scope(&self, _: &About) -> String {
        String::new()
    }

    fn list<'a>(&'a self, _: &'a About) -> Answer<'a, Listed> {
        let source = self.clone();
        Box::pin(async move { self.disk.read(&self.name(), move || source.read()).await })
    }

    fn fetch<'a>(&'a self, piece: &'a Piece) -> Answer<'a, Bytes> {
        Box::pin(async move { here(self, piece) })
    }
}

/// The path that a key of a `ConfigMap` stands for. Only what has a dot, as folders of sublayouts have, is a folder: a
/// step's name may have `__` itself.
fn path_of(key: &str) -> String {
    let mut path = String::new();
    let mut folder_begins = 0;
    let mut parts = key.split("__");
    path.push_str(parts.next().unwrap_or_default());
    for part in parts {
        if path[folder_begins..].contains('.') {
            path.push('/');
            folder_begins = path.len();
        } else {
            path.push_str("__");
        }
        path.push_str(part);
    }
    path
}

/// The bytes of a piece that was read when it was listed.
pub(super) fn here(source: &dyn Source, piece: &Piece) -> Result<Bytes, SourceError> {
    piece
        .content
        .clone()
        .ok_or_else(|| source.failed(&format!("`{}` was not read", piece.name)))
}

/// Why a folder could not be read.
fn unread(source: &dyn Source, error: &FolderError) -> SourceError {
    SourceError {
        no_room: error.no_room(),
        ..source.failed(error)
    }
}

fn piece(name: String, bytes: Bytes) -> Piece {
    Piece {
        name,
        step: None,
        digest: ManifestDigest::of(&bytes),
        size: bytes.len() as u64,
        content: Some(bytes),
        at: None,
    }
}

/// Whether a directory's path has only placeholders that are known; the first other one.
pub fn unknown_placeholder(path: &str) -> Option<String> {
    let known = ["{IMAGE_NAME}", "{ARTIFACT_NAME}", "{IMAGE_DIGEST_HEX}", "{NAMESPACE}"];
    let rest = known
        .iter()
        .fold(path.to_owned(), |path, placeholder| path.replace(placeholder, ""));
    let begins = rest.find(['{', '}'])?;
    let ends = rest[begins..]
        .find('}')
        .map_or(rest.len(), |length| begins + length + 1);
    Some(rest[begins..ends].to_owned())
}

/// Whether there is such a directory now, or could be one later.
pub fn is_there(path: &str) -> bool {
    path.contains('{') || Path::new(path).is_dir()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn about(name: &str) -> About {
        About {
            image: None,
            name: Some(name.to_owned()),
            digest: ManifestDigest::of(b"test"),
            namespace: "prod".to_owned(),
        }
    }

    #[test]
    fn placeholders_do_not_lead_out() {
        let directory = Directory::new(
            "/links/{NAMESPACE}/{IMAGE_NAME}/{IMAGE_DIGEST_HEX}".to_owned(),
            100,
            Memory::unbounded(),
        );
        let hex = ManifestDigest::of(b"test").hex().to_owned();
        assert_eq!(
            directory.path(&about("r.example/app")),
            Some(format!("/links/prod/r.example/app/{hex}").into())
        );
        for name in ["..", "a/../../etc", "a//b", "/etc", "", "a/./b", "a\\..\\b"] {
            assert_eq!(directory.path(&about(name)), None, "{name}");
        }
        assert_eq!(unknown_placeholder("/a/{IMAGE_NAME}/{IMAGE_DIGEST_HEX}"), None);
        assert_eq!(unknown_placeholder("/a/{IMAGE}/b"), Some("{IMAGE}".to_owned()));
    }

    #[test]
    fn a_mounted_config_map() {
        let mount = tempfile::tempdir().unwrap();
        let data = mount.path().join("..2026_11_25");
        fs::create_dir(&data).unwrap();
        std::os::unix::fs::symlink("..2026_11_25", mount.path().join("..data")).unwrap();
        for name in ["build", "build.776a00e2__inner.link"] {
            fs::write(data.join(name), name).unwrap();
            std::os::unix::fs::symlink(format!("..data/{name}"), mount.path().join(name)).unwrap();
        }
        let mut names: Vec<String> = ConfigMap::new(mount.path().to_owned(), 100, Memory::unbounded())
            .read()
            .unwrap()
            .pieces
            .iter()
            .map(|piece| piece.name.clone())
            .collect();
        names.sort();
        assert_eq!(names, ["build", "build.776a00e2/inner.link"]);
        for (key, path) in [
            ("my__step.776a00e2.link", "my__step.776a00e2.link"),
            ("my__step.776a00e2__my__inner.link", "my__step.776a00e2/my__inner.link"),
            ("a.1__b.2__c.link", "a.1/b.2/c.link"),
        ] {
            assert_eq!(path_of(key), path);
        }
        let error = ConfigMap::new(mount.path().to_owned(), 10, Memory::unbounded())
            .read()
            .unwrap_err();
        assert!(error.to_string().contains("more than 10 bytes"), "{error}");
    }
}
