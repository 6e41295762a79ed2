//! `linkgate hsm`

use std::path::PathBuf;
use std::process::ExitCode;

use crate::file::{self, Mode};
use crate::signer::pkcs11::{self, Inventory, Item, Reference};
use crate::terminal;

const EXAMPLES: &str = "\
Examples:
  linkgate hsm list --pkcs11-module /usr/lib/softhsm/libsofthsm2.so
      Which tokens are there, which keys have they, and which of those can linkgate use?
  linkgate hsm list --login
      The same, with the private keys, which a token shows only to whoever knows its PIN.
  linkgate hsm public builder-key > builder.pub
      The public half of a key, for layouts and for those who verify.
  linkgate keygen -t ecdsa --hsm builder-key
      Makes a key in the token.
  linkgate run -n build -k hsm:builder-key -m src -p app.tar -- make
      Signs with it. PKCS11_MODULE, PKCS11_SLOT and PKCS11_PIN say how the token is reached.";

/// Arguments of `linkgate hsm`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, clap::Subcommand)]
enum Verb {
    /// Show tokens, their keys and mechanisms, and which of them linkgate can use.
    List(ListArgs),
    /// Write a key's public half as SPKI PEM.
    Public(PublicArgs),
}

#[derive(Debug, clap::Args)]
struct ListArgs {
    /// Log in with the PIN, to see the private keys too.
    #[arg(long)]
    login: bool,

    #[command(flatten)]
    tokens: pkcs11::Options,
}

#[derive(Debug, clap::Args)]
struct PublicArgs {
    /// The key's label, or its reference: `hsm:LABEL` or a `pkcs11:` URI.
    #[arg(value_name = "LABEL")]
    key: String,

    /// Where it goes; standard output if no file is given. Nothing is overwritten.
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,

    #[command(flatten)]
    tokens: pkcs11::Options,
}

/// Looks at tokens.
pub(crate) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    match &args.verb {
        Verb::List(args) => list(args)?,
        Verb::Public(args) => public(args)?,
    }
    Ok(ExitCode::SUCCESS)
}

fn list(args: &ListArgs) -> anyhow::Result<()> {
    let inventories = pkcs11::list(&args.tokens, args.login)?;
    if inventories.is_empty() {
        terminal::note("the module has no token that is ready for use");
    }
    let shown: Vec<Vec<String>> = inventories
        .iter()
        .map(|inventory| text(inventory, args.login))
        .collect();
    Ok(terminal::print_all(shown.join(&String::new()))?)
}

fn text(inventory: &Inventory, with_private: bool) -> Vec<String> {
    let mut lines = vec![
        format!("token       {}", inventory.token),
        format!("slot        {} (index {})", inventory.slot, inventory.index),
        format!("made by     {}", inventory.make),
    ];
    lines.extend(inventory.pin.map(|pin| format!("PIN         {pin}")));
    for (mechanism, what, there) in &inventory.mechanisms {
        let there = if *there { "yes" } else { "no " };
        lines.push(format!("mechanism   {there} {mechanism} ({what})"));
    }
    for item in &inventory.keys {
        lines.push(format!("{:<11} {}", item.kind, line(item)));
    }
    if !with_private {
        lines.push("private keys are shown with --login".to_owned());
    }
    lines
}

fn line(item: &Item) -> String {
    match &item.public {
        Ok(key) => format!("{}  {} {:.8}", item.uri, key.scheme(), key.keyid()),
        Err(_) if item.kind == "private key" => format!("{}  (see its public key)", item.uri),
        Err(reason) => format!("{}  cannot be used: {reason}", item.uri),
    }
}

fn public(args: &PublicArgs) -> anyhow::Result<()> {
    let reference = if Reference::is_meant(&args.key) {
        args.key.clone()
    } else {
        format!("hsm:{}", args.key)
    };
    if let Some(path) = &args.output {
        file::check_output(path)?;
    }
    let pem = pkcs11::key(&reference, &args.tokens)?.public.spki_pem();
    match &args.output {
        Some(path) => {
            file::write_new(path, pem.as_bytes(), Mode::Public)?;
            terminal::note(format_args!("wrote {}", path.display()));
        }
        None => terminal::print_all(pem.lines())?,
    }
    Ok(())
}
