//! `linkgate keygen`

use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context as _, anyhow, bail};
use aws_lc_rs::encoding::AsDer as _;
use aws_lc_rs::rsa::{KeyPair as RsaKeyPair, KeySize};
use aws_lc_rs::signature::{self as aws, EcdsaKeyPair, Ed25519KeyPair};
use clap::ValueEnum;
use pkcs8::der::pem::LineEnding;
use zeroize::Zeroizing;

use super::quoted;
use crate::cli::UsageError;
use crate::file::{self, Mode, Unnamed, WriteError};
use crate::key::{Password, prompt};
use crate::signer::pkcs11::{self, NewKey, Reference};
use crate::signer::{FileSigner, Signer as _};
use crate::terminal;

const EXAMPLES: &str = "\
Examples:
  linkgate keygen -t ed25519 -n alice
      Writes alice (private, PKCS#8) and alice.pub (public, SPKI).
  linkgate keygen -t ecdsa --curve p384 -n keys/builder --password
      Asks for a password and encrypts the private key with it.
  linkgate keygen -t rsa --bits 4096 -n release
  linkgate keygen -t ecdsa --hsm builder-key -n builder
      Makes the key in a hardware token, where its private half stays, and writes builder.pub.

Existing files and keys are never overwritten. Both halves are written or neither, also where a signal ends the command.";

/// Arguments of `linkgate keygen`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// The type of the key.
    #[arg(
        short = 't',
        long = "type",
        value_enum,
        default_value = "ed25519",
        value_name = "TYPE"
    )]
    kind: Kind,

    /// The private key's file; the public key's has `.pub` after it.
    #[arg(short, long, required_unless_present_any = ["file", "hsm"], value_name = "NAME")]
    name: Option<PathBuf>,

    /// The same as --name.
    #[arg(conflicts_with = "name", value_name = "NAME", hide = true)]
    file: Option<PathBuf>,

    /// The curve of an ECDSA key; p256 if none is given.
    #[arg(long, value_enum)]
    curve: Option<Curve>,

    /// The size of an RSA key; 3072 if none is given.
    #[arg(short, long, value_parser = ["2048", "3072", "4096", "8192"])]
    bits: Option<String>,

    /// Encrypt the private key with this password; without a value it is asked for. A value here can be read by others, and is
    /// warned of.
    #[arg(short = 'P', long, value_name = "PASSWORD", num_args = 0..=1, default_missing_value = "")]
    password: Option<String>,

    /// Ask for a password.
    #[arg(short, long, hide_short_help = true)]
    prompt: bool,

    /// Make the key in a hardware token under this label: sensitive, and never to be extracted. Of the files only the
    /// public key's is written, if --name gives one.
    #[arg(long, value_name = "LABEL", conflicts_with_all = ["password", "prompt"])]
    hsm: Option<String>,

    #[command(flatten)]
    tokens: pkcs11::Options,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Kind {
    Ed25519,
    Ecdsa,
    Rsa,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Curve {
    P256,
    P384,
    P521,
}

/// Makes a key pair and writes both halves, or neither.
pub(crate) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    args.check()?;
    let name = args.name.as_ref().or(args.file.as_ref());
    if let Some(label) = &args.hsm {
        return in_token(args, label, name.map(|name| with_pub(name)));
    }
    let Some(private) = name else {
        return Err(UsageError("no name for the key: give one with --name".to_owned()).into());
    };
    let public = with_pub(private);
    check_absent(private, &public)?;
    file::check_writable(private.parent().unwrap_or(Path::new("")))?;
    warn_of_remains(private);
    let password = new_password(args)?;
    let der = generate(args).map_err(|_| anyhow!("the key could not be made"))?;
    let pem = encode(&der, password.as_deref().map(String::as_str))?;
    let keyid = write(private, &public, &pem, password)?;
    terminal::note(format_args!("wrote {} and {}", private.display(), public.display()));
    terminal::print(keyid)?;
    Ok(ExitCode::SUCCESS)
}

