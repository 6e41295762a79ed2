//! Whether a root layout is to be believed (specification 1.0, section 5.1).

use crate::envelope::{Envelope, Signature};
use crate::index::{self, Index};
use crate::limits::{Budget, Spent};
use crate::prelude::*;
use crate::request::OwnerKey;
use crate::signature::{self, CheckError, Checked, Checker};
use crate::verdict::{Code, Finding, Findings, joined};

/// What was found about the owners' signatures. Nothing at all: every owner has signed.
#[derive(Debug, Default)]
pub struct Doubts {
    /// Signatures that are missing or wrong.
    pub findings: Findings,
    /// Signatures that could not be checked, or that nothing is left to pay for.
    pub unchecked: Findings,
}

/// Asks that every owner has a valid signature, and none an invalid one: a signature under one of an owner's keyids
/// that does not verify rejects the layout even if another one does. Signatures by others are ignored.
pub fn doubts(
    envelope: &Envelope<'_>,
    message: &[u8],
    owners: &[OwnerKey],
    budget: &Budget,
    checker: &mut dyn Checker,
) -> Doubts {
    let mut doubts = Doubts::default();
    let keyids: Vec<Option<String>> = envelope.signatures.iter().map(Signature::folded_keyid).collect();
    let named = Index::some(keyids.iter().map(Option::as_deref).enumerate());
    let unnamed: Vec<usize> = (0..keyids.len()).filter(|at| keyids.get(*at) == Some(&None)).collect();
    for owner in owners {
        // The signatures under one of the owner's names, and those without any, as they stand.
        let under_names = owner.names.iter().flat_map(|name| named.places(name));
        let mut attributed: Vec<usize> = under_names.chain(unnamed.iter().copied()).collect();
        index::sort(&mut attributed);
        attributed.dedup();
        let attributed = attributed.into_iter().filter_map(|at| envelope.signatures.get(at));
        let standing = match standing(attributed, message, owner, budget, checker) {
            Ok(standing) => standing,
            // What is certain about the owners before stays so.
            Err(spent) => {
                doubts.unchecked.push(Finding::spent(spent, &[]));
                break;
            }
        };
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
                let others = envelope.signatures.iter();
                let others = others.map(|signature| signature.keyid.as_deref().unwrap_or("without keyid"));
                let found = match envelope.signatures.len() {
                    0 => "no signature".to_owned(),
                    _ => joined(others, ", "),
                };
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
    doubts
}

enum Standing {
    Signed,
    Missing,
    Invalid(String),
    Unchecked(String),
}

fn standing<'s>(
    signatures: impl Iterator<Item = &'s Signature<'s>>,
    message: &[u8],
    owner: &OwnerKey,
    budget: &Budget,
    checker: &mut dyn Checker,
) -> Result<Standing, Spent> {
    let mut standing = Standing::Missing;
    let mut valid: Option<&[u8]> = None;
    for signature in signatures {
        // Owners sign once under both of a key's keyids: the same bytes are valid again.
        if valid == Some(&*signature.bytes) {
            budget.compare(signature.bytes.len())?;
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
