//! The options that say what is recorded and how, and what all recording verbs do with it.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use linkgate_verifier::envelope::Form;
use serde_json::Value;

use crate::cli::{Called, UsageError};
use crate::file::{self, Mode};
use crate::metadata;
use crate::record::collect::{self, Artifacts, Options, collect};
use crate::record::exclude::{self, Exclude};
use crate::record::hash::Content;
use crate::record::image::Image;
use crate::record::link::StepName;
use crate::record::path::{Naming, split};
use crate::signer::Signer;
use crate::terminal;

/// Where CI systems keep the name of the running job: GitHub Actions, GitLab CI.
const JOB_NAMES: [&str; 2] = ["GITHUB_JOB", "CI_JOB_NAME"];

/// What is recorded and how.
#[derive(Debug, Default, clap::Args)]
#[command(next_help_heading = "Artifacts")]
pub(crate) struct Args {
    /// Leave out what matches: patterns as in a .gitignore file, several as a list or by repeating; a comma is part of a
    /// pattern. They replace the default ones, which are `*.link*`, `.git`, `*.pyc` and `*~`.
    #[arg(long, value_name = "PATTERN", num_args = 1..)]
    exclude: Vec<String>,

    /// The folder that paths start from; it is no part of the recorded names.
    #[arg(long, value_name = "DIR")]
    base_path: Option<PathBuf>,

    /// Cut this prefix off recorded names. Of several, none may begin another, and names must stay unique.
    #[arg(long, value_name = "PREFIX", num_args = 1..)]
    lstrip_paths: Vec<String>,

    /// Enter links to folders. Links to files always stand for those files.
    #[arg(long)]
    follow_symlink_dirs: bool,

    /// Hash text with CRLF and CR line endings as if it had LF.
    #[arg(long)]
    normalize_line_endings: bool,
}

impl Args {
    /// Checks and compiles the options. `more` patterns are excluded besides the user's or the default ones.
    pub(crate) fn options(&self, called: Called, more: &[String]) -> anyhow::Result<Options> {
        let base = self.base_path.clone().unwrap_or_default();
        if !base.as_os_str().is_empty() && !base.is_dir() {
            bail!("the base path `{}` is not a folder", base.display());
        }
        let patterns: Vec<&str> = if self.exclude.is_empty() {
            exclude::DEFAULT.to_vec()
        } else {
            self.exclude.iter().map(String::as_str).collect()
        };
        Ok(Options {
            exclude: Exclude::new(patterns.into_iter().chain(more.iter().map(String::as_str)))?,
            naming: Naming::new(self.lstrip_paths.clone())?,
            // in-toto's commands always do, and pass over what is not there.
            follow_folders: self.follow_symlink_dirs || called == Called::InToto,
            lenient: called == Called::InToto,
            without_keys: false,
            content: if self.normalize_line_endings {
                Content::UnixLines
            } else {
                Content::Exact
            },
            base,
        })
    }

    /// The folder that paths start from.
    pub(crate) fn base(&self) -> &Path {
        self.base_path.as_deref().unwrap_or(Path::new(""))
    }
}

/// How much is said.
#[derive(Clone, Copy, Debug, Default, clap::Args)]
#[command(next_help_heading = "Output")]
pub(crate) struct Talk {
    /// Say what is done.
    #[arg(short, long, conflicts_with = "quiet")]
    verbose: bool,

    /// Say nothing but errors.
    #[arg(short, long)]
    quiet: bool,
}

impl Talk {
    /// Whether only errors are said.
    pub(crate) fn is_quiet(self) -> bool {
        self.quiet
    }

    /// Says what was done. in-toto's tools do so only if asked.
    pub(crate) fn note(self, called: Called, message: impl std::fmt::Display) {
        if self.verbose || (called == Called::Linkgate && !self.quiet) {
            terminal::note(message);
        }
    }

    /// Says what must not be missed.
    pub(crate) fn warning(self, message: impl std::fmt::Display) {
        if !self.quiet {
            terminal::warning(message);
        }
    }
}

/// Records files and images.
pub(crate) fn artifacts(
    paths: &[String],
    images: &[Image],
    options: &Options,
    talk: Talk,
) -> anyhow::Result<Artifacts> {
    if paths.iter().any(|path| path.split(',').all(str::is_empty)) {
        // A variable that is not set must not stand for the whole folder.
        return Err(UsageError("an empty path to record: say `.` for the current folder".to_owned()).into());
    }
    let collect::Collected { mut artifacts, notes } = collect(&split(paths, &options.base), options)?;
    for note in notes {
        talk.warning(note);
    }
    for image in images {
        let digest = image.digest(&options.base)?;
        if artifacts.insert(image.name.clone(), digest).is_some() {
            bail!(
                "two artifacts would be recorded as `{}`: give the image another name",
                image.name
            );
        }
    }
    Ok(artifacts)
}

/// The step's name as it was given with `option`, or that of the CI job.
pub(crate) fn step_name(given: Option<&str>, option: &str) -> anyhow::Result<StepName> {
    let from_job = || {
        JOB_NAMES
            .iter()
            .find_map(|name| std::env::var(name).ok().filter(|job| !job.is_empty()))
    };
    let Some(name) = given.map(str::to_owned).or_else(from_job) else {
        let message = format!(
            "no step name: give one with {option} NAME (in CI it is taken from {})",
            JOB_NAMES.join(" or ")
        );
        return Err(UsageError(message).into());
    };
    StepName::new(name).map_err(|error| UsageError(format!("{error}; give one with {option} NAME")).into())
}

/// A number of things.
pub(crate) fn count(number: usize, what: &str) -> String {
    format!("{number} {what}{}", if number == 1 { "" } else { "s" })
}

/// Signs a payload and writes it.
pub(crate) fn write(path: &Path, payload: &Value, dsse: bool, signers: &[&dyn Signer]) -> anyhow::Result<()> {
    let form = if dsse { Form::Dsse } else { Form::Metablock };
    let document = metadata::seal(payload, form, signers).context("cannot sign the link")?;
    Ok(file::replace(path, document.as_bytes(), Mode::Public)?)
}
