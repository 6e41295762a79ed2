//! Before a gate answers, its component shows that it tells a good chain from a tampered one.

use linkgate_verifier::request::Request;
use linkgate_verifier::verdict::{Answer, Decision};

use crate::runtime::{Arithmetic, Verifier};

/// A layout and two links of `linkgate demo`, with the time that they are judged at.
const CHAIN: &str = include_str!("self_test.json");

/// What the component did not tell apart.
#[derive(Debug, thiserror::Error)]
#[error("the embedded verifier failed its self-test: {0}. This build is not to be used")]
pub struct SelfTestError(String);

/// Has a good chain accepted, and rejected once a digit of a digest in a link is another.
pub fn run(verifier: &Verifier, arithmetic: &Arithmetic) -> Result<(), SelfTestError> {
    let good = Request::from_json(CHAIN).map_err(|error| SelfTestError(error.to_string()))?;
    let mut bad = good.clone();
    let tampered = bad
        .documents
        .iter_mut()
        .any(|document| flip_digit(&mut document.content.0));
    if !tampered {
        return Err(SelfTestError("there is nothing to tamper with".to_owned()));
    }
    expect(
        "the good chain",
        &verifier.verify(&good, arithmetic).answer,
        Decision::Accept,
    )?;
    expect(
        "the tampered chain",
        &verifier.verify(&bad, arithmetic).answer,
        Decision::Reject,
    )
}

fn expect(what: &str, answer: &Answer, wanted: Decision) -> Result<(), SelfTestError> {
    match answer {
        Ok(verdict) if verdict.decision == wanted => Ok(()),
        Ok(verdict) => Err(SelfTestError(format!("{what} is {:?}", verdict.decision))),
        Err(undecided) => Err(SelfTestError(format!("{what} is undecided: {}", undecided.message))),
    }
}

/// Changes the first digit of the first SHA-256 in a document.
fn flip_digit(bytes: &mut [u8]) -> bool {
    const BEFORE: &[u8] = b"\"sha256\": \"";
    let Some(at) = bytes.windows(BEFORE.len()).position(|window| window == BEFORE) else {
        return false;
    };
    match bytes.get_mut(at + BEFORE.len()) {
        Some(digit) => {
            *digit = if *digit == b'0' { b'1' } else { b'0' };
            true
        }
        None => false,
    }
}
