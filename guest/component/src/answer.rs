//! What goes out: the verifier's answer as the contract's.

use alloc::borrow::ToOwned;
use alloc::vec::Vec;

use linkgate_verifier::plan::{InspectionRequirement, Requirements, StepRequirement};
use linkgate_verifier::verdict::{
    Basis, Decision, Finding, KeyReport, Signer, StepReport, SubjectReport, Unconstrained, UnconstrainedArtifact,
    Undecided, Verdict,
};

use crate::bindings::exports::linkgate::verifier::verification as wit;

pub(crate) fn verdict(verdict: Verdict) -> wit::Verdict {
    wit::Verdict {
        decision: match verdict.decision {
            Decision::Accept => wit::Decision::Accept,
            Decision::Reject => wit::Decision::Reject,
        },
        trust: wit::TrustReport {
            basis: match verdict.trust.basis {
                Basis::Signed => wit::Basis::Signed,
                Basis::Asserted => wit::Basis::Asserted,
            },
            keys: all(verdict.trust.keys, key),
        },
        steps: all(verdict.steps, step),
        findings: all(verdict.findings, finding),
        warnings: all(verdict.warnings, finding),
        omitted: verdict.omitted,
        unconstrained: unconstrained(verdict.unconstrained),
        subjects: all(verdict.subjects, subject),
        summary: verdict.summary.map(|summary| wit::Summary {
            sha256: summary.sha256,
            link: summary.link,
        }),
        valid_until: verdict.valid_until,
    }
}

pub(crate) fn error(undecided: Undecided) -> wit::Error {
    wit::Error {
        code: undecided.code.name().to_owned(),
        at: undecided.at,
        limit: undecided.limit.map(str::to_owned),
        message: undecided.message,
        reasons: all(undecided.reasons, finding),
        warnings: all(undecided.warnings, finding),
        steps: all(undecided.steps, step),
    }
}

pub(crate) fn requirements(requirements: Requirements) -> wit::Requirements {
    wit::Requirements {
        steps: all(requirements.steps, step_requirement),
        inspections: all(requirements.inspections, inspection_requirement),
        valid_until: requirements.valid_until,
    }
}

fn all<A, B>(list: Vec<A>, convert: impl FnMut(A) -> B) -> Vec<B> {
    list.into_iter().map(convert).collect()
}

fn step_requirement(step: StepRequirement) -> wit::StepRequirement {
    wit::StepRequirement {
        at: step.at,
        name: step.name,
        threshold: step.threshold,
        signers: all(step.signers, key),
        documents: step.documents,
    }
}

fn inspection_requirement(inspection: InspectionRequirement) -> wit::InspectionRequirement {
    wit::InspectionRequirement {
        at: inspection.at,
        name: inspection.name,
        run: inspection.run,
    }
}

fn key(key: KeyReport) -> wit::KeyReport {
    wit::KeyReport {
        label: key.label,
        fingerprint: key.fingerprint,
    }
}

fn step(step: StepReport) -> wit::StepReport {
    wit::StepReport {
        at: step.at,
        name: step.name,
        verified: step.verified,
        threshold: step.threshold,
        signers: all(step.signers, signer),
        missing: all(step.missing, key),
        materials: step.materials,
        products: step.products,
    }
}

fn signer(signer: Signer) -> wit::Signer {
    wit::Signer {
        key: key(signer.key),
        document: signer.document,
        sublayout: signer.sublayout,
    }
}

fn finding(finding: Finding) -> wit::Finding {
    wit::Finding {
        code: finding.code.name().to_owned(),
        at: finding.at,
        document: finding.document,
        list: finding.list.map(str::to_owned),
        rule: finding.rule,
        artifact: finding.artifact,
        expected: finding.expected,
        found: finding.found,
        message: finding.message,
    }
}

fn unconstrained(unconstrained: Unconstrained) -> wit::Unconstrained {
    wit::Unconstrained {
        count: unconstrained.count,
        artifacts: all(unconstrained.artifacts, unconstrained_artifact),
    }
}

fn unconstrained_artifact(artifact: UnconstrainedArtifact) -> wit::UnconstrainedArtifact {
    wit::UnconstrainedArtifact {
        at: artifact.at,
        list: artifact.list.to_owned(),
        artifact: artifact.artifact,
    }
}

fn subject(subject: SubjectReport) -> wit::SubjectReport {
    wit::SubjectReport {
        subject: subject.subject,
        step: subject.step,
        list: subject.list.to_owned(),
        artifact: subject.artifact,
    }
}
