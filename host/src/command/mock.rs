//! `linkgate mock`

use std::path::Path;
use std::process::ExitCode;

use super::recording;
use crate::cli::Called;
use crate::file;
use crate::record::command::{self, Options};
use crate::record::link::{self, Signals, Times};
use crate::terminal;

const EXAMPLES: &str = "\
Examples:
  linkgate mock --name build -- make
      Records the current folder before and after the command, and writes build.link without a signature.
  linkgate sign -k builder -f build.link
      Signs it later.";

/// Arguments of `linkgate mock`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// The step's name in the layout.
    #[arg(short, long)]
    name: String,

    /// Write the link in a DSSE envelope.
    #[arg(long)]
    use_dsse: bool,

    /// The command and its arguments.
    #[arg(trailing_var_arg = true, value_name = "COMMAND", required = true)]
    command: Vec<String>,
}

/// Runs a command and writes an unsigned link. The exit code is 0 whatever the command's was, as in-toto has it.
pub(crate) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let name = recording::step_name(Some(&args.name), "--name")?;
    // This verb is in-toto's own, and has its ways under either name.
    let options = recording::Args::default().options(Called::InToto, &[])?;
    let (here, talk) = ([".".to_owned()], recording::Talk::default());
    file::check_writable(Path::new(""))?;
    let started = link::now();
    let materials = recording::artifacts(&here, &[], &options, talk)?;
    terminal::note(format_args!("Running command '{}'...", args.command.join(" ")));
    let streams = Options {
        streams: command::Streams::Kept,
        timeout: None,
        folder: None,
    };
    let outcome = command::run(&args.command, streams)?;
    let products = recording::artifacts(&here, &[], &options, talk)?;
    let times = Times {
        started,
        finished: link::now(),
    };
    let byproducts = link::byproducts(&outcome, Signals::AsInToto);
    let payload = link::payload(
        &name,
        &args.command,
        &materials,
        &products,
        byproducts,
        link::environment(times),
    );
    let path = format!("{}.link", name.as_str());
    recording::write(Path::new(&path), &payload, args.use_dsse, &[])?;
    terminal::note(format_args!("Storing unsigned link metadata to '{path}'..."));
    Ok(ExitCode::SUCCESS)
}
