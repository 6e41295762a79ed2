//! The command line: one verb a file in `command/`.
//!
//! Called by the name of one of in-toto's tools, which `install-aliases` makes links for,
//! the program takes that tool's arguments and exits as it does.

use std::ffi::{OsStr, OsString};
use std::io::{self, Write as _};
use std::path::Path;
use std::process::ExitCode;

use clap::error::ErrorKind;
use clap::{Arg, CommandFactory as _, FromArgMatches, Parser, Subcommand};

use crate::command::{
    aliases, attach, completions, component, demo, fetch, hsm, key, keygen, man, match_products, mock, record, run,
    serve, sign, verify, version,
};
use crate::signer::pkcs11;
use crate::{secret, terminal};

/// Records, signs and verifies in-toto supply chains.
#[derive(Debug, Parser)]
#[command(name = "linkgate", version, infer_long_args = true)]
struct Cli {
    #[command(subcommand)]
    verb: Verb,
}

/// What to do.
#[derive(Debug, Subcommand)]
enum Verb {
    /// Verify a supply chain.
    Verify(verify::Args),
    /// Run a step's command and write its signed link.
    Run(run::Args),
    /// Record a step that no single command covers, in two calls: start and stop.
    Record(record::Args),
    /// Run a command and write an unsigned link, to try things out.
    Mock(mock::Args),
    /// Compare local files with a link's products.
    MatchProducts(match_products::Args),
    /// Sign a layout or link, or check its signatures.
    Sign(sign::Args),
    /// Attach links to an image in a registry.
    Attach(attach::Args),
    /// Fetch the links that are attached to an image.
    Fetch(fetch::Args),
    /// Make a key pair.
    Keygen(keygen::Args),
    /// Look at keys.
    Key(key::Args),
    /// Look at hardware tokens and their keys.
    Hsm(hsm::Args),
    /// Answer Kubernetes, Gatekeeper, OPA, Kyverno and Envoy: may this artifact run, or be pulled?
    Serve(serve::Args),
    /// Make links by which this program takes the place of in-toto's tools.
    InstallAliases(aliases::Args),
    /// See the whole story: keys, a layout, steps, an accept and a reject, on real files in a new folder.
    Demo(demo::Args),
    /// Write the embedded verifier, a WebAssembly component, to standard output.
    Component(component::Args),
    /// Print the version.
    Version(version::Args),
    /// Print a shell's completion script.
    Completions(completions::Args),
    /// Print the manual page, or write all of them into a folder.
    Man(man::Args),
}

/// The program where it verifies. What a gate asks for most often is parsed without defining all other verbs first, which
/// would take a tenth of its time.
#[derive(Debug, Parser)]
#[command(name = "linkgate", version, infer_long_args = true)]
struct Verifying {
    #[command(subcommand)]
    verb: VerifyVerb,
}

/// The one verb of [`Verifying`].
#[derive(Debug, Subcommand)]
enum VerifyVerb {
    /// Verify a supply chain.
    Verify(verify::Args),
}

/// The program under the names of in-toto's tools.
#[derive(Debug, Parser)]
// Python's argparse takes unambiguous beginnings of long options, and the last of several equal ones.
#[command(multicall = true, infer_long_args = true, args_override_self = true)]
struct InToto {
    #[command(subcommand)]
    tool: Tool,
}

/// Which tool's name the program was called by.
#[derive(Debug, Subcommand)]
#[command(version = concat!("(linkgate ", env!("CARGO_PKG_VERSION"), ")"), propagate_version = true)]
enum Tool {
    /// Verify a supply chain.
    #[command(name = "in-toto-verify")]
    Verify(verify::Args),
    /// Run a step's command and write its signed link.
    #[command(name = "in-toto-run")]
    Run(run::Args),
    /// Record a step that no single command covers, in two calls: start and stop.
    #[command(name = "in-toto-record")]
    Record(record::Args),
    /// Run a command and write an unsigned link, to try things out.
    #[command(name = "in-toto-mock")]
    Mock(mock::Args),
    /// Compare local files with a link's products.
    #[command(name = "in-toto-match-products")]
    MatchProducts(match_products::Args),
    /// Sign a layout or link, or check its signatures.
    #[command(name = "in-toto-sign")]
    Sign(sign::Args),
    /// Make a key pair.
    #[command(name = "in-toto-keygen")]
    Keygen(keygen::Args),
}

