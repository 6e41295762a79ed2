//! Judging the artifact rules of one list (specification 1.0, section 4.3.3 and 5.3).
//!
//! Each list has a queue of artifact names. Each rule consumes what it covers; DISALLOW and REQUIRE alone can fail.

use crate::artifact::{Artifact, Artifacts, Cursor};
use crate::index::Index;
use crate::limits::{Budget, Spent};
use crate::link::Link;
use crate::prelude::*;
use crate::rule::{self, Match, Rule, Side};

/// The links that MATCH rules may refer to, by step or inspection.
pub struct Links<'l, 'a> {
    index: Index<'l>,
    links: Vec<&'l Link<'a>>,
}

impl<'l, 'a> Links<'l, 'a> {
    /// Links by names, of which no two are equal.
    pub fn new(named: &[(&'l str, &'l Link<'a>)]) -> Self {
        Self {
            index: Index::new(named.iter().map(|(name, _)| *name)),
            links: named.iter().map(|(_, link)| *link).collect(),
        }
    }

    /// The link of that name.
    pub fn get(&self, name: &str) -> Option<&'l Link<'a>> {
        self.links.get(self.index.get(name)?).copied()
    }
}

/// What became of the queue of one list. Artifacts are meant by their place in the list.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Outcome {
    /// The first rule that failed. Rules after it were not asked.
    pub failure: Option<Failure>,
    /// What no rule consumed.
    pub left: Vec<usize>,
    /// What a MATCH WITH PRODUCTS rule consumed.
    pub passed_on: Vec<usize>,
}

/// A rule that failed, counted from 0.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Failure {
    /// DISALLOW matched these.
    Disallowed {
        /// The rule.
        rule: usize,
        /// The artifacts.
        artifacts: Vec<usize>,
    },
    /// REQUIRE did not find its artifact.
    Required {
        /// The rule.
        rule: usize,
    },
}

/// Why a MATCH rule did not consume an artifact that its pattern covers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mismatch<'l, 'a> {
    /// The rule, counted from 0.
    pub rule: usize,
    /// The step or inspection that it refers to.
    pub from: &'l str,
    /// On which side of that.
    pub side: Side,
    /// The artifact there, which has other digests; none if there is no such artifact.
    pub expected: Option<&'l Artifact<'a>>,
}

/// The artifacts of a link on one side.
pub fn artifacts<'l, 'a>(link: &'l Link<'a>, side: Side) -> &'l [Artifact<'a>] {
    side_of(link, side).as_slice()
}

/// Judges the rules for one side of a link.
pub fn judge(
    rules: &[Rule],
    link: &Link<'_>,
    side: Side,
    links: &Links<'_, '_>,
    budget: &Budget,
) -> Result<Outcome, Spent> {
    let list = artifacts(link, side);
    let mut outcome = Outcome {
        left: (0..list.len()).collect(),
        ..Outcome::default()
    };
    for (index, rule) in rules.iter().enumerate() {
        budget.pattern(1)?;
        match rule {
            Rule::Require(name) => {
                let found = outcome
                    .left
                    .binary_search_by(|&at| list.get(at).map_or("", |artifact| &artifact.name).cmp(name.as_str()));
                if found.is_err() {
                    outcome.failure = Some(Failure::Required { rule: index });
                    return Ok(outcome);
                }
            }
            Rule::Disallow(_) => {
                let (artifacts, _, asked) = consume(rule, list, link, links, &outcome.left, budget);
                // What it matched is disallowed, whether or not the others could be paid for.
                if !artifacts.is_empty() {
                    outcome.failure = Some(Failure::Disallowed { rule: index, artifacts });
                    return Ok(outcome);
                }
                asked?;
            }
            _ => {
                let (consumed, left, asked) = consume(rule, list, link, links, &outcome.left, budget);
                asked?;
                outcome.left = left;
                if matches!(rule, Rule::Match(rule) if rule.side == Side::Products) {
                    outcome.passed_on.extend(consumed);
                }
            }
        }
    }
    Ok(outcome)
}

