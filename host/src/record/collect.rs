//! Artifacts of the local file system: from paths to names and digests.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;
use std::fs::File;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use rayon::prelude::*;

use super::exclude::Exclude;
use super::hash::{self, Content, Digest, HashError};
use super::path::{NameError, Naming, normalize};
use super::walk::Walk;
use crate::terminal::Progress;

/// Names and digests of artifacts, in order.
pub type Artifacts = BTreeMap<String, Digest>;

/// How artifacts are found, named and hashed.
#[derive(Debug)]
pub struct Options {
    /// The folder to which paths are relative; empty for the current one. It is no part of any name.
    pub base: PathBuf,
    /// What is left out.
    pub exclude: Exclude,
    /// How names are made of paths.
    pub naming: Naming,
    /// Whether links to folders are entered. Links to files always stand for those.
    pub follow_folders: bool,
    /// Which bytes are hashed.
    pub content: Content,
    /// Whether a path that is not there is passed over with a note, as in-toto does, rather than refused.
    pub lenient: bool,
    /// Whether PEM files of keys are left out, with a note, wherever they are found.
    pub without_keys: bool,
}

/// Something that was passed over and that a person may miss.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Note {
    /// A path that is not there.
    Missing(String),
    /// A glob that matches nothing.
    NoMatch(String),
    /// A link to nothing.
    Dangling(String),
    /// A link to a folder, which was not entered.
    LinkToFolder(String),
    /// A pipe, socket or device.
    NotRegular(String),
    /// A key, where keys are left out.
    Key(String),
}

impl fmt::Display for Note {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Key(path) => write!(formatter, "`{path}` is a key and is not recorded"),
            Self::Missing(path) => write!(formatter, "`{path}` does not exist and is not recorded"),
            Self::NoMatch(glob) => write!(formatter, "no file matches `{glob}`"),
            Self::Dangling(path) => write!(formatter, "`{path}` is a link to nothing and is not recorded"),
            Self::LinkToFolder(path) => write!(
                formatter,
                "`{path}` is a link to a folder and is not recorded; --follow-symlink-dirs enters it"
            ),
            Self::NotRegular(path) => write!(formatter, "`{path}` is not a regular file and is not recorded"),
        }
    }
}

