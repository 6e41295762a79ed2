//! Whether enough functionaries signed for a step, and agree (specification 1.0, section 5.2): the one count of
//! thresholds.

use crate::artifact::{Artifact, Artifacts};
use crate::chain::{Judgement, Standing};
use crate::evidence::{Evidence, place};
use crate::flow;
use crate::index;
use crate::layout::{AuthorisedKey, Step};
use crate::limits::Budget;
use crate::link::{Link, ReturnValue};
use crate::prelude::*;
use crate::rule::Side;
use crate::verdict::{Code, Finding, KeyReport, Signer, StepReport, joined, shown};

/// Counts distinct keys, and asks that all links agree. Gives one link if there are enough signers, who agree: what it
/// says decides which, so that whoever names the documents does not choose the command and byproducts of a summary.
pub(crate) fn count<'e>(
    judgement: &mut Judgement<'e>,
    step: &Step,
    standing: &Standing,
    evidence: Vec<Evidence<'e>>,
    doubtful: bool,
    budget: &Budget,
) -> Option<Evidence<'e>> {
    let at = place(&standing.at, Some(&step.name));
    let mut signers = vec![false; step.authorised.len()];
    for signer in evidence.iter().flat_map(|evidence| &evidence.signers) {
        if let Some(signed) = signers.get_mut(*signer) {
            *signed = true;
        }
    }
    let signed = signers.iter().filter(|signed| **signed).count() as u64;
    for evidence in &evidence {
        for link in &evidence.ran {
            odd_commands(judgement, step, evidence, link, &at);
        }
    }
    let agree = agree(judgement, step, &evidence, &at, budget);
    if signed < step.threshold {
        // What could not be judged might have been enough; then the step is open, not failed.
        if !doubtful {
            judgement.findings.push(short(step, &signers, signed, &at));
        }
        return None;
    }
    if !agree {
        return None;
    }
    let mut ran: Vec<_> = evidence.iter().flat_map(|evidence| &evidence.ran).cloned().collect();
    ran.dedup_by(|one, other| runs_alike(one, other));
    let counted = evidence.into_iter().min_by(|one, other| {
        let (one, other) = (&one.link, &other.link);
        (&one.command, one.byproducts).cmp(&(&other.command, other.byproducts))
    })?;
    Some(Evidence { ran, ..counted })
}

/// The finding that too few functionaries signed.
fn short(step: &Step, signers: &[bool], signed: u64, at: &[String]) -> Finding {
    let labels = |counted: bool| {
        let keys = step.authorised.iter().zip(signers);
        let keys = keys.filter(|(_, signed)| **signed == counted);
        joined(keys.map(|(key, _)| key.label.as_str()), ", ")
    };
    let others = match labels(false) {
        none if none.is_empty() => "no other key".to_owned(),
        others => others,
    };
    let never = if step.threshold > signers.len() as u64 {
        let keys = match signers.len() {
            0 => "no usable key".to_owned(),
            1 => "only one usable key".to_owned(),
            keys => format!("only {keys} usable keys"),
        };
        format!(": it can never have them, for {keys} may sign it")
    } else {
        String::new()
    };
    let unknown = if step.unknown.is_empty() {
        String::new()
    } else {
        format!(
            "; there is no usable key `{}`",
            joined(step.unknown.iter().map(String::as_str), "`, `")
        )
    };
    let message = format!(
        "step `{}` needs links by {} of its functionaries and has them by {signed}{never}{unknown}",
        step.name, step.threshold,
    );
    Finding::new(Code::ThresholdNotMet, at, message)
        .expected(&format!("{} of: {others}", step.threshold - signed))
        .found(&labels(true))
}

