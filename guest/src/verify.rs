//! The two questions that a host asks: what is needed, and what is the verdict.

use sha2::{Digest as _, Sha256};

use crate::chain::{self, Judgement, Standing, Verification};
use crate::envelope::{Envelope, EnvelopeError};
use crate::evidence::{Documents, Results};
use crate::instant::Instant;
use crate::layout::{Layout, LayoutError, Reading};
use crate::limits::{self, Budget, Limit, Spent};
use crate::parameter::Parameters;
use crate::payload;
use crate::plan::Requirements;
use crate::prelude::*;
use crate::request::{Anchor, Request, RequestError};
use crate::signature::Checker;
use crate::subject;
use crate::trust;
use crate::verdict::{
    Answer, Basis, Code, Decision, Finding, Findings, KeyReport, Summary, TrustReport, Unconstrained, Undecided,
    UndecidedTag, Verdict,
};

/// Judges a request.
///
/// The order is that of the specification (1.0, section 5): the layout's signatures, its expiry, its parameters, the
/// evidence for each step, the rules of steps, the rules of inspections; then the subjects.
pub fn verify(request: &Request, checker: &mut dyn Checker) -> Answer {
    let budget = Budget::default();
    let sources = Sources::open(request, &budget)?;
    let trusted = match sources.trust(request, &budget, checker)? {
        Trusted::Layout(trusted) => trusted,
        Trusted::Doubted(verdict) => return Ok(*verdict),
    };
    let mut verification = sources.verification(request, &budget, checker);
    let mut judgement = verification.judge(&trusted.layout, &Standing::default());
    let mut subjects = Vec::new();
    if judgement.accepts() {
        match subject::find(
            &request.subjects,
            &request.options.subject_steps,
            &trusted.layout,
            &mut judgement,
            &budget,
        ) {
            Ok(found) => subjects = found,
            Err(spent) => judgement.open.push(Finding::spent(spent, &[])),
        }
    }
    if judgement.findings.is_empty() && !judgement.open.is_empty() {
        let mut undecided = undecided(judgement.open, judgement.warnings);
        undecided.steps = verification.steps;
        return Err(undecided);
    }
    let summary = judgement
        .findings
        .is_empty()
        .then(|| summary(&mut judgement, &trusted.layout, request.options.summary_link));
    let mut omitted = judgement.omitted;
    Ok(Verdict {
        decision: if judgement.findings.is_empty() {
            Decision::Accept
        } else {
            Decision::Reject
        },
        trust: trusted.report,
        steps: verification.steps,
        findings: judgement.findings.listed(&mut omitted),
        warnings: judgement.warnings.listed(&mut omitted),
        omitted,
        unconstrained: judgement.unconstrained,
        subjects,
        summary,
        valid_until: verification.valid_until.map(|instant| instant.0),
    })
}

/// Judges the JSON form of a request.
pub fn verify_json(text: impl AsRef<[u8]>, checker: &mut dyn Checker) -> Answer {
    let request = Request::from_json(text).map_err(|error| unread(&error))?;
    verify(&request, checker)
}

/// Says what a verification of this request will need. The error says why the layout is not trusted, or why that could
/// not be judged.
pub fn plan(request: &Request, checker: &mut dyn Checker) -> Result<Requirements, Box<Undecided>> {
    let budget = Budget::default();
    let sources = Sources::open(request, &budget)?;
    let trusted = match sources.trust(request, &budget, checker)? {
        Trusted::Layout(trusted) => trusted,
        Trusted::Doubted(verdict) => {
            return Err(undecided(verdict.findings.into(), verdict.warnings.into()));
        }
    };
    let mut verification = Verification {
        requirements: Some(Requirements::default()),
        ..sources.verification(request, &budget, checker)
    };
    verification.judge(&trusted.layout, &Standing::default());
    Ok(Requirements {
        valid_until: verification.valid_until.map(|instant| instant.0),
        ..verification.requirements.unwrap_or_default()
    })
}

/// A request, its envelopes opened.
struct Sources<'r> {
    anchor: Anchor,
    documents: Documents<'r>,
    results: Results<'r>,
    parameters: Parameters,
}

/// A layout that is believed.
struct TrustedLayout {
    layout: Layout,
    report: TrustReport,
}

enum Trusted {
    Layout(Box<TrustedLayout>),
    Doubted(Box<Verdict>),
}

impl<'r> Sources<'r> {
    fn open(request: &'r Request, budget: &Budget) -> Result<Self, Box<Undecided>> {
        request.check().map_err(|error| unread(&error))?;
        let unpaid = |spent| undecided(vec![Finding::spent(spent, &[])].into(), Findings::default());
        Ok(Self {
            anchor: request.anchor(budget).map_err(|error| unread(&error))?,
            documents: Documents::open(&request.documents, budget).map_err(unpaid)?,
            results: Results::open(&request.inspections, budget).map_err(unpaid)?,
            parameters: Parameters::new(
                request
                    .parameters
                    .iter()
                    .map(|(name, value)| (name.clone(), value.clone())),
            ),
        })
    }

