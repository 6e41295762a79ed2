//! A folder in which the real binary is run.

use std::fs;
use std::os::unix::process::CommandExt as _;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};

use tempfile::TempDir;

/// Ed25519 test keys, used for nothing else.
const KEY: &str = "-----BEGIN PRIVATE KEY-----
MC4CAQAwBQYDK2VwBCIEIDujOK1O56haut+zDd2ByLzVhxwX8WIa+H/pn1zEnWKP
-----END PRIVATE KEY-----
";
const OTHER_KEY: &str = "-----BEGIN PRIVATE KEY-----
MC4CAQAwBQYDK2VwBCIEIJ1hsZ3v/VpguoRK9JLsLMREScVpezJpGXA7rAMcrn9g
-----END PRIVATE KEY-----
";

/// A folder to work in, with two keys beside it.
pub(crate) struct Place {
    /// Goes with the place.
    _outside: TempDir,
    pub(crate) folder: PathBuf,
}

impl Place {
    pub(crate) fn new(files: &[&str]) -> Self {
        let outside = tempfile::tempdir().unwrap();
        fs::write(outside.path().join("key"), KEY).unwrap();
        fs::write(outside.path().join("other"), OTHER_KEY).unwrap();
        let folder = outside.path().join("folder");
        fs::create_dir(&folder).unwrap();
        let place = Self {
            _outside: outside,
            folder,
        };
        for file in files {
            place.write(file, file);
        }
        place
    }

    pub(crate) fn write(&self, name: &str, content: &str) {
        let path = self.folder.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }

    pub(crate) fn command(&self, name: &str, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_linkgate"));
        command
            .arg0(name)
            .args(arguments)
            .current_dir(&self.folder)
            .env_remove("GITHUB_JOB")
            .env_remove("CI_JOB_NAME")
            .stdin(Stdio::null());
        command
    }

    pub(crate) fn linkgate(&self, arguments: &[&str]) -> Output {
        self.command("linkgate", arguments).output().unwrap()
    }

    pub(crate) fn names(&self, folder: &str) -> Vec<String> {
        let entries = fs::read_dir(self.folder.join(folder)).unwrap();
        let mut names: Vec<String> = entries
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort_unstable();
        names
    }
}

pub(crate) fn code(output: &Output) -> i32 {
    output.status.code().unwrap()
}

pub(crate) fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}
