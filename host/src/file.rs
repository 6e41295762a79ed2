//! Files that are written whole or not at all: a temporary file in the same folder, its bytes on the disk, then a rename.

use std::fs::{self, File, Permissions};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use crate::interrupt::{self, Guard, Undo};

/// Why a file was not written. Nothing is left behind in any of these cases.
#[derive(Debug, thiserror::Error)]
pub enum WriteError {
    /// The folder that is to hold the file is not there.
    #[error("the folder `{}` does not exist; create it first", .0.display())]
    NoFolder(PathBuf),
    /// Something else than a folder is where the folder should be.
    #[error("`{}` is not a folder; name the folder that the file goes into", .0.display())]
    NotFolder(PathBuf),
    /// There is such a file already.
    #[error("`{}` exists already and is not overwritten", .0.display())]
    Exists(PathBuf),
    /// The folder that is to hold the file takes no file.
    #[error("cannot write into the folder `{}`: {cause}", .folder.display())]
    NotWritable {
        /// The folder.
        folder: PathBuf,
        /// What the system says.
        cause: io::Error,
    },
    /// The system refused.
    #[error("cannot write `{}`: {cause}", .path.display())]
    Io {
        /// The file that was to be written.
        path: PathBuf,
        /// What the system says.
        cause: io::Error,
    },
}

/// Who may read a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// The owner alone: 0600.
    Private,
    /// Everyone: 0644.
    Public,
}

/// Checks that a folder is there, so that a long command does not run in vain.
pub fn check_folder(folder: &Path) -> Result<(), WriteError> {
    if folder.as_os_str().is_empty() || folder.is_dir() {
        return Ok(());
    }
    Err(if folder.exists() {
        WriteError::NotFolder(folder.to_owned())
    } else {
        WriteError::NoFolder(folder.to_owned())
    })
}

/// Checks that files can be made in a folder, so that long work is not done in vain. Nothing is left there.
pub fn check_writable(folder: &Path) -> Result<(), WriteError> {
    check_folder(folder)?;
    let folder = if folder.as_os_str().is_empty() {
        Path::new(".")
    } else {
        folder
    };
    match tempfile::tempfile_in(folder) {
        Ok(_) => Ok(()),
        Err(cause) => Err(WriteError::NotWritable {
            folder: folder.to_owned(),
            // The temporary file's name means nothing to anybody.
            cause: cause.kind().into(),
        }),
    }
}

/// [`check_writable`] for the folder of a file that [`write()`] will write.
pub fn check_output(path: &Path) -> Result<(), WriteError> {
    match fs::metadata(path) {
        Ok(there) if is_written_to(path, &there) => Ok(()),
        Ok(there) if there.is_dir() => Err(failed(path, io::ErrorKind::IsADirectory.into())),
        Ok(_) => check_writable(folder(&fs::canonicalize(path).map_err(|cause| failed(path, cause))?)),
        Err(_) => check_writable(folder(path)),
    }
}

/// [`check_writable`] for a folder that [`make_folder`] will make where it is not there yet.
pub fn check_makeable(folder: &Path) -> Result<(), WriteError> {
    let mut there = folder.ancestors().filter(|folder| folder.exists());
    check_writable(there.next().unwrap_or(Path::new("")))
}

/// Makes a folder that is not there yet, and those that it is in.
pub fn make_folder(folder: &Path) -> Result<(), WriteError> {
    if folder.exists() {
        return check_folder(folder);
    }
    fs::create_dir_all(folder).map_err(|cause| failed(folder, cause))
}

/// Writes a file, in the place of another one if there is one of that name. A symbolic link stands for what it leads to;
/// a device or pipe is written to, not replaced. A public file keeps the mode and, where the system lets it, the owner of the
/// one in whose place it is.
pub fn write(path: &Path, bytes: &[u8], mode: Mode) -> Result<(), WriteError> {
    match fs::metadata(path) {
        Ok(there) if is_written_to(path, &there) => {
            let written = File::options()
                .append(true)
                .open(path)
                .and_then(|mut file| file.write_all(bytes));
            written.map_err(|cause| failed(path, cause))
        }
        Ok(there) => {
            let real = fs::canonicalize(path).map_err(|cause| failed(path, cause))?;
            let unnamed = Unnamed::fill(&real, bytes, mode)?;
            if mode == Mode::Public {
                keep(&there, unnamed.temporary.as_file()).map_err(|cause| failed(&real, cause))?;
            }
            unnamed.replace()
        }
        Err(_) => replace(path, bytes, mode),
    }
}

