//! The link: what a functionary signs about one step (specification 1.0, section 4.4).

use std::time::{SystemTime, UNIX_EPOCH};

use linkgate_verifier::instant::Instant;
use serde_json::{Map, Value, json};

use super::collect::Artifacts;
use super::command::Outcome;

/// The name and version that are kept in a link's environment.
pub const RECORDER: &str = concat!("linkgate ", env!("CARGO_PKG_VERSION"));

/// A step name that no layout may have, and that could not be part of a file's name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the step name `{}` is none: it has 1 to 255 characters, no `/`, `\\` or control character, and is not `.` or `..`", .0.escape_debug())]
pub struct StepNameError(String);

/// The name of a step, good for a layout and for a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StepName(String);

impl StepName {
    /// Checks a name.
    pub fn new(name: String) -> Result<Self, StepNameError> {
        let sound = (1..=255).contains(&name.chars().count())
            && !name.contains(|character: char| matches!(character, '/' | '\\') || character.is_control())
            && !matches!(name.as_str(), "." | "..");
        if sound {
            Ok(Self(name))
        } else {
            Err(StepNameError(name))
        }
    }

    /// As it stands.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// What the link by this signer is called.
    pub fn link_file(&self, keyid: &str) -> String {
        format!("{}.{}.link", self.0, short(keyid))
    }

    /// What the record is called from its start to its stop.
    pub fn unfinished_file(&self, keyid: &str) -> String {
        format!(".{}.{}.link-unfinished", self.0, short(keyid))
    }
}

/// The eight digits of a keyid that stand in names of files.
pub(crate) fn short(keyid: &str) -> &str {
    keyid.get(..8).unwrap_or(keyid)
}

/// How return values are written where a signal ended the command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signals {
    /// 128 + n
    AsShells,
    /// -n
    AsInToto,
}

/// The times of a step, kept in its link's environment: an audit then has a time, and knows whose clock it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Times {
    /// Before the materials were recorded.
    pub started: Instant,
    /// After the products were recorded.
    pub finished: Instant,
}

/// The time now by this machine's clock. At one before 1970 the verifier judges nothing.
pub fn now() -> Instant {
    instant(SystemTime::now())
}

fn instant(time: SystemTime) -> Instant {
    match time.duration_since(UNIX_EPOCH) {
        Ok(since) => Instant(i64::try_from(since.as_secs()).unwrap_or(i64::MAX)),
        Err(before) => {
            let before = before.duration();
            // A part of a second is one, so that no time before 1970 is 1970.
            let seconds = before.as_secs().saturating_add(u64::from(before.subsec_nanos() > 0));
            Instant(-i64::try_from(seconds).unwrap_or(i64::MAX))
        }
    }
}

/// The payload of a link.
pub fn payload(
    name: &StepName,
    command: &[String],
    materials: &Artifacts,
    products: &Artifacts,
    byproducts: Value,
    environment: Value,
) -> Value {
    let members = [
        ("_type", Value::from("link")),
        ("name", Value::from(name.as_str())),
        ("command", Value::from(command)),
        ("materials", artifacts(materials)),
        ("products", artifacts(products)),
        ("byproducts", byproducts),
        ("environment", environment),
    ];
    Value::Object(
        members
            .into_iter()
            .map(|(key, value)| (key.to_owned(), value))
            .collect(),
    )
}

/// Artifacts as a link has them.
pub fn artifacts(artifacts: &Artifacts) -> Value {
    let artifacts = artifacts.iter().map(|(name, digest)| {
        let digests = Map::from_iter([("sha256".to_owned(), Value::String(digest.to_string()))]);
        (name.clone(), Value::Object(digests))
    });
    Value::Object(artifacts.collect())
}

/// What a command left besides products: its return value, and its output, empty where that was not kept. A stream
/// that was longer than what is kept of it is named in `truncated`.
pub fn byproducts(outcome: &Outcome, signals: Signals) -> Value {
    let code = match signals {
        Signals::AsShells => outcome.code(),
        Signals::AsInToto => outcome.code_as_in_toto(),
    };
    let mut byproducts = json!({
        "return-value": code,
        "stdout": outcome.stdout.text(),
        "stderr": outcome.stderr.text(),
    });
    let truncated: Vec<&str> = [("stdout", &outcome.stdout), ("stderr", &outcome.stderr)]
        .into_iter()
        .filter_map(|(name, stream)| stream.truncated.then_some(name))
        .collect();
    if !truncated.is_empty() {
        byproducts["truncated"] = json!(truncated);
    }
    byproducts
}

/// When and by what a link was recorded.
pub fn environment(times: Times) -> Value {
    json!({
        "started": times.started.to_string(),
        "finished": times.finished.to_string(),
        "recorder": RECORDER,
    })
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn no_time_before_1970_is_1970() {
        for (before, seconds) in [(0, 0), (1, -1), (1_000, -1), (1_001, -2)] {
            assert_eq!(
                instant(UNIX_EPOCH - Duration::from_millis(before)),
                Instant(seconds),
                "{before} ms"
            );
        }
        assert_eq!(instant(UNIX_EPOCH + Duration::from_millis(1_999)), Instant(1));
    }

    #[test]
    fn step_names() {
        for name in ["build", "a b", "[*]", "...", "é", &"x".repeat(255)] {
            assert!(StepName::new(name.to_owned()).is_ok(), "{name}");
        }
        for name in ["", ".", "..", "a/b", "a\\b", "a\nb", "\0", "\u{9b}", &"x".repeat(256)] {
            assert!(StepName::new(name.to_owned()).is_err(), "{name:?}");
        }
    }

    #[test]
    fn file_names() {
        let name = StepName::new("build".to_owned()).unwrap();
        assert_eq!(name.link_file("0123456789abcdef"), "build.01234567.link");
        assert_eq!(
            name.unfinished_file("0123456789abcdef"),
            ".build.01234567.link-unfinished"
        );
    }

    #[test]
    fn times_are_labelled() {
        let times = Times {
            started: Instant(0),
            finished: Instant(60),
        };
        assert_eq!(
            environment(times),
            json!({"started": "1970-01-01T00:00:00Z", "finished": "1970-01-01T00:01:00Z", "recorder": RECORDER})
        );
    }
}
