//! The summary link says what the evidence says, whatever its files are called.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

use linkgate_verifier::signature::Pure;
use linkgate_verifier::verify;
use serde_json::Value;

/// The digest of the summary of a case that is accepted.
fn summary(case: &str) -> String {
    let text = std::fs::read_to_string(format!("../tests/cases/{case}.json")).unwrap();
    let case: Value = serde_json::from_str(&text).unwrap();
    let answer = verify::verify_json(case["request"].to_string(), &mut Pure);
    answer.unwrap().summary.unwrap().sha256
}

#[test]
fn names_do_not_choose_the_command() {
    let first = summary("sublayout/command-differs-beside-the-expected-first");
    let last = summary("sublayout/command-differs-beside-the-expected-last");
    assert_eq!(first, last);
}