    fn verification<'v>(
        &'v self,
        request: &Request,
        budget: &'v Budget,
        checker: &'v mut dyn Checker,
    ) -> Verification<'v, 'v> {
        Verification {
            documents: &self.documents,
            results: &self.results,
            checker,
            budget,
            now: Instant(request.now),
            strict: request.options.strict,
            requirements: None,
            steps: Vec::new(),
            valid_until: None,
            ran: Vec::new(),
        }
    }

    /// Decides whether the root layout is to be believed, holds at this time, and has all its parameters.
    fn trust(
        &self,
        request: &'r Request,
        budget: &Budget,
        checker: &mut dyn Checker,
    ) -> Result<Trusted, Box<Undecided>> {
        let (asserted, keys, basis) = match &self.anchor {
            Anchor::SignedBy(owners) => {
                let keys = owners
                    .iter()
                    .map(|owner| (&owner.label, &owner.key))
                    .collect::<Vec<_>>();
                (None, keys, Basis::Signed)
            }
            Anchor::Asserted(keys) => (
                Some(keys.as_slice()),
                keys.iter().map(|(label, key)| (label, key)).collect(),
                Basis::Asserted,
            ),
        };
        let report = TrustReport {
            basis,
            keys: keys
                .into_iter()
                .map(|(label, key)| KeyReport {
                    label: crate::verdict::shown(label),
                    fingerprint: key.fingerprint(),
                })
                .collect(),
        };
        let malformed = |error: LayoutError| layout_error(&error);
        if request.layout.0.len() > limits::DOCUMENT_BYTES {
            return Err(malformed(Spent(Limit::DocumentBytes).into()));
        }
        let envelope = match Envelope::parse(&request.layout.0) {
            Err(EnvelopeError::Bare("layout")) if asserted.is_some() => Envelope::bare(&request.layout.0),
            parsed => parsed,
        }
        .map_err(|error| malformed(error.into()))?;
        let reading = Reading {
            parameters: &self.parameters,
            root: true,
            asserted,
            budget,
        };
        let (layout, message) = payload::layout(&envelope, reading).map_err(malformed)?;
        if let Anchor::SignedBy(owners) = &self.anchor {
            let doubts = trust::doubts(&envelope, &message, owners, budget, checker);
            if !doubts.findings.is_empty() {
                return Ok(Trusted::doubted(report, doubts.findings));
            }
            if !doubts.unchecked.is_empty() {
                return Err(undecided(doubts.unchecked, Findings::default()));
            }
        }
        let now = Instant(request.now);
        if let Some(expires) = layout.expires.filter(|expires| now >= *expires) {
            return Ok(Trusted::doubted(report, vec![chain::expired(expires, now, &[])].into()));
        }
        if let Err(error) = &layout.parameters {
            return Err(undecided(
                vec![Finding::new(Code::LayoutMalformed, &[], error.to_string())].into(),
                Findings::default(),
            ));
        }
        let steps = layout.index();
        let unknown = request
            .options
            .subject_steps
            .iter()
            .find(|name| steps.get(name).is_none());
        if let Some(name) = unknown {
            let message = format!(
                "the subject step `{}` is no step of the layout",
                crate::verdict::shown(name)
            );
            return Err(undecided(
                vec![Finding::new(Code::RequestMalformed, &[], message)].into(),
                Findings::default(),
            ));
        }
        Ok(Trusted::Layout(Box::new(TrustedLayout { layout, report })))
    }
}

impl Trusted {
    fn doubted(trust: TrustReport, findings: Findings) -> Self {
        let mut omitted = 0;
        Self::Doubted(Box::new(Verdict {
            decision: Decision::Reject,
            trust,
            steps: Vec::new(),
            findings: findings.listed(&mut omitted),
            warnings: Vec::new(),
            omitted,
            unconstrained: Unconstrained::default(),
            subjects: Vec::new(),
            summary: None,
            valid_until: None,
        }))
    }
}

fn summary(judgement: &mut Judgement<'_>, layout: &Layout, with_link: bool) -> Summary {
    let link = judgement.summary(layout);
    let mut digest = Sha256::new();
    link.write(&mut |piece| digest.update(piece));
    Summary {
        sha256: crate::key::hex(&digest.finalize()),
        link: with_link.then(|| link.text()),
    }
}

fn undecided(reasons: Findings, warnings: Findings) -> Box<Undecided> {
    let reasons = reasons.listed(&mut 0);
    let warnings = warnings.listed(&mut 0);
    let first = reasons.first();
    let spent = first.filter(|first| first.code == Code::LimitExceeded);
    Box::new(Undecided {
        decision: UndecidedTag::Undecided,
        code: first.map_or(Code::RequestMalformed, |first| first.code),
        at: first.map(|first| first.at.clone()).unwrap_or_default(),
        limit: spent
            .and_then(|first| Limit::named(first.found.as_deref()?))
            .map(Limit::name),
        message: first.map(|first| first.message.clone()).unwrap_or_default(),
        reasons,
        warnings,
        steps: Vec::new(),
    })
}

/// The answer to what is no request, or none that could be judged.
#[must_use]
pub fn unread(error: &RequestError) -> Box<Undecided> {
    let finding = match error {
        RequestError::Spent(spent) => Finding::spent(*spent, &[]),
        RequestError::UnusableKey { label, .. } => {
            Finding::new(Code::TrustedKeyUnusable, &[], error.to_string()).found(label)
        }
        _ => Finding::new(Code::RequestMalformed, &[], error.to_string()),
    };
    undecided(vec![finding].into(), Findings::default())
}

fn layout_error(error: &LayoutError) -> Box<Undecided> {
    let finding = match error.limit() {
        Some(spent) => Finding::spent(spent, &[]),
        None => Finding::new(Code::LayoutMalformed, &[], format!("the layout is malformed: {error}")),
    };
    undecided(vec![finding].into(), Findings::default())
}