/// Why the MATCH rules before `before` let an artifact through: the last of them whose pattern covers it.
pub fn mismatch<'l, 'a>(
    rules: &'l [Rule],
    before: usize,
    name: &str,
    links: &Links<'l, 'a>,
    budget: &Budget,
) -> Result<Option<Mismatch<'l, 'a>>, Spent> {
    for (index, rule) in rules.iter().enumerate().take(before).rev() {
        budget.pattern(1)?;
        let Rule::Match(rule) = rule else { continue };
        budget.compare(rule.source.len() / 8)?;
        let Some(rest) = rule::under(name, &rule.source) else {
            continue;
        };
        if rule.pattern.matches(rest, budget)? {
            budget.compare(rule.from.len() + rule.destination.len() + rest.len())?;
            let other = links.get(&rule.from).map(|link| side_of(link, rule.side));
            return Ok(Some(Mismatch {
                rule: index,
                from: &rule.from,
                side: rule.side,
                expected: other.and_then(|other| other.cursor().find(&rule.destination, rest)),
            }));
        }
    }
    Ok(None)
}

/// The artifacts of a link on one side, to be found by name.
pub fn side_of<'l, 'a>(link: &'l Link<'a>, side: Side) -> &'l Artifacts<'a> {
    match side {
        Side::Materials => &link.materials,
        Side::Products => &link.products,
    }
}

/// Splits the queue into what the rule covers and what it does not. Both keep their order; where the budget is spent, both end
/// there.
fn consume(
    rule: &Rule,
    list: &[Artifact<'_>],
    link: &Link<'_>,
    links: &Links<'_, '_>,
    queue: &[usize],
    budget: &Budget,
) -> (Vec<usize>, Vec<usize>, Result<(), Spent>) {
    let mut covers = Cover::new(rule, link, links);
    let (mut consumed, mut left) = (Vec::new(), Vec::with_capacity(queue.len()));
    for &at in queue {
        let covered = budget.pattern(1).and_then(|()| match list.get(at) {
            Some(artifact) => covers.covers(artifact, budget),
            None => Ok(false),
        });
        match covered {
            Ok(true) => consumed.push(at),
            Ok(false) => left.push(at),
            Err(spent) => return (consumed, left, Err(spent)),
        }
    }
    (consumed, left, Ok(()))
}

/// A rule on its walk through a queue: names come in ascending order.
enum Cover<'c, 'a> {
    Pattern(&'c crate::pattern::Pattern),
    Created(&'c crate::pattern::Pattern, Cursor<'c, 'a>),
    Deleted(&'c crate::pattern::Pattern, Cursor<'c, 'a>),
    Modified(&'c crate::pattern::Pattern, Cursor<'c, 'a>, Cursor<'c, 'a>),
    Matched(&'c Match, Cursor<'c, 'a>),
    Nothing,
}

impl<'c, 'a> Cover<'c, 'a> {
    fn new(rule: &'c Rule, link: &'c Link<'a>, links: &Links<'c, 'a>) -> Self {
        match rule {
            Rule::Allow(pattern) | Rule::Disallow(pattern) => Self::Pattern(pattern),
            Rule::Create(pattern) => Self::Created(pattern, link.materials.cursor()),
            Rule::Delete(pattern) => Self::Deleted(pattern, link.products.cursor()),
            Rule::Modify(pattern) => Self::Modified(pattern, link.materials.cursor(), link.products.cursor()),
            Rule::Match(rule) => match links.get(&rule.from) {
                Some(other) => Self::Matched(rule, side_of(other, rule.side).cursor()),
                None => Self::Nothing,
            },
            Rule::Require(_) => Self::Nothing,
        }
    }

    fn covers(&mut self, artifact: &Artifact<'_>, budget: &Budget) -> Result<bool, Spent> {
        let name = artifact.name.as_ref();
        Ok(match self {
            Self::Pattern(pattern) => pattern.matches(name, budget)?,
            // The list is the products in a CREATE that can consume, the materials in a DELETE: what the other side
            // lacks. On the side that they speak of as empty, nothing is new and nothing gone.
            Self::Created(pattern, other) | Self::Deleted(pattern, other) => {
                pattern.matches(name, budget)? && {
                    budget.compare(artifact.cost())?;
                    other.find("", name).is_none()
                }
            }
            Self::Modified(pattern, materials, products) => {
                pattern.matches(name, budget)? && {
                    budget.compare(2 * artifact.cost())?;
                    match (materials.find("", name), products.find("", name)) {
                        (Some(before), Some(after)) => before.digests != after.digests,
                        _ => false,
                    }
                }
            }
            Self::Matched(rule, other) => {
                budget.compare(rule.source.len() / 8)?;
                match rule::under(name, &rule.source) {
                    Some(rest) if rule.pattern.matches(rest, budget)? => {
                        budget.compare(artifact.cost() + rule.destination.len())?;
                        let there = other.find(&rule.destination, rest);
                        there.is_some_and(|there| there.digests == artifact.digests)
                    }
                    _ => false,
                }
            }
            Self::Nothing => false,
        })
    }
}
