//! The three functions that Kubewarden calls, and what they answer: JSON in, JSON out.

use core::fmt::Display;

use linkgate_verifier::json;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::decision::{Refusal, Request, decide};
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
    let form = |error: &dyn Display| Refusal::reject(format!("the request is not of Kubewarden's form: {error}"));
    let asked: Asked<'_> = serde_json::from_slice(message).map_err(|error| form(&error))?;
    let settings = Settings::read(asked.settings.get()).map_err(Refusal::undecided)?;
    let request: Request = serde_json::from_str(asked.request.get()).map_err(|error| form(&error))?;
    // Of a member that stands twice, another reader of the request may take the other one.
    json::check(asked.request.get()).map_err(|error| form(&error))?;
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

/// As much of a text by others as is shown, on one line.
fn one_line(text: &str) -> String {
    if text.chars().nth(LONGEST).is_none() {
        return linkgate_image::one_line(text);
    }
    let begin: String = text.chars().take(LONGEST).chain(['…']).collect();
    linkgate_image::one_line(&begin)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    /// 2026-11-01T00:00:00Z
    const NOW: i64 = 1_793_491_200;

    #[expect(clippy::unnecessary_wraps, reason = "a clock may fail")]
    fn clock() -> Result<i64, String> {
        Ok(NOW)
    }

    fn example() -> (Value, Value) {
        let read = |text: &str| serde_json::from_str::<Value>(text).unwrap();
        (
            read(include_str!("../../../policies/kubewarden/review.json"))["request"].clone(),
            read(include_str!("../../../policies/kubewarden/settings.json")),
        )
    }

    fn ask(request: &Value, settings: &Value, clock: fn() -> Result<i64, String>) -> (bool, String, u64) {
        let message = json!({"request": request, "settings": settings}).to_string();
        let answer: Value = serde_json::from_str(&answer(b"validate", message.as_bytes(), clock).unwrap()).unwrap();
        let said = answer["message"].as_str().unwrap_or_default().to_owned();
        (
            answer["accepted"].as_bool().unwrap(),
            said,
            answer["code"].as_u64().unwrap_or_default(),
        )
    }

    #[test]
    fn the_example_is_let_in_while_it_holds() {
        let (request, settings) = example();
        assert_eq!(ask(&request, &settings, clock), (true, String::new(), 0));
        let late = ask(&request, &settings, || Ok(NOW + 10 * 366 * 86_400));
        assert!(!late.0 && late.1.contains("expired") && late.2 == 403, "{late:?}");
        let without = ask(&request, &settings, || Err("undecided: no clock".to_owned()));
        assert_eq!(without, (false, "linkgate: undecided: no clock".to_owned(), 503));
    }

    #[test]
    fn what_brings_nothing_needs_no_clock() {
        let (mut request, settings) = example();
        request["operation"] = json!("DELETE");
        assert!(ask(&request, &settings, || Err(String::new())).0);
        request["operation"] = json!("UPDATE");
        request["oldObject"] = request["object"].clone();
        assert!(ask(&request, &settings, || Err(String::new())).0);
    }

    #[test]
    fn a_request_says_nothing_twice() {
        let (request, settings) = example();
        let labels = r#"{"a": "1", "a": "2"}"#;
        let mut labelled = request;
        labelled["object"]["metadata"]["labels"] = json!("@");
        let request = labelled.to_string().replace(r#""@""#, labels);
        let message = format!(r#"{{"request": {request}, "settings": {settings}}}"#);
        let said = answer(b"validate", message.as_bytes(), clock).unwrap();
        assert!(
            said.contains(r#""accepted":false"#) && said.contains("duplicate key"),
            "{said}"
        );
    }

    #[test]
    fn every_image_is_decided_on() {
        let (mut request, settings) = example();
        let container = request["object"]["spec"]["containers"][0].clone();
        for (image, said) in [
            ("registry.example/web/app:1", "is named by a tag"),
            ("registry.example/other", "no policy governs it"),
            ("", "names no image"),
            ("R_x/y", "in two"),
        ] {
            request["object"]["spec"]["containers"] = json!([container, {"name": "b", "image": image}]);
            let answer = ask(&request, &settings, clock);
            assert!(!answer.0 && answer.1.contains(said), "{answer:?}");
        }
    }

    #[test]
    fn settings_are_judged_with_their_layouts() {
        let (_, settings) = example();
        let judge = |settings: &Value| -> Value {
            let said = answer(b"validate_settings", settings.to_string().as_bytes(), clock).unwrap();
            serde_json::from_str(&said).unwrap()
        };
        assert_eq!(judge(&settings), json!({"valid": true}));
        let mut broken = settings.clone();
        broken["policies"][0]["layout"] = json!("{}");
        assert_eq!(judge(&broken)["valid"], json!(false));
        let mut unproven = settings;
        unproven["policies"][0]["links"] = json!({});
        let said = judge(&unproven);
        assert_eq!(said["valid"], json!(true));
        assert!(
            said["message"].as_str().unwrap().contains("refuses everything"),
            "{said}"
        );
        assert!(answer(b"validate_settings", b"\xff", clock).unwrap().contains("UTF-8"));
        // Of two lists of owners, the second would be taken.
        let twice = example()
            .1
            .to_string()
            .replacen(r#""keys":{"#, r#""keys":{},"keys":{"#, 1);
        let said = answer(b"validate_settings", twice.as_bytes(), clock).unwrap();
        assert!(said.contains(r#""valid":false"#), "{said}");
    }

    #[test]
    fn there_are_three_functions() {
        assert_eq!(answer(b"protocol_version", b"", clock).unwrap(), "\"v1\"");
        assert_eq!(
            answer("mutate\n\u{200b}##[error]".as_bytes(), b"", clock).unwrap_err(),
            "linkgate: there is no function `mutate\\n\\u{200b}#\\u{23}[error]`"
        );
    }
}
