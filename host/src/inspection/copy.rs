//! A faithful copy of a folder: contents, times, modes, owners where the system lets
//! them be set, extended attributes, hard links, and symbolic links that stay inside.
//!
//! A symbolic link that leads out of the folder is copied as what it leads to, a file or a folder with all that is in it,
//! so that the copy leads nowhere: what is recorded is what the folder had, and what is written stays in the copy. What
//! cannot be copied like that (a pipe, a device, a file that may not be read) is an error, and never left out.

use std::collections::HashMap;
use std::ffi::{OsStr, OsString};
use std::fs::{self, File, FileTimes, Metadata, Permissions};
use std::io::{self, Read as _, Seek as _, SeekFrom};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{
    DirBuilderExt as _, FileTypeExt as _, MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _,
};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use rustix::fs::{AtFlags, CWD, Dir, FileType, Mode, OFlags, Timespec, Timestamps, XattrFlags};
use rustix::io::Errno;

use super::missing::{self, Ends};
use super::route;

/// Files, folders and links of one copy: ten times what the largest link has that a verification takes.
const ENTRIES: usize = 1_000_000;
/// How deeply folders may nest: each holds a descriptor while it is copied, of which a process usually has 1,024.
const DEPTH: usize = 500;
/// Bytes that are copied between two looks whether the work was interrupted.
const BLOCK: u64 = 64 << 20;

/// Why a folder has no faithful copy.
#[derive(Debug, thiserror::Error)]
pub enum CopyError {
    /// Something that may not be read, or is gone.
    #[error("cannot read `{}`: {cause}", .path.display())]
    Read {
        /// What it is.
        path: PathBuf,
        /// What the system says.
        cause: io::Error,
    },
    /// The copy cannot be written.
    #[error("cannot copy `{}` to `{}`: {cause}", .path.display(), .copy.display())]
    Write {
        /// What was copied.
        path: PathBuf,
        /// Its copy.
        copy: PathBuf,
        /// What the system says.
        cause: io::Error,
    },
    /// A pipe, socket or device, or a link to one.
    #[error("`{}` is a {kind}, of which there is no copy", .path.display())]
    Special {
        /// Where it is.
        path: PathBuf,
        /// What it is.
        kind: &'static str,
    },
    /// A link out of the folder to one that the folder is in.
    #[error("`{}` is in itself, by a link that leads to a folder above it", .0.display())]
    Loop(PathBuf),
    /// A link to nothing, of which a copy could lead elsewhere once a command makes what is missing.
    #[error("`{}` is a link to nothing, and it is unclear where it would lead if a command made what is missing", .0.display())]
    Unclear(PathBuf),
    /// A folder that links lead to by two ways: what is written to one copy would not be in the other.
    #[error("`{}` has a copy already, as a link leads to it and another link to a folder that it is in", .0.display())]
    Twice(PathBuf),
    /// Somebody wrote to it meanwhile.
    #[error("`{}` was changed while it was copied", .0.display())]
    Changed(PathBuf),
    /// More than any link could record.
    #[error("there are more than {ENTRIES} files, folders and links in it")]
    TooMany,
    /// Deeper than folders may nest.
    #[error("the folders nest deeper than {DEPTH} levels at `{}`", .0.display())]
    TooDeep(PathBuf),
    /// The person who verifies wants no more of it.
    #[error("it was interrupted")]
    Interrupted,
}

/// Device and inode: what a file or folder is, whatever it is called.
type Identity = (u64, u64);

/// What is copied: a name in an open folder.
#[derive(Clone, Copy)]
struct Entry<'e> {
    /// The folder, open.
    within: &'e OwnedFd,
    /// The folder's real path.
    folder: &'e Path,
    /// The name in it.
    name: &'e OsStr,
    /// How many folders lead to it.
    depth: usize,
}

impl Entry<'_> {
    fn path(&self) -> PathBuf {
        self.folder.join(self.name)
    }
}

