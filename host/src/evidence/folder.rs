//! Evidence in a folder: every `*.link` file in it, and those of sublayouts in its subfolders.

use std::fs::{self, DirEntry, File, Metadata};
use std::io::{self, Read as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use linkgate_verifier::limits;
use linkgate_verifier::request::{Content, Document};
use rustix::fs::OFlags;
use rustix::io::Errno;

use super::SharedDocument;
use crate::memory::{Memory, NoRoom};

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
    /// A file that cannot be read. It may hold what decides, for or against.
    #[error("cannot read the link `{}`: {cause}", .path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What the system says.
        cause: io::Error,
    },
    /// A name that no document can have.
    #[error("the link `{}` has a name that is not UTF-8: rename it", .0.display())]
    Name(PathBuf),
    /// More than a request may hold.
    #[error("`{}` holds more than {} links", .0.display(), limits::DOCUMENTS)]
    TooMany(PathBuf),
    /// More bytes than are taken.
    #[error("the links in `{}` have more bytes than are read", .0.display())]
    TooMuch(PathBuf),
    /// So many entries that looking at them all would not end.
    #[error("`{}` and its subfolders hold more than {ENTRIES} files", .0.display())]
    TooLarge(PathBuf),
}

/// How many entries are looked at: symbolic links may lead around in circles.
const ENTRIES: usize = 1_000_000;

/// What a folder holds.
#[derive(Debug, Default)]
pub struct Evidence {
    /// The documents, in order of their names.
    pub documents: Vec<Document>,
    /// What is called a link and holds nothing: pipes, sockets, devices, and symbolic links to nothing.
    pub empty: Vec<PathBuf>,
}

/// What was found, and how to read it.
struct Found<C> {
    documents: Vec<(String, C)>,
    empty: Vec<PathBuf>,
    /// How many entries were looked at.
    entries: usize,
    /// How many bytes may still be read.
    left: usize,
    /// Reads a file of about so many bytes, and no more of it than shows that it is too large for a document.
    read: fn(File, usize, &Memory) -> io::Result<C>,
    memory: Memory,
}

impl FolderError {
    /// The lack of memory that it was, if it was one.
    pub fn no_room(&self) -> Option<NoRoom> {
        match self {
            Self::File { cause, .. } => NoRoom::behind(cause),
            _ => None,
        }
    }
}

/// Reads the evidence of a folder, of at most so many bytes. A file larger than the verifier takes is read as far as shows
/// that.
pub fn read(folder: &Path, most: usize) -> Result<Evidence, FolderError> {
    let found = find(folder, most, &Memory::unbounded(), |file, length, _| {
        read_open(file, length)
    })?;
    let documents = found.documents.into_iter();
    Ok(Evidence {
        documents: documents
            .map(|(name, bytes)| Document {
                name,
                content: Content(bytes),
            })
            .collect(),
        empty: found.empty,
    })
}

/// The documents of [`read`], whose bytes take room in the memory that is given.
pub fn read_shared(folder: &Path, most: usize, memory: &Memory) -> Result<Vec<SharedDocument>, FolderError> {
    let found = find(folder, most, memory, |file, length, memory| {
        memory.read(file, length, limits::DOCUMENT_BYTES + 1)
    })?;
    let documents = found.documents.into_iter();
    Ok(documents
        .map(|(name, content)| SharedDocument { name, content })
        .collect())
}

fn find<C: AsRef<[u8]>>(
    folder: &Path,
    most: usize,
    memory: &Memory,
    read: fn(File, usize, &Memory) -> io::Result<C>,
) -> Result<Found<C>, FolderError> {
    let mut found = Found {
        documents: Vec::new(),
        empty: Vec::new(),
        entries: 0,
        left: most,
        read,
        memory: memory.clone(),
    };
    collect(folder, folder, "", 0, &mut found)?;
    found.documents.sort_by(|(a, _), (b, _)| a.cmp(b));
    Ok(found)
}

