//! Whether enough functionaries signed for a step, and agree (specification 1.0, section 5.2): the one count of
//! thresholds.

use crate::chain::{Judgement, Standing};
use crate::evidence::{Evidence, place};
use crate::flow;
use crate::index;
use crate::layout::{AuthorisedKey, Step};
use crate::link::ReturnValue;
use crate::prelude::*;
use crate::rule::Side;
use crate::verdict::{Code, Finding, KeyReport, Signer, StepReport};

/// Counts distinct keys, and asks that all links agree. Gives the first link if there are enough signers, who agree.
pub(crate) fn count<'e>(
    judgement: &mut Judgement<'e>,
    step: &Step,
    standing: &Standing,
    mut evidence: Vec<Evidence<'e>>,
    doubtful: bool,
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
        odd_commands(judgement, step, evidence, &at);
    }
    let agree = agree(judgement, step, &evidence, &at);
    if signed < step.threshold {
        // What could not be judged might have been enough; then the step is open, not failed.
        if !doubtful {
            judgement.findings.push(short(step, &signers, signed, &at));
        }
        return None;
    }
    if !agree || evidence.is_empty() {
        return None;
    }
    Some(evidence.swap_remove(0))
}

/// The finding that too few functionaries signed.
fn short(step: &Step, signers: &[bool], signed: u64, at: &[String]) -> Finding {
    let labels = |counted: bool| {
        let labels: Vec<&str> = step
            .authorised
            .iter()
            .zip(signers)
            .filter(|(_, signed)| **signed == counted)
            .map(|(key, _)| key.label.as_str())
            .collect();
        labels.join(", ")
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
        format!("; there is no usable key `{}`", step.unknown.join("`, `"))
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
fn agree(judgement: &mut Judgement<'_>, step: &Step, evidence: &[Evidence<'_>], at: &[String]) -> bool {
    // Links that are equal share a class, named by the first of them.
    let mut classes: Vec<usize> = Vec::new();
    for (place, this) in evidence.iter().enumerate() {
        let class = classes.iter().copied().enumerate().find_map(|(other, class)| {
            evidence
                .get(other)
                .filter(|other| {
                    let (one, other) = (&this.link, &other.link);
                    Rc::ptr_eq(one, other) || one.materials == other.materials && one.products == other.products
                })
                .map(|_| class)
        });
        classes.push(class.unwrap_or(place));
    }
    if classes.iter().all(|class| *class == 0) {
        return true;
    }
    let mut conflicts = false;
    for (signer, key) in step.authorised.iter().enumerate() {
        let mut theirs = evidence
            .iter()
            .zip(&classes)
            .filter(|(evidence, _)| evidence.signers.contains(&signer));
        if let Some((first, class)) = theirs.next()
            && let Some((second, _)) = theirs.find(|(_, other)| *other != class)
        {
            conflicts = true;
            let message = format!(
                "`{}` signed two links of step `{}` that differ: `{}` and `{}`",
                key.label, step.name, first.document, second.document
            );
            judgement
                .findings
                .push(difference(Code::ConflictingLinks, at, &message, first, second));
        }
    }
    let mut others = evidence.iter().zip(&classes).filter(|(_, class)| **class != 0);
    if !conflicts
        && let Some(first) = evidence.first()
        && let Some((second, _)) = others.next()
    {
        let message = format!(
            "the links of step `{}` do not agree: `{}` and `{}`",
            step.name, first.document, second.document
        );
        judgement
            .findings
            .push(difference(Code::LinksDisagree, at, &message, first, second));
    }
    false
}

fn difference(code: Code, at: &[String], message: &str, first: &Evidence<'_>, second: &Evidence<'_>) -> Finding {
    /// How many paths a finding shows.
    const PATHS: usize = 10;
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
                .map(|path| format!("`{}`", crate::verdict::shown(path)))
                .collect::<Vec<_>>()
                .join(", ")
        ),
    )
    .document(second.document)
    .artifact(&artifact)
    .expected(&says(first))
    .found(&says(second))
}

/// A command that is not the expected one, or did not return 0.
fn odd_commands(judgement: &mut Judgement<'_>, step: &Step, evidence: &Evidence<'_>, at: &[String]) {
    let link = &evidence.link;
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
            .expected(&step.command.join(" "))
            .found(&link.command.join(" ")),
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
    for evidence in evidence {
        for key in evidence.signers.iter().filter_map(|&key| step.authorised.get(key)) {
            let key = key_report(key);
            if !signers.iter().any(|signer| signer.key == key) {
                signers.push(Signer {
                    key,
                    document: evidence.document.to_owned(),
                    sublayout: evidence.sublayout,
                });
            }
        }
    }
    let missing = step
        .authorised
        .iter()
        .map(key_report)
        .filter(|key| !signers.iter().any(|signer| signer.key == *key));
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
pub(crate) fn key_report(key: &AuthorisedKey) -> KeyReport {
    KeyReport {
        label: key.label.clone(),
        fingerprint: key.fingerprint.clone(),
    }
}
