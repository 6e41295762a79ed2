//! `linkgate key`

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use serde_json::{Value, json};

use crate::key::{self, Password, PublicKeyFile};
use crate::signer::pkcs11::{self, Reference};
use crate::signer::{self, FileSigner, Signer as _};
use crate::terminal;

const EXAMPLES: &str = "\
Examples:
  linkgate key show alice.pub
      Prints the key's type, scheme, keyids and fingerprint.
  linkgate key show --json alice.pub
      Prints the member of a layout's `keys` that stands for it.";

/// Arguments of `linkgate key`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, clap::Subcommand)]
enum Verb {
    /// Print what a key file holds.
    Show(ShowArgs),
}

#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
struct ShowArgs {
    /// The key files, public or private, or `hsm:LABEL` or `pkcs11:` URIs for keys in hardware tokens. Of a private key
    /// only the public half is shown.
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,

    /// Print JSON: an object from keyids to keys, as a layout's `keys`.
    #[arg(long)]
    json: bool,

    /// The password of an encrypted private key; without a value it is asked for. A value here can be read by others, and is
    /// warned of.
    #[arg(short = 'P', long, value_name = "PASSWORD", num_args = 0..=1, default_missing_value = "")]
    password: Option<String>,

    #[command(flatten)]
    tokens: pkcs11::Options,
}

/// Shows keys.
pub(crate) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let Verb::Show(args) = &args.verb;
    let password = Password::from_argument(args.password.as_deref(), false);
    let mut keys = Vec::new();
    for path in &args.files {
        keys.extend(public_half(path, &password, &args.tokens)?);
    }
    if args.json {
        let members = keys.iter().map(|file| (keyid(file), layout_form(file)));
        let json = format!("{:#}", Value::Object(members.collect()));
        terminal::print_all(terminal::harmless_json(&json).lines())?;
    } else {
        terminal::print_all(keys.iter().map(text).collect::<Vec<_>>().join(&String::new()))?;
    }
    Ok(ExitCode::SUCCESS)
}

fn public_half(path: &Path, password: &Password, tokens: &pkcs11::Options) -> anyhow::Result<Vec<PublicKeyFile>> {
    let is_of_token = path.to_str().is_some_and(Reference::is_meant);
    if is_of_token || !key::is_private(path)? {
        return Ok(signer::public(path, tokens)?);
    }
    let signer = FileSigner::open(path, password)?;
    Ok(vec![PublicKeyFile {
        path: path.to_owned(),
        label: String::new(),
        keyid: Some(signer.keyid()).filter(|keyid| !signer.public_key().keyids().contains(keyid)),
        key: signer.public_key().clone(),
    }])
}

fn keyid(file: &PublicKeyFile) -> String {
    file.keyid.clone().unwrap_or_else(|| file.key.keyid())
}

/// A key as a layout's `keys` holds it.
fn layout_form(file: &PublicKeyFile) -> Value {
    let key = &file.key;
    json!({
        "keyid": keyid(file),
        "keytype": key.keytype(),
        "keyval": {"public": key.public_text()},
        "scheme": key.scheme().name(),
    })
}

fn text(file: &PublicKeyFile) -> Vec<String> {
    let key = &file.key;
    let mut lines = vec![
        format!("file         {}", file.path.display()),
        format!("type         {}", key.keytype()),
        format!("scheme       {}", key.scheme()),
    ];
    if let Some(declared) = &file.keyid {
        lines.push(format!("keyid        {declared} (declared by the file)"));
    }
    for (at, keyid) in key.keyids().iter().enumerate() {
        let note = match at {
            0 => "",
            1 => " (older formula)",
            2 => " (older key type)",
            _ => " (older key type and formula)",
        };
        lines.push(format!("keyid        {keyid}{note}"));
    }
    lines.push(format!("fingerprint  sha256:{}", key.fingerprint()));
    lines
}