/// A copy in the making.
pub(super) struct Copier<'c> {
    /// The private folder that holds all of it, which is no part of what is copied, were it in there.
    private: Identity,
    /// The folder of names that do not exist.
    nowhere: &'c Path,
    /// Whether a signal ends the process.
    stopped: &'c AtomicBool,
    /// Where the copies of the folder and of those outside that links led to are. No link in one leads out of it by itself.
    roots: Vec<PathBuf>,
    /// The same by the real paths of what is copied.
    copies: HashMap<PathBuf, PathBuf>,
    /// The folders that lead to where the copy is made.
    trail: Vec<Identity>,
    /// Copies of files that may be met again under another name.
    files: HashMap<Identity, PathBuf>,
    entries: usize,
    /// Numbers for places outside that are not there and whether they could be written to, with a link that leads to each.
    dangling: HashMap<(PathBuf, bool), (usize, PathBuf)>,
}

/// Copies what is in `source`, a real path, into `target`, which must not be there yet. What dangling links out of
/// `source` lead to is below `nowhere`, which is empty; `private` is the folder that both are in.
pub(super) fn copy(
    source: &Path,
    target: &Path,
    nowhere: &Path,
    private: &Path,
    stopped: &AtomicBool,
) -> Result<(), CopyError> {
    let read = |path: &Path| {
        let path = path.to_owned();
        move |cause| CopyError::Read { path, cause }
    };
    let private = identity(&fs::symlink_metadata(private).map_err(read(private))?);
    let mut copier = Copier {
        private,
        nowhere,
        stopped,
        roots: Vec::new(),
        copies: HashMap::new(),
        trail: Vec::new(),
        files: HashMap::new(),
        entries: 0,
        dangling: HashMap::new(),
    };
    let folder = open(CWD, source.as_os_str(), OFlags::DIRECTORY).map_err(read(source))?;
    copier.root(folder, source, target, 0)?;
    copier.stays_nowhere()
}

