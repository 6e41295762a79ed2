//! A pattern answers within its budget, and one that is a plain text matches that text alone.
#![no_main]

use libfuzzer_sys::fuzz_target;
use linkgate_verifier::limits::Budget;
use linkgate_verifier::pattern::Pattern;

fuzz_target!(|pair: (&str, &str)| {
    let (pattern, name) = pair;
    let Ok(found) = Pattern::plain(pattern).matches(name, &Budget::default()) else {
        return;
    };
    if !pattern.contains(['*', '?', '[']) {
        assert_eq!(found, pattern == name, "{pattern:?} {name:?}");
    }
    assert_eq!(Pattern::plain("*").matches(name, &Budget::default()), Ok(true));
});
