//! The folder of policies: read as a whole or not at all.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::context::Context;
use super::policy::{Governed, Policy, PolicyError};
use crate::record::hash::Digest;
use crate::runtime::Arithmetic;
use crate::signer::keyring::Keyring;

/// All policies of a folder, as they stood together at one moment.
#[derive(Debug)]
pub struct Policies {
    /// The policies, in the order of their names.
    pub all: Vec<Arc<Policy>>,
    /// Who does the arithmetic of signatures.
    pub arithmetic: Arithmetic,
    /// The digest of all files in the folder.
    pub fingerprint: Digest,
}

/// Why a folder's policies cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum PoliciesError {
    /// The folder cannot be read.
    #[error("cannot read `{}`: {cause}", .path.display())]
    Unreadable {
        /// The folder or file.
        path: PathBuf,
        /// What the system says.
        cause: io::Error,
    },
    /// No policy in it.
    #[error("`{}` holds no policy: they are files called `*.yaml`, in it or in a folder in it", .0.display())]
    None(PathBuf),
    /// A policy that cannot be used.
    #[error(transparent)]
    Policy(#[from] Box<PolicyError>),
    /// Two of one name.
    #[error("two policies are called `{name}`: `{}` and `{}`", .first.display(), .second.display())]
    Twice {
        /// The name.
        name: String,
        /// Where.
        first: PathBuf,
        /// And where.
        second: PathBuf,
    },
    /// A folder that would be passed over.
    #[error("`{}` is more than {DEEPEST} folders down: nothing is read there, and nothing is passed over", .0.display())]
    TooDeep(PathBuf),
    /// Files changed while they were read.
    #[error("`{}` changed while it was read", .0.display())]
    Changed(PathBuf),
}

/// Bytes of one file. A layout with a thousand steps has some hundred KiB.
const LARGEST: u64 = 16 << 20;

/// How many folders down policies may lie. Symbolic links may lead around in circles.
const DEEPEST: u32 = 4;

/// How often a folder that changes while it is read is read again.
const TRIES: u32 = 3;

impl Policies {
    /// Reads a folder. Files that change meanwhile are read again, so that no two moments are mixed.
    pub fn load(folder: &Path, context: &Context) -> Result<Self, PoliciesError> {
        for _ in 0..TRIES {
            let before = fingerprint(folder)?;
            let read = Self::read(folder, context, before);
            if fingerprint(folder)? == before {
                return read;
            }
        }
        Err(PoliciesError::Changed(folder.to_owned()))
    }

    fn read(folder: &Path, context: &Context, fingerprint: Digest) -> Result<Self, PoliciesError> {
        let mut keyring = Keyring::default();
        let mut named: BTreeMap<String, Arc<Policy>> = BTreeMap::new();
        let is_policy = |path: &PathBuf| {
            path.extension().is_some_and(|extension| {
                extension.eq_ignore_ascii_case("yaml") || extension.eq_ignore_ascii_case("yml")
            })
        };
        for file in files(folder)?.into_iter().filter(is_policy) {
            let policy = Policy::load(&file, context, &mut keyring)?;
            if let Some(first) = named.get(&policy.name) {
                return Err(PoliciesError::Twice {
                    name: policy.name,
                    first: first.file.clone(),
                    second: file,
                });
            }
            named.insert(policy.name.clone(), Arc::new(policy));
        }
        if named.is_empty() {
            return Err(PoliciesError::None(folder.to_owned()));
        }
        Ok(Self {
            all: named.into_values().collect(),
            arithmetic: keyring.arithmetic(false),
            fingerprint,
        })
    }

    /// The policies that govern a thing: all of them must accept it.
    pub fn governing(&self, governed: Governed<'_>, namespace: &str) -> Vec<Arc<Policy>> {
        let governing = self.all.iter().filter(|policy| policy.governs(governed, namespace));
        governing.cloned().collect()
    }
}

/// Reads a file of a policy: a regular one that is as small as such files are. Of a larger one, or of a pipe, no part would
/// be the whole.
pub(super) fn read(path: &Path) -> io::Result<Vec<u8>> {
    let kind = fs::metadata(path)?;
    if !kind.is_file() {
        return Err(io::Error::other("it is no regular file"));
    }
    let mut bytes = Vec::new();
    File::open(path)?.take(LARGEST + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > LARGEST {
        return Err(io::Error::other(format!("it has more than {LARGEST} bytes")));
    }
    Ok(bytes)
}

/// The digest of a folder's files: their names and bytes.
pub fn fingerprint(folder: &Path) -> Result<Digest, PoliciesError> {
    let mut sum = String::new();
    for path in files(folder)? {
        let bytes = read(&path).map_err(|cause| unreadable(&path, cause))?;
        sum.extend([
            path.display().to_string(),
            "\0".to_owned(),
            Digest::of(&bytes).to_string(),
            "\0".to_owned(),
        ]);
    }
    Ok(Digest::of(sum.as_bytes()))
}

/// The files in a folder and in the folders in it, in order. What begins with a dot is how mounts are exchanged.
fn files(folder: &Path) -> Result<Vec<PathBuf>, PoliciesError> {
    let mut files = Vec::new();
    collect(folder, 0, &mut files)?;
    files.sort();
    Ok(files)
}

fn collect(folder: &Path, depth: u32, files: &mut Vec<PathBuf>) -> Result<(), PoliciesError> {
    for path in entries(folder)? {
        if !path.is_dir() {
            files.push(path);
        } else if depth < DEEPEST {
            collect(&path, depth + 1, files)?;
        } else {
            return Err(PoliciesError::TooDeep(path));
        }
    }
    Ok(())
}

fn entries(folder: &Path) -> Result<Vec<PathBuf>, PoliciesError> {
    let failed = |cause| unreadable(folder, cause);
    let mut entries = Vec::new();
    for entry in fs::read_dir(folder).map_err(failed)? {
        let path = entry.map_err(failed)?.path();
        let is_hidden = path
            .file_name()
            .is_some_and(|name| name.as_encoded_bytes().starts_with(b"."));
        if !is_hidden {
            entries.push(path);
        }
    }
    Ok(entries)
}

fn unreadable(path: &Path, cause: io::Error) -> PoliciesError {
    PoliciesError::Unreadable {
        path: path.to_owned(),
        cause,
    }
}
