//! Judging a supply chain: one layout, the evidence for its steps, its rules, its inspections, and its sublayouts the
//! same way (specification 1.0, section 5).

mod failure;
mod inspection;
mod judgement;
mod sublayout;

pub use judgement::{Judgement, expired};

use crate::evidence::{self, Collected, Documents, Evidence, Judge, Results, place};
use crate::flow::{self, Links, Outcome};
use crate::index::Index;
use crate::instant::Instant;
use crate::layout::{Layout, Step};
use crate::limits::{self, Budget, Spent};
use crate::link::Link;
use crate::plan::{InspectionRequirement, Requirements, StepRequirement};
use crate::prelude::*;
use crate::rule::{Rule, Side};
use crate::signature::Checker;
use crate::threshold;
use crate::verdict::{Code, Finding, StepReport, shown};

/// What all layouts of one verification share.
pub struct Verification<'v, 'e> {
    /// All evidence.
    pub documents: &'e Documents<'e>,
    /// All results of inspections.
    pub results: &'e Results<'e>,
    /// Answers about signatures what it can.
    pub checker: &'v mut dyn Checker,
    /// Pays for all of it.
    pub budget: &'v Budget,
    /// The time to judge at.
    pub now: Instant,
    /// Whether warnings that may hide a hole are findings.
    pub strict: bool,
    /// What the layouts that were trusted need, where that is asked.
    pub requirements: Option<Requirements>,
    /// Every step that was counted, sublayouts' before the step that they stand for.
    pub steps: Vec<StepReport>,
    /// The earliest expiry of the layouts that hold.
    pub valid_until: Option<Instant>,
    /// By result's place, the digest of the command of which it was taken for the result.
    pub ran: Vec<Option<String>>,
}

/// What a report of a key or a folder takes, beside a name's own bytes.
const REPORTED: usize = 256;

/// Where a layout stands among sublayouts.
#[derive(Clone, Debug, Default)]
pub struct Standing {
    /// The folders that lead to it.
    pub at: Vec<String>,
    /// The same as a prefix of document names.
    pub folder: String,
}

/// What speaks for a step while it is collected.
struct Tally<'e> {
    /// Links, and sublayouts that hold.
    evidence: Vec<Evidence<'e>>,
    /// Whether a sublayout fails the step, whatever else speaks for it.
    contradicted: bool,
    /// Whether something that could not be judged might have counted.
    doubtful: bool,
}

impl<'e> Tally<'e> {
    fn of(evidence: Vec<Evidence<'e>>) -> Self {
        Self {
            evidence,
            contradicted: false,
            doubtful: false,
        }
    }
}

