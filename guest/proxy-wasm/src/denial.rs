//! Answers that a registry's client understands (OCI distribution specification 1.1, "Error Codes").

use linkgate_image::one_line;
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
    /// A refusal. Whoever reads the message reads it on one line.
    pub fn new(kind: Kind, message: impl Into<String>) -> Self {
        let mut message = one_line(&message.into());
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_is_one_line_that_does_nothing() {
        let denial = Denial::new(
            Kind::Rejected,
            "a\n::error::b\u{202e}\u{2028}##[error]\u{200b}\u{1b}[2J",
        );
        let said = "a\\n::error::b\\u{202e}\\u{2028}#\\u{23}[error]\\u{200b}\\u{1b}[2J";
        assert_eq!(denial.message, said);
        let body: serde_json::Value = serde_json::from_str(&denial.body()).unwrap();
        assert_eq!(body["errors"][0]["message"], format!("linkgate: {said}"));
        let long = Denial::new(Kind::Rejected, "\n".repeat(LONGEST));
        assert_eq!(long.message.len(), LONGEST + '…'.len_utf8());
    }
}
