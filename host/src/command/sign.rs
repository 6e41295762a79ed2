//! `linkgate sign`

use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context as _, bail};
use linkgate_verifier::envelope::Form;

use crate::cli::{Called, UsageError};
use crate::draft;
use crate::file::{self, Mode};
use crate::key::{self, Password};
use crate::metadata::{Document, Kind, Others, Verification};
use crate::record::link;
use crate::signer::{self, Signer, pkcs11};
use crate::terminal;

const EXAMPLES: &str = "\
Examples:
  linkgate sign -f root.layout -k alice
      Signs a layout in place; a layout as you wrote it, without `signed` around it, gets an envelope.
  linkgate sign -f root.layout -k bob --append
      Adds a second owner's signature.
  linkgate sign -f draft.json -k alice bob -o root.layout
      What could never verify is not signed; what may not have been meant, such as a past `expires`, is told.
  linkgate sign -f build.link -k builder
      Signs a link and writes build.<keyid>.link.
  linkgate sign --verify -f root.layout -k alice.pub bob.pub
      Checks that both have signed. (`linkgate verify` checks a whole supply chain.)

Exit codes: 0 done, 1 a signature is missing or does not hold, 2 anything else.";

/// Arguments of `linkgate sign`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag of the command line")]
pub(crate) struct Args {
    /// The layout or link.
    #[arg(short, long, value_name = "FILE")]
    file: PathBuf,

    /// The private keys that sign, or with --verify the public keys that have signed: files, or `hsm:LABEL` or `pkcs11:`
    /// URIs for keys in hardware tokens.
    #[arg(short, long, num_args = 1.., value_name = "KEY", visible_aliases = ["key-path", "signing-key"])]
    key: Vec<String>,

    /// Where the signed file goes. Without it a layout is written in place, a link to `<name>.<keyid>.link`. A file that is there
    /// keeps its mode and owner.
    #[arg(short, long, value_name = "FILE", conflicts_with = "verify")]
    output: Option<PathBuf>,

    /// Keep signatures by others; only for layouts.
    #[arg(short, long, conflicts_with = "verify")]
    append: bool,

    /// Check signatures instead of making them.
    #[arg(long)]
    verify: bool,

    /// Put a layout or link that has no envelope yet into a DSSE envelope.
    #[arg(long, conflicts_with = "verify")]
    use_dsse: bool,

    /// The password of encrypted keys; without a value it is asked for. A value here can be read by others, and is warned of.
    #[arg(short = 'P', long, value_name = "PASSWORD", num_args = 0..=1, default_missing_value = "")]
    password: Option<String>,

    /// Ask for the password of encrypted keys.
    #[arg(short, long)]
    prompt: bool,

    /// Not supported: GPG keys.
    #[arg(short = 'g', long, num_args = 0.., value_name = "KEYID", hide = true)]
    gpg: Option<Vec<String>>,

    /// GPG's folder: of no meaning beside a key file.
    #[arg(long, value_name = "DIR", hide = true)]
    gpg_home: Option<String>,

    /// Say more.
    #[arg(short, long, hide = true, conflicts_with = "quiet")]
    verbose: bool,

    /// Say nothing but errors.
    #[arg(short, long)]
    quiet: bool,

    #[command(flatten)]
    tokens: pkcs11::Options,
}

/// Signs a metadata file, or checks its signatures.
pub(crate) fn run(args: &Args, called: Called) -> anyhow::Result<ExitCode> {
    let usage = |message: &str| Err(UsageError(message.to_owned()).into());
    if args.gpg.is_some() {
        return Err(UsageError(format!(
            "GPG keys are not supported: sign with a PKCS#8 key and --key (`{}` makes one)",
            called.verb("keygen")
        ))
        .into());
    }
    if args.key.is_empty() {
        return usage("no key: name at least one with --key");
    }
    let shown = args.file.display();
    let text = fs::read_to_string(&args.file).with_context(|| format!("cannot read `{shown}`"))?;
    let document = Document::read(text).with_context(|| format!("`{shown}`"))?;
    if document.kind() == Kind::Link && (args.key.len() > 1 || args.append) {
        return usage("a link is one functionary's: it is signed, and checked, with one key, and nothing is appended");
    }
    if args.verify {
        verify(args, &document, called)
    } else {
        sign(args, &document, called)
    }
}