impl Copier<'_> {
    /// Copies a folder from which links may lead out.
    fn root(&mut self, folder: File, source: &Path, target: &Path, depth: usize) -> Result<(), CopyError> {
        self.roots.push(target.to_owned());
        self.copies.insert(source.to_owned(), target.to_owned());
        let at = self.roots.len() - 1;
        self.folder(folder, source, target, at, depth)
    }

    fn folder(
        &mut self,
        folder: File,
        source: &Path,
        target: &Path,
        root: usize,
        depth: usize,
    ) -> Result<(), CopyError> {
        let read = |cause| CopyError::Read {
            path: source.to_owned(),
            cause,
        };
        let metadata = folder.metadata().map_err(read)?;
        if self.trail.contains(&identity(&metadata)) {
            return Err(CopyError::Loop(source.to_owned()));
        }
        if depth > DEPTH {
            return Err(CopyError::TooDeep(source.to_owned()));
        }
        self.trail.push(identity(&metadata));
        let names = names(&folder).map_err(read)?;
        let mut builder = fs::DirBuilder::new();
        builder.mode(0o700).create(target).map_err(write(source, target))?;
        let within = OwnedFd::from(folder);
        for name in &names {
            let entry = Entry {
                within: &within,
                folder: source,
                name,
                depth: depth + 1,
            };
            self.entry(entry, &target.join(name), root)?;
        }
        let folder = File::from(within);
        let copy = File::open(target).map_err(write(source, target))?;
        dress(&folder, &copy, &metadata).map_err(write(source, target))?;
        self.trail.pop();
        Ok(())
    }

    fn entry(&mut self, entry: Entry<'_>, target: &Path, root: usize) -> Result<(), CopyError> {
        if self.stopped.load(Ordering::SeqCst) {
            return Err(CopyError::Interrupted);
        }
        self.entries += 1;
        if self.entries > ENTRIES {
            return Err(CopyError::TooMany);
        }
        let path = entry.path();
        let read = |cause| CopyError::Read {
            path: path.clone(),
            cause,
        };
        let stat = rustix::fs::statat(entry.within, entry.name, AtFlags::SYMLINK_NOFOLLOW)
            .map_err(|cause| read(cause.into()))?;
        match FileType::from_raw_mode(stat.st_mode) {
            FileType::Directory => {
                let folder = open(entry.within, entry.name, OFlags::DIRECTORY).map_err(read)?;
                if identity(&folder.metadata().map_err(read)?) == self.private {
                    return Ok(());
                }
                if self.copies.contains_key(&path) {
                    return Err(CopyError::Twice(path));
                }
                self.folder(folder, &path, target, root, entry.depth)
            }
            FileType::RegularFile => {
                let file = open(entry.within, entry.name, OFlags::empty()).map_err(read)?;
                self.file(file, &path, target, root > 0)
            }
            FileType::Symlink => self.link(entry, target, root),
            FileType::Fifo => Err(special(path, "pipe")),
            FileType::Socket => Err(special(path, "socket")),
            _ => Err(special(path, "device")),
        }
    }

    /// Copies a file, or links to its copy if there is one. It may be met again if it has other names or was met by one
    /// outside the folder.
    fn file(&mut self, mut file: File, path: &Path, target: &Path, outside: bool) -> Result<(), CopyError> {
        let read = |cause| CopyError::Read {
            path: path.to_owned(),
            cause,
        };
        let before = file.metadata().map_err(read)?;
        if let Some(kind) = special_kind(&before) {
            return Err(special(path.to_owned(), kind));
        }
        if let Some(copy) = self.files.get(&identity(&before)) {
            return fs::hard_link(copy, target).map_err(write(path, target));
        }
        let mut copy = File::options()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(target)
            .map_err(write(path, target))?;
        self.contents(&mut file, &mut copy, path, target)?;
        let after = file.metadata().map_err(read)?;
        let state = |metadata: &Metadata| (metadata.len(), metadata.mtime(), metadata.mtime_nsec());
        if state(&before) != state(&after) {
            return Err(CopyError::Changed(path.to_owned()));
        }
        dress(&file, &copy, &before).map_err(write(path, target))?;
        if outside || before.nlink() > 1 {
            self.files.insert(identity(&before), target.to_owned());
        }
        Ok(())
    }

    /// Copies bytes, and leaves holes where the file has them.
    fn contents(&self, file: &mut File, copy: &mut File, path: &Path, target: &Path) -> Result<(), CopyError> {
        let read = |cause| CopyError::Read {
            path: path.to_owned(),
            cause,
        };
        let length = file.metadata().map_err(read)?.len();
        let mut at = 0;
        while at < length {
            let Some((start, end)) = data(file, at, length) else {
                break;
            };
            let room = rustix::fs::fstatvfs(&*copy).map_err(|cause| write(path, target)(cause.into()))?;
            if (end - start) / room.f_frsize.max(1) > room.f_bavail {
                return Err(write(path, target)(io::ErrorKind::StorageFull.into()));
            }
            file.seek(SeekFrom::Start(start)).map_err(read)?;
            copy.seek(SeekFrom::Start(start)).map_err(write(path, target))?;
            at = start;
            while at < end {
                if self.stopped.load(Ordering::SeqCst) {
                    return Err(CopyError::Interrupted);
                }
                let block = (end - at).min(BLOCK);
                let copied = io::copy(&mut (&*file).take(block), copy).map_err(write(path, target))?;
                if copied == 0 {
                    return Err(CopyError::Changed(path.to_owned()));
                }
                at += copied;
            }
        }
        copy.set_len(length).map_err(write(path, target))?;
        // A file that says it is empty and is not: there are such below /proc.
        if length == 0 && file.read(&mut [0]).map_err(read)? > 0 {
            return Err(special(path.to_owned(), "file that the system makes up as it is read"));
        }
        Ok(())
    }

    /// Copies a symbolic link: as it is if it cannot lead out of its root, else as what it leads to.
    fn link(&mut self, entry: Entry<'_>, target: &Path, root: usize) -> Result<(), CopyError> {
        let path = entry.path();
        let read = |cause| CopyError::Read {
            path: path.clone(),
            cause,
        };
        let text = rustix::fs::readlinkat(entry.within, entry.name, Vec::new()).map_err(|cause| read(cause.into()))?;
        let text = Path::new(OsStr::from_bytes(text.as_bytes()));
        let from = target.parent().unwrap_or(target);
        if let Some(top) = self.roots.get(root)
            && route::stays(text, from.strip_prefix(top).unwrap_or(Path::new("")))
        {
            return new_link(entry, text, target);
        }
        let leads_to = match fs::canonicalize(&path) {
            Ok(leads_to) => leads_to,
            Err(cause) if is_dangling(&cause) => return self.dangling(entry, text, target),
            Err(cause) => return Err(read(cause)),
        };
        if let Some(copy) = self.copy_of(&leads_to) {
            let text = if text.is_absolute() {
                copy
            } else {
                route::relative(from, &copy)
            };
            return new_link(entry, &text, target);
        }
        // What it leads to is looked at before it is opened: opening a device may do something.
        if let Some(kind) = special_kind(&fs::symlink_metadata(&leads_to).map_err(read)?) {
            return Err(special(path, kind));
        }
        let opened = open(CWD, leads_to.as_os_str(), OFlags::empty()).map_err(read)?;
        if opened.metadata().map_err(read)?.is_dir() {
            return self.root(opened, &leads_to, target, entry.depth);
        }
        self.file(opened, &leads_to, target, true)
    }

    /// Copies a link to nothing. A command may make what is missing, and must then find it through the link: what would be
    /// in a folder that is copied is there in the copy.
    fn dangling(&mut self, entry: Entry<'_>, text: &Path, target: &Path) -> Result<(), CopyError> {
        let path = entry.path();
        let found = missing::find(entry.folder, text, |place| self.copy_of(place).is_some());
        let found = found.map_err(|cause| CopyError::Read {
            path: path.clone(),
            cause,
        })?;
        let missing = found.ok_or_else(|| CopyError::Unclear(path.clone()))?;
        let copy = match missing.ends(|real| self.copy_of(real)) {
            Ends::Inside => self.copy_of(&missing.there),
            Ends::Outside(place) => {
                let text = self.nowhere(place, missing.rest.len() == 1, path);
                return new_link(entry, &text, target);
            }
            Ends::Unclear => None,
        };
        let copy = copy.ok_or(CopyError::Unclear(path))?;
        let mut text = route::relative(target.parent().unwrap_or(target), &copy);
        text.extend(&missing.rest);
        new_link(entry, &text, target)
    }

    /// A name for nothing outside, that only this process knows. Whoever writes to it writes to a folder that is removed
    /// with the copy, if the original `place` could be written to, in a folder that is there.
    fn nowhere(&mut self, place: PathBuf, is_writable: bool, link: PathBuf) -> PathBuf {
        let next = self.dangling.len() + 1;
        let (number, _) = self.dangling.entry((place, is_writable)).or_insert((next, link));
        let nowhere = self.nowhere.join(number.to_string());
        if is_writable { nowhere } else { nowhere.join("none") }
    }

    /// That none of the links to nothing outside leads into a folder of which a copy was made later.
    fn stays_nowhere(&self) -> Result<(), CopyError> {
        let mut dangling = self.dangling.iter();
        match dangling.find(|((place, _), _)| self.copy_of(place).is_some()) {
            Some((_, (_, link))) => Err(CopyError::Unclear(link.clone())),
            None => Ok(()),
        }
    }

    /// Where the copy of a real path is, or will be.
    fn copy_of(&self, real: &Path) -> Option<PathBuf> {
        real.ancestors().find_map(|root| {
            let (copy, rest) = (self.copies.get(root)?, real.strip_prefix(root).ok()?);
            // `join` of nothing would end in a slash.
            Some(if rest.as_os_str().is_empty() {
                copy.clone()
            } else {
                copy.join(rest)
            })
        })
    }
}