fn collect<C: AsRef<[u8]>>(
    root: &Path,
    folder: &Path,
    prefix: &str,
    depth: u32,
    evidence: &mut Found<C>,
) -> Result<(), FolderError> {
    let failed = |cause| FolderError::Folder {
        path: folder.to_owned(),
        cause,
    };
    for entry in fs::read_dir(folder).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        evidence.entries += 1;
        if evidence.entries > ENTRIES {
            return Err(FolderError::TooLarge(root.to_owned()));
        }
        let path = entry.path();
        let is_link = path.extension().is_some_and(|extension| extension == "link");
        let file_name = entry.file_name();
        let Some(name) = file_name.to_str() else {
            if is_link {
                return Err(FolderError::Name(path));
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
            match read_link(&path, evidence).map_err(|cause| FolderError::File {
                path: path.clone(),
                cause,
            })? {
                Some(bytes) => {
                    let left = evidence.left.checked_sub(bytes.as_ref().len());
                    evidence.left = left.ok_or_else(|| FolderError::TooMuch(root.to_owned()))?;
                    evidence.documents.push((format!("{prefix}{name}"), bytes));
                }
                None => evidence.empty.push(path),
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

/// Reads a link; nothing where there is nothing that could hold one.
fn read_link<C>(path: &Path, found: &Found<C>) -> io::Result<Option<C>> {
    match open_at_once(path) {
        Ok((file, kind)) if kind.is_file() => (found.read)(file, length(&kind), &found.memory).map(Some),
        Ok(_) => Ok(None),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        // A socket.
        Err(error) if error.raw_os_error() == Some(Errno::NXIO.raw_os_error()) => Ok(None),
        Err(error) => Err(error),
    }
}

/// Reads a file that somebody named, be it a pipe, but no more of it than shows that it is too large for a document.
pub fn read_file(path: &Path) -> io::Result<Vec<u8>> {
    let file = File::open(path)?;
    let kind = file.metadata()?;
    read_open(file, length(&kind))
}

/// [`read_file`] into memory that has a bound.
pub fn read_file_shared(path: &Path, memory: &Memory) -> io::Result<Bytes> {
    let file = File::open(path)?;
    let expected = length(&file.metadata()?);
    memory.read(file, expected, limits::DOCUMENT_BYTES + 1)
}

fn length(kind: &Metadata) -> usize {
    usize::try_from(kind.len()).unwrap_or(usize::MAX)
}

/// Opens a file without waiting for somebody to write into it, should it be a pipe that nobody meant.
pub(crate) fn open_at_once(path: &Path) -> io::Result<(File, Metadata)> {
    let nonblocking = i32::try_from(OFlags::NONBLOCK.bits()).unwrap_or_default();
    let file = File::options().read(true).custom_flags(nonblocking).open(path)?;
    let kind = file.metadata()?;
    Ok((file, kind))
}

fn read_open(file: File, length: usize) -> io::Result<Vec<u8>> {
    let most = limits::DOCUMENT_BYTES + 1;
    let mut bytes = Vec::with_capacity(length.min(most) + 1);
    file.take(most as u64).read_to_end(&mut bytes)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_holds_nothing_is_passed_over_and_what_cannot_be_read_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        fs::write(path("a.link"), "a").unwrap();
        std::os::unix::fs::symlink("nowhere", path("b.link")).unwrap();
        let _socket = std::os::unix::net::UnixListener::bind(path("c.link")).unwrap();
        // By the command: macOS has no such call in rustix.
        let pipe = std::process::Command::new("mkfifo").arg(path("d.link")).status();
        assert!(pipe.unwrap().success());
        let evidence = read(folder.path(), 1 << 20).unwrap();
        assert_eq!(evidence.documents.len(), 1);
        assert_eq!(evidence.empty.len(), 3);
        // A circle of symbolic links cannot be opened, whoever tries.
        std::os::unix::fs::symlink("e.link", path("e.link")).unwrap();
        assert!(matches!(read(folder.path(), 1 << 20), Err(FolderError::File { .. })));
    }

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
        let names: Vec<String> = read(folder.path(), 1 << 20)
            .unwrap()
            .documents
            .into_iter()
            .map(|document| document.name)
            .collect();
        assert_eq!(names, [".hidden.link", "a.x.link", "b.link", "build.0a1b2c3d/c.link"]);
        assert!(matches!(read(folder.path(), 30), Err(FolderError::TooMuch(_))));
    }

    #[test]
    fn a_folder_that_is_not_there() {
        assert!(matches!(
            read(Path::new("/nonexistent"), 1),
            Err(FolderError::Folder { .. })
        ));
    }
}