/// Checks that neither half is there, and says how to go on where one is there without the other, which is what a process
/// leaves that was killed between the two.
fn check_absent(private: &Path, public: &Path) -> anyhow::Result<()> {
    let is_there = |path: &Path| path.symlink_metadata().is_ok();
    let (shown, shown_public) = (private.display(), public.display());
    match (is_there(private), is_there(public)) {
        (false, false) => Ok(()),
        (false, true) => bail!(
            "{}, and there is no `{shown}` beside it: if a keygen that was killed left it, nobody can sign with it: remove it \
             and make the pair anew; if it is somebody's public key, choose another name",
            WriteError::Exists(public.to_owned())
        ),
        (true, false) => bail!(
            "{}, and there is no `{shown_public}` beside it: `openssl pkey -in {} -pubout -out {}` writes that half; or \
             choose another name",
            WriteError::Exists(private.to_owned()),
            quoted([shown.to_string()]),
            quoted([shown_public.to_string()])
        ),
        (true, true) => Err(WriteError::Exists(private.to_owned()).into()),
    }
}

/// Says what a process that was killed left where private keys are made.
fn warn_of_remains(private: &Path) {
    let folder = private.parent().filter(|folder| !folder.as_os_str().is_empty());
    let entries = fs::read_dir(folder.unwrap_or(Path::new(".")))
        .into_iter()
        .flatten()
        .flatten();
    let is_remains = |entry: &fs::DirEntry| {
        entry
            .file_name()
            .as_encoded_bytes()
            .starts_with(file::TEMPORARY.as_bytes())
    };
    for entry in entries.filter(is_remains) {
        terminal::warning(format_args!(
            "`{}` was left by a command that was killed, unless one is running, and may hold a private key: remove it",
            entry.path().display()
        ));
    }
}

/// Makes a key pair in a token.
fn in_token(args: &Args, label: &str, public: Option<PathBuf>) -> anyhow::Result<ExitCode> {
    if let Some(public) = public.as_ref().filter(|public| public.symlink_metadata().is_ok()) {
        return Err(WriteError::Exists(public.clone()).into());
    }
    // Before the key is made: in the token it would stay.
    if let Some(public) = &public {
        file::check_output(public)?;
    }
    let reference = new_reference(label)?;
    let label = reference.name();
    let (token, key) = pkcs11::generate(&reference, &label, args.new_key(), &args.tokens)?;
    terminal::note(format_args!(
        "made the key `{label}` in {token}: sign with {}",
        reference.text
    ));
    if let Some(public) = public {
        file::write_new(&public, key.spki_pem().as_bytes(), Mode::Public)?;
        terminal::note(format_args!("wrote {}", public.display()));
    }
    terminal::print(key.keyid())?;
    Ok(ExitCode::SUCCESS)
}

/// Where a new key goes: a label, or a reference to one.
fn new_reference(text: &str) -> anyhow::Result<Reference> {
    let usage = |problem: &str| Err(UsageError(format!("--hsm `{}`: {problem}", Reference::shown(text))).into());
    let reference = if Reference::is_meant(text) {
        Reference::parse(text)?
    } else {
        Reference::parse(&format!("hsm:{text}"))?
    };
    match (&reference.label, reference.id.is_some(), reference.half) {
        (None, ..) => usage("a new key needs a label"),
        (_, true, _) => usage("a new key's id is drawn, and cannot be chosen"),
        (_, _, Some(_)) => usage("both halves are made: name neither"),
        (Some(_), false, None) => Ok(reference),
    }
}

impl Args {
    fn new_key(&self) -> NewKey {
        match (self.kind, self.curve.unwrap_or(Curve::P256)) {
            (Kind::Ed25519, _) => NewKey::Ed25519,
            (Kind::Ecdsa, Curve::P256) => NewKey::P256,
            (Kind::Ecdsa, Curve::P384) => NewKey::P384,
            (Kind::Ecdsa, Curve::P521) => NewKey::P521,
            (Kind::Rsa, _) => NewKey::Rsa(self.bits.as_deref().and_then(|bits| bits.parse().ok()).unwrap_or(3072)),
        }
    }

