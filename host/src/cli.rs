//! The command line: one verb a file in [`crate::command`].

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Records, signs and verifies in-toto supply chains.
#[derive(Debug, Parser)]
#[command(name = "linkgate", version)]
struct Cli {
    #[command(subcommand)]
    verb: Verb,
}

/// What to do.
#[derive(Debug, Subcommand)]
enum Verb {
    /// Verify a supply chain.
    Verify(crate::command::verify::Args),
}

/// Parses the arguments of the process and does what they say.
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    let outcome = match cli.verb {
        Verb::Verify(args) => crate::command::verify::run(args),
    };
    outcome.unwrap_or_else(|error| {
        anstream::eprintln!("error: {error:#}");
        ExitCode::from(2)
    })
}
