//! The contract's answer as the verifier's own types, so that there is one JSON form of it.
//!
//! Every conversion that could fail gives nothing: a code that the host does not know is no answer.

use linkgate_verifier::limits::Limit;
use linkgate_verifier::plan::{InspectionRequirement, Requirements, StepRequirement};
use linkgate_verifier::rule::Side;
use linkgate_verifier::verdict::{
    Basis, Code, Decision, Finding, KeyReport, Signer, StepReport, SubjectReport, Summary, TrustReport, Unconstrained,
    UnconstrainedArtifact, Undecided, UndecidedTag, Verdict,
};

use super::bindings::exports::linkgate::verifier::verification as wit;
pub(super) use wit::Error as WitError;

pub(super) fn verdict(verdict: wit::Verdict) -> Option<Verdict> {
    Some(Verdict {
        decision: match verdict.decision {
            wit::Decision::Accept => Decision::Accept,
            wit::Decision::Reject => Decision::Reject,
        },
        trust: TrustReport {
            basis: match verdict.trust.basis {
                wit::Basis::Signed => Basis::Signed,
                wit::Basis::Asserted => Basis::Asserted,
            },
            keys: verdict.trust.keys.into_iter().map(key).collect(),
        },
        steps: verdict.steps.into_iter().map(step).collect(),
        findings: findings(verdict.findings)?,
        warnings: findings(verdict.warnings)?,
        omitted: verdict.omitted,
        unconstrained: Unconstrained {
            count: verdict.unconstrained.count,
            artifacts: all(verdict.unconstrained.artifacts, unconstrained)?,
        },
        subjects: all(verdict.subjects, subject)?,
        summary: verdict.summary.map(|summary| Summary {
            sha256: summary.sha256,
            link: summary.link,
        }),
        valid_until: verdict.valid_until,
    })
}

pub(super) fn undecided(error: wit::Error) -> Option<Undecided> {
    Some(Undecided {
        decision: UndecidedTag::Undecided,
        code: code(&error.code)?,
        at: error.at,
        limit: match error.limit {
            Some(name) => Some(Limit::named(&name)?.name()),
            None => None,
        },
        message: error.message,
        reasons: findings(error.reasons)?,
        warnings: findings(error.warnings)?,
        steps: error.steps.into_iter().map(step).collect(),
    })
}

pub(super) fn requirements(requirements: wit::Requirements) -> Requirements {
    Requirements {
        steps: requirements
            .steps
            .into_iter()
            .map(|step| StepRequirement {
                at: step.at,
                name: step.name,
                threshold: step.threshold,
                signers: step.signers.into_iter().map(key).collect(),
                documents: step.documents,
            })
            .collect(),
        inspections: requirements
            .inspections
            .into_iter()
            .map(|inspection| InspectionRequirement {
                at: inspection.at,
                name: inspection.name,
                run: inspection.run,
            })
            .collect(),
        valid_until: requirements.valid_until,
    }
}

fn all<A, B>(list: Vec<A>, convert: impl Fn(A) -> Option<B>) -> Option<Vec<B>> {
    list.into_iter().map(convert).collect()
}

fn findings(list: Vec<wit::Finding>) -> Option<Vec<Finding>> {
    all(list, finding)
}

fn code(name: &str) -> Option<Code> {
    Code::ALL.iter().copied().find(|code| code.name() == name)
}

fn side(name: &str) -> Option<&'static str> {
    [Side::Materials, Side::Products]
        .map(Side::name)
        .into_iter()
        .find(|side| *side == name)
}

fn key(key: wit::KeyReport) -> KeyReport {
    KeyReport {
        label: key.label,
        fingerprint: key.fingerprint,
    }
}

fn step(step: wit::StepReport) -> StepReport {
    StepReport {
        at: step.at,
        name: step.name,
        verified: step.verified,
        threshold: step.threshold,
        signers: step.signers.into_iter().map(signer).collect(),
        missing: step.missing.into_iter().map(key).collect(),
        materials: step.materials,
        products: step.products,
    }
}

fn signer(signer: wit::Signer) -> Signer {
    Signer {
        key: key(signer.key),
        document: signer.document,
        sublayout: signer.sublayout,
    }
}

fn finding(finding: wit::Finding) -> Option<Finding> {
    Some(Finding {
        code: code(&finding.code)?,
        at: finding.at,
        document: finding.document,
        list: match finding.list {
            Some(name) => Some(side(&name)?),
            None => None,
        },
        rule: finding.rule,
        artifact: finding.artifact,
        expected: finding.expected,
        found: finding.found,
        message: finding.message,
    })
}

fn unconstrained(artifact: wit::UnconstrainedArtifact) -> Option<UnconstrainedArtifact> {
    Some(UnconstrainedArtifact {
        at: artifact.at,
        list: side(&artifact.list)?,
        artifact: artifact.artifact,
    })
}

fn subject(subject: wit::SubjectReport) -> Option<SubjectReport> {
    Some(SubjectReport {
        subject: subject.subject,
        step: subject.step,
        list: side(&subject.list)?,
        artifact: subject.artifact,
    })
}