impl Args {
    /// Whether a success is told. in-toto-sign does so only if asked.
    fn tells(&self, called: Called) -> bool {
        self.verbose || (called == Called::Linkgate && !self.quiet)
    }
}

fn sign(args: &Args, document: &Document, called: Called) -> anyhow::Result<ExitCode> {
    let doubts =
        draft::doubts(document, link::now()).with_context(|| format!("`{}` is not signed", args.file.display()))?;
    for doubt in doubts.iter().filter(|_| !args.quiet) {
        terminal::warning(doubt);
    }
    match (&args.output, document.kind()) {
        (Some(output), _) => file::check_output(output)?,
        (None, Kind::Layout) => file::check_output(&args.file)?,
        (None, Kind::Link) => file::check_writable(Path::new(""))?,
    }
    let password = if args.prompt {
        Password::Given(key::prompt("Password of the signing keys: ")?)
    } else {
        Password::from_argument(args.password.as_deref(), args.quiet)
    };
    let signers = args
        .key
        .iter()
        .map(|key| signer::load(key, &password, &args.tokens))
        .collect::<Result<Vec<_>, _>>()?;
    let signers: Vec<&dyn Signer> = signers.iter().map(AsRef::as_ref).collect();
    let others = if args.append { Others::Keep } else { Others::Drop };
    let form = if args.use_dsse { Form::Dsse } else { Form::Metablock };
    let signed = document.sign(&signers, others, form)?;
    let output = match &args.output {
        Some(output) => output.clone(),
        None => default_output(args, document, &signers)?,
    };
    file::write(&output, signed.as_bytes(), Mode::Public)?;
    if args.tells(called) {
        let keyids: Vec<String> = signers.iter().map(|signer| format!("{:.8}", signer.keyid())).collect();
        terminal::note(format_args!(
            "wrote {}, signed by {}",
            output.display(),
            keyids.join(", ")
        ));
    }
    Ok(ExitCode::SUCCESS)
}

/// A layout is written in place, a link into the current folder under its name and its signer's.
fn default_output(args: &Args, document: &Document, signers: &[&dyn Signer]) -> anyhow::Result<PathBuf> {
    match (document.kind(), document.name(), signers) {
        (Kind::Layout, ..) => Ok(args.file.clone()),
        (Kind::Link, Some(name), [signer, ..]) if !name.is_empty() && !name.contains(['/', '\\', '\0']) => {
            Ok(format!("{name}.{:.8}.link", signer.keyid()).into())
        }
        (Kind::Link, name, _) => bail!(
            "the link's name `{}` cannot be a file's; say where it goes with --output",
            name.unwrap_or_default()
        ),
    }
}

fn verify(args: &Args, document: &Document, called: Called) -> anyhow::Result<ExitCode> {
    let mut code = ExitCode::SUCCESS;
    for path in &args.key {
        for file in signer::public(path.as_ref(), &args.tokens)? {
            let keyid = file.keyid.clone().unwrap_or_else(|| file.key.keyid());
            let who = format!("{} ({keyid:.8})", file.label);
            let problem = match document.verify(&file.key, file.keyid.as_deref())? {
                Verification::Valid => {
                    if args.tells(called) {
                        terminal::note(format_args!("signed by {who}"));
                    }
                    continue;
                }
                Verification::Invalid => "does not hold",
                Verification::Missing => "is missing",
            };
            terminal::error(format_args!(
                "{}: the signature by {who} {problem}",
                args.file.display()
            ));
            code = ExitCode::FAILURE;
        }
    }
    Ok(code)
}
