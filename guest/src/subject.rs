//! Subjects: whether a supply chain made the very artifact that somebody asks about.

use crate::artifact::{Artifact, Artifacts};
use crate::chain::Judgement;
use crate::evidence::Evidence;
use crate::index::{self, Index};
use crate::layout::Layout;
use crate::limits::{self, Budget, Spent};
use crate::prelude::*;
use crate::request::Subject;
use crate::rule::Side;
use crate::verdict::{Code, Finding, SubjectReport, joined};

/// Looks for every subject among the products of the subject steps (the last step if none is named), and among the
/// materials of the last step that a MATCH WITH PRODUCTS rule consumed: a last step that only approves passes them on.
/// What is not found becomes a finding. Only for a chain that is otherwise accepted.
pub fn find(
    subjects: &[Subject],
    steps: &[String],
    layout: &Layout,
    judgement: &mut Judgement<'_>,
    budget: &Budget,
) -> Result<Vec<SubjectReport>, Spent> {
    let last = layout.steps.len().checked_sub(1);
    let producers: Vec<usize> = if steps.is_empty() {
        last.into_iter().collect()
    } else {
        let named = Index::new(steps.iter().map(String::as_str));
        let producers = layout.steps.iter().enumerate();
        producers
            .filter(|(_, step)| named.get(&step.name).is_some())
            .map(|(at, _)| at)
            .collect()
    };
    let mut passed_on = judgement.passed_on.clone();
    index::sort(&mut passed_on);
    let mut reports = Vec::new();
    for (place, subject) in subjects.iter().enumerate() {
        let mut found = None;
        for &at in &producers {
            budget.pattern(1)?;
            if found.is_none()
                && let Some(evidence) = judgement.evidence(at)
            {
                found = product(subject, evidence, budget)?.map(|name| (at, Side::Products, name));
            }
        }
        if let Some(last) = last
            && let Some(evidence) = judgement.evidence(last)
        {
            found =
                found.or(material(subject, evidence, &passed_on, budget)?.map(|name| (last, Side::Materials, name)));
        }
        if let Some((step, side, artifact)) =
            found.and_then(|(at, side, name)| Some((layout.steps.get(at)?, side, name)))
        {
            reports.push(SubjectReport {
                subject: place as u64,
                step: step.name.clone(),
                list: side.name(),
                artifact,
            });
        } else {
            let namesake = subject.name.as_ref().and_then(|name| {
                let mut steps = producers.iter().filter_map(|&at| judgement.evidence(at));
                steps.find_map(|evidence| {
                    // What cannot be paid for is left out: the subject is not found in any case.
                    let at = named(name, &evidence.link.products, budget).ok()??;
                    Some(evidence.link.products.as_slice().get(at)?.digests.show())
                })
            });
            let producers = producers
                .iter()
                .filter_map(|&at| Some(layout.steps.get(at)?.name.as_str()));
            let finding = missing(subject, &joined(producers, "`, `"));
            judgement.findings.push(match namesake {
                Some(digests) => finding.found(&digests),
                None => finding,
            });
            // It is certain; the next may be too much.
            budget.compare(limits::SAID)?;
        }
    }
    Ok(reports)
}

fn product(subject: &Subject, evidence: &Evidence<'_>, budget: &Budget) -> Result<Option<String>, Spent> {
    let products = &evidence.link.products;
    match &subject.name {
        Some(name) => among(subject, named(name, products, budget)?.into_iter(), products, budget),
        None => among(subject, 0..products.as_slice().len(), products, budget),
    }
}

/// Whether a subject is one of the materials at these places, which ascend.
fn material(
    subject: &Subject,
    evidence: &Evidence<'_>,
    places: &[usize],
    budget: &Budget,
) -> Result<Option<String>, Spent> {
    let materials = &evidence.link.materials;
    match &subject.name {
        Some(name) => {
            let place = named(name, materials, budget)?.filter(|place| places.binary_search(place).is_ok());
            among(subject, place.into_iter(), materials, budget)
        }
        None => among(subject, places.iter().copied(), materials, budget),
    }
}

/// The place of the artifact of that name: each step of the search compares the name once.
fn named(name: &str, artifacts: &Artifacts<'_>, budget: &Budget) -> Result<Option<usize>, Spent> {
    let steps = artifacts.as_slice().len().checked_ilog2().unwrap_or_default() as usize;
    budget.compare(32 + name.len() * (1 + steps) / 8)?;
    Ok(artifacts.place(name))
}

fn among(
    subject: &Subject,
    places: impl Iterator<Item = usize>,
    artifacts: &Artifacts<'_>,
    budget: &Budget,
) -> Result<Option<String>, Spent> {
    for artifact in places.filter_map(|at| artifacts.as_slice().get(at)) {
        budget.compare(artifact.cost())?;
        if describes(subject, artifact) {
            return Ok(Some(crate::verdict::shown(&artifact.name)));
        }
    }
    Ok(None)
}

/// Whether a subject's digests are an artifact's, whatever the two are called: all algorithms in common are equal, and at
/// least one of them is SHA-2.
pub fn describes(subject: &Subject, artifact: &Artifact<'_>) -> bool {
    let mut strong = false;
    for digest in artifact.digests.iter() {
        if let Some(value) = subject.digests.get(&*digest.algorithm) {
            if *value != digest.value {
                return false;
            }
            strong |= matches!(&*digest.algorithm, "sha256" | "sha384" | "sha512");
        }
    }
    strong
}

fn missing(subject: &Subject, producers: &str) -> Finding {
    let digests = subject.digests.iter().enumerate().flat_map(|(at, (algorithm, value))| {
        let before = if at > 0 { ", " } else { "" };
        [before, algorithm, ":", value]
    });
    let digests = joined(digests, "");
    let shown = subject.name.as_deref().unwrap_or(&digests);
    let message = format!(
        "the supply chain holds, but `{}` is no product of `{}`, nor passed on by its last step: it is not what this chain made",
        crate::verdict::shown(shown),
        producers
    );
    let finding = Finding::new(Code::SubjectNotFound, &[], message).expected(&digests);
    match &subject.name {
        Some(name) => finding.artifact(name),
        None => finding,
    }
}
