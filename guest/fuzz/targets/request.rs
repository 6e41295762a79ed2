//! Every request has an answer, the same each time, and none that is not signed by the owner is accepted.
//!
//! The bytes are a request's JSON, or the layout and the links of a request whose owner never signed anything.
#![no_main]

use libfuzzer_sys::fuzz_target;
use linkgate_verifier::request::{Content, Document, Key, Options, Request, Trust};
use linkgate_verifier::signature::Pure;
use linkgate_verifier::verdict::{self, Decision};
use linkgate_verifier::verify;

fuzz_target!(|bytes: &[u8]| {
    if let Ok(text) = str::from_utf8(bytes) {
        let answer = verdict::to_json(&verify::verify_json(text, &mut Pure));
        assert_eq!(verdict::to_json(&verify::verify_json(text, &mut Pure)), answer);
    }
    let mut parts = bytes.split(|&byte| byte == 0);
    let request = Request {
        layout: Content(parts.next().unwrap_or_default().to_vec()),
        // The point of RFC 8032's first test vector, whose key signed no layout.
        trust: Trust::SignedBy(vec![Key::new(
            None,
            "ed25519".into(),
            "ed25519".into(),
            "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a".into(),
        )]),
        documents: parts
            .take(4)
            .enumerate()
            .map(|(number, part)| Document {
                name: format!("build.{number:08}.link"),
                content: Content(part.to_vec()),
            })
            .collect(),
        inspections: Vec::new(),
        parameters: [].into(),
        subjects: Vec::new(),
        options: Options::default(),
        now: 1_764_000_000,
    };
    if let Ok(verdict) = verify::verify(&request, &mut Pure) {
        assert_eq!(verdict.decision, Decision::Reject);
    }
});
