//! Every case of `tests/cases` gets its required answer from the component, with the host's signature checks and
//! without, byte for byte the one that the verifier gives natively.

use linkgate::checker::Native;
use linkgate::runtime::{Arithmetic, Bounds, Verifier};
use linkgate_verifier::key::PublicKey;
use linkgate_verifier::limits;
use linkgate_verifier::request::{Content, Document, Request};
use linkgate_verifier::signature::{Checker, Outcome, Pure};
use linkgate_verifier::verdict::{self, Code, Decision};
use linkgate_verifier::verify;

#[path = "../../../tests/cases/case.rs"]
mod case;

#[test]
fn every_case_gets_its_required_answer_and_the_same_everywhere() {
    let verifier = Verifier::load(Bounds::default(), 1).expect("the component loads");
    let mut complaints = Vec::new();
    let mut judged = 0;
    for case in case::all() {
        let native = verify::verify_json(&case.request, &mut Pure);
        complaints.extend(case.complaint(&native));
        // What is no request never reaches a component.
        let Ok(request) = Request::from_json(&case.request) else {
            continue;
        };
        let native = verdict::to_json(&native);
        for arithmetic in [Arithmetic::Native, Arithmetic::Pure] {
            let answer = verifier.verify(&request, &arithmetic).answer;
            complaints.extend(case.complaint(&answer));
            let found = verdict::to_json(&answer);
            if found != native {
                complaints.push(format!(
                    "{} ({arithmetic:?}): natively {native}, in the component {found}",
                    case.name
                ));
            }
        }
        judged += 1;
    }
    assert!(
        complaints.is_empty(),
        "{}:\n{}",
        complaints.len(),
        complaints.join("\n")
    );
    assert!(judged > 1_000, "only {judged} cases were judged");
}

/// A checker that cannot be asked after some answers.
struct Failing {
    answers: u32,
}

impl Checker for Failing {
    fn check(&mut self, key: &PublicKey, message: &[u8], signature: &[u8]) -> Result<Outcome, String> {
        self.answers = self.answers.checked_sub(1).ok_or("the token was taken away")?;
        Native.check(key, message, signature)
    }
}

#[test]
fn a_signature_that_cannot_be_checked_is_neither_valid_nor_invalid() {
    let (mut first, mut later) = (0, 0);
    for case in case::all().iter().filter(|case| case.expect.decision() == "accept") {
        for answers in 0..6 {
            let mut checker = Failing { answers };
            match verify::verify_json(&case.request, &mut checker) {
                Err(undecided) => {
                    assert_eq!(undecided.code, Code::SignatureUnchecked, "{} {answers}", case.name);
                    assert!(undecided.reasons[0].message.contains("the token was taken away"));
                    first += u32::from(answers == 0);
                    later += u32::from(answers > 0);
                }
                // Enough other signatures hold.
                Ok(verdict) => assert_eq!(verdict.decision, Decision::Accept, "{} {answers}", case.name),
            }
        }
    }
    assert!(first > 100 && later > 100, "{first} {later}");
}

#[test]
fn a_request_of_too_many_bytes_is_undecided() {
    // The memory is never touched: lengths suffice.
    let mut request = Request::from_json(&case::all()[0].request).expect("a case");
    request.documents = (0..5)
        .map(|number| Document {
            name: format!("{number}.link"),
            content: Content(vec![0; limits::DOCUMENT_BYTES]),
        })
        .collect();
    let undecided = verify::verify(&request, &mut Pure).expect_err("it is too large");
    assert_eq!(undecided.code, Code::LimitExceeded);
    assert_eq!(undecided.limit, Some("total-bytes"));
}

#[test]
fn every_attack_of_the_list_has_a_case_or_a_test_elsewhere() {
    let elsewhere = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/cases/elsewhere.json");
    let elsewhere: serde_json::Value =
        serde_json::from_str(&std::fs::read_to_string(elsewhere).expect("it can be read")).expect("JSON");
    let cases = case::all();
    let missing: Vec<u64> = (1..=50)
        .filter(|number| elsewhere.get(number.to_string()).is_none())
        .filter(|number| !cases.iter().any(|case| case.adversarial == Some(*number)))
        .collect();
    assert!(missing.is_empty(), "no case for {missing:?}");
}
