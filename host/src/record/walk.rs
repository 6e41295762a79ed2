//! Which files a path stands for.

use std::fs::{self, FileType, Metadata};
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use globset::{GlobBuilder, GlobMatcher};

use super::collect::{CollectError, Note, Options};
use super::path::normalize;

/// Folders that one walk enters by links, and files that it finds by these: a few dozen links to one another's folders lead
/// to more than any machine holds, and a link has at most some 100,000 artifacts.
const LINKED_FOLDERS: usize = 100_000;
const FILES: usize = 1_000_000;

/// A walk through everything that was asked for.
pub(super) struct Walk<'o> {
    options: &'o Options,
    /// The regular files, by normalized paths relative to the base path.
    pub(super) files: Vec<String>,
    /// What was passed over and may be missed.
    pub(super) notes: Vec<Note>,
    /// The folders that lead to where the walk is: device and inode. Only kept where links to folders are followed.
    trail: Vec<(u64, u64)>,
    /// How many folders were entered by links.
    linked: usize,
}

impl<'o> Walk<'o> {
    pub(super) fn new(options: &'o Options) -> Self {
        Self {
            options,
            files: Vec::new(),
            notes: Vec::new(),
            trail: Vec::new(),
            linked: 0,
        }
    }

    /// Finds the files of one argument: a file, a folder with all that is in it, or a glob.
    pub(super) fn visit(&mut self, argument: &str) -> Result<(), CollectError> {
        let location = normalize(argument);
        let path = self.options.locate(&location);
        match fs::metadata(&path) {
            Ok(metadata) => self.visit_existing(location, &metadata),
            Err(cause) if cause.kind() == io::ErrorKind::NotFound => {
                if fs::symlink_metadata(&path).is_ok() {
                    self.pass_over(&location, Note::Dangling, CollectError::Dangling)
                } else if location.contains(['*', '?', '[', '{']) {
                    self.visit_glob(&location)
                } else if self.options.exclude.covers_within(&location, false) {
                    Ok(())
                } else {
                    self.pass_over(&location, Note::Missing, CollectError::Missing)
                }
            }
            Err(cause) => Err(refused(path, cause)),
        }
    }

    fn visit_existing(&mut self, location: String, metadata: &Metadata) -> Result<(), CollectError> {
        // The base path itself is no path that a pattern could mean.
        if location != "." && self.options.exclude.covers_within(&location, metadata.is_dir()) {
            return Ok(());
        }
        if metadata.is_dir() {
            self.visit_folder(&location, None)
        } else if metadata.is_file() {
            self.files.push(location);
            Ok(())
        } else {
            Err(CollectError::NotRegular(location))
        }
    }

    /// `*` and `?` stop at `/`, `**` does not; a folder that matches does not stand for what is in it.
    fn visit_glob(&mut self, pattern: &str) -> Result<(), CollectError> {
        let glob = GlobBuilder::new(pattern)
            .literal_separator(true)
            .build()
            .map_err(CollectError::Glob)?
            .compile_matcher();
        let start = literal_folder(pattern);
        let before = self.files.len();
        if self.options.locate(&start).is_dir() {
            self.visit_folder(&start, Some(&glob))?;
        }
        if self.files.len() == before {
            return self.pass_over(pattern, Note::NoMatch, CollectError::NoMatch);
        }
        Ok(())
    }

    fn visit_folder(&mut self, location: &str, glob: Option<&GlobMatcher>) -> Result<(), CollectError> {
        let path = self.options.locate(location);
        if self.options.follow_folders {
            let metadata = fs::metadata(&path).map_err(|cause| refused(path.clone(), cause))?;
            let identity = (metadata.dev(), metadata.ino());
            if self.trail.contains(&identity) {
                return Err(CollectError::Loop(location.to_owned()));
            }
            self.trail.push(identity);
        }
        // The folder is closed again before those in it are opened, however deep they nest.
        let mut folders = Vec::new();
        for entry in fs::read_dir(&path).map_err(|cause| refused(path.clone(), cause))? {
            let entry = entry.map_err(|cause| refused(path.clone(), cause))?;
            let kind = entry.file_type().map_err(|cause| refused(entry.path(), cause))?;
            let name = entry.file_name();
            let Some(name) = name.to_str() else {
                return Err(CollectError::NotUtf8(entry.path()));
            };
            let inner = if location == "." {
                name.to_owned()
            } else {
                join(location, name)
            };
            if self.visit_entry(&inner, kind, glob)? {
                folders.push(inner);
            }
        }
        for folder in folders {
            self.visit_folder(&folder, glob)?;
        }
        self.trail.pop();
        Ok(())
    }

