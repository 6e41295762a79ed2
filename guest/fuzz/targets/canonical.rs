//! The reader takes no text that a lenient parser refuses, and what it writes is canonical.
#![no_main]

use libfuzzer_sys::fuzz_target;
use linkgate_verifier::{canonical, json};

fuzz_target!(|bytes: &[u8]| {
    let Ok(text) = json::text(bytes) else { return };
    let Ok(form) = canonical::encode(text) else { return };
    let read: Result<serde_json::Value, _> = serde_json::from_str(text);
    // It may be nested deeper, or hold larger numbers, than the other parser takes.
    if let Err(error) = read {
        let error = error.to_string();
        assert!(
            error.contains("recursion") || error.contains("out of range"),
            "{error}: {text:?}"
        );
    }
    // Canonical JSON leaves control characters as they are: what has none is JSON, and its own canonical form.
    if !form.bytes().any(|byte| byte < 0x20) {
        assert_eq!(canonical::encode(&form).as_deref(), Ok(&*form));
    }
});
