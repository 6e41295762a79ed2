//! Evidence in a folder: every `*.link` file in it, and those of sublayouts in its subfolders.

use std::fs::{self, DirEntry, File};
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use linkgate_verifier::limits;
use linkgate_verifier::request::{Content, Document};

/// Why a folder's evidence could not be read.
#[derive(Debug, thiserror::Error)]
pub enum FolderError {
    /// A folder that cannot be listed.
    #[error("cannot read the folder of links `{}`: {cause}", .path.display())]
    Folder {
        /// The folder.
        path: PathBuf,
        /// What the system says.
        cause: io::Error,
    },
    /// More than a request may hold.
    #[error("`{}` holds more than {} links", .0.display(), limits::DOCUMENTS)]
    TooMany(PathBuf),
}

/// What a folder holds.
#[derive(Debug, Default)]
pub struct Evidence {
    /// The documents, in order of their names.
    pub documents: Vec<Document>,
    /// The links that could not be read. A chain that holds without them holds; one that does not is undecided, for they
    /// might have been what it lacks.
    pub unread: Vec<Unread>,
}

/// Why a link could not be read.
#[derive(Debug, thiserror::Error)]
pub enum Unread {
    /// The system refused.
    #[error("cannot read the link `{}`: {cause}", .path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What the system says.
        cause: io::Error,
    },
    /// A pipe, socket or device.
    #[error("the link `{}` is no regular file", .0.display())]
    NotRegular(PathBuf),
    /// A name that no document can have.
    #[error("the link `{}` has a name that is not UTF-8: rename it", .0.display())]
    Name(PathBuf),
}

/// Reads the evidence of a folder. A file larger than the verifier takes is read as far as shows that.
pub fn read(folder: &Path) -> Result<Evidence, FolderError> {
    let mut evidence = Evidence::default();
    collect(folder, folder, "", 0, &mut evidence)?;
    evidence.documents.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(evidence)
}

fn collect(root: &Path, folder: &Path, prefix: &str, depth: u32, evidence: &mut Evidence) -> Result<(), FolderError> {
    let failed = |cause| FolderError::Folder {
        path: folder.to_owned(),
        cause,
    };
    for entry in fs::read_dir(folder).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        let path = entry.path();
        let is_link = path.extension().is_some_and(|extension| extension == "link");
        let file_name = entry.file_name();
        let Some(name) = file_name.to_str() else {
            if is_link {
                evidence.unread.push(Unread::Name(path));
            }
            continue;
        };
        let is_folder = is_folder(&entry, &path).map_err(failed)?;
        if is_folder && depth <= limits::SUBLAYOUT_DEPTH && name.contains('.') && !name.starts_with('.') {
            collect(root, &path, &format!("{prefix}{name}/"), depth + 1, evidence)?;
        } else if is_link && !is_folder {
            if evidence.documents.len() == limits::DOCUMENTS {
                return Err(FolderError::TooMany(root.to_owned()));
            }
            let name = format!("{prefix}{name}");
            match read_link(path) {
                Ok(bytes) => evidence.documents.push(Document {
                    name,
                    content: Content(bytes),
                }),
                Err(unread) => evidence.unread.push(unread),
            }
        }
    }
    Ok(())
}

/// Whether an entry is a folder, where symbolic links stand for what they lead to.
fn is_folder(entry: &DirEntry, path: &Path) -> io::Result<bool> {
    let kind = entry.file_type()?;
    Ok(kind.is_dir() || kind.is_symlink() && path.is_dir())
}

fn read_link(path: PathBuf) -> Result<Vec<u8>, Unread> {
    // Opening a pipe would wait for somebody to write into it.
    let kind = fs::metadata(&path);
    if kind.is_ok_and(|kind| !kind.is_file()) {
        return Err(Unread::NotRegular(path));
    }
    read_file(&path).map_err(|cause| Unread::File { path, cause })
}

/// Reads a file, but no more of it than shows that it is too large for a document.
pub fn read_file(path: &Path) -> io::Result<Vec<u8>> {
    let file = File::open(path)?;
    let length = usize::try_from(file.metadata()?.len()).unwrap_or(usize::MAX);
    let most = limits::DOCUMENT_BYTES + 1;
    let mut bytes = Vec::with_capacity(length.min(most) + 1);
    file.take(most as u64).read_to_end(&mut bytes)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_and_those_of_sublayouts() {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir_all(folder.path().join("build.0a1b2c3d")).unwrap();
        fs::create_dir_all(folder.path().join("other")).unwrap();
        for name in [
            "b.link",
            "a.x.link",
            "layout",
            "build.0a1b2c3d/c.link",
            "other/d.link",
            ".hidden.link",
        ] {
            fs::write(folder.path().join(name), name).unwrap();
        }
        let names: Vec<String> = read(folder.path())
            .unwrap()
            .documents
            .into_iter()
            .map(|document| document.name)
            .collect();
        assert_eq!(names, [".hidden.link", "a.x.link", "b.link", "build.0a1b2c3d/c.link"]);
    }

    #[test]
    fn a_folder_that_is_not_there() {
        assert!(matches!(
            read(Path::new("/nonexistent")),
            Err(FolderError::Folder { .. })
        ));
    }
}