/// Whether all links of a step have the same materials and products; tells which do not.
fn agree(
    judgement: &mut Judgement<'_>,
    step: &Step,
    evidence: &[Evidence<'_>],
    at: &[String],
    budget: &Budget,
) -> bool {
    let Some((first, others)) = evidence.split_first() else {
        return true;
    };
    let equal = |one: &Link<'_>, other: &Link<'_>| one.materials == other.materials && one.products == other.products;
    let all = others
        .iter()
        .all(|other| Rc::ptr_eq(&first.link, &other.link) || equal(&first.link, &other.link));
    if all {
        return true;
    }
    let digests: Vec<String> = evidence
        .iter()
        .map(|evidence| evidence.link.artifacts_digest())
        .collect();
    // By signer: the first link, and the first that differs from it.
    let mut signed: Vec<(Option<usize>, Option<usize>)> = vec![(None, None); step.authorised.len()];
    for (place, this) in evidence.iter().enumerate() {
        for signer in &this.signers {
            match signed.get_mut(*signer) {
                Some((first @ None, _)) => *first = Some(place),
                Some((Some(first), second @ None)) if digests.get(*first) != digests.get(place) => {
                    *second = Some(place);
                }
                _ => {}
            }
        }
    }
    let mut conflicts = false;
    for (key, (first, second)) in step.authorised.iter().zip(signed) {
        let link = |place: Option<usize>| evidence.get(place?);
        if let (Some(first), Some(second)) = (link(first), link(second)) {
            conflicts = true;
            let message = format!(
                "`{}` signed two links of step `{}` that differ: `{}` and `{}`",
                shown(&key.label),
                step.name,
                first.document,
                second.document
            );
            judgement
                .findings
                .push(difference(Code::ConflictingLinks, at, &message, first, second, budget));
        }
    }
    let mut others = evidence
        .iter()
        .zip(&digests)
        .filter(|(_, digest)| Some(*digest) != digests.first());
    if !conflicts && let Some((second, _)) = others.next() {
        let message = format!(
            "the links of step `{}` do not agree: `{}` and `{}`",
            step.name, first.document, second.document
        );
        judgement
            .findings
            .push(difference(Code::LinksDisagree, at, &message, first, second, budget));
    }
    false
}

/// A finding that two links differ, and in which paths, unless nothing is left to pay for looking for these.
fn difference(
    code: Code,
    at: &[String],
    message: &str,
    first: &Evidence<'_>,
    second: &Evidence<'_>,
    budget: &Budget,
) -> Finding {
    /// How many paths a finding shows.
    const PATHS: usize = 10;
    let links = [&first.link, &second.link];
    let artifacts = links.into_iter().flat_map(|link| [&link.materials, &link.products]);
    let cost: usize = artifacts.flat_map(Artifacts::as_slice).map(Artifact::cost).sum();
    if budget.compare(cost).is_err() {
        return Finding::new(code, at, format!("{message} differ in some artifact")).document(second.document);
    }
    let materials = first.link.materials.differences(&second.link.materials, PATHS);
    let mut paths = first.link.products.differences(&second.link.products, PATHS);
    // The first path in order, on the side on which it differs.
    let mut side = Side::Products;
    for path in materials {
        index::insert(&mut paths, path.clone());
        if paths.first() == Some(&path) {
            side = Side::Materials;
        }
    }
    let artifact = paths.first().cloned().unwrap_or_default();
    let says = |evidence: &Evidence<'_>| {
        let there = flow::side_of(&evidence.link, side).get(&artifact);
        let digests = there.map_or_else(|| "nothing".to_owned(), |artifact| artifact.digests.show());
        format!("{digests} in {}", evidence.document)
    };
    Finding::new(
        code,
        at,
        format!(
            "{message} differ in {}",
            paths
                .iter()
                .map(|path| format!("`{}`", shown(path)))
                .collect::<Vec<_>>()
                .join(", ")
        ),
    )
    .document(second.document)
    .artifact(&artifact)
    .expected(&says(first))
    .found(&says(second))
}

/// Whether two links have the same command, which ended alike.
fn runs_alike(one: &Link<'_>, other: &Link<'_>) -> bool {
    one.command == other.command && one.return_value == other.return_value
}

/// A command that is not the expected one, or did not return 0.
fn odd_commands(judgement: &mut Judgement<'_>, step: &Step, evidence: &Evidence<'_>, link: &Link<'_>, at: &[String]) {
    if !step.command.is_empty()
        && step
            .command
            .iter()
            .map(String::as_str)
            .ne(link.command.iter().map(AsRef::as_ref))
    {
        judgement.warnings.push(
            Finding::new(
                Code::CommandDiffers,
                at,
                format!(
                    "in `{}`, step `{}` ran another command than the layout expects",
                    evidence.document, step.name
                ),
            )
            .document(evidence.document)
            .expected(&joined(step.command.iter().map(String::as_str), " "))
            .found(&joined(link.command.iter().map(AsRef::as_ref), " ")),
        );
    }
    if let ReturnValue::Other(value) = &link.return_value {
        judgement.warnings.push(
            Finding::new(
                Code::StepCommandFailed,
                at,
                format!(
                    "in `{}`, the command of step `{}` returned {value}, not 0",
                    evidence.document, step.name
                ),
            )
            .document(evidence.document)
            .expected("0")
            .found(value),
        );
    }
}

/// What a verdict says of a step's evidence.
pub(crate) fn report(step: &Step, standing: &Standing, evidence: &[Evidence<'_>]) -> StepReport {
    let mut signers: Vec<Signer> = Vec::new();
    let mut signed = vec![false; step.authorised.len()];
    for evidence in evidence {
        for place in &evidence.signers {
            if let (Some(key), Some(signed)) = (step.authorised.get(*place), signed.get_mut(*place))
                && !core::mem::replace(signed, true)
            {
                signers.push(Signer {
                    key: key_report(key),
                    document: evidence.document.to_owned(),
                    sublayout: evidence.sublayout,
                });
            }
        }
    }
    let missing = step.authorised.iter().zip(signed);
    let missing = missing.filter(|(_, signed)| !signed).map(|(key, _)| key_report(key));
    let count = |side| {
        evidence
            .first()
            .map_or(0, |evidence| flow::artifacts(&evidence.link, side).len() as u64)
    };
    StepReport {
        at: standing.at.clone(),
        name: step.name.clone(),
        verified: false,
        threshold: step.threshold,
        missing: missing.collect(),
        signers,
        materials: count(Side::Materials),
        products: count(Side::Products),
    }
}

/// A key as verdicts name it.
pub(crate) fn key_report(key: &Rc<AuthorisedKey>) -> KeyReport {
    KeyReport {
        label: shown(&key.label),
        fingerprint: key.fingerprint.clone(),
    }
}
