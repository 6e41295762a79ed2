//! What the README lists is what there is.

use linkgate_verifier::limits::Limit;
use linkgate_verifier::verdict::Code;

fn readme() -> String {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../README.md");
    std::fs::read_to_string(path).expect("it can be read")
}

#[test]
fn it_lists_every_code_and_limit() {
    let readme = readme();
    for code in Code::ALL {
        assert!(readme.contains(&format!("| `{}` |", code.name())), "{code:?}");
    }
    for limit in Limit::ALL {
        let line = format!("| `{}` | {} |", limit.name(), limit.value());
        assert!(readme.contains(&line), "{line}");
    }
}