/// Whether a path is a device, a pipe or an open file of this process.
fn is_written_to(path: &Path, there: &fs::Metadata) -> bool {
    !there.is_dir() && (!there.is_file() || is_own_output(path))
}

/// Gives a file the owner and mode of another. What the group may do is for the same group only.
#[cfg(unix)]
fn keep(there: &fs::Metadata, file: &File) -> io::Result<()> {
    use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, fchown};
    let mode = there.mode() & 0o777;
    let is_others =
        fchown(file, Some(there.uid()), Some(there.gid())).is_err() && fchown(file, None, Some(there.gid())).is_err();
    // As much as everybody may do.
    let mode = if is_others {
        mode & (0o707 | (mode & 0o007) << 3)
    } else {
        mode
    };
    file.set_permissions(Permissions::from_mode(mode))
}

/// Whether a path stands for an open file of this process, which may hold what was printed before.
fn is_own_output(path: &Path) -> bool {
    ["/dev/stdout", "/dev/stderr"].map(Path::new).contains(&path)
        || path.starts_with("/dev/fd")
        || path.starts_with("/proc/self/fd")
}

/// Writes a file in the place of whatever has its name, were it a symbolic link: for names that nobody gave.
pub fn replace(path: &Path, bytes: &[u8], mode: Mode) -> Result<(), WriteError> {
    Unnamed::fill(path, bytes, mode)?.replace()
}

/// Writes a file that must not be there yet.
pub fn write_new(path: &Path, bytes: &[u8], mode: Mode) -> Result<(), WriteError> {
    name_all(vec![Unnamed::fill(path, bytes, mode)?])
}

/// Gives files their names, all of them or none. None of them may be there yet. A signal that would end the process waits
/// meanwhile.
pub fn name_all(files: Vec<Unnamed>) -> Result<(), WriteError> {
    let folders: Vec<PathBuf> = files.iter().map(|file| folder(&file.path).to_owned()).collect();
    let apart = |file: Unnamed| ((file.temporary, file.path), file.guard);
    let (files, guards): (Vec<_>, Vec<_>) = files.into_iter().map(apart).unzip();
    interrupt::whole(|| {
        let mut named: Vec<PathBuf> = Vec::new();
        for (temporary, path) in files {
            if let Err(error) = temporary.persist_noclobber(&path) {
                for path in &named {
                    // It was named a moment ago, and nobody has it yet.
                    let _ = fs::remove_file(path);
                }
                return Err(match error.error.kind() {
                    io::ErrorKind::AlreadyExists => WriteError::Exists(path),
                    _ => failed(&path, error.error),
                });
            }
            named.push(path);
        }
        Ok(())
    })?;
    drop(guards);
    for folder in folders {
        sync(&folder).map_err(|cause| failed(&folder, cause))?;
    }
    Ok(())
}

/// How the names of temporary files begin, which are there as long as a file is written.
pub const TEMPORARY: &str = ".linkgate-";

/// A file whose bytes are on the disk, and which has no name but a temporary one. It goes away when this is dropped, and when
/// a signal ends the process.
#[derive(Debug)]
pub struct Unnamed {
    temporary: tempfile::NamedTempFile,
    path: PathBuf,
    guard: Guard,
}

