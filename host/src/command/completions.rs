//! `linkgate completions`

use std::io::{self, Write as _};
use std::process::ExitCode;

use clap_complete::Shell;

use crate::cli;

const EXAMPLES: &str = "\
Examples:
  linkgate completions bash > ~/.local/share/bash-completion/completions/linkgate
  linkgate completions zsh > ~/.zfunc/_linkgate";

/// Arguments of `linkgate completions`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// The shell.
    shell: Shell,
}

/// Prints a completion script.
pub(crate) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut cli::definition(), "linkgate", &mut script);
    io::stdout().write_all(&script)?;
    Ok(ExitCode::SUCCESS)
}