/// By which kind of name the program was called.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Called {
    /// Its own.
    Linkgate,
    /// That of one of in-toto's tools, whose ways it then has.
    InToto,
}

impl Called {
    /// What a verb is called by such a name.
    pub(crate) fn verb(self, verb: &str) -> String {
        match self {
            Self::Linkgate => format!("linkgate {verb}"),
            Self::InToto => format!("in-toto-{verb}"),
        }
    }

    /// The spelling of an option under such a name.
    pub(crate) fn spelling(self, own: &'static str, theirs: &'static str) -> &'static str {
        match self {
            Self::Linkgate => own,
            Self::InToto => theirs,
        }
    }
}

/// A command line that cannot be meant: exit code 2 under every name.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(crate) struct UsageError(pub(crate) String);

/// Parses the arguments of the process and does what they say. No other thread may run yet: secrets are taken out of the
/// environment.
pub fn main() -> ExitCode {
    secret::take();
    let code = run();
    pkcs11::forget_pins();
    if pkcs11::left_behind() {
        // What a token's module does at the end of a process would wait for the call that did not return.
        let _ = io::stdout().flush();
        let number = (0..=u8::MAX).find(|number| ExitCode::from(*number) == code);
        signal_hook::low_level::exit(i32::from(number.unwrap_or(2)));
    }
    code
}

fn run() -> ExitCode {
    let name = std::env::args_os().next();
    let name = name.as_deref().and_then(|name| Path::new(name).file_stem());
    if name
        .and_then(OsStr::to_str)
        .is_some_and(|name| name.starts_with("in-toto-"))
    {
        let outcome = dispatch_tool(parse::<InToto>(&tools()).tool);
        return finish(outcome, Called::InToto);
    }
    if std::env::args_os().nth(1).is_some_and(|verb| verb == "verify") {
        let VerifyVerb::Verify(args) = parse::<Verifying>(&Verifying::command()).verb;
        return finish(verify::run(&args, Called::Linkgate), Called::Linkgate);
    }
    finish(dispatch(parse::<Cli>(&Cli::command()).verb), Called::Linkgate)
}

/// Parses the arguments of the process, or ends it with what is wrong with them.
fn parse<P: FromArgMatches>(definition: &clap::Command) -> P {
    let words: Vec<OsString> = std::env::args_os().collect();
    parse_words(definition, &words).unwrap_or_else(|error| readable::<P>(definition, &words, error).exit())
}

/// What is wrong with a command line, as it may be shown: words that would do something to a terminal or a log are repeated
/// as they are told.
fn readable<P: FromArgMatches>(definition: &clap::Command, words: &[OsString], error: clap::Error) -> clap::Error {
    let shown = |word: &OsString| terminal::harmless(&word.to_string_lossy());
    let told: Vec<OsString> = words.iter().map(|word| shown(word).into()).collect();
    if told == words {
        return error;
    }
    match parse_words::<P>(definition, &told) {
        Err(error) => error,
        // What was wrong is in a word that was told in another way.
        Ok(_) => definition.clone().error(error.kind(), error.kind()),
    }
}

/// A list of paths takes every word after it, the verb of `record` too; where that leaves none, the list ends before it.
fn parse_words<P: FromArgMatches>(definition: &clap::Command, words: &[OsString]) -> Result<P, clap::Error> {
    let parsed = |words: &[OsString]| {
        let matches = definition.clone().try_get_matches_from(words)?;
        P::from_arg_matches(&matches)
    };
    parsed(words).or_else(|error| match error.kind() {
        ErrorKind::MissingRequiredArgument | ErrorKind::InvalidValue => record::verb_first(words)
            .iter()
            .find_map(|words| parsed(words).ok())
            .ok_or(error),
        _ => Err(error),
    })
}

