//! Files that are written whole or not at all: a temporary file in the same folder, its bytes on the disk, then a rename.

use std::fs::{self, File, Permissions};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

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

/// Makes a folder that is not there yet, and those that it is in.
pub fn make_folder(folder: &Path) -> Result<(), WriteError> {
    if folder.exists() {
        return check_folder(folder);
    }
    fs::create_dir_all(folder).map_err(|cause| failed(folder, cause))
}

/// Writes a file, in the place of another one if there is one of that name. A symbolic link stands for what it leads to;
/// a device or pipe is written to, not replaced.
pub fn write(path: &Path, bytes: &[u8], mode: Mode) -> Result<(), WriteError> {
    match fs::metadata(path) {
        Ok(there) if !there.is_dir() && (!there.is_file() || is_own_output(path)) => {
            let written = File::options()
                .append(true)
                .open(path)
                .and_then(|mut file| file.write_all(bytes));
            written.map_err(|cause| failed(path, cause))
        }
        Ok(_) => {
            let real = fs::canonicalize(path).map_err(|cause| failed(path, cause))?;
            replace(&real, bytes, mode)
        }
        Err(_) => replace(path, bytes, mode),
    }
}

/// Whether a path stands for an open file of this process, which may hold what was printed before.
fn is_own_output(path: &Path) -> bool {
    ["/dev/stdout", "/dev/stderr"].map(Path::new).contains(&path)
        || path.starts_with("/dev/fd")
        || path.starts_with("/proc/self/fd")
}

/// Writes a file in the place of whatever has its name, were it a symbolic link: for names that nobody gave.
pub fn replace(path: &Path, bytes: &[u8], mode: Mode) -> Result<(), WriteError> {
    let temporary = fill(path, bytes, mode)?;
    temporary.persist(path).map_err(|error| failed(path, error.error))?;
    sync(folder(path)).map_err(|cause| failed(path, cause))
}

/// Writes a file that must not be there yet.
pub fn write_new(path: &Path, bytes: &[u8], mode: Mode) -> Result<(), WriteError> {
    let temporary = fill(path, bytes, mode)?;
    match temporary.persist_noclobber(path) {
        Ok(_) => sync(folder(path)).map_err(|cause| failed(path, cause)),
        Err(error) if error.error.kind() == io::ErrorKind::AlreadyExists => Err(WriteError::Exists(path.to_owned())),
        Err(error) => Err(failed(path, error.error)),
    }
}

/// A temporary file beside `path` that holds `bytes`, on the disk; dropping it removes it.
fn fill(path: &Path, bytes: &[u8], mode: Mode) -> Result<tempfile::NamedTempFile, WriteError> {
    check_folder(folder(path))?;
    let filled = || {
        let mut temporary = tempfile::Builder::new()
            .prefix(".linkgate-")
            .permissions(permissions(mode))
            .tempfile_in(folder(path))
            // The temporary file's name means nothing to anybody.
            .map_err(|error| io::Error::from(error.kind()))?;
        temporary.as_file_mut().write_all(bytes)?;
        temporary.as_file().sync_all()?;
        Ok(temporary)
    };
    filled().map_err(|cause| failed(path, cause))
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