    /// Takes one entry of a folder; says whether it is a folder to enter.
    fn visit_entry(
        &mut self,
        location: &str,
        kind: FileType,
        glob: Option<&GlobMatcher>,
    ) -> Result<bool, CollectError> {
        if self.options.exclude.covers(location, kind.is_dir()) {
            return Ok(false);
        }
        if kind.is_dir() {
            return Ok(true);
        }
        let wanted = |location| glob.is_none_or(|glob| glob.is_match(location));
        if kind.is_file() {
            if wanted(location) {
                self.files.push(location.to_owned());
            }
            return Ok(false);
        }
        if kind.is_symlink() {
            return self.visit_link(location, wanted(location));
        }
        if wanted(location) {
            self.notes.push(Note::NotRegular(location.to_owned()));
        }
        Ok(false)
    }

    /// A link to a file is that file under the link's name; one to a folder is entered only if that was asked for.
    fn visit_link(&mut self, location: &str, wanted: bool) -> Result<bool, CollectError> {
        let path = self.options.locate(location);
        match fs::metadata(&path) {
            Ok(metadata) if metadata.is_dir() => {
                if self.options.exclude.covers(location, true) {
                    return Ok(false);
                }
                if !self.options.follow_folders {
                    self.notes.push(Note::LinkToFolder(location.to_owned()));
                }
                self.linked += 1;
                if self.linked > LINKED_FOLDERS || self.files.len() > FILES {
                    return Err(CollectError::TooMany(location.to_owned()));
                }
                Ok(self.options.follow_folders)
            }
            _ if !wanted => Ok(false),
            Ok(metadata) if metadata.is_file() => {
                self.files.push(location.to_owned());
                Ok(false)
            }
            Ok(_) => {
                self.notes.push(Note::NotRegular(location.to_owned()));
                Ok(false)
            }
            Err(cause)
                if cause.kind() == io::ErrorKind::NotFound || (self.options.lenient && leads_nowhere(&cause)) =>
            {
                self.pass_over(location, Note::Dangling, CollectError::Dangling)?;
                Ok(false)
            }
            Err(cause) => Err(refused(path, cause)),
        }
    }

    /// What is not there is an error, or only a note where the caller wants in-toto's way.
    fn pass_over(
        &mut self,
        location: &str,
        note: fn(String) -> Note,
        error: fn(String) -> CollectError,
    ) -> Result<(), CollectError> {
        if !self.options.lenient {
            return Err(error(location.to_owned()));
        }
        self.notes.push(note(location.to_owned()));
        Ok(())
    }
}

fn refused(path: PathBuf, cause: io::Error) -> CollectError {
    if is_loop(&cause) {
        CollectError::LinkLoop(path.to_string_lossy().into_owned())
    } else {
        CollectError::Unreadable { path, cause }
    }
}

/// Whether a link leads to itself, or through a file as if it were a folder: for in-toto that is a link to nothing.
fn leads_nowhere(cause: &io::Error) -> bool {
    is_loop(cause) || cause.kind() == io::ErrorKind::NotADirectory
}

fn is_loop(cause: &io::Error) -> bool {
    cause.raw_os_error() == Some(rustix::io::Errno::LOOP.raw_os_error())
}

/// The folder that a glob cannot leave: its segments before the first one with a wildcard.
fn literal_folder(pattern: &str) -> String {
    let literal: Vec<&str> = pattern
        .split('/')
        .take_while(|segment| !segment.contains(['*', '?', '[', '{', '\\']))
        .collect();
    match (literal.join("/"), pattern.starts_with('/')) {
        (folder, true) if folder.is_empty() => "/".to_owned(),
        (folder, false) if folder.is_empty() => ".".to_owned(),
        (folder, _) => folder,
    }
}

fn join(folder: &str, name: &str) -> String {
    let separator = if folder.ends_with('/') { "" } else { "/" };
    [folder, separator, name].concat()
}

impl Options {
    /// Where the file is, seen from the current folder.
    pub(super) fn locate(&self, location: &str) -> PathBuf {
        if self.base.as_os_str().is_empty() {
            PathBuf::from(location)
        } else {
            Path::join(&self.base, location)
        }
    }
}
