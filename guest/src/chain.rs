//! Judging a supply chain: one layout, the evidence for its steps, its rules, its inspections, and its sublayouts the
//! same way (specification 1.0, section 5).

use crate::artifact::Artifacts;
use crate::evidence::{self, BoundSublayout, Collected, Documents, Evidence, Judge, Results, place};
use crate::flow::{self, Failure, Links, Outcome};
use crate::index::Index;
use crate::instant::Instant;
use crate::layout::{Inspection, Layout, Notice, Reading, Step};
use crate::limits::{self, Budget, Limit, Spent};
use crate::link::{Link, ReturnValue};
use crate::parameter::Parameters;
use crate::payload;
use crate::plan::{InspectionRequirement, Requirements, StepRequirement};
use crate::prelude::*;
use crate::rule::{Rule, Side};
use crate::signature::Checker;
use crate::threshold;
use crate::verdict::{Code, Finding, StepReport, Unconstrained, UnconstrainedArtifact};

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
}

/// Where a layout stands among sublayouts.
#[derive(Clone, Debug, Default)]
pub struct Standing {
    /// The folders that lead to it.
    pub at: Vec<String>,
    /// The same as a prefix of document names.
    pub folder: String,
}

/// What was found about one layout's chain.
#[derive(Debug, Default)]
pub struct Judgement<'e> {
    /// Why it is rejected.
    pub findings: Vec<Finding>,
    /// What kept it from being judged.
    pub open: Vec<Finding>,
    /// What an owner should know.
    pub warnings: Vec<Finding>,
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

    fn unsure(&mut self, spent: Spent, at: &[String]) {
        self.open
            .push(Finding::new(Code::LimitExceeded, at, spent.to_string()).found(spent.0.name()));
    }
}

/// What speaks for a step while it is collected.
struct Tally<'e> {
    /// Links, and sublayouts that hold.
    evidence: Vec<Evidence<'e>>,
    /// What sublayouts that do not count have to say, until it is known whether the step needed them.
    beneath: Vec<Finding>,
    /// Whether something that could not be judged might have counted.
    doubtful: bool,
}

