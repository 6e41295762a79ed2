//! The private folder of one verification, in which its inspections run.

use std::fs::{self, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::InspectionError;
use super::copy::{self, CopyError};
use crate::interrupt::{self, Guard, Undo};
use crate::terminal;

/// A folder that nobody else can enter, with a name that nobody can foresee. It goes away with this.
pub(super) struct Scratch {
    private: PathBuf,
    copy: PathBuf,
    /// Removes the folder where a signal ends the process before this goes away.
    _guard: Guard,
}

impl Scratch {
    /// Makes the folder and a copy of another one in it.
    pub(super) fn copy_of(folder: &Path) -> Result<Self, InspectionError> {
        let source = fs::canonicalize(folder).map_err(|cause| CopyError::Read {
            path: folder.to_owned(),
            cause,
        })?;
        let stopped = Arc::new(AtomicBool::new(false));
        let scratch = Self::new(&source, &stopped).map_err(|cause| InspectionError::Scratch {
            below: std::env::temp_dir(),
            cause,
        })?;
        let nowhere = scratch.private.join("nowhere");
        copy::copy(&source, &scratch.copy, &nowhere, &scratch.private, &stopped)?;
        Ok(scratch)
    }

    /// The copy will have the name of the folder, in a folder of its own: what is beside it is nothing.
    fn new(source: &Path, stopped: &Arc<AtomicBool>) -> io::Result<Self> {
        let make = || {
            let made = tempfile::Builder::new()
                .prefix("linkgate-inspection-")
                .permissions(Permissions::from_mode(0o700))
                .tempdir()?;
            // Links in the copy name it in full.
            let private = fs::canonicalize(made.path())?;
            let _ = made.keep();
            let (left, stopped) = (private.clone(), Arc::clone(stopped));
            let undo: Undo = Box::new(move || {
                stopped.store(true, Ordering::SeqCst);
                remove(&left);
            });
            Ok::<_, io::Error>((private, undo))
        };
        let (private, guard) = interrupt::undone(make)?;
        let scratch = Self {
            copy: private.join("copy").join(source.file_name().unwrap_or("root".as_ref())),
            private,
            _guard: guard,
        };
        for folder in ["copy", "nowhere"] {
            fs::DirBuilder::new().mode(0o700).create(scratch.private.join(folder))?;
        }
        Ok(scratch)
    }

    /// The copy.
    pub(super) fn folder(&self) -> &Path {
        &self.copy
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        remove(&self.private);
    }
}

/// Removes a folder with all that is in it, folders that nobody may write to among it.
pub(super) fn remove(folder: &Path) {
    // What a command left running may still write to it.
    for _ in 0..3 {
        let removed = fs::remove_dir_all(folder).or_else(|_| {
            open_up(folder.to_owned());
            fs::remove_dir_all(folder)
        });
        if removed.is_ok() || !folder.exists() {
            return;
        }
    }
    terminal::warning(format_args!(
        "cannot remove `{}`, in which inspections ran; remove it yourself",
        folder.display()
    ));
}

fn open_up(folder: PathBuf) {
    let mut folders = vec![folder];
    while let Some(folder) = folders.pop() {
        let _ = fs::set_permissions(&folder, Permissions::from_mode(0o700));
        let entries = fs::read_dir(&folder).into_iter().flatten().flatten();
        let inner = entries.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()));
        folders.extend(inner.map(|entry| entry.path()));
    }
}