    /// A size or curve that the type of key does not have was meant for another type.
    fn check(&self) -> Result<(), UsageError> {
        let misplaced = match self.kind {
            Kind::Ed25519 | Kind::Ecdsa if self.bits.is_some() => "--bits is the size of an RSA key: add `-t rsa`",
            Kind::Ed25519 | Kind::Rsa if self.curve.is_some() => "--curve is that of an ECDSA key: add `-t ecdsa`",
            _ => return Ok(()),
        };
        Err(UsageError(misplaced.to_owned()))
    }
}

/// `alice.pub` of `alice`, `alice.key.pub` of `alice.key`.
fn with_pub(private: &Path) -> PathBuf {
    let mut public = private.as_os_str().to_owned();
    public.push(".pub");
    public.into()
}

fn new_password(args: &Args) -> anyhow::Result<Option<Zeroizing<String>>> {
    match args.password.as_deref() {
        Some("") => {}
        None if args.prompt => {}
        given => return Ok(Password::from_argument(given, false).without_asking()),
    }
    let first = prompt("Password of the new key: ").context("cannot ask for a password")?;
    if first.is_empty() {
        bail!("the password is empty");
    }
    let second = prompt("The same again: ").context("cannot ask for a password")?;
    if first != second {
        bail!("the two passwords differ");
    }
    Ok(Some(first))
}

/// The PKCS#8 of a new key.
fn generate(args: &Args) -> Result<Zeroizing<Vec<u8>>, aws_lc_rs::error::Unspecified> {
    let der = match args.kind {
        Kind::Ed25519 => Ed25519KeyPair::generate()?.to_pkcs8v1()?.as_ref().to_vec(),
        Kind::Ecdsa => EcdsaKeyPair::generate(match args.curve.unwrap_or(Curve::P256) {
            Curve::P256 => &aws::ECDSA_P256_SHA256_ASN1_SIGNING,
            Curve::P384 => &aws::ECDSA_P384_SHA384_ASN1_SIGNING,
            Curve::P521 => &aws::ECDSA_P521_SHA512_ASN1_SIGNING,
        })?
        .to_pkcs8v1()?
        .as_ref()
        .to_vec(),
        Kind::Rsa => RsaKeyPair::generate(match args.bits.as_deref() {
            Some("2048") => KeySize::Rsa2048,
            Some("4096") => KeySize::Rsa4096,
            Some("8192") => KeySize::Rsa8192,
            _ => KeySize::Rsa3072,
        })?
        .as_der()?
        .as_ref()
        .to_vec(),
    };
    Ok(Zeroizing::new(der))
}

fn encode(der: &[u8], password: Option<&str>) -> anyhow::Result<Zeroizing<String>> {
    let pem = match password {
        None => pkcs8::SecretDocument::try_from(der)?.to_pem("PRIVATE KEY", LineEnding::LF)?,
        Some(password) => pkcs8::PrivateKeyInfoRef::try_from(der)
            .and_then(|key| key.encrypt(password))
            .map_err(|error| anyhow!("the private key could not be encrypted: {error}"))?
            .to_pem("ENCRYPTED PRIVATE KEY", LineEnding::LF)?,
    };
    Ok(pem)
}

/// Writes both halves, or neither. The private key is read back, as any later signing will. The public half is named first: by
/// itself it lets nobody sign.
fn write(private: &Path, public: &Path, pem: &str, password: Option<Zeroizing<String>>) -> anyhow::Result<String> {
    let private = Unnamed::fill(private, pem.as_bytes(), Mode::Private)?;
    let signer = FileSigner::open(
        private.temporary_path(),
        &password.map_or(Password::Found, Password::Given),
    )?;
    let pem = signer.public_key().spki_pem();
    let public = Unnamed::fill(public, pem.as_bytes(), Mode::Public)?;
    file::name_all(vec![public, private])?;
    Ok(signer.keyid())
}
