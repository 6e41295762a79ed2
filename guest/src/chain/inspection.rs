//! A layout's inspections: whether their commands ran and did not fail, and the rules for what they found (specification
//! 1.0, section 5).

use sha2::{Digest as _, Sha256};

use super::{Judgement, Standing, Verification, named};
use crate::evidence::place;
use crate::flow::Links;
use crate::index::Index;
use crate::key::hex;
use crate::layout::{Inspection, Layout};
use crate::limits::{self, Spent};
use crate::link::{Link, ReturnValue};
use crate::payload;
use crate::prelude::*;
use crate::rule::Side;
use crate::verdict::{Code, Finding};

impl<'e> Verification<'_, 'e> {
    pub(super) fn judge_inspections(
        &mut self,
        judgement: &mut Judgement<'e>,
        layout: &Layout,
        standing: &Standing,
        failed: &Index<'_>,
    ) -> Result<(), Spent> {
        let mut results: Vec<(&Inspection, Link<'e>)> = Vec::new();
        for inspection in &layout.inspections {
            if let Some(link) = self.result(judgement, inspection, standing)? {
                self.budget.memory(link.weight())?;
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

    /// Whether the result at a place may be that of a command: sublayouts that share a folder share its results.
    fn is_of(&mut self, place: usize, run: &[String]) -> bool {
        let mut digest = Sha256::new();
        for word in run {
            digest.update(word.len().to_le_bytes());
            digest.update(word);
        }
        let digest = hex(&digest.finalize());
        if self.ran.len() <= place {
            self.ran.resize(place + 1, None);
        }
        match self.ran.get_mut(place) {
            Some(ran) => *ran.get_or_insert_with(|| digest.clone()) == digest,
            None => true,
        }
    }

    /// The link that an inspection gave, if it was supplied and its command did not fail.
    fn result(
        &mut self,
        judgement: &mut Judgement<'e>,
        inspection: &Inspection,
        standing: &Standing,
    ) -> Result<Option<Link<'e>>, Spent> {
        self.budget.compare(limits::said_at(&standing.at))?;
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
        let found = results.get(&standing.at, &inspection.name);
        if let Some((place, _)) = found
            && !self.is_of(place, &inspection.run)
        {
            judgement.open.push(Finding::new(
                Code::InspectionNotRun,
                &at,
                format!(
                    "the supplied result of inspection `{}` may be of another command: two sublayouts in one folder have an inspection of this name, and their `run` differ",
                    inspection.name
                ),
            ));
            return Ok(None);
        }
        let link = match found {
            None => {
                judgement.open.push(Finding::new(
                    Code::InspectionNotRun,
                    &at,
                    format!("no result of inspection `{}` was supplied", inspection.name),
                ));
                return Ok(None);
            }
            Some((_, Err(error))) => Err(malformed(error)),
            Some((_, Ok(envelope))) => {
                self.budget.read(envelope.payload().len())?;
                match (payload::kind(envelope), payload::link(envelope)) {
                    (Err(error), _) => Err(malformed(&error)),
                    (_, Err(error)) => Err(malformed(&error)),
                    (Ok(payload::Kind::Link), Ok((link, _))) if link.name == inspection.name => Ok(link),
                    (_, Ok((link, _))) => Err(malformed(&format!(
                        "it is named `{}`",
                        crate::verdict::shown(&link.name)
                    ))),
                }
            }
        };
        Ok(match link {
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
        })
    }
}
