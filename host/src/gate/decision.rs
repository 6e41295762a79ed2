//! What the gate answers: one decision on one artifact, with what each policy said.

use std::fmt;
use std::sync::Arc;

use linkgate_verifier::instant::Instant;
use linkgate_verifier::verdict::{self, Answer};
use serde::{Serialize, Serializer};

use super::policy::Mode;
use crate::evidence::SourceError;
use crate::memory::NoRoom;
use crate::terminal::harmless;

/// Whether an artifact may be used. A caller that reads no more than `allowed` is safe.
#[derive(Clone, Debug, Serialize)]
pub struct Decision {
    /// Whether it may.
    pub allowed: bool,
    /// What was judged of it.
    pub outcome: Outcome,
    /// Why, by a name that does not change.
    pub reason: Reason,
    /// The same in one line.
    pub message: String,
    /// The artifact.
    pub subject: String,
    /// Where it is to run, if that was said.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub namespace: String,
    /// What each policy that governs it said.
    pub policies: Vec<PolicyDecision>,
    /// What policies that only warn would have refused, and what a policy warns of.
    pub warnings: Vec<String>,
}

/// What one policy said.
#[derive(Clone, Debug, Serialize)]
pub struct PolicyDecision {
    /// Its name.
    pub policy: String,
    /// Whether its refusal refuses.
    pub mode: Mode,
    /// What was judged.
    pub outcome: Outcome,
    /// Why.
    pub reason: Reason,
    /// The same in one line.
    pub message: String,
    /// The SHA-256 of the verifier's answer in its JSON form, if it was asked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub answer_sha256: Option<String>,
    /// That answer.
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "json_form")]
    pub answer: Option<Arc<Answer>>,
}

/// What was judged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Outcome {
    /// Everything that the policies demand is there.
    Accept,
    /// It was judged, and falls short.
    Reject,
    /// It could not be judged. It is refused.
    Undecided,
}

/// Why.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Reason {
    /// All policies accept.
    Accepted,
    /// The evidence was judged, and does not satisfy a policy.
    Rejected,
    /// There is no evidence about the artifact at all.
    NoEvidence,
    /// A source of evidence did not say what it has.
    SourceDown,
    /// The verifier could not judge.
    Undecided,
    /// No policy governs the artifact.
    NoPolicy,
    /// The image is named by a tag, which may mean another image tomorrow.
    Tag,
    /// What was asked about is no image or artifact.
    InvalidImage,
    /// The caller's time was over.
    Timeout,
    /// More was asked at once than the gate takes.
    Overloaded,
}

impl Outcome {
    /// Its name in answers and metrics.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Accept => "accept",
            Self::Reject => "reject",
            Self::Undecided => "undecided",
        }
    }
}

impl Reason {
    /// Every reason.
    pub const ALL: [Self; 10] = [
        Self::Accepted,
        Self::Rejected,
        Self::NoEvidence,
        Self::SourceDown,
        Self::Undecided,
        Self::NoPolicy,
        Self::Tag,
        Self::InvalidImage,
        Self::Timeout,
        Self::Overloaded,
    ];

    /// Its name in answers and metrics.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Accepted => "accepted",
            Self::Rejected => "rejected",
            Self::NoEvidence => "no-evidence",
            Self::SourceDown => "source-down",
            Self::Undecided => "undecided",
            Self::NoPolicy => "no-policy",
            Self::Tag => "tag",
            Self::InvalidImage => "invalid-image",
            Self::Timeout => "timeout",
            Self::Overloaded => "overloaded",
        }
    }

    /// What a reason says of the artifact.
    pub const fn outcome(self) -> Outcome {
        match self {
            Self::Accepted => Outcome::Accept,
            Self::Rejected | Self::NoEvidence | Self::NoPolicy | Self::Tag | Self::InvalidImage => Outcome::Reject,
            Self::SourceDown | Self::Undecided | Self::Timeout | Self::Overloaded => Outcome::Undecided,
        }
    }
}

impl Reason {
    /// Why nothing is known where there was no memory for what a source has: for now, or ever.
    pub const fn of_no_room(no_room: NoRoom) -> Self {
        match no_room {
            NoRoom::Taken => Self::Overloaded,
            NoRoom::TooLarge(..) => Self::Undecided,
        }
    }

