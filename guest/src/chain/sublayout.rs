//! A sublayout: a layout that stands for a step of another one, and counts as that step's link if its chain holds
//! (specification 1.0, section 5).
//!
//! One that is bound to a step and validly signed always has a say: it counts, or fails its step, or leaves the verdict
//! undecided. If it could be left out instead, whoever can only add evidence could take away what contradicts.

use alloc::borrow::Cow;

use sha2::{Digest as _, Sha256};

use super::{Judgement, Standing, Tally, Verification, expired};
use crate::evidence::{BoundSublayout, Evidence, place};
use crate::index::Index;
use crate::key::hex;
use crate::layout::{Layout, Reading, Step};
use crate::limits::{self, Limit, Spent};
use crate::parameter::Parameters;
use crate::payload;
use crate::prelude::*;
use crate::verdict::{Code, Finding};

impl<'e> Verification<'_, 'e> {
    #[expect(clippy::too_many_arguments, reason = "a sublayout stands for a step of a layout")]
    pub(super) fn sublayout(
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
        let mut contradict = |judgement: &mut Judgement<'_>, code, message| {
            tally.contradicted = true;
            judgement
                .findings
                .push(Finding::new(code, &at, message).document(document));
        };
        let Some(place_of_signer) = sublayout.signer else {
            let message = format!(
                "the name of the sublayout `{document}` fits two keys, or two steps: name it with the full computed keyid of its signer"
            );
            contradict(judgement, Code::SublayoutAmbiguous, message);
            return Ok(());
        };
        if reused {
            let message = format!("the sublayout `{document}` also stands under the name of another step");
            contradict(judgement, Code::SublayoutReused, message);
            return Ok(());
        }
        let listed = layout.steps.iter().map(|step| 1 + step.authorised.len());
        self.budget.compare(listed.sum())?;
        if let Some(signer) = step.authorised.get(place_of_signer)
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
                let ran = inner.links.last_mut().and_then(Option::as_mut);
                let ran = ran.map(|last| core::mem::take(&mut last.ran)).unwrap_or_default();
                let link = inner.summary(&inner_layout);
                self.budget.memory(link.weight())?;
                tally.evidence.push(Evidence {
                    document,
                    link: Rc::new(link),
                    ran,
                    signers: vec![place_of_signer],
                    sublayout: true,
                });
            }
            _ => {
                let message = format!("the sublayout `{document}` does not hold");
                contradict(judgement, Code::SublayoutRejected, message);
                judgement.findings.append(&mut inner.findings);
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
            budget: self.budget,
        };
        let layout = match payload::layout(sublayout.envelope, reading) {
            Ok((layout, _)) => layout,
            Err(error) => {
                match error.limit() {
                    Some(spent) => judgement.unsure(spent, &standing.at),
                    None => judgement.findings.push(
                        Finding::new(
                            Code::LayoutMalformed,
                            &standing.at,
                            format!("the sublayout `{}` is malformed: {error}", sublayout.document),
                        )
                        .document(sublayout.document),
                    ),
                }
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
}

/// Which sublayouts have a payload that also stands under the name of another step.
pub(super) fn reused(sublayouts: &[BoundSublayout<'_>]) -> Vec<bool> {
    let payloads: Vec<String> = sublayouts
        .iter()
        .map(|sublayout| sublayout.envelope.payload())
        .map(|payload| crate::canonical::compact(payload).map_or(Cow::Borrowed(payload), Cow::Owned))
        // They are told apart by their digests: together they may be as long as the request.
        .map(|payload| hex(&Sha256::digest(&*payload)))
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
