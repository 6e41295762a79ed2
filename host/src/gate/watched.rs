//! Files that were read, wherever they lie, and whether they are as they were.

use std::collections::BTreeMap;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use crate::evidence::folder::open_at_once;
use crate::record::hash::Digest;

/// Bytes of one file. A layout with a thousand steps has some hundred KiB.
const LARGEST: u64 = 16 << 20;

/// The files that something was read from, and the digests of what was read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Watched(BTreeMap<PathBuf, Digest>);

impl Watched {
    /// Reads a file, and remembers what it held. A second reading must find the same: two moments are not mixed.
    pub fn read(&mut self, path: &Path) -> io::Result<Vec<u8>> {
        let bytes = read(path)?;
        let digest = Digest::of(&bytes);
        match self.0.insert(path.to_owned(), digest) {
            Some(before) if before != digest => Err(io::Error::other("it changed while it was read")),
            _ => Ok(bytes),
        }
    }

    /// Remembers the files of another, too.
    pub fn extend(&mut self, other: &Self) {
        self.0
            .extend(other.0.iter().map(|(path, digest)| (path.clone(), *digest)));
    }

    /// Whether every file holds now what was read from it.
    pub fn is_as_it_was(&self) -> bool {
        let is_same = |(path, digest): (&PathBuf, &Digest)| read(path).is_ok_and(|bytes| Digest::of(&bytes) == *digest);
        self.0.iter().all(is_same)
    }

    /// Which file, if any, takes back what was read from it: it is gone, or it holds something else. The ones that are passed
    /// over may hold anything, but be there. A file that is there and cannot be read takes nothing back.
    pub fn taken_back(&self, passed_over: &[&Path]) -> Option<String> {
        self.0.iter().find_map(|(path, digest)| match read(path) {
            Err(cause) if is_gone(&cause) => Some(format!("`{}` is gone", path.display())),
            Ok(bytes) if !passed_over.contains(&path.as_path()) && Digest::of(&bytes) != *digest => {
                Some(format!("`{}` is not the one that was read", path.display()))
            }
            _ => None,
        })
    }

    /// These files without one of them.
    #[must_use]
    pub fn without(mut self, path: &Path) -> Self {
        self.0.remove(path);
        self
    }

    /// The paths and digests in one text.
    pub fn summed(&self) -> String {
        let mut sum = String::new();
        for (path, digest) in &self.0 {
            for part in [path.display().to_string(), digest.to_string()] {
                sum.push_str(&part);
                sum.push('\0');
            }
        }
        sum
    }
}

/// Whether there is no file, rather than one that cannot be read.
pub(crate) fn is_gone(cause: &io::Error) -> bool {
    matches!(cause.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory)
}

/// Reads a regular file that is as small as such files are. Of a larger one, or of a pipe, no part would be the whole;
/// and nobody is waited for who should write into a pipe.
pub(crate) fn read(path: &Path) -> io::Result<Vec<u8>> {
    let (file, kind) = open_at_once(path)?;
    if !kind.is_file() {
        return Err(io::Error::other("it is no regular file"));
    }
    let mut bytes = Vec::new();
    file.take(LARGEST + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > LARGEST {
        return Err(io::Error::other(format!("it has more than {LARGEST} bytes")));
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn what_was_read_is_watched() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(".hidden");
        fs::write(&path, "one").unwrap();
        let mut watched = Watched::default();
        assert_eq!(watched.read(&path).unwrap(), b"one");
        assert!(watched.is_as_it_was());
        fs::write(&path, "two").unwrap();
        assert!(!watched.is_as_it_was());
        assert!(watched.read(&path).unwrap_err().to_string().contains("changed"));
        fs::remove_file(&path).unwrap();
        assert!(!watched.is_as_it_was());
    }

    #[test]
    fn what_is_gone_or_another_is_taken_back() {
        let folder = tempfile::tempdir().unwrap();
        let [one, other] = ["one", "other"].map(|name| folder.path().join(name));
        let mut watched = Watched::default();
        for path in [&one, &other] {
            fs::write(path, "read").unwrap();
            watched.read(path).unwrap();
        }
        assert_eq!(watched.taken_back(&[]), None);
        fs::write(&one, "changed").unwrap();
        assert!(
            watched
                .taken_back(&[])
                .unwrap()
                .ends_with("/one` is not the one that was read")
        );
        assert_eq!(watched.taken_back(&[&one]), None);
        fs::remove_file(&one).unwrap();
        assert!(watched.taken_back(&[&one]).unwrap().ends_with("/one` is gone"));
        fs::create_dir(&one).unwrap();
        assert_eq!(watched.taken_back(&[]), None);
        fs::remove_file(&other).unwrap();
        assert!(watched.taken_back(&[]).unwrap().ends_with("/other` is gone"));
        assert_eq!(watched.without(&other).taken_back(&[]), None);
    }

    #[test]
    fn pipes_and_folders_are_not_waited_for() {
        let folder = tempfile::tempdir().unwrap();
        let pipe = folder.path().join("pipe");
        rustix::fs::mkfifoat(rustix::fs::CWD, &pipe, 0o600.into()).unwrap();
        for path in [pipe.as_path(), folder.path()] {
            let error = Watched::default().read(path).unwrap_err().to_string();
            assert!(error.contains("no regular file"), "{error}");
        }
    }
}
