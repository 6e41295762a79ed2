//! `linkgate version`

use std::process::ExitCode;

use crate::record::hash::Digest;
use crate::runtime::COMPONENT;

/// Arguments of `linkgate version`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Also print the embedded component's SHA-256 and size.
    #[arg(short, long)]
    verbose: bool,
}

/// Prints the version.
pub(crate) fn run(args: &Args) -> ExitCode {
    anstream::println!("linkgate {}", env!("CARGO_PKG_VERSION"));
    if args.verbose {
        anstream::println!("component linkgate:verifier@0.1.0, {} bytes", COMPONENT.len());
        anstream::println!("component sha256 {}", Digest::of(COMPONENT));
    }
    ExitCode::SUCCESS
}
