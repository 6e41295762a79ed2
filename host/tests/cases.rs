//! Every case of `tests/cases` gets its required answer from the component, with the host's signature checks and
//! without, byte for byte the one that the verifier gives natively.

use linkgate::runtime::{Arithmetic, Bounds, Verifier};
use linkgate_verifier::request::Request;
use linkgate_verifier::signature::Pure;
use linkgate_verifier::verdict;
use linkgate_verifier::verify;

#[path = "../../tests/cases/case.rs"]
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
            let answer = verifier.verify(&request, arithmetic).answer;
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
