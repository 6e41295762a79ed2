//! The verifier as a line protocol, for `tests/property`: one JSON question a line in, one JSON answer a line out.
//!
//! - `{"op": "canonical", "texts": [..]}` gives `{"canonical": [..]}`, null where a text has no canonical form.
//! - `{"op": "match", "pairs": [[pattern, name], ..]}` gives `{"match": [..]}`.
//! - `{"op": "verify", "requests": [..]}` gives `{"answers": [..]}`.

use std::io::{self, BufRead as _, Write as _};

use linkgate_verifier::limits::Budget;
use linkgate_verifier::pattern::Pattern;
use linkgate_verifier::request::Request;
use linkgate_verifier::signature::Pure;
use linkgate_verifier::{canonical, verdict, verify};
use serde::Deserialize;
use serde_json::{Value, json};

#[derive(Deserialize)]
#[serde(tag = "op", rename_all = "snake_case")]
enum Question {
    Canonical { texts: Vec<String> },
    Match { pairs: Vec<(String, String)> },
    Verify { requests: Vec<Request> },
}

type Failure = Box<dyn std::error::Error>;

fn answer(question: Question) -> Result<Value, Failure> {
    Ok(match question {
        Question::Canonical { texts } => {
            let forms: Vec<_> = texts.iter().map(|text| canonical::encode(text).ok()).collect();
            json!({ "canonical": forms })
        }
        Question::Match { pairs } => {
            let matches: Result<Vec<_>, _> = pairs
                .iter()
                .map(|(pattern, name)| Pattern::plain(pattern).matches(name, &Budget::default()))
                .collect();
            json!({ "match": matches? })
        }
        Question::Verify { requests } => {
            let answers: Result<Vec<Value>, _> = requests
                .iter()
                .map(|request| serde_json::from_str(&verdict::to_json(&verify::verify(request, &mut Pure))))
                .collect();
            json!({ "answers": answers? })
        }
    })
}

fn main() -> Result<(), Failure> {
    let mut output = io::stdout().lock();
    for line in io::stdin().lock().lines() {
        let answer = answer(serde_json::from_str(&line?)?)?;
        writeln!(output, "{answer}")?;
        output.flush()?;
    }
    Ok(())
}
