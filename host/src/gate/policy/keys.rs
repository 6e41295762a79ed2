//! The keys that a policy names: in files beside it, and in tokens.

use std::collections::BTreeMap;
use std::path::Path;

use linkgate_verifier::request::{self, NamedKey};

use super::{Problem, read};
use crate::gate::context::Context;
use crate::gate::watched::Watched;
use crate::key::{self, PublicKeyFile};
use crate::signer::SignerError;
use crate::signer::keyring::Keyring;
use crate::signer::pkcs11::Reference;

/// Reads the keys of a policy.
pub(super) struct Keys<'c> {
    context: &'c Context,
    keyring: &'c mut Keyring,
    folder: &'c Path,
    watched: Watched,
    tokens: Vec<String>,
    all: Vec<PublicKeyFile>,
}

impl<'c> Keys<'c> {
    /// Of a policy in that folder, from which these files were read already.
    pub(super) fn new(context: &'c Context, keyring: &'c mut Keyring, folder: &'c Path, watched: Watched) -> Self {
        Self {
            context,
            keyring,
            folder,
            watched,
            tokens: Vec::new(),
            all: Vec::new(),
        }
    }

    /// All that were read.
    pub(super) fn all(&self) -> &[PublicKeyFile] {
        &self.all
    }

    /// The references of those that are in tokens.
    pub(super) fn tokens(&self) -> &[String] {
        &self.tokens
    }

    /// The files that they, and what was read before them, were read from.
    pub(super) fn watched(&self) -> Watched {
        self.watched.clone()
    }

    /// The keys of a file beside the policy, or the key in a token.
    fn look_up(&mut self, reference: &str) -> Result<Vec<PublicKeyFile>, Problem> {
        if Reference::is_meant(reference) {
            let read = self.keyring.of_token(reference, &self.context.tokens);
            self.tokens.push(reference.to_owned());
            return Ok(vec![read.map_err(SignerError::Token)?]);
        }
        let path = self.folder.join(reference);
        let content = read(&mut self.watched, &path)?;
        Ok(key::public_in(&path, &content).map_err(SignerError::File)?)
    }

    fn read(&mut self, reference: &str) -> Result<Vec<PublicKeyFile>, Problem> {
        let read = self.look_up(reference)?;
        self.all.extend(read.iter().cloned());
        Ok(read)
    }

    /// Keys of which each must have signed.
    pub(super) fn owners(&mut self, references: &[String]) -> Result<Vec<request::Key>, Problem> {
        let mut owners = Vec::new();
        for reference in references {
            owners.extend(self.read(reference)?.iter().map(PublicKeyFile::request_key));
        }
        Ok(owners)
    }

    /// Keys that have a name, one each.
    pub(super) fn functionaries(&mut self, references: &BTreeMap<String, String>) -> Result<Vec<NamedKey>, Problem> {
        let mut named = Vec::new();
        for (label, reference) in references {
            let read = self.look_up(reference)?;
            let [key] = read.as_slice() else {
                return Err(Problem::Label {
                    label: label.clone(),
                    count: read.len(),
                });
            };
            named.push(NamedKey {
                label: label.clone(),
                key: key.request_key(),
            });
            self.all.push(PublicKeyFile {
                label: label.clone(),
                ..key.clone()
            });
        }
        Ok(named)
    }

    /// The keys that may stand for an inspection, under labels of their own.
    pub(super) fn inspectors(&mut self, references: &[String]) -> Result<Vec<NamedKey>, Problem> {
        if references.is_empty() {
            return Err(Problem::Form(
                "an inspection without keys: nobody stands for its result".to_owned(),
            ));
        }
        let owners = self.owners(references)?;
        let named = owners.into_iter().enumerate().map(|(at, key)| NamedKey {
            label: format!("inspector-{at}"),
            key,
        });
        Ok(named.collect())
    }
}