impl<'e> Verification<'_, 'e> {
    /// Judges a layout that is trusted and not expired.
    pub fn judge(&mut self, layout: &Layout, standing: &Standing) -> Judgement<'e> {
        let mut judgement = Judgement::default();
        if let Err(spent) = self.judge_into(&mut judgement, layout, standing) {
            judgement.unsure(spent, &standing.at);
        }
        if self.strict {
            let warnings = core::mem::take(&mut judgement.warnings);
            judgement.omitted += warnings.omitted;
            for warning in warnings {
                if warning.code.is_strict() {
                    judgement.findings.push(warning);
                } else {
                    judgement.warnings.push(warning);
                }
            }
        }
        judgement
    }

    fn judge_into(&mut self, judgement: &mut Judgement<'e>, layout: &Layout, standing: &Standing) -> Result<(), Spent> {
        self.valid_until = self.valid_until.into_iter().chain(layout.expires).min();
        self.require(layout, standing)?;
        judgement::notices(judgement, layout, standing);
        // What cannot be checked might have made any step hold or fail.
        if !layout.unsupported.is_empty() {
            return Ok(());
        }
        let mut judge = Judge {
            checker: &mut *self.checker,
            budget: self.budget,
        };
        let collected = evidence::collect(self.documents, &standing.folder, &standing.at, layout, &mut judge)?;
        let first_report = self.count(judgement, layout, standing, collected)?;
        let failed = self.judge_steps(judgement, layout, standing, first_report)?;
        self.judge_inspections(judgement, layout, standing, &failed)
    }

    fn require(&mut self, layout: &Layout, standing: &Standing) -> Result<(), Spent> {
        let Some(requirements) = &mut self.requirements else {
            return Ok(());
        };
        for step in &layout.steps {
            let document = standing.folder.len() + step.name.len();
            self.budget.memory(reported(step) + step.authorised.len() * document)?;
        }
        requirements.steps.extend(layout.steps.iter().map(|step| {
            StepRequirement {
                at: standing.at.clone(),
                name: step.name.clone(),
                threshold: step.threshold,
                signers: step.authorised.iter().map(threshold::key_report).collect(),
                documents: step
                    .authorised
                    .iter()
                    .map(|key| {
                        format!(
                            "{}{}.{}.link",
                            standing.folder,
                            step.name,
                            evidence::first_eight(&key.label)
                        )
                    })
                    .collect(),
            }
        }));
        requirements
            .inspections
            .extend(layout.inspections.iter().map(|inspection| InspectionRequirement {
                at: standing.at.clone(),
                name: inspection.name.clone(),
                run: inspection.run.clone(),
            }));
        Ok(())
    }

    /// Counts the evidence of every step; returns the place of the first step's report.
    fn count(
        &mut self,
        judgement: &mut Judgement<'e>,
        layout: &Layout,
        standing: &Standing,
        mut collected: Collected<'e>,
    ) -> Result<usize, Spent> {
        judgement.warnings.append(&mut collected.warnings);
        let mut tallies: Vec<Tally<'e>> = collected.links.into_iter().map(Tally::of).collect();
        for (step, finding) in collected.unchecked {
            if let Some(tally) = tallies.get_mut(step) {
                tally.doubtful = true;
            }
            judgement.open.push(finding);
        }
        let reused = sublayout::reused(&collected.sublayouts);
        for (sublayout, reused) in collected.sublayouts.iter().zip(reused) {
            if let (Some(step), Some(tally)) = (layout.steps.get(sublayout.step), tallies.get_mut(sublayout.step)) {
                self.sublayout(judgement, layout, step, standing, sublayout, reused, tally)?;
            }
        }
        let first_report = self.steps.len();
        for (step, mut tally) in layout.steps.iter().zip(tallies) {
            let order = Index::new(tally.evidence.iter().map(|evidence| evidence.document)).into_order();
            order.apply(&mut tally.evidence);
            let place: usize = standing.at.iter().map(|folder| REPORTED + folder.len()).sum();
            self.budget.memory(REPORTED + place + reported(step))?;
            self.steps.push(threshold::report(step, standing, &tally.evidence));
            let count = threshold::count(judgement, step, standing, tally.evidence, tally.doubtful, self.budget);
            judgement.links.push(count.filter(|_| !tally.contradicted));
        }
        Ok(first_report)
    }

    /// Judges the rules of every step that was counted; returns the names of the steps that did not verify.
    fn judge_steps<'l>(
        &mut self,
        judgement: &mut Judgement<'e>,
        layout: &'l Layout,
        standing: &Standing,
        first_report: usize,
    ) -> Result<Index<'l>, Spent> {
        let counted = core::mem::take(&mut judgement.links);
        let links = Links::new(&named(layout, &counted));
        let mut held = vec![false; layout.steps.len()];
        let uncounted = Index::some(counted.iter().zip(&layout.steps).map(not_counted).enumerate());
        let mut spent = Ok(());
        for (at, ((step, evidence), held)) in layout.steps.iter().zip(&counted).zip(&mut held).enumerate() {
            let Some(evidence) = evidence else { continue };
            let is_last = at + 1 == layout.steps.len();
            match self.judge_step(judgement, step, standing, &evidence.link, &links, &uncounted) {
                Ok((both, passed_on)) => {
                    if is_last {
                        judgement.passed_on = passed_on;
                    }
                    *held = both;
                    if let Some(report) = self.steps.get_mut(first_report + at) {
                        report.verified = both;
                    }
                }
                Err(error) => {
                    spent = Err(error);
                    break;
                }
            }
        }
        drop(links);
        judgement.links = counted;
        let failed = layout
            .steps
            .iter()
            .zip(held)
            .map(|(step, held)| (!held).then_some(step.name.as_str()));
        spent.map(|()| Index::some(failed.enumerate()))
    }

    /// Judges both lists of a step. Returns whether they held, and which materials a MATCH WITH PRODUCTS consumed.
    fn judge_step(
        &mut self,
        judgement: &mut Judgement<'e>,
        step: &Step,
        standing: &Standing,
        link: &Link<'e>,
        links: &Links<'_, 'e>,
        failed: &Index<'_>,
    ) -> Result<(bool, Vec<usize>), Spent> {
        let at = place(&standing.at, Some(&step.name));
        let materials = self.judge_list(judgement, &step.materials, link, Side::Materials, links, failed, &at)?;
        let products = self.judge_list(judgement, &step.products, link, Side::Products, links, failed, &at)?;
        let held = [&materials, &products]
            .iter()
            .all(|outcome| outcome.as_ref().is_some_and(|outcome| outcome.failure.is_none()));
        Ok((held, materials.map(|outcome| outcome.passed_on).unwrap_or_default()))
    }

    /// Judges one list; nothing if it refers to a step that did not verify.
    #[expect(
        clippy::too_many_arguments,
        reason = "a list is named by its rules, link, side and place, and judged against links and failures"
    )]
    fn judge_list(
        &mut self,
        judgement: &mut Judgement<'e>,
        rules: &[Rule],
        link: &Link<'e>,
        side: Side,
        links: &Links<'_, 'e>,
        failed: &Index<'_>,
        at: &[String],
    ) -> Result<Option<Outcome>, Spent> {
        let refers = rules.iter().find_map(|rule| match rule {
            Rule::Match(rule) if failed.get(&rule.from).is_some() => Some(&rule.from),
            _ => None,
        });
        if let Some(from) = refers {
            judgement.warnings.push(
                Finding::new(
                    Code::RulesNotJudged,
                    at,
                    format!(
                        "the {} rules of `{}` were not judged: they refer to `{}`, which has no evidence that counts",
                        side.name(),
                        name_of(at),
                        shown(from)
                    ),
                )
                .list(side)
                .found(from),
            );
            return Ok(None);
        }
        let outcome = flow::judge(rules, link, side, links, self.budget)?;
        let before = judgement.said();
        match &outcome.failure {
            Some(failure) => self.explain(judgement, failure, rules, link, side, links, at),
            None => failure::unconstrained(judgement, &outcome.left, link, side, at),
        }
        // Paid afterwards, for what was found stays so; a list says at most as much as a verdict does.
        self.budget.compare((judgement.said() - before) * limits::said_at(at))?;
        Ok(Some(outcome))
    }
}

/// What reports of a step's keys take.
fn reported(step: &Step) -> usize {
    // A character that is shown has at most four bytes.
    let label = |label: &str| label.len().min(4 * limits::SHOWN);
    step.authorised.iter().map(|key| REPORTED + label(&key.label)).sum()
}

/// The links of the steps that were counted, by the steps' names.
fn named<'l, 'e>(layout: &'l Layout, counted: &'l [Option<Evidence<'e>>]) -> Vec<(&'l str, &'l Link<'e>)> {
    layout
        .steps
        .iter()
        .zip(counted)
        .filter_map(|(step, evidence)| Some((step.name.as_str(), &*evidence.as_ref()?.link)))
        .collect()
}

/// The name of a step that was not counted.
fn not_counted<'l>((evidence, step): (&Option<Evidence<'_>>, &'l Step)) -> Option<&'l str> {
    evidence.is_none().then_some(step.name.as_str())
}

/// The step or inspection of a place.
fn name_of(at: &[String]) -> &str {
    at.last().map_or("", String::as_str)
}
