//! `linkgate man`

use std::io;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context as _;

use crate::cli;
use crate::file;

const EXAMPLES: &str = "\
Examples:
  linkgate man | man -l -
  linkgate man ~/.local/share/man/man1
      Writes a page for the program and one for each of its verbs.";

/// Arguments of `linkgate man`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// The folder for all pages, made if it is missing; without it the program's own page is printed.
    #[arg(value_name = "DIR")]
    folder: Option<PathBuf>,
}

/// Prints the manual page, or writes all of them.
pub(crate) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    match &args.folder {
        None => clap_mangen::Man::new(cli::definition()).render(&mut io::stdout())?,
        Some(folder) => {
            file::make_folder(folder)?;
            clap_mangen::generate_to(cli::definition(), folder)
                .with_context(|| format!("cannot write the pages into `{}`", folder.display()))?;
        }
    }
    Ok(ExitCode::SUCCESS)
}
