//! The options that name a signing key.

use std::path::PathBuf;

use super::recording::Talk;
use crate::cli::{Called, UsageError};
use crate::key::Password;
use crate::signer::pkcs11::{self, Reference};
use crate::signer::{self, Signer};

/// Whose key signs.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Signing")]
pub(crate) struct Args {
    /// The private key that signs the link: a file, or `hsm:LABEL` or a `pkcs11:` URI for a key in a hardware token.
    #[arg(short = 'k', long = "key-path", visible_aliases = ["signing-key", "key"], value_name = "KEY")]
    pub(crate) key: Option<String>,

    /// The password of an encrypted key. Without a value it is asked for; without the option it is taken from
    /// `LINKGATE_KEY_PASSWORD`. A value here can be read by others, and is warned of.
    #[arg(short = 'P', long, value_name = "PASSWORD", num_args = 0..=1, default_missing_value = "")]
    password: Option<String>,

    /// Accepted for old pipelines; the key says itself of which type it is.
    #[arg(short = 't', long, value_name = "TYPE", hide_short_help = true)]
    key_type: Option<String>,

    /// Not supported: GPG keys.
    #[arg(short = 'g', long, value_name = "KEYID", num_args = 0..=1, default_missing_value = "", hide = true)]
    gpg: Option<String>,

    /// GPG's folder: of no meaning beside a key file.
    #[arg(long, value_name = "DIR", hide = true)]
    gpg_home: Option<String>,

    #[command(flatten)]
    tokens: pkcs11::Options,
}

impl Args {
    /// The files that signing needs and nobody else may have: the key, or its token's PIN.
    pub(crate) fn secret_files(&self) -> Vec<PathBuf> {
        let key = self.key.as_deref().and_then(|key| match Reference::parse(key) {
            _ if !Reference::is_meant(key) => Some(key.into()),
            Ok(reference) => reference.pin_source,
            Err(_) => None,
        });
        key.into_iter().chain(self.tokens.pkcs11_pin_file.clone()).collect()
    }

    /// Loads the key.
    pub(crate) fn signer(&self, called: Called, talk: Talk) -> anyhow::Result<Box<dyn Signer>> {
        let usage = |what: &str| {
            let keygen = called.verb("keygen");
            Err(UsageError(format!("{what} (`{keygen}` makes one)")).into())
        };
        if self.gpg.is_some() {
            return usage("GPG keys are not supported: sign with a PKCS#8 key and --signing-key");
        }
        let Some(key) = &self.key else {
            return usage("no signing key: name one with --signing-key KEY");
        };
        let password = Password::from_argument(self.password.as_deref(), talk.is_quiet());
        Ok(signer::load(key, &password, &self.tokens)?)
    }
}