/// Opens for reading what is no link, without waiting for whoever writes to a pipe.
fn open(within: impl AsFd, name: &OsStr, flags: OFlags) -> io::Result<File> {
    let flags = flags | OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    Ok(rustix::fs::openat(within, name, flags, Mode::empty())?.into())
}

/// What is in a folder, in an order that the file system does not choose.
fn names(folder: &File) -> io::Result<Vec<OsString>> {
    let mut names = Vec::new();
    for entry in Dir::read_from(folder)? {
        let entry = entry?;
        let name = OsStr::from_bytes(entry.file_name().to_bytes());
        if name != "." && name != ".." {
            names.push(name.to_owned());
        }
    }
    names.sort_unstable();
    Ok(names)
}

/// The next stretch of a file that is no hole.
fn data(file: &File, at: u64, length: u64) -> Option<(u64, u64)> {
    match rustix::fs::seek(file, rustix::fs::SeekFrom::Data(at)) {
        Ok(start) => {
            let end = rustix::fs::seek(file, rustix::fs::SeekFrom::Hole(start)).unwrap_or(length);
            Some((start, end.min(length))).filter(|(start, end)| start < end)
        }
        // There is none up to the end.
        Err(Errno::NXIO) => None,
        // This file system does not say.
        Err(_) => Some((at, length)),
    }
}

