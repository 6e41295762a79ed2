//! Every case of `tests/cases` gets its required answer, natively. `host/tests/cases.rs` asks the component the same.

use linkgate_verifier::signature::Pure;
use linkgate_verifier::verify;

#[path = "../../tests/cases/case.rs"]
mod case;

#[test]
fn every_case_gets_its_required_answer() {
    let complaints: Vec<String> = case::all()
        .iter()
        .filter_map(|case| case.complaint(&verify::verify_json(&case.request, &mut Pure)))
        .collect();
    assert!(
        complaints.is_empty(),
        "{}:\n{}",
        complaints.len(),
        complaints.join("\n")
    );
}