    /// Why nothing is known where a source did not say what it has.
    pub fn of_source(error: &SourceError) -> Self {
        error.no_room.map_or(Self::SourceDown, Self::of_no_room)
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.name())
    }
}

impl Decision {
    /// A refusal without asking any policy.
    pub fn refused(subject: String, namespace: String, reason: Reason, message: &str) -> Self {
        Self {
            allowed: false,
            outcome: reason.outcome(),
            reason,
            message: harmless(message),
            subject,
            namespace,
            policies: Vec::new(),
            warnings: Vec::new(),
        }
    }

    /// The sum of what the governing policies said: allowed only if all that enforce accept.
    pub fn of(subject: String, namespace: String, policies: Vec<PolicyDecision>) -> Self {
        // What is certain is said first: a judged reject before what could not be judged.
        let rank = |decision: &&PolicyDecision| match decision.outcome {
            Outcome::Reject => 0,
            Outcome::Undecided => 1,
            Outcome::Accept => 2,
        };
        let enforcing = policies.iter().filter(|decision| decision.mode == Mode::Enforce);
        let refusing = enforcing.clone().any(|decision| decision.outcome != Outcome::Accept);
        // Where policies only warn, what they found is told all the same.
        let worst = match enforcing.clone().next() {
            Some(_) => enforcing.min_by_key(rank),
            None => policies.iter().min_by_key(rank),
        };
        let mut warnings: Vec<String> = policies
            .iter()
            .filter(|decision| decision.mode == Mode::Warn && decision.outcome != Outcome::Accept)
            .map(|decision| format!("{subject}: {}", decision.said()))
            .collect();
        warnings.extend(policies.iter().flat_map(|decision| decision.warnings(&subject)));
        let (reason, message) = match worst {
            Some(worst) if worst.outcome != Outcome::Accept => (worst.reason, worst.said()),
            _ => (Reason::Accepted, accepted_by(&policies)),
        };
        Self {
            allowed: !refusing,
            outcome: reason.outcome(),
            reason,
            message: harmless(&format!("{subject}: {message}")),
            subject,
            namespace,
            policies: policies.into_iter().map(PolicyDecision::on_one_line).collect(),
            warnings: warnings.iter().map(|warning| harmless(warning)).collect(),
        }
    }
}

impl Decision {
    /// The earliest instant at which one of the verdicts that it rests on could become another.
    pub fn valid_until(&self) -> Option<Instant> {
        let ends = self
            .policies
            .iter()
            .filter_map(|policy| match policy.answer.as_deref() {
                Some(Ok(verdict)) => verdict.valid_until,
                _ => None,
            });
        ends.min().map(Instant)
    }
}

fn accepted_by(policies: &[PolicyDecision]) -> String {
    let names: Vec<String> = policies
        .iter()
        .filter(|decision| decision.outcome == Outcome::Accept)
        .map(|decision| format!("`{}`", decision.policy))
        .collect();
    format!("accepted by policy {}", names.join(", "))
}

impl PolicyDecision {
    /// The same with a message as it may be shown.
    fn on_one_line(self) -> Self {
        Self {
            message: harmless(&self.message),
            ..self
        }
    }

    /// Policy and cause.
    fn said(&self) -> String {
        format!("policy `{}`: {}: {}", self.policy, self.outcome.name(), self.message)
    }

    /// What the layout's owner should know of an accepted chain, though it holds.
    fn warnings(&self, subject: &str) -> Vec<String> {
        let Some(Ok(verdict)) = self.answer.as_deref() else {
            return Vec::new();
        };
        if self.outcome != Outcome::Accept {
            return Vec::new();
        }
        let strict = verdict.warnings.iter().filter(|warning| warning.code.is_strict());
        strict
            .map(|warning| format!("{subject}: policy `{}`: {}", self.policy, warning.message))
            .collect()
    }
}

#[expect(clippy::ref_option, reason = "serde hands over the field as it is")]
fn json_form<S: Serializer>(answer: &Option<Arc<Answer>>, serializer: S) -> Result<S::Ok, S::Error> {
    let json = answer.as_deref().map(verdict::to_json);
    let raw = json.map(serde_json::value::RawValue::from_string).transpose();
    raw.map_err(serde::ser::Error::custom)?.serialize(serializer)
}