/// Gives a copy what its original has besides contents. The owner is set where the system lets it, as root's is.
fn dress(original: &File, copy: &File, metadata: &Metadata) -> io::Result<()> {
    if std::os::unix::fs::fchown(copy, Some(metadata.uid()), Some(metadata.gid())).is_err() {
        let _ = std::os::unix::fs::fchown(copy, None, Some(metadata.gid()));
    }
    attributes(original, copy)?;
    // Last: a new owner or attribute may take bits away, and a writer changes times.
    let mode = metadata.mode() & 0o7777;
    copy.set_permissions(Permissions::from_mode(mode))?;
    if copy.metadata()?.mode() & 0o7777 != mode {
        let message = format!("its mode {mode:o} cannot be set");
        return Err(io::Error::new(io::ErrorKind::PermissionDenied, message));
    }
    copy.set_times(
        FileTimes::new()
            .set_accessed(metadata.accessed()?)
            .set_modified(metadata.modified()?),
    )
}

/// Extended attributes: users' own, access lists and capabilities. The system sets all others by itself.
fn attributes(original: &File, copy: &File) -> io::Result<()> {
    // Most files have none, which is cheap to ask.
    match rustix::fs::flistxattr_query(original) {
        Ok(0) | Err(Errno::NOTSUP | Errno::NOSYS) => return Ok(()),
        length => length?,
    };
    // As much as Linux has of names, and for a value.
    let mut names = vec![0; 64 << 10];
    let length = rustix::fs::flistxattr(original, &mut names[..])?;
    let mut value = Vec::new();
    for name in names[..length].split(|byte| *byte == 0) {
        let is_kept =
            name.starts_with(b"user.") || name.starts_with(b"system.posix_acl_") || name == b"security.capability";
        if !is_kept {
            continue;
        }
        value.resize(64 << 10, 0);
        let length = rustix::fs::fgetxattr(original, name, &mut value[..])?;
        rustix::fs::fsetxattr(copy, name, &value[..length], XattrFlags::empty())?;
    }
    Ok(())
}

/// Makes a symbolic link, with the original's times.
fn new_link(entry: Entry<'_>, text: &Path, target: &Path) -> Result<(), CopyError> {
    let path = entry.path();
    let metadata = fs::symlink_metadata(&path).map_err(|cause| CopyError::Read {
        path: path.clone(),
        cause,
    })?;
    std::os::unix::fs::symlink(text, target).map_err(write(&path, target))?;
    let times = Timestamps {
        last_access: Timespec {
            tv_sec: metadata.atime(),
            tv_nsec: metadata.atime_nsec(),
        },
        last_modification: Timespec {
            tv_sec: metadata.mtime(),
            tv_nsec: metadata.mtime_nsec(),
        },
    };
    rustix::fs::utimensat(CWD, target, &times, AtFlags::SYMLINK_NOFOLLOW)
        .map_err(|cause| write(&path, target)(cause.into()))
}

fn identity(metadata: &Metadata) -> Identity {
    (metadata.dev(), metadata.ino())
}

fn special_kind(metadata: &Metadata) -> Option<&'static str> {
    let kind = metadata.file_type();
    if kind.is_file() || kind.is_dir() {
        None
    } else if kind.is_fifo() {
        Some("pipe")
    } else if kind.is_socket() {
        Some("socket")
    } else {
        Some("device")
    }
}

fn special(path: PathBuf, kind: &'static str) -> CopyError {
    CopyError::Special { path, kind }
}

fn write(path: &Path, copy: &Path) -> impl FnOnce(io::Error) -> CopyError {
    let (path, copy) = (path.to_owned(), copy.to_owned());
    move |cause| CopyError::Write { path, copy, cause }
}

/// Whether a link leads to nothing: a name that is not there, a file where a folder would have to be, or itself.
fn is_dangling(cause: &io::Error) -> bool {
    matches!(cause.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory)
        || cause.raw_os_error() == Some(Errno::LOOP.raw_os_error())
}