impl Unnamed {
    /// A file beside `path`, which it will be called, with these bytes.
    pub fn fill(path: &Path, bytes: &[u8], mode: Mode) -> Result<Self, WriteError> {
        check_folder(folder(path))?;
        let make = || {
            let temporary = tempfile::Builder::new()
                .prefix(TEMPORARY)
                .permissions(permissions(mode))
                .tempfile_in(folder(path))
                // The temporary file's name means nothing to anybody.
                .map_err(|error| io::Error::from(error.kind()))?;
            let left = temporary.path().to_owned();
            let undo: Undo = Box::new(move || {
                let _ = fs::remove_file(left);
            });
            Ok::<_, io::Error>((temporary, undo))
        };
        let filled = || {
            let (mut temporary, guard) = interrupt::undone(make)?;
            temporary.as_file_mut().write_all(bytes)?;
            temporary.as_file().sync_all()?;
            Ok(Self {
                temporary,
                path: path.to_owned(),
                guard,
            })
        };
        filled().map_err(|cause| failed(path, cause))
    }

    /// Where it can be read meanwhile.
    pub fn temporary_path(&self) -> &Path {
        self.temporary.path()
    }

    /// Gives it its name, in the place of whatever has it.
    fn replace(self) -> Result<(), WriteError> {
        let Self { temporary, path, guard } = self;
        let named = interrupt::whole(|| temporary.persist(&path).map(drop).map_err(|error| error.error));
        drop(guard);
        named
            .and_then(|()| sync(folder(&path)))
            .map_err(|cause| failed(&path, cause))
    }
}

#[cfg(unix)]
fn permissions(mode: Mode) -> Permissions {
    use std::os::unix::fs::PermissionsExt as _;
    // The process's umask is applied to it.
    Permissions::from_mode(match mode {
        Mode::Private => 0o600,
        Mode::Public => 0o644,
    })
}

fn folder(path: &Path) -> &Path {
    match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    }
}

/// A rename is on the disk when its folder is.
fn sync(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}

fn failed(path: &Path, cause: io::Error) -> WriteError {
    WriteError::Io {
        path: path.to_owned(),
        cause,
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn written_whole_with_its_mode() {
        let folder = tempfile::tempdir().unwrap();
        for (name, mode, wanted) in [("key", Mode::Private, 0o600), ("link", Mode::Public, 0o644)] {
            let path = folder.path().join(name);
            write(&path, b"first", mode).unwrap();
            write(&path, b"second", mode).unwrap();
            assert_eq!(fs::read(&path).unwrap(), b"second");
            assert_eq!(
                fs::metadata(&path).unwrap().permissions().mode() & 0o777,
                wanted & !umask()
            );
        }
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 2);
    }

    fn umask() -> u32 {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("probe");
        fs::write(&path, b"").unwrap();
        0o666 & !fs::metadata(&path).unwrap().permissions().mode()
    }

    #[test]
    fn links_lead_on_and_devices_stay() {
        let folder = tempfile::tempdir().unwrap();
        let (real, link) = (folder.path().join("real"), folder.path().join("link"));
        fs::write(&real, b"first").unwrap();
        std::os::unix::fs::symlink("real", &link).unwrap();
        write(&link, b"second", Mode::Public).unwrap();
        assert_eq!(fs::read(&real).unwrap(), b"second");
        assert!(link.symlink_metadata().unwrap().is_symlink());
        let null = folder.path().join("null");
        std::os::unix::fs::symlink("/dev/null", &null).unwrap();
        write(&null, b"lost", Mode::Public).unwrap();
        assert!(!fs::metadata("/dev/null").unwrap().is_file());
        let missing = write(&folder.path().join("none/x"), b"", Mode::Public).unwrap_err();
        assert!(matches!(missing, WriteError::NoFolder(_)));
    }

    #[test]
    fn never_overwritten() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("key");
        write_new(&path, b"first", Mode::Private).unwrap();
        assert!(matches!(
            write_new(&path, b"second", Mode::Private),
            Err(WriteError::Exists(_))
        ));
        assert_eq!(fs::read(&path).unwrap(), b"first");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_missing_folder_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let error = write(&folder.path().join("none/link"), b"", Mode::Public).unwrap_err();
        assert_eq!(
            error.to_string(),
            format!(
                "the folder `{}` does not exist; create it first",
                folder.path().join("none").display()
            )
        );
        let file = folder.path().join("file");
        fs::write(&file, b"").unwrap();
        let error = write(&file.join("link"), b"", Mode::Public).unwrap_err();
        assert!(error.to_string().contains("file` is not a folder"), "{error}");
    }
}