impl<'e> Tally<'e> {
    fn of(evidence: Vec<Evidence<'e>>) -> Self {
        Self {
            evidence,
            beneath: Vec::new(),
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
            for warning in core::mem::take(&mut judgement.warnings) {
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
        self.require(layout, standing);
        notices(judgement, layout, standing);
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

    fn require(&mut self, layout: &Layout, standing: &Standing) {
        let Some(requirements) = &mut self.requirements else {
            return;
        };
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
    }

    /// Counts the evidence of every step; returns the place of the first step's report.
    fn count(
        &mut self,
        judgement: &mut Judgement<'e>,
        layout: &Layout,
        standing: &Standing,
        collected: Collected<'e>,
    ) -> Result<usize, Spent> {
        judgement.warnings.extend(collected.warnings);
        let mut tallies: Vec<Tally<'e>> = collected.links.into_iter().map(Tally::of).collect();
        for (step, finding) in collected.unchecked {
            if let Some(tally) = tallies.get_mut(step) {
                tally.doubtful = true;
            }
            judgement.open.push(finding);
        }
        let reused = reused(&collected.sublayouts);
        for (sublayout, reused) in collected.sublayouts.iter().zip(reused) {
            if let (Some(step), Some(tally)) = (layout.steps.get(sublayout.step), tallies.get_mut(sublayout.step)) {
                self.sublayout(judgement, layout, step, standing, sublayout, reused, tally)?;
            }
        }
        let first_report = self.steps.len();
        for (step, mut tally) in layout.steps.iter().zip(tallies) {
            let order = Index::new(tally.evidence.iter().map(|evidence| evidence.document)).into_order();
            order.apply(&mut tally.evidence);
            self.steps.push(threshold::report(step, standing, &tally.evidence));
            let count = threshold::count(judgement, step, standing, tally.evidence, tally.doubtful);
            if count.is_some() {
                judgement.warnings.extend(tally.beneath);
            } else {
                judgement.findings_or_warnings(tally.beneath);
            }
            judgement.links.push(count);
        }
        Ok(first_report)
    }

    #[expect(clippy::too_many_arguments, reason = "a sublayout stands for a step of a layout")]
    fn sublayout(
        &mut self,
        judgement: &mut Judgement<'e>,
        layout: &Layout,
        step: &Step,
        standing: &Standing,
        sublayout: &BoundSublayout<'e>,
        reused: bool,
        tally: &mut Tally<'e>,
    ) -> Result<(), Spent> {
        let at = place(&standing.at, Some(&step.name));
        let document = sublayout.document;
        if reused {
            judgement.warnings.push(
                Finding::new(
                    Code::SublayoutReused,
                    &at,
                    format!("`{document}` does not count: the same sublayout stands under the name of another step"),
                )
                .document(document),
            );
            return Ok(());
        }
        if let Some(signer) = step.authorised.get(sublayout.signer)
            && layout
                .steps
                .iter()
                .filter(|step| {
                    step.authorised
                        .iter()
                        .any(|key| key.key.material() == signer.key.material())
                })
                .count()
                > 1
        {
            judgement.warnings.push(
                Finding::new(
                    Code::SublayoutSharedSigner,
                    &at,
                    format!("`{}`, who signed the sublayout `{document}`, may sign several steps: only the file's name binds the sublayout to this one", signer.label),
                )
                .document(document)
                .found(&signer.label),
            );
        }
        let inner_standing = Standing {
            at: place(&standing.at, Some(&sublayout.folder)),
            folder: format!("{}{}/", standing.folder, sublayout.folder),
        };
        let (inner_layout, mut inner) = self.descend(sublayout, &inner_standing)?;
        judgement.warnings.append(&mut inner.warnings);
        judgement.omitted += inner.omitted;
        if !inner.open.is_empty() && inner.findings.is_empty() {
            tally.doubtful = true;
            judgement.warnings.push(
                Finding::new(
                    Code::SublayoutUndecided,
                    &at,
                    format!("the sublayout `{document}` could not be judged"),
                )
                .document(document),
            );
            judgement.open.append(&mut inner.open);
            return Ok(());
        }
        match inner_layout {
            Some(inner_layout) if inner.accepts() => {
                judgement
                    .unconstrained
                    .absorb(core::mem::take(&mut inner.unconstrained));
                let link = inner.summary(&inner_layout);
                tally.evidence.push(Evidence {
                    document,
                    link: Rc::new(link),
                    signers: vec![sublayout.signer],
                    sublayout: true,
                });
            }
            _ => {
                judgement.warnings.push(
                    Finding::new(
                        Code::SublayoutRejected,
                        &at,
                        format!("the sublayout `{document}` does not hold, so it does not count"),
                    )
                    .document(document),
                );
                tally.beneath.append(&mut inner.findings);
            }
        }
        Ok(())
    }

    /// Reads and judges a sublayout.
    fn descend(
        &mut self,
        sublayout: &BoundSublayout<'e>,
        standing: &Standing,
    ) -> Result<(Option<Layout>, Judgement<'e>), Spent> {
        self.budget.sublayout()?;
        let mut judgement = Judgement::default();
        if standing.at.len() > limits::SUBLAYOUT_DEPTH as usize {
            judgement.unsure(Spent(Limit::SublayoutDepth), &standing.at);
            return Ok((None, judgement));
        }
        let parameters = Parameters::default();
        let reading = Reading {
            parameters: &parameters,
            root: false,
            asserted: None,
        };
        let layout = match payload::layout(sublayout.envelope, reading) {
            Ok((layout, _)) => layout,
            Err(error) => {
                judgement.findings.push(
                    Finding::new(
                        Code::LayoutMalformed,
                        &standing.at,
                        format!("the sublayout `{}` is malformed: {error}", sublayout.document),
                    )
                    .document(sublayout.document),
                );
                return Ok((None, judgement));
            }
        };
        match layout.expires {
            Some(expires) if self.now >= expires => {
                judgement
                    .findings
                    .push(expired(expires, self.now, &standing.at).document(sublayout.document));
                Ok((None, judgement))
            }
            _ => {
                let judgement = self.judge(&layout, standing);
                Ok((Some(layout), judgement))
            }
        }
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
                    format!("the {} rules of `{}` were not judged: they refer to `{from}`, which has no evidence that counts", side.name(), name_of(at)),
                )
                .list(side)
                .found(from),
            );
            return Ok(None);
        }
        let outcome = flow::judge(rules, link, side, links, self.budget)?;
        match &outcome.failure {
            Some(failure) => self.explain(judgement, failure, rules, link, side, links, at)?,
            None => unconstrained(judgement, &outcome.left, link, side, at),
        }
        Ok(Some(outcome))
    }