/// Why artifacts cannot be recorded.
#[derive(Debug, thiserror::Error)]
pub enum CollectError {
    /// A path that is not there.
    #[error("`{0}` does not exist")]
    Missing(String),
    /// A glob that matches nothing.
    #[error("no file matches `{0}`")]
    NoMatch(String),
    /// A glob that is none.
    #[error("the glob is malformed: {0}")]
    Glob(globset::Error),
    /// A link to nothing.
    #[error("`{0}` is a link to nothing; remove it or --exclude it")]
    Dangling(String),
    /// A link that leads to itself.
    #[error("the symbolic link `{0}` leads back to itself; remove it or --exclude it")]
    LinkLoop(String),
    /// Links to folders that hold links to folders, and so on.
    #[error(
        "links lead to more folders or files than a link can hold; `{0}` is one of them: remove it or --exclude it"
    )]
    TooMany(String),
    /// A link to a folder that holds it.
    #[error("the link `{0}` leads back to a folder that it is in, without end; --exclude it")]
    Loop(String),
    /// A pipe, socket or device that was named.
    #[error("`{0}` is not a regular file; only those are recorded")]
    NotRegular(String),
    /// A folder that cannot be listed, or a link that cannot be followed.
    #[error("cannot read `{}`: {cause}", .path.display())]
    Unreadable {
        /// What cannot be read.
        path: PathBuf,
        /// What the system says.
        cause: io::Error,
    },
    /// A link's names are text.
    #[error("the name of `{}` is not UTF-8 and has no place in a link; rename it or --exclude its folder", .0.display())]
    NotUtf8(PathBuf),
    /// A file that cannot be hashed.
    #[error(transparent)]
    Hash(#[from] HashError),
    /// A file that gets no name.
    #[error(transparent)]
    Name(#[from] NameError),
    /// Two files under one name.
    #[error("`{first}` and `{second}` would both be recorded as `{name}`: choose other prefixes to strip")]
    NotUnique {
        /// The name.
        name: String,
        /// One of the files.
        first: String,
        /// The other one.
        second: String,
    },
    /// `dir:` before something else than a folder.
    #[error("`{0}` is not a folder, and `dir:` records folders")]
    NotFolder(String),
    /// A scheme of in-toto that is not supported.
    #[error("`{0}`: OSTree references are not supported; record the commit object's file instead")]
    Ostree(String),
}

/// Artifacts, and what was passed over.
#[derive(Debug, Default)]
pub struct Collected {
    /// What is recorded.
    pub artifacts: Artifacts,
    /// What a person may miss.
    pub notes: Vec<Note>,
}

/// A file that will be hashed.
struct Named {
    name: String,
    location: String,
}

/// Records what the arguments stand for: files, folders with all that is in them, globs, `file:` and any of these
/// (the scheme stays in the name), and `dir:` and a folder, which is recorded as one artifact.
pub fn collect(arguments: &[String], options: &Options) -> Result<Collected, CollectError> {
    let mut collected = Collected::default();
    let mut files = Vec::new();
    let mut folders = Vec::new();
    for argument in arguments {
        if argument.starts_with("ostree:") {
            return Err(CollectError::Ostree(argument.clone()));
        }
        if let Some(folder) = argument.strip_prefix("dir:") {
            folders.push(normalize(folder));
            continue;
        }
        let (scheme, path) = match argument.strip_prefix("file:") {
            Some(path) => ("file:", path),
            None => ("", argument.as_str()),
        };
        let mut walk = Walk::new(options);
        walk.visit(path)?;
        collected.notes.append(&mut walk.notes);
        for location in walk.files {
            if options.without_keys && is_key(&options.locate(&location)) {
                collected.notes.push(Note::Key(location));
                continue;
            }
            let name = options.naming.name(&location, scheme)?;
            files.push(Named { name, location });
        }
    }
    collected.artifacts = hash_all(unique(files)?, options)?;
    for folder in folders {
        let name = options.naming.name(&folder, "dir:")?;
        collected
            .artifacts
            .insert(name, hash_folder(&folder, options, &mut collected.notes)?);
    }
    Ok(collected)
}

/// Whether a file is the PEM of a key (RFC 7468) and nothing else. One that cannot be read is none: recording it will
/// say why.
fn is_key(path: &Path) -> bool {
    const LABELS: [&str; 6] = [
        "PRIVATE KEY",
        "ENCRYPTED PRIVATE KEY",
        "EC PRIVATE KEY",
        "RSA PRIVATE KEY",
        "PUBLIC KEY",
        "RSA PUBLIC KEY",
    ];
    let mut bytes = Vec::new();
    let read = File::open(path).and_then(|file| file.take(KEY_BYTES).read_to_end(&mut bytes));
    read.is_ok()
        && pkcs8::der::pem::decode_vec(&bytes)
            .is_ok_and(|(label, der)| LABELS.contains(&label) && der.first() == Some(&0x30))
}

/// More than the PEM of any key has.
const KEY_BYTES: u64 = 32 << 10;

/// In order of their names. The same file may be asked for twice, but two files cannot have one name.
fn unique(mut files: Vec<Named>) -> Result<Vec<Named>, CollectError> {
    files.sort_unstable_by(|a, b| (&a.name, &a.location).cmp(&(&b.name, &b.location)));
    files.dedup_by(|a, b| (&a.name, &a.location) == (&b.name, &b.location));
    match files.windows(2).find(|pair| pair[0].name == pair[1].name) {
        Some(pair) => Err(CollectError::NotUnique {
            name: pair[0].name.clone(),
            first: pair[0].location.clone(),
            second: pair[1].location.clone(),
        }),
        None => Ok(files),
    }
}

/// Hashes files on all processors. Of several errors, the first by name is told.
fn hash_all(files: Vec<Named>, options: &Options) -> Result<Artifacts, CollectError> {
    let size = |file| path_of(file, options).metadata().map_or(0, |metadata| metadata.len());
    let progress = Progress::start("hashing files", || files.iter().map(size).sum());
    let digests: Vec<Result<Digest, HashError>> = files
        .par_iter()
        .map(|file| hash::file_watched(&path_of(file, options), options.content, |bytes| progress.add(bytes)))
        .collect();
    files
        .into_iter()
        .zip(digests)
        .map(|(file, digest)| Ok((file.name, digest?)))
        .collect()
}

fn path_of<'f>(file: &'f Named, options: &Options) -> Cow<'f, Path> {
    if options.base.as_os_str().is_empty() {
        Cow::Borrowed(Path::new(&file.location))
    } else {
        Cow::Owned(options.locate(&file.location))
    }
}

