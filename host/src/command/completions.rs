//! `linkgate completions`

use std::io::{self, Write as _};
use std::process::ExitCode;

use clap::builder::PossibleValue;
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
    if args.shell == Shell::Fish {
        script.extend(words_for_fish(&cli::definition()).into_bytes());
    }
    io::stdout().write_all(&script)?;
    Ok(ExitCode::SUCCESS)
}

/// The words that may stand without an option before them (`start` and `stop` of `record`), which the generator leaves out
/// for fish.
fn words_for_fish(definition: &clap::Command) -> String {
    let verbs = definition.get_subcommands();
    let positions = verbs.flat_map(|verb| verb.get_positionals().map(move |position| (verb.get_name(), position)));
    let lines = positions.flat_map(|(verb, position)| {
        let words = position.get_possible_values();
        let names: Vec<&str> = words.iter().map(PossibleValue::get_name).collect();
        let names = names.join(" ");
        let line = |word: &PossibleValue| {
            let help = word.get_help().map(ToString::to_string).unwrap_or_default();
            format!(
                "complete -c linkgate -n \"__fish_linkgate_using_subcommand {verb}; and not __fish_seen_subcommand_from {names}\" -f -a \"{}\" -d '{}'\n",
                word.get_name(),
                help.replace('\'', "\\'")
            )
        };
        words.iter().map(line).collect::<Vec<_>>()
    });
    lines.collect()
}
