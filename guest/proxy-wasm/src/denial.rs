//! Answers that a registry's client understands (OCI distribution specification 1.1, "Error Codes").

use serde::{Deserialize, Serialize};

/// Why a request does not reach the registry.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Denial {
    /// What kind of refusal it is.
    pub kind: Kind,
    /// Why, in one line.
    pub message: String,
}

/// Kinds of refusals, told apart by clients and in metrics.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Kind {
    /// Nothing that passes a gate for pulls.
    Method,
    /// Nothing that passes, or not yet.
    Refused,
    /// The registry has no such image.
    Unknown,
    /// The chain was judged, and falls short.
    Rejected,
    /// The verifier could not judge.
    Undecided,
    /// The registry did not say what there is to judge.
    SourceDown,
}

/// A message's bytes: it goes through the proxy's headers limit nowhere, and into memory that is kept.
const LONGEST: usize = 2_000;

impl Denial {
    /// A refusal.
    pub fn new(kind: Kind, message: impl Into<String>) -> Self {
        let mut message: String = message.into();
        if message.len() > LONGEST {
            let end = (0..=LONGEST)
                .rev()
                .find(|at| message.is_char_boundary(*at))
                .unwrap_or(0);
            message.truncate(end);
            message.push('…');
        }
        Self { kind, message }
    }

    /// The status of the answer.
    pub fn status(&self) -> u32 {
        match self.kind {
            Kind::Method => 405,
            Kind::Refused | Kind::Rejected => 403,
            Kind::Unknown => 404,
            // Failed Dependency (RFC 4918), as the gate says it: asking again soon is no use.
            Kind::Undecided => 424,
            Kind::SourceDown => 503,
        }
    }

    /// The body of the answer.
    pub fn body(&self) -> String {
        let code = match self.kind {
            Kind::Method => "UNSUPPORTED",
            Kind::Refused | Kind::Rejected => "DENIED",
            Kind::Unknown => "MANIFEST_UNKNOWN",
            Kind::Undecided | Kind::SourceDown => "UNAVAILABLE",
        };
        let message = format!("linkgate: {}", self.message);
        serde_json::json!({"errors": [{"code": code, "message": message}]}).to_string()
    }
}
