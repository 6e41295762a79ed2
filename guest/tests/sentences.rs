//! What findings say: for each fault, the sentence and both values that a person needs to mend it.

#![expect(
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "a case that cannot be read fails the test"
)]

use std::path::Path;

use linkgate_verifier::signature::Pure;
use linkgate_verifier::verdict;
use linkgate_verifier::verify;
use serde_json::Value;

/// The first finding of a case in `tests/cases`, after a part of its request was replaced.
fn finding(case: &str, part: &str, by: &str) -> Value {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("../tests/cases/{case}.json"));
    let text = std::fs::read_to_string(file).expect("the case can be read");
    let case: Value = serde_json::from_str(&text).expect("it is JSON");
    let request = case["request"].to_string();
    assert!(part.is_empty() || request.contains(part), "{request}");
    let answer = verify::verify_json(request.replace(part, by), &mut Pure);
    let answer: Value = serde_json::from_str(&verdict::to_json(&answer)).expect("an answer is JSON");
    match &answer["decision"] {
        Value::String(decision) if decision == "undecided" => answer["reasons"][0].clone(),
        _ => answer["findings"][0].clone(),
    }
}

#[test]
fn what_a_person_can_change_is_named() {
    for (case, (part, by), member, wanted) in [
        (
            "threshold/more-than-keys",
            ("", ""),
            "message",
            "it can never have them, for only 2 usable keys may sign it",
        ),
        ("threshold/more-than-keys", ("", ""), "expected", "1 of: no other key"),
        (
            "asserted/label-unknown",
            ("", ""),
            "message",
            "there is no usable key `packer`",
        ),
        (
            "threshold/links-disagree-on-products",
            ("", ""),
            "expected",
            "sha256:a172cedcae47474b615c54d510a5d84a8dea3032e958587430b413538be3f333 in build.821d75a0.link",
        ),
        (
            "threshold/links-disagree-on-a-missing-product",
            ("", ""),
            "found",
            "nothing in build.fdf78323.link",
        ),
        (
            "threshold/one-key-conflicts-on-materials",
            ("", ""),
            "expected",
            "nothing in build.821d75a0.link",
        ),
        (
            "rule/match-missing-step",
            ("", ""),
            "message",
            "names `nowhere`, which is no step of the layout",
        ),
        (
            "rule/require-after-it-was-consumed",
            ("", ""),
            "message",
            "which an earlier rule consumed",
        ),
        (
            "rule/require-missing",
            ("", ""),
            "message",
            "must have the product `app`, and has not",
        ),
        (
            "asserted/rule-broken",
            ("DISALLOW", "DISALLOV"),
            "message",
            "rule 1 of expected_products",
        ),
        (
            "subject/name-right-digest-wrong",
            (
                r#""now":1764000000"#,
                r#""now":1764000000,"options":{"subject_steps":["build"]}"#,
            ),
            "found",
            "sha256:a172cedcae47474b615c54d510a5d84a8dea3032e958587430b413538be3f333",
        ),
    ] {
        let finding = finding(case, part, by);
        let said = finding[member].as_str().unwrap_or_default();
        assert!(said.contains(wanted), "{case}: {finding}");
    }
}
