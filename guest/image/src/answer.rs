//! What registries answer beside contents: why they refuse.

use linkgate_verifier::verdict::shown;
use serde::Deserialize;

use crate::prelude::*;

/// The body of a registry's refusal (OCI distribution specification 1.1, "Error Codes").
#[derive(Deserialize)]
struct Refusal {
    errors: Vec<RefusalError>,
}

#[derive(Deserialize)]
struct RefusalError {
    code: String,
}

/// What a registry calls the reasons of its refusal; nothing if the body is none.
pub fn codes(body: &[u8]) -> Vec<String> {
    let codes = errors(body).into_iter().map(|error| shown(&error.code));
    codes.filter(|code| is_code(code)).collect()
}

/// Whether a registry says that there is no such thing, and nothing else. A 404 by itself may come from anything on the
/// way, and where it has other reasons, too, it has not said what there is.
pub fn is_unknown(status: u16, body: &[u8]) -> bool {
    // `NOT_FOUND` is Harbor's for a project, and the specification's older one for a manifest.
    const UNKNOWN: [&str; 4] = ["MANIFEST_UNKNOWN", "NAME_UNKNOWN", "BLOB_UNKNOWN", "NOT_FOUND"];
    let errors = errors(body);
    status == 404 && !errors.is_empty() && errors.iter().all(|error| UNKNOWN.contains(&error.code.as_str()))
}

fn errors(body: &[u8]) -> Vec<RefusalError> {
    serde_json::from_slice(body).map_or_else(|_| Vec::new(), |refusal: Refusal| refusal.errors)
}

/// Whether a text is a code, and no sentence in which anything could stand.
fn is_code(text: &str) -> bool {
    text.len() <= 40 && text.bytes().all(|byte| byte.is_ascii_uppercase() || byte == b'_')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn absence_is_said_in_the_protocols_words() {
        let body = |codes: &[&str]| {
            let errors: Vec<String> = codes
                .iter()
                .map(|code| format!(r#"{{"code":"{code}","message":"x"}}"#))
                .collect();
            format!(r#"{{"errors":[{}]}}"#, errors.join(","))
        };
        for (status, body, expected) in [
            (404, body(&["MANIFEST_UNKNOWN"]), true),
            (404, body(&["NAME_UNKNOWN"]), true),
            (404, body(&["BLOB_UNKNOWN", "NAME_UNKNOWN"]), true),
            (404, body(&["NOT_FOUND"]), true),
            (404, body(&["DENIED"]), false),
            (404, body(&["DENIED", "MANIFEST_UNKNOWN"]), false),
            (404, body(&["MANIFEST_UNKNOWN", "TOOMANYREQUESTS"]), false),
            (404, body(&["MANIFEST_UNKNOWN", "no code at all"]), false),
            (404, body(&[]), false),
            (404, "<html>".to_owned(), false),
            (404, String::new(), false),
            (403, body(&["MANIFEST_UNKNOWN"]), false),
            (200, body(&["MANIFEST_UNKNOWN"]), false),
        ] {
            assert_eq!(is_unknown(status, body.as_bytes()), expected, "{status} {body}");
        }
        assert!(codes(body(&["no code at all"]).as_bytes()).is_empty());
    }
}