/// The options that in-toto's tools spell in another way: the tool, linkgate's spelling, and the tool's own.
const SPELLINGS: [(&str, &str, &str); 8] = [
    ("in-toto-verify", "key", "verification-keys"),
    ("in-toto-verify", "links-dir", "link-dir"),
    ("in-toto-run", "key-path", "signing-key"),
    ("in-toto-run", "links-dir", "metadata-directory"),
    ("in-toto-run", "name", "step-name"),
    ("in-toto-record", "key-path", "signing-key"),
    ("in-toto-record", "links-dir", "metadata-directory"),
    ("in-toto-record", "name", "step-name"),
];

/// The definition under the names of in-toto's tools: help and errors speak of a tool as its users know it.
fn tools() -> clap::Command {
    let named = SPELLINGS.iter().fold(InToto::command(), |tools, &(tool, own, theirs)| {
        tools.mut_subcommand(tool, |tool| tool.mut_args(|arg| respelled(arg, own, theirs)))
    });
    named.mut_subcommands(|tool| {
        let help = tool.get_after_help().map(ToString::to_string).unwrap_or_default();
        let help = aliases::NAMES.iter().fold(help, |help, name| {
            help.replace(&name.replacen("in-toto-", "linkgate ", 1), name)
        });
        let spellings = SPELLINGS.iter().filter(|(name, ..)| *name == tool.get_name());
        let help = spellings.fold(help, |help, (_, own, theirs)| {
            help.replace(&format!("--{own} "), &format!("--{theirs} "))
        });
        tool.after_help(help)
    })
}

/// An option whose first spelling is another one of those that it has.
fn respelled(arg: Arg, own: &str, theirs: &'static str) -> Arg {
    if arg.get_long() != Some(own) {
        return arg;
    }
    let mut others: Vec<String> = vec![own.to_owned()];
    others.extend(arg.get_visible_aliases().into_iter().flatten().map(str::to_owned));
    others.retain(|other| other != theirs);
    arg.alias(None).long(theirs).visible_aliases(others)
}

/// The definition of the command line, for completions and manual pages.
pub(crate) fn definition() -> clap::Command {
    Cli::command()
}

fn dispatch(verb: Verb) -> anyhow::Result<ExitCode> {
    match verb {
        Verb::Verify(args) => verify::run(&args, Called::Linkgate),
        Verb::Demo(args) => demo::run(&args),
        Verb::Component(args) => component::run(&args),
        Verb::Version(args) => version::run(&args),
        Verb::Run(args) => run::run(&args, Called::Linkgate),
        Verb::Record(args) => record::run(&args, Called::Linkgate),
        Verb::Mock(args) => mock::run(&args),
        Verb::MatchProducts(args) => match_products::run(&args, Called::Linkgate),
        Verb::Sign(args) => sign::run(&args, Called::Linkgate),
        Verb::Attach(args) => attach::run(&args),
        Verb::Fetch(args) => fetch::run(&args),
        Verb::Keygen(args) => keygen::run(&args),
        Verb::Key(args) => key::run(&args),
        Verb::Hsm(args) => hsm::run(&args),
        Verb::Serve(args) => serve::run(&args),
        Verb::InstallAliases(args) => aliases::run(&args),
        Verb::Completions(args) => completions::run(&args),
        Verb::Man(args) => man::run(&args),
    }
}

fn dispatch_tool(tool: Tool) -> anyhow::Result<ExitCode> {
    match tool {
        Tool::Verify(args) => verify::run(&args, Called::InToto),
        Tool::Run(args) => run::run(&args, Called::InToto),
        Tool::Record(args) => record::run(&args, Called::InToto),
        Tool::Mock(args) => mock::run(&args),
        Tool::MatchProducts(args) => match_products::run(&args, Called::InToto),
        // That tool exits with 2 where it could not do its work, and with 1 where a signature does not hold.
        Tool::Sign(args) => sign::run(&args, Called::InToto).map_err(|error| UsageError(format!("{error:#}")).into()),
        Tool::Keygen(args) => keygen::run(&args),
    }
}

