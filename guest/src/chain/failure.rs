//! What is said of artifacts: why a list of rules failed, and what no rule constrained.

use super::{Judgement, Verification, name_of};
use crate::flow::{self, Failure, Links};
use crate::limits;
use crate::link::Link;
use crate::prelude::*;
use crate::rule::{Rule, Side};
use crate::verdict::{Code, Finding, Unconstrained, UnconstrainedArtifact};

impl<'e> Verification<'_, 'e> {
    #[expect(clippy::too_many_arguments, reason = "it explains what `judge_list` judged")]
    pub(super) fn explain(
        &mut self,
        judgement: &mut Judgement<'e>,
        failure: &Failure,
        rules: &[Rule],
        link: &Link<'e>,
        side: Side,
        links: &Links<'_, 'e>,
        at: &[String],
    ) {
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
                let mut disallowed = artifacts.iter().filter_map(|&at| list.get(at));
                while !judgement.findings.is_full()
                    && let Some(artifact) = disallowed.next()
                {
                    let name = artifact.name.as_ref();
                    let finding = |message| {
                        Finding::new(Code::DisallowedArtifact, at, message)
                            .rule(side, *rule)
                            .artifact(name)
                            .found(&artifact.digests.show())
                    };
                    let shown = crate::verdict::shown(name);
                    // It is disallowed for certain. Without anything to pay for the reason, that is all that is said.
                    let why = flow::mismatch(rules, *rule, name, links, self.budget).unwrap_or_default();
                    judgement.findings.push(match why {
                        Some(why) if why.expected.is_some() => {
                            let expected = why.expected.map(|there| there.digests.show()).unwrap_or_default();
                            finding(format!(
                                "`{shown}` was changed: the {} of `{}` differs from the {} of `{}`",
                                side.singular(),
                                name_of(at),
                                why.side.singular(),
                                crate::verdict::shown(why.from)
                            ))
                            .expected(&expected)
                        }
                        Some(why) if links.get(why.from).is_none() => finding(format!(
                            "`{shown}` is a {} of `{}`, and no rule allows it: the MATCH rule for it names `{}`, which is no step of the layout",
                            side.singular(),
                            name_of(at),
                            crate::verdict::shown(why.from)
                        )),
                        Some(why) => finding(format!(
                            "`{shown}` is a {} of `{}` and no {} of `{}`, and no rule allows it",
                            side.singular(),
                            name_of(at),
                            why.side.singular(),
                            crate::verdict::shown(why.from)
                        )),
                        None => finding(format!(
                            "`{shown}` is a {} of `{}`, and no rule allows it",
                            side.singular(),
                            name_of(at)
                        )),
                    });
                }
                judgement.omitted += disallowed.count() as u64;
            }
        }
    }
}

/// Lists what no rule consumed.
pub(super) fn unconstrained(judgement: &mut Judgement<'_>, left: &[usize], link: &Link<'_>, side: Side, at: &[String]) {
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
            .take(limits::FINDINGS.saturating_sub(judgement.unconstrained.artifacts.len()))
            .map(|artifact| UnconstrainedArtifact {
                at: at.to_vec(),
                list: side.name(),
                artifact: crate::verdict::shown(&artifact.name),
            })
            .collect(),
    });
}
