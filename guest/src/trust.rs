//! Whether a root layout is to be believed (specification 1.0, section 5.1).

use crate::envelope::Envelope;
use crate::limits::{Budget, Spent};
use crate::prelude::*;
use crate::request::OwnerKey;
use crate::signature::{self, CheckError, Checked, Checker};
use crate::verdict::{Code, Finding};

/// What was found about the owners' signatures. Nothing at all: every owner has signed.
#[derive(Debug, Default)]
pub struct Doubts {
    /// Signatures that are missing or wrong.
    pub findings: Vec<Finding>,
    /// Signatures that could not be checked.
    pub unchecked: Vec<Finding>,
}

/// Asks that every owner has a valid signature, and none an invalid one: a signature under one of an owner's keyids
/// that does not verify rejects the layout even if another one does. Signatures by others are ignored.
pub fn doubts(
    envelope: &Envelope<'_>,
    message: &[u8],
    owners: &[OwnerKey],
    budget: &Budget,
    checker: &mut dyn Checker,
) -> Result<Doubts, Spent> {
    let mut doubts = Doubts::default();
    for owner in owners {
        let standing = standing(envelope, message, owner, budget, checker)?;
        match standing {
            Standing::Signed => {}
            Standing::Unchecked(why) => doubts.unchecked.push(Finding::new(
                Code::SignatureUnchecked,
                &[],
                format!("the layout's signature by owner `{}` could not be checked: {why}", owner.label),
            )),
            Standing::Invalid(keyid) => doubts.findings.push(
                Finding::new(
                    Code::LayoutSignatureInvalid,
                    &[],
                    format!("the layout's signature by owner `{}` does not verify: the layout was changed after it was signed, or signed with another key", owner.label),
                )
                .expected(&owner.label)
                .found(&keyid),
            ),
            Standing::Missing => {
                let others: Vec<&str> = envelope
                    .signatures
                    .iter()
                    .map(|signature| signature.keyid.as_deref().unwrap_or("without keyid"))
                    .collect();
                let found = if others.is_empty() { "no signature".to_owned() } else { others.join(", ") };
                doubts.findings.push(
                    Finding::new(
                        Code::LayoutSignatureMissing,
                        &[],
                        format!("the layout is not signed by owner `{}`", owner.label),
                    )
                    .expected(&owner.label)
                    .found(&found),
                );
            }
        }
    }
    Ok(doubts)
}

enum Standing {
    Signed,
    Missing,
    Invalid(String),
    Unchecked(String),
}

fn standing(
    envelope: &Envelope<'_>,
    message: &[u8],
    owner: &OwnerKey,
    budget: &Budget,
    checker: &mut dyn Checker,
) -> Result<Standing, Spent> {
    let mut standing = Standing::Missing;
    let mut valid: Option<&[u8]> = None;
    for signature in &envelope.signatures {
        let attributed = match &signature.keyid {
            Some(keyid) => owner.names.contains(&keyid.to_ascii_lowercase()),
            None => true,
        };
        // Owners sign once under both of a key's keyids: the same bytes are valid again.
        if !attributed || valid == Some(&*signature.bytes) {
            continue;
        }
        match signature::check(&owner.key, message, &signature.bytes, budget, checker) {
            Ok(Checked::Valid) => {
                valid = Some(&signature.bytes);
                if matches!(standing, Standing::Missing) {
                    standing = Standing::Signed;
                }
            }
            Ok(Checked::Invalid) => {
                if let Some(keyid) = &signature.keyid {
                    return Ok(Standing::Invalid(keyid.to_string()));
                }
            }
            Err(CheckError::Unchecked(why)) => standing = Standing::Unchecked(why),
            Err(CheckError::Spent(spent)) => return Err(spent),
        }
    }
    Ok(standing)
}
