//! `linkgate component`

use std::io::{IsTerminal as _, Write as _};
use std::process::ExitCode;

use crate::cli::UsageError;
use crate::runtime::COMPONENT;

const EXAMPLES: &str = "\
Examples:
  linkgate component > verifier.wasm
      The verifier, for any host that loads WebAssembly components.
  linkgate component | sha256sum
      The same digest as `linkgate version --verbose` prints and receipts hold.";

/// Arguments of `linkgate component`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {}

/// Writes the embedded component to standard output.
pub(crate) fn run(_args: &Args) -> anyhow::Result<ExitCode> {
    let mut out = std::io::stdout().lock();
    if out.is_terminal() {
        return Err(UsageError(
            "the component is binary: redirect it, `linkgate component > verifier.wasm`".to_owned(),
        )
        .into());
    }
    out.write_all(COMPONENT)?;
    out.flush()?;
    Ok(ExitCode::SUCCESS)
}
