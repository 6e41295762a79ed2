//! `linkgate install-aliases`

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context as _, bail};

use crate::file;
use crate::terminal;

/// The tools of in-toto whose place the program takes.
pub(crate) const NAMES: [&str; 7] = [
    "in-toto-run",
    "in-toto-record",
    "in-toto-verify",
    "in-toto-sign",
    "in-toto-match-products",
    "in-toto-mock",
    "in-toto-keygen",
];

const EXAMPLES: &str = "\
Examples:
  linkgate install-aliases ~/.local/bin
      Existing pipelines then run in-toto-run, in-toto-verify and the others as before.";

/// Arguments of `linkgate install-aliases`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// The folder that the links are made in; it is made if it is missing.
    #[arg(value_name = "DIR")]
    folder: PathBuf,
}

/// Makes the links, all or none.
pub(crate) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let shown = args.folder.display();
    file::make_folder(&args.folder)?;
    let program = std::env::current_exe()
        .and_then(fs::canonicalize)
        .context("cannot find this program's own file")?;
    let missing = NAMES
        .iter()
        .map(|name| args.folder.join(name))
        .filter_map(|link| is_missing(&link, &program).transpose())
        .collect::<anyhow::Result<Vec<PathBuf>>>()?;
    for link in &missing {
        symlink(&program, link).with_context(|| format!("cannot make the link `{}`", link.display()))?;
    }
    terminal::note(format_args!("`{shown}` has {}", NAMES.join(", ")));
    Ok(ExitCode::SUCCESS)
}

/// The link if it has to be made; an error if something else is in its place.
fn is_missing(link: &Path, program: &Path) -> anyhow::Result<Option<PathBuf>> {
    if fs::symlink_metadata(link).is_err() {
        return Ok(Some(link.to_owned()));
    }
    if fs::canonicalize(link).is_ok_and(|target| target == program) {
        return Ok(None);
    }
    bail!(
        "`{}` exists already and is not a link to this program; nothing was changed",
        link.display()
    )
}
