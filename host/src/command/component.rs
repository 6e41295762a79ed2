//! `linkgate component`

use std::io::{IsTerminal as _, Write as _};
use std::process::ExitCode;

use crate::cli::UsageError;
use crate::runtime::{COMPONENT, CORE_MODULE};

const EXAMPLES: &str = "\
Examples:
  linkgate component > verifier.wasm
      The verifier, for any host that loads WebAssembly components.
  linkgate component --format core > verifier.core.wasm
      The same verifier, JSON to JSON, for engines that load core modules, such as wazero and V8.
      wit/core-module.md says how it is asked.
  linkgate component | sha256sum
      The same digest as `linkgate version --verbose` prints and receipts hold.";

/// Arguments of `linkgate component`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// What kind of WebAssembly.
    #[arg(long, value_enum, default_value_t = Format::Component)]
    format: Format,
}

/// A packaging of the verifier.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Format {
    /// A component with a WIT interface.
    Component,
    /// A core module that is asked in JSON.
    Core,
}

impl Format {
    fn bytes(self) -> &'static [u8] {
        match self {
            Self::Component => COMPONENT,
            Self::Core => CORE_MODULE,
        }
    }

    /// The command that writes it into a file.
    fn advice(self) -> &'static str {
        match self {
            Self::Component => "linkgate component > verifier.wasm",
            Self::Core => "linkgate component --format core > verifier.core.wasm",
        }
    }
}

/// Writes an embedded packaging to standard output.
pub(crate) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let mut out = std::io::stdout().lock();
    if out.is_terminal() {
        let advice = args.format.advice();
        return Err(UsageError(format!("WebAssembly is binary: redirect it, `{advice}`")).into());
    }
    out.write_all(args.format.bytes())?;
    out.flush()?;
    Ok(ExitCode::SUCCESS)
}
