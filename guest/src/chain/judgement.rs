//! What was found about one layout's chain, and what the layout itself has to be told of.

use super::Standing;
use crate::artifact::Artifacts;
use crate::evidence::{Evidence, place};
use crate::instant::Instant;
use crate::layout::{Layout, Notice, absent_threshold};
use crate::limits::Spent;
use crate::link::Link;
use crate::prelude::*;
use crate::verdict::{Code, Finding, Findings, Unconstrained};

/// What was found about one layout's chain.
#[derive(Debug, Default)]
pub struct Judgement<'e> {
    /// Why it is rejected.
    pub findings: Findings,
    /// What kept it from being judged.
    pub open: Findings,
    /// What an owner should know.
    pub warnings: Findings,
    /// How many findings are not listed.
    pub omitted: u64,
    /// Artifacts that no rule consumed.
    pub unconstrained: Unconstrained,
    /// Evidence of the steps that were counted and agree, by step's place; none of the others.
    pub links: Vec<Option<Evidence<'e>>>,
    /// Materials of the last step that a MATCH WITH PRODUCTS rule consumed, by place.
    pub passed_on: Vec<usize>,
}

impl<'e> Judgement<'e> {
    /// Whether everything that the layout demands is there.
    pub fn accepts(&self) -> bool {
        self.findings.is_empty() && self.open.is_empty()
    }

    /// What the chain amounts to: materials of its first step, all else of its last.
    pub fn summary(&mut self, layout: &Layout) -> Link<'e> {
        let materials: Artifacts<'e> = self
            .evidence(0)
            .map(|first| first.link.materials.clone())
            .unwrap_or_default();
        let last = layout.steps.len().checked_sub(1);
        let last = last.and_then(|last| self.links.get_mut(last)?.take());
        match last {
            Some(last) => Link {
                materials,
                name: "".into(),
                ..Rc::unwrap_or_clone(last.link)
            },
            None => Link::empty(),
        }
    }

    /// The evidence of a step that was counted.
    pub fn evidence(&self, step: usize) -> Option<&Evidence<'e>> {
        self.links.get(step)?.as_ref()
    }

    /// How much is listed of artifacts.
    pub(super) fn said(&self) -> usize {
        self.findings.len() + self.unconstrained.artifacts.len()
    }

    pub(super) fn unsure(&mut self, spent: Spent, at: &[String]) {
        self.open.push(Finding::spent(spent, at));
    }
}

/// The finding that a layout has expired.
pub fn expired(expires: Instant, now: Instant, at: &[String]) -> Finding {
    Finding::new(
        Code::LayoutExpired,
        at,
        format!(
            "the layout expired at {expires}; it is judged at {now}: its owner must sign one with a later `expires`"
        ),
    )
    .expected(&format!("before {expires}"))
    .found(&now.to_string())
}

/// What a layout's owner should know, and what this verifier cannot check.
pub(super) fn notices(judgement: &mut Judgement<'_>, layout: &Layout, standing: &Standing) {
    for constraint in &layout.unsupported {
        judgement.open.push(
            Finding::new(
                Code::LayoutUnsupported,
                &standing.at,
                format!("the layout constrains by {constraint}, which this verifier cannot check"),
            )
            .found(constraint),
        );
    }
    if layout.steps.is_empty() {
        judgement.warnings.push(Finding::new(
            Code::NoSteps,
            &standing.at,
            "the layout has no steps: it demands no evidence".to_owned(),
        ));
    }
    for notice in &layout.notices {
        let (code, within, message, found) = match notice {
            Notice::UnknownField { within, field } => {
                let of = within.as_deref().unwrap_or("the layout");
                (
                    Code::UnknownLayoutField,
                    within.as_deref(),
                    format!("layouts have no field `{field}`; that of `{of}` has no effect"),
                    field.clone(),
                )
            }
            Notice::UnusableKey { label, reason } => (
                Code::UnusableKey,
                None,
                format!("the key `{label}` never counts: {reason}"),
                label.clone(),
            ),
            Notice::UnfilledParameter { within, name } => (
                Code::UnfilledParameter,
                Some(within.as_str()),
                format!(
                    "`{{{name}}}` in `{within}` looks like a parameter, and no parameters are given: it stands for itself"
                ),
                name.clone(),
            ),
            Notice::AbsentThreshold { step, keys } => (
                Code::ThresholdAbsent,
                Some(step.as_str()),
                absent_threshold(step, *keys),
                keys.to_string(),
            ),
            Notice::AbsentField(field) => (
                Code::LayoutFieldAbsent,
                None,
                format!("the asserted layout has no `{field}`"),
                (*field).to_owned(),
            ),
        };
        judgement
            .warnings
            .push(Finding::new(code, &place(&standing.at, within), message).found(&found));
    }
}