    #[expect(clippy::too_many_arguments, reason = "it explains what `judge_list` judged")]
    fn explain(
        &mut self,
        judgement: &mut Judgement<'e>,
        failure: &Failure,
        rules: &[Rule],
        link: &Link<'e>,
        side: Side,
        links: &Links<'_, 'e>,
        at: &[String],
    ) -> Result<(), Spent> {
        let list = flow::artifacts(link, side);
        match failure {
            Failure::Required { rule } => {
                let name = match rules.get(*rule) {
                    Some(Rule::Require(name)) => name.as_str(),
                    _ => "",
                };
                let consumed = list.iter().any(|artifact| artifact.name == name);
                let message = format!(
                    "`{}` must have the {} `{}`, {}",
                    name_of(at),
                    side.singular(),
                    crate::verdict::shown(name),
                    if consumed {
                        "which an earlier rule consumed: REQUIRE stands before the rules that consume"
                    } else {
                        "and has not"
                    }
                );
                judgement.findings.push(
                    Finding::new(Code::RequiredArtifactMissing, at, message)
                        .rule(side, *rule)
                        .artifact(name),
                );
            }
            Failure::Disallowed { rule, artifacts } => {
                judgement.omitted += artifacts.len().saturating_sub(limits::FINDINGS) as u64;
                for artifact in artifacts.iter().filter_map(|&at| list.get(at)).take(limits::FINDINGS) {
                    let name = artifact.name.as_ref();
                    let finding = |message| {
                        Finding::new(Code::DisallowedArtifact, at, message)
                            .rule(side, *rule)
                            .artifact(name)
                            .found(&artifact.digests.show())
                    };
                    let shown = crate::verdict::shown(name);
                    let why = flow::mismatch(rules, *rule, name, links, self.budget)?;
                    judgement.findings.push(match why {
                        Some(why) if why.expected.is_some() => {
                            let expected = why.expected.map(|there| there.digests.show()).unwrap_or_default();
                            finding(format!(
                                "`{shown}` was changed: the {} of `{}` differs from the {} of `{}`",
                                side.singular(),
                                name_of(at),
                                why.side.singular(),
                                why.from
                            ))
                            .expected(&expected)
                        }
                        Some(why) if links.get(why.from).is_none() => finding(format!(
                            "`{shown}` is a {} of `{}`, and no rule allows it: the MATCH rule for it names `{}`, which is no step of the layout",
                            side.singular(),
                            name_of(at),
                            why.from
                        )),
                        Some(why) => finding(format!(
                            "`{shown}` is a {} of `{}` and no {} of `{}`, and no rule allows it",
                            side.singular(),
                            name_of(at),
                            why.side.singular(),
                            why.from
                        )),
                        None => finding(format!(
                            "`{shown}` is a {} of `{}`, and no rule allows it",
                            side.singular(),
                            name_of(at)
                        )),
                    });
                }
            }
        }
        Ok(())
    }

    fn judge_inspections(
        &mut self,
        judgement: &mut Judgement<'e>,
        layout: &Layout,
        standing: &Standing,
        failed: &Index<'_>,
    ) -> Result<(), Spent> {
        let mut results: Vec<(&Inspection, Link<'e>)> = Vec::new();
        for inspection in &layout.inspections {
            if let Some(link) = self.result(judgement, inspection, standing) {
                results.push((inspection, link));
            }
        }
        // Inspections may match each other: without all of them, none can be judged.
        if results.len() < layout.inspections.len() {
            return Ok(());
        }
        let counted = core::mem::take(&mut judgement.links);
        let mut links = named(layout, &counted);
        links.extend(
            results
                .iter()
                .map(|(inspection, link)| (inspection.name.as_str(), link)),
        );
        let links = Links::new(&links);
        let judged = results.iter().try_for_each(|(inspection, link)| {
            let at = place(&standing.at, Some(&inspection.name));
            self.judge_list(
                judgement,
                &inspection.materials,
                link,
                Side::Materials,
                &links,
                failed,
                &at,
            )?;
            self.judge_list(
                judgement,
                &inspection.products,
                link,
                Side::Products,
                &links,
                failed,
                &at,
            )?;
            Ok(())
        });
        drop(links);
        judgement.links = counted;
        judged
    }

    /// The link that an inspection gave, if it was supplied and its command did not fail.
    fn result(
        &mut self,
        judgement: &mut Judgement<'e>,
        inspection: &Inspection,
        standing: &Standing,
    ) -> Option<Link<'e>> {
        let at = place(&standing.at, Some(&inspection.name));
        let results = self.results;
        let malformed = |error: &dyn core::fmt::Display| {
            Finding::new(
                Code::InspectionMalformed,
                &at,
                format!(
                    "the supplied result of inspection `{}` is no link of it: {error}",
                    inspection.name
                ),
            )
        };
        let link = match results.get(&standing.at, &inspection.name) {
            None => {
                judgement.open.push(Finding::new(
                    Code::InspectionNotRun,
                    &at,
                    format!("no result of inspection `{}` was supplied", inspection.name),
                ));
                return None;
            }
            Some(Err(error)) => Err(malformed(error)),
            Some(Ok(envelope)) => match (payload::kind(envelope), payload::link(envelope)) {
                (Err(error), _) => Err(malformed(&error)),
                (_, Err(error)) => Err(malformed(&error)),
                (Ok(payload::Kind::Link), Ok((link, _))) if link.name == inspection.name => Ok(link),
                (_, Ok((link, _))) => Err(malformed(&format!(
                    "it is named `{}`",
                    crate::verdict::shown(&link.name)
                ))),
            },
        };
        match link {
            Err(finding) => {
                judgement.open.push(finding);
                None
            }
            Ok(link) if link.return_value == ReturnValue::Zero => Some(link),
            Ok(link) => {
                let found = match &link.return_value {
                    ReturnValue::Other(value) => value.as_str(),
                    _ => "nothing",
                };
                let message = format!(
                    "the command of inspection `{}` returned {found}, not 0",
                    inspection.name
                );
                judgement.findings.push(
                    Finding::new(Code::InspectionFailed, &at, message)
                        .expected("0")
                        .found(found),
                );
                None
            }
        }
    }
}