/// One digest for a folder, as in-toto's `dir:` has it: of the lines `<sha256>  <path in the folder>` in order.
fn hash_folder(folder: &str, options: &Options, notes: &mut Vec<Note>) -> Result<Digest, CollectError> {
    let base = options.locate(folder);
    if !base.is_dir() {
        return Err(CollectError::NotFolder(folder.to_owned()));
    }
    let inside = Options {
        base,
        exclude: options.exclude.clone(),
        naming: Naming::default(),
        ..*options
    };
    let mut collected = collect(&[".".to_owned()], &inside)?;
    notes.append(&mut collected.notes);
    let mut lines = String::new();
    for (name, digest) in &collected.artifacts {
        lines.extend([digest.to_string().as_str(), "  ", name, "\n"]);
    }
    Ok(Digest::of(lines.as_bytes()))
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;

    use tempfile::TempDir;

    use super::super::exclude;
    use super::*;

    fn options(folder: &TempDir) -> Options {
        Options {
            base: folder.path().to_owned(),
            exclude: Exclude::new(exclude::DEFAULT).unwrap(),
            naming: Naming::default(),
            follow_folders: false,
            content: Content::Exact,
            lenient: false,
            without_keys: false,
        }
    }

    /// A folder with these files, each of which contains its own name.
    fn tree(files: &[&str]) -> TempDir {
        let folder = tempfile::tempdir().unwrap();
        for file in files {
            let path = folder.path().join(file);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, file).unwrap();
        }
        folder
    }

    fn names(arguments: &[&str], options: &Options) -> Result<Vec<String>, CollectError> {
        let arguments: Vec<String> = arguments.iter().map(|&argument| argument.to_owned()).collect();
        Ok(collect(&arguments, options)?.artifacts.into_keys().collect())
    }

    #[test]
    fn keys_are_left_out_where_that_is_asked_for() {
        let folder = tree(&["a"]);
        let pem = |label: &str, body: &str| format!("-----BEGIN {label}-----\n{body}\n-----END {label}-----\n");
        for (name, text) in [
            ("bob", pem("PRIVATE KEY", "MAA=")),
            ("carol", pem("ENCRYPTED PRIVATE KEY", "MAA=")),
            ("cert", pem("CERTIFICATE", "MAA=")),
            ("no-der", pem("PRIVATE KEY", "make")),
            ("script", pem("PRIVATE KEY", "MAA=") + "rm -r src\n"),
        ] {
            fs::write(folder.path().join(name), text).unwrap();
        }
        let mut options = options(&folder);
        assert_eq!(
            names(&["."], &options).unwrap(),
            ["a", "bob", "carol", "cert", "no-der", "script"]
        );
        options.without_keys = true;
        assert_eq!(names(&["."], &options).unwrap(), ["a", "cert", "no-der", "script"]);
    }

    #[test]
    fn paths_folders_and_globs() {
        let folder = tree(&[
            "a",
            "src/b.c",
            "src/b.h",
            "src/deep/c.c",
            ".git/config",
            "x.link",
            "src/d.c~",
            ".hidden",
        ]);
        let options = options(&folder);
        for (arguments, wanted) in [
            (&["."][..], &[".hidden", "a", "src/b.c", "src/b.h", "src/deep/c.c"][..]),
            (&["src/"], &["src/b.c", "src/b.h", "src/deep/c.c"]),
            (&["./src/../a", "a"], &["a"]),
            (&["src/**"], &["src/b.c", "src/b.h", "src/deep/c.c"]),
            (&["src/*.c"], &["src/b.c"]),
            (&["**/*.{c,h}"], &["src/b.c", "src/b.h", "src/deep/c.c"]),
            (&["?"], &["a"]),
            (&["file:a", "a"], &["a", "file:a"]),
            (&["dir:src"], &["dir:src"]),
            (&[".git", "x.link"], &[]),
            (&[], &[]),
        ] {
            assert_eq!(names(arguments, &options).unwrap(), wanted, "{arguments:?}");
        }
    }

    #[test]
    fn digests_are_of_contents() {
        let folder = tree(&["a"]);
        let collected = collect(&["a".to_owned()], &options(&folder)).unwrap();
        assert_eq!(collected.artifacts["a"], Digest::of(b"a"));
    }

    #[test]
    fn a_folder_as_one_artifact() {
        let folder = tree(&["d/b", "d/a/c"]);
        let collected = collect(&["dir:d/".to_owned()], &options(&folder)).unwrap();
        let lines = format!("{}  a/c\n{}  b\n", Digest::of(b"d/a/c"), Digest::of(b"d/b"));
        assert_eq!(collected.artifacts["dir:d"], Digest::of(lines.as_bytes()));
    }

    #[test]
    fn stripped_names_are_unique() {
        let folder = tree(&["one/a", "two/a", "two/b"]);
        let mut options = options(&folder);
        options.naming = Naming::new(vec!["one/".to_owned(), "two/".to_owned()]).unwrap();
        assert_eq!(names(&["one", "two/b"], &options).unwrap(), ["a", "b"]);
        let error = names(&["one", "two"], &options).unwrap_err();
        assert!(
            error
                .to_string()
                .starts_with("`one/a` and `two/a` would both be recorded as `a`"),
            "{error}"
        );
    }

    #[test]
    fn what_cannot_be_recorded() {
        let folder = tree(&["d/a"]);
        symlink("nothing", folder.path().join("d/dangling")).unwrap();
        symlink("itself", folder.path().join("itself")).unwrap();
        let mut options = options(&folder);
        for (argument, wanted) in [
            ("none", "`none` does not exist"),
            ("*.none", "no file matches `*.none`"),
            ("a[", "the glob is malformed"),
            ("d", "`d/dangling` is a link to nothing"),
            ("d/dangling", "`d/dangling` is a link to nothing"),
            ("itself", "the symbolic link `"),
            ("/dev/null", "`/dev/null` is not a regular file"),
            ("../../etc/../x", "`../../x` does not exist"),
            ("dir:d/a", "`d/a` is not a folder"),
            ("ostree:main", "`ostree:main`: OSTree"),
        ] {
            let error = names(&[argument], &options).unwrap_err().to_string();
            assert!(error.starts_with(wanted), "{argument}: {error}");
        }
        options.lenient = true;
        let arguments = ["none".to_owned(), "*.none".to_owned(), "d".to_owned()];
        let collected = collect(&arguments, &options).unwrap();
        assert_eq!(collected.artifacts.into_keys().collect::<Vec<_>>(), ["d/a"]);
        assert_eq!(
            collected.notes,
            [
                Note::Missing("none".to_owned()),
                Note::NoMatch("*.none".to_owned()),
                Note::Dangling("d/dangling".to_owned())
            ]
        );
    }

    #[test]
    fn what_lies_above_the_base() {
        let folder = tree(&["a", "inner/b"]);
        let mut options = options(&folder);
        options.base.push("inner");
        assert_eq!(names(&["../a"], &options).unwrap(), ["../a"]);
        options.naming = Naming::new(vec!["../".to_owned()]).unwrap();
        assert_eq!(names(&["../a"], &options).unwrap(), ["a"]);
        options.naming = Naming::new(vec!["../a".to_owned()]).unwrap();
        assert!(matches!(
            names(&["../a"], &options),
            Err(CollectError::Name(NameError::Refused { .. }))
        ));
    }

    #[test]
    fn links_to_files_and_folders() {
        let folder = tree(&["d/a", "e/b"]);
        symlink("../e/b", folder.path().join("d/file")).unwrap();
        symlink("../e", folder.path().join("d/folder")).unwrap();
        let mut options = options(&folder);
        let collected = collect(&["d".to_owned()], &options).unwrap();
        assert_eq!(collected.notes, [Note::LinkToFolder("d/folder".to_owned())]);
        assert_eq!(collected.artifacts.into_keys().collect::<Vec<_>>(), ["d/a", "d/file"]);
        options.follow_folders = true;
        assert_eq!(names(&["d"], &options).unwrap(), ["d/a", "d/file", "d/folder/b"]);
        symlink("..", folder.path().join("d/up")).unwrap();
        assert!(matches!(names(&["d"], &options), Err(CollectError::Loop(place)) if place == "d/up/d"));
    }

    #[test]
    fn a_name_that_is_no_text() {
        use std::ffi::OsStr;
        use std::os::unix::ffi::OsStrExt as _;
        let folder = tree(&[]);
        fs::write(folder.path().join(OsStr::from_bytes(b"\xff")), "").unwrap();
        assert!(matches!(
            names(&["."], &options(&folder)),
            Err(CollectError::NotUtf8(_))
        ));
    }
}
