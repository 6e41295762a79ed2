//! `linkgate version`

use std::process::ExitCode;

use crate::record::hash::Digest;
use crate::runtime::COMPONENT;
use crate::terminal;

/// Arguments of `linkgate version`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Also print the embedded component's SHA-256 and size.
    #[arg(short, long)]
    verbose: bool,
}

/// Prints the version.
pub(crate) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    terminal::print(concat!("linkgate ", env!("CARGO_PKG_VERSION")))?;
    if args.verbose {
        let (bytes, digest) = (COMPONENT.len(), Digest::of(COMPONENT));
        terminal::print(format_args!("component linkgate:verifier@0.1.0, {bytes} bytes"))?;
        terminal::print(format_args!("component sha256 {digest}"))?;
    }
    Ok(ExitCode::SUCCESS)
}