fn finish(outcome: anyhow::Result<ExitCode>, called: Called) -> ExitCode {
    outcome.unwrap_or_else(|error| {
        let is_closed = |cause: &io::Error| cause.kind() == io::ErrorKind::BrokenPipe;
        if error.downcast_ref().is_some_and(is_closed) {
            // Whoever read the output has seen enough of it.
            return ExitCode::from(2);
        }
        terminal::error(format_args!("{error:#}"));
        match called {
            Called::InToto if !error.is::<UsageError>() => ExitCode::FAILURE,
            _ => ExitCode::from(2),
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_definitions_are_sound() {
        Cli::command().debug_assert();
        Verifying::command().debug_assert();
        tools().debug_assert();
    }

    #[test]
    fn verifying_is_the_same_verb() {
        let help = |mut command: clap::Command| {
            command.build();
            let verb = command.find_subcommand_mut("verify").expect("the verb");
            verb.render_long_help().to_string()
        };
        assert_eq!(help(Cli::command()), help(Verifying::command()));
    }

    #[test]
    fn the_verb_of_a_record_ends_a_list() {
        let recorded = |line: &str| {
            let words: Vec<OsString> = line.split(' ').map(OsString::from).collect();
            let verb = if words[0] == "in-toto-record" {
                let InToto { tool } = parse_words(&tools(), &words)?;
                format!("{tool:?}")
            } else {
                format!("{:?}", parse_words::<Cli>(&Cli::command(), &words)?.verb)
            };
            let from = verb.find("verb: ").unwrap_or_default();
            let to = verb.find(", material_image").unwrap_or(verb.len());
            Ok::<_, clap::Error>(verb[from..to].to_owned())
        };
        let build = recorded("linkgate record start build -k bob -m src").unwrap();
        for same in [
            "linkgate record -k bob -m src start build",
            "linkgate record -m src start build -k bob",
            "in-toto-record --signing-key bob --materials src start build",
            "linkgate record -k bob -m src --exclude a b start build",
            "linkgate record -k bob -m src --lstrip-paths a start build",
            "linkgate record -m src -P start build",
        ] {
            assert_eq!(recorded(same).unwrap(), build, "{same}");
        }
        for (line, same) in [
            ("record -p out -k bob stop", "record stop -k bob -p out"),
            ("record -n build -p out stop", "record stop -n build -p out"),
            ("record -m start start build", "record start build -m=start"),
            ("record -m src start stop", "record start stop -m src"),
            ("record -n build -p start stop", "record stop -n build -p=start"),
        ] {
            let wanted = recorded(&format!("linkgate {same}")).unwrap();
            assert_eq!(recorded(&format!("linkgate {line}")).unwrap(), wanted, "{line}");
        }
        for wrong in [
            "record -m src",
            "record -m start",
            "record pause -m src",
            "record -m src start a b",
        ] {
            assert!(recorded(&format!("linkgate {wrong}")).is_err(), "{wrong}");
        }
    }

    #[test]
    fn tools_are_spoken_of_as_their_users_know_them() {
        let said = |line: &str| {
            let words: Vec<OsString> = line.split(' ').map(OsString::from).collect();
            parse_words::<InToto>(&tools(), &words).err().unwrap().to_string()
        };
        let verify = said("in-toto-verify --layout root.layout");
        assert!(verify.contains("--verification-keys <FILE>"), "{verify}");
        assert!(!verify.contains("--key "), "{verify}");
        let help = said("in-toto-verify --help");
        assert!(
            help.contains("in-toto-verify --layout root.layout --link-dir links --verification-keys owner.pub"),
            "{help}"
        );
        let help = said("in-toto-run --help");
        assert!(
            help.contains("--signing-key <KEY>") && !help.contains("linkgate run"),
            "{help}"
        );
        for (tool, own, theirs) in SPELLINGS {
            for spelling in [own, theirs] {
                let parsed = parse_words::<InToto>(&tools(), &[tool.into(), format!("--{spelling}").into()]);
                let error = parsed.err().unwrap().to_string();
                assert!(error.contains("a value is required"), "{tool} {spelling}: {error}");
            }
        }
    }

    #[test]
    fn every_alias_is_a_tool() {
        let command = InToto::command();
        for name in aliases::NAMES {
            assert!(command.find_subcommand(name).is_some(), "{name}");
        }
    }
}