impl Judgement<'_> {
    /// Findings beneath a step that was not counted: they are why it is rejected, unless it may yet be undecided.
    fn findings_or_warnings(&mut self, findings: Vec<Finding>) {
        if self.findings.is_empty() {
            self.warnings.extend(findings);
        } else {
            self.findings.extend(findings);
        }
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
fn notices(judgement: &mut Judgement<'_>, layout: &Layout, standing: &Standing) {
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

/// Lists what no rule consumed.
fn unconstrained(judgement: &mut Judgement<'_>, left: &[usize], link: &Link<'_>, side: Side, at: &[String]) {
    let list = flow::artifacts(link, side);
    let Some(first) = left.first().and_then(|&at| list.get(at)) else {
        return;
    };
    let first_name = crate::verdict::shown(&first.name);
    let message = match left.len() {
        1 => format!(
            "no rule constrains the {} `{first_name}` of `{}`",
            side.singular(),
            name_of(at)
        ),
        count => format!(
            "no rule constrains {count} {} of `{}`, `{first_name}` among them",
            side.name(),
            name_of(at)
        ),
    };
    judgement.warnings.push(
        Finding::new(Code::UnconstrainedArtifact, at, message)
            .list(side)
            .artifact(&first.name),
    );
    judgement.unconstrained.absorb(Unconstrained {
        count: left.len() as u64,
        artifacts: left
            .iter()
            .filter_map(|&at| list.get(at))
            .take(limits::FINDINGS)
            .map(|artifact| UnconstrainedArtifact {
                at: at.to_vec(),
                list: side.name(),
                artifact: crate::verdict::shown(&artifact.name),
            })
            .collect(),
    });
}

impl Unconstrained {
    /// Adds what another list left; lists at most [`limits::FINDINGS`] of all.
    fn absorb(&mut self, other: Self) {
        self.count += other.count;
        self.artifacts.extend(other.artifacts);
        self.artifacts.truncate(limits::FINDINGS);
    }
}

/// Which sublayouts have a payload that also stands under the name of another step.
fn reused(sublayouts: &[BoundSublayout<'_>]) -> Vec<bool> {
    let payloads: Vec<String> = sublayouts
        .iter()
        .map(|sublayout| crate::canonical::compact(sublayout.envelope.payload()).unwrap_or_default())
        .collect();
    let step_of = |at: usize| sublayouts.get(at).map(|sublayout| sublayout.step);
    let mut reused = vec![false; sublayouts.len()];
    let index = Index::new(payloads.iter().map(String::as_str));
    for same in index.as_slice().chunk_by(|(payload, _), (other, _)| payload == other) {
        let mut steps = same.iter().map(|(_, at)| step_of(*at));
        let first = steps.next();
        if steps.any(|step| Some(step) != first) {
            for (_, at) in same {
                if let Some(reused) = reused.get_mut(*at) {
                    *reused = true;
                }
            }
        }
    }
    reused
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
