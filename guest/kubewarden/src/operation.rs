//! The three functions that Kubewarden calls, and what they answer: JSON in, JSON out.

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::decision::{Refusal, decide};
use crate::object::Request;
use crate::prelude::*;
use crate::settings::Settings;

/// Characters of a message that are shown.
const LONGEST: usize = 2_000;

/// What `validate` is asked. Kubewarden may add members.
#[derive(Deserialize)]
struct Asked<'a> {
    #[serde(borrow)]
    request: &'a RawValue,
    #[serde(borrow)]
    settings: &'a RawValue,
}

/// What `validate` answers.
#[derive(Serialize)]
struct Validated<'a> {
    accepted: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    message: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    code: Option<u16>,
}

/// What `validate_settings` answers.
#[derive(Serialize)]
struct SettingsValidated<'a> {
    valid: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    message: Option<&'a str>,
}

/// Answers a call. The error is for a function that there is not.
pub fn answer(operation: &[u8], message: &[u8], clock: fn() -> Result<i64, String>) -> Result<String, String> {
    match operation {
        b"validate" => Ok(validate(message, clock)),
        b"validate_settings" => Ok(validate_settings(message, clock)),
        b"protocol_version" => Ok("\"v1\"".to_owned()),
        other => Err(format!(
            "linkgate: there is no function `{}`",
            one_line(&String::from_utf8_lossy(other))
        )),
    }
}

fn validate(message: &[u8], clock: fn() -> Result<i64, String>) -> String {
    let refusal = match judge(message, clock) {
        Ok(()) => None,
        Err(refusal) => Some((one_line(&format!("linkgate: {}", refusal.message)), refusal.code)),
    };
    let answer = Validated {
        accepted: refusal.is_none(),
        message: refusal.as_ref().map(|(message, _)| message.as_str()),
        code: refusal.as_ref().map(|(_, code)| *code),
    };
    // There is nothing in it that could fail, and nothing is no answer that lets pass.
    serde_json::to_string(&answer).unwrap_or_default()
}

fn judge(message: &[u8], clock: fn() -> Result<i64, String>) -> Result<(), Refusal> {
    let form = |error: serde_json::Error| Refusal::reject(format!("the request is not of Kubewarden's form: {error}"));
    let asked: Asked<'_> = serde_json::from_slice(message).map_err(form)?;
    let settings = Settings::read(asked.settings.get()).map_err(Refusal::undecided)?;
    let request: Request = serde_json::from_str(asked.request.get()).map_err(form)?;
    decide(&request, &settings, clock)
}

fn validate_settings(message: &[u8], clock: fn() -> Result<i64, String>) -> String {
    let checked = core::str::from_utf8(message)
        .map_err(|_| "the settings cannot be used: they are no UTF-8".to_owned())
        .and_then(Settings::read)
        .and_then(|settings| settings.check(clock().ok()));
    let (valid, message) = match checked {
        Ok(advice) if advice.is_empty() => (true, None),
        Ok(advice) => (true, Some(advice.join("; "))),
        Err(why) => (false, Some(why)),
    };
    let message = message.map(|message| one_line(&format!("linkgate: {message}")));
    let answer = SettingsValidated {
        valid,
        message: message.as_deref(),
    };
    serde_json::to_string(&answer).unwrap_or_default()
}

/// Text by others in which no character breaks a line, moves a cursor or turns the direction of writing.
fn one_line(text: &str) -> String {
    let mut line = String::new();
    for (at, character) in text.chars().enumerate() {
        if at == LONGEST {
            line.push('…');
            break;
        }
        let turns = matches!(character, '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
        if character.is_control() || turns {
            line.extend(character.escape_unicode());
        } else {
            line.push(character);
        }
    }
    line
}
