//! The cases of `tests/cases` for `tests/portable`: writes what each engine is asked and what the verifier answers
//! natively, and answers as the embedded component does.
//!
//!     portable cases CASES.jsonl ANSWERS.jsonl
//!     portable component host|none CASES.jsonl ANSWERS.jsonl
//!     portable time native|component host|none COUNT CASES.jsonl

use std::fs::{self, File};
use std::io::{BufWriter, Write as _};
use std::time::Instant;

use anyhow::{Context as _, bail, ensure};
use linkgate::checker::Native;
use linkgate::runtime::{Arithmetic, Bounds, Verifier};
use linkgate_verifier::request::Request;
use linkgate_verifier::signature::{Checker, Pure};
use linkgate_verifier::verdict::{self, Answer};
use linkgate_verifier::verify;
use serde::Deserialize;
use serde_json::json;

#[path = "../../tests/cases/case.rs"]
mod case;

/// A line of the cases.
#[derive(Deserialize)]
struct Line {
    name: String,
    request: String,
}

fn main() -> anyhow::Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        ["cases", cases, answers] => write_cases(cases, answers),
        ["component", signatures, cases, answers] => answer(&component(is_host(signatures)?)?, cases, answers),
        ["time", "native", signatures, count, cases] => time("native", &native(is_host(signatures)?), count, cases),
        ["time", "component", signatures, count, cases] => {
            time("wasmtime 48", &component(is_host(signatures)?)?, count, cases)
        }
        _ => bail!(
            "usage: portable cases CASES ANSWERS | component host|none CASES ANSWERS | time native|component host|none COUNT CASES"
        ),
    }
}

fn is_host(signatures: &str) -> anyhow::Result<bool> {
    ensure!(
        ["host", "none"].contains(&signatures),
        "signatures are checked by `host` or `none`, not `{signatures}`"
    );
    Ok(signatures == "host")
}

fn write_cases(cases: &str, answers: &str) -> anyhow::Result<()> {
    let (mut asked, mut answered) = (writer(cases)?, writer(answers)?);
    for case in case::all() {
        let answer = verify::verify_json(&case.request, &mut Pure);
        if let Some(complaint) = case.complaint(&answer) {
            bail!(
                "{}, attack {:?}, {}: {complaint}",
                case.name,
                case.adversarial,
                case.expect.decision()
            );
        }
        writeln!(asked, "{}", json!({"name": case.name, "request": case.request}))?;
        writeln!(
            answered,
            "{}",
            json!({"name": case.name, "answer": verdict::to_json(&answer)})
        )?;
    }
    asked.flush()?;
    Ok(answered.flush()?)
}

fn answer(judge: &impl Fn(&str) -> Answer, cases: &str, answers: &str) -> anyhow::Result<()> {
    let mut answered = writer(answers)?;
    for Line { name, request } in lines(cases)? {
        writeln!(
            answered,
            "{}",
            json!({"name": name, "answer": verdict::to_json(&judge(&request))})
        )?;
    }
    Ok(answered.flush()?)
}

/// The embedded component, asked as the command asks it. What is no request never reaches it.
fn component(is_host: bool) -> anyhow::Result<impl Fn(&str) -> Answer> {
    let verifier = Verifier::load(Bounds::default(), 1)?;
    let arithmetic = if is_host { Arithmetic::Native } else { Arithmetic::Pure };
    Ok(move |request: &str| match Request::from_json(request) {
        Ok(request) => verifier.verify(&request, &arithmetic).answer,
        Err(_) => verify::verify_json(request, &mut Pure),
    })
}

fn native(is_host: bool) -> impl Fn(&str) -> Answer {
    move |request: &str| {
        let checker: &mut dyn Checker = if is_host { &mut Native } else { &mut Pure };
        verify::verify_json(request, checker)
    }
}

/// Prints the median of so many judgements of the first case, after three that do not count.
fn time(engine: &str, judge: &impl Fn(&str) -> Answer, count: &str, cases: &str) -> anyhow::Result<()> {
    let first = lines(cases)?.into_iter().next().context("there is no case")?;
    let count: usize = count.parse()?;
    let mut took = Vec::with_capacity(count);
    for round in 0..count + 3 {
        let begun = Instant::now();
        let answer = judge(&first.request);
        let elapsed = begun.elapsed();
        ensure!(answer.is_ok(), "the case is undecided: {}", verdict::to_json(&answer));
        if round >= 3 {
            took.push(elapsed);
        }
    }
    took.sort();
    let median = took.get(count / 2).context("a count of 1 or more")?;
    println!("{}", json!({"engine": engine, "median_us": median.as_secs_f64() * 1e6}));
    Ok(())
}

fn lines(cases: &str) -> anyhow::Result<Vec<Line>> {
    let text = fs::read_to_string(cases).with_context(|| cases.to_owned())?;
    text.lines().map(|line| Ok(serde_json::from_str(line)?)).collect()
}

fn writer(path: &str) -> anyhow::Result<BufWriter<File>> {
    Ok(BufWriter::new(File::create(path).with_context(|| path.to_owned())?))
}
