//! Reads the cases of `tests/cases`, for the tests of both crates.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use linkgate_verifier::verdict::{self, Answer};
use serde::Deserialize;
use serde_json::Value;

/// A case: a request and what must be answered.
pub(crate) struct Case {
    /// Its file, or its file and line.
    pub name: String,
    /// Its number in the list of attacks.
    pub adversarial: Option<u64>,
    /// The request's JSON form.
    pub request: String,
    /// What must be answered.
    pub expect: Expect,
}

/// What must be answered.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Expect {
    decision: String,
    #[serde(default)]
    codes: Vec<String>,
    #[serde(default)]
    warnings: Vec<String>,
    limit: Option<String>,
}

impl Expect {
    /// `accept`, `reject` or `undecided`.
    pub(crate) fn decision(&self) -> &str {
        &self.decision
    }
}

/// All cases, in order of their names.
pub(crate) fn all() -> Vec<Case> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/cases");
    let mut files = Vec::new();
    collect(&root, &mut files);
    files.sort();
    let mut cases = Vec::new();
    for file in files {
        let text = fs::read_to_string(&file).expect("a case can be read");
        let name = file.strip_prefix(&root).expect("it lies there").display().to_string();
        if file.extension().is_some_and(|extension| extension == "jsonl") {
            let lines = text.lines().enumerate();
            cases.extend(lines.map(|(line, text)| case(format!("{name}:{}", line + 1), text)));
        } else {
            cases.push(case(name, &text));
        }
    }
    assert!(cases.len() > 500, "only {} cases were found", cases.len());
    cases
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).expect("the folder of cases") {
        let path = entry.expect("an entry").path();
        if path.is_dir() && path.file_name().is_some_and(|name| name != "generate") {
            collect(&path, files);
        } else if path.parent().is_some_and(|parent| !parent.ends_with("cases"))
            && path
                .extension()
                .is_some_and(|extension| extension == "json" || extension == "jsonl")
        {
            files.push(path);
        }
    }
}

fn case(name: String, text: &str) -> Case {
    let mut value: Value = serde_json::from_str(text).unwrap_or_else(|error| panic!("{name}: {error}"));
    for recipe in value["generate"].take().as_array().into_iter().flatten() {
        apply(recipe, &mut value["request"]);
    }
    Case {
        adversarial: value["adversarial"].as_u64(),
        request: value["request"].to_string(),
        expect: serde_json::from_value(value["expect"].take()).unwrap_or_else(|error| panic!("{name}: {error}")),
        name,
    }
}

/// Completes a request by a recipe of `tests/cases/README.md`.
fn apply(recipe: &Value, request: &mut Value) {
    let part = |name: &str| recipe[name].as_str().unwrap_or_default();
    let count = recipe["count"].as_u64().expect("a count");
    let mut place = request;
    for step in recipe["at"].as_array().expect("a path") {
        place = match step {
            Value::String(key) => &mut place[key],
            step => &mut place[usize::try_from(step.as_u64().expect("a place")).expect("a place")],
        };
    }
    match part("kind") {
        "repeat" => {
            let copies: Vec<String> = (0..count)
                .map(|n| part("unit").replace("<n>", &n.to_string()))
                .collect();
            let filled = place
                .as_str()
                .expect("a string")
                .replace(part("mark"), &copies.join(part("join")));
            *place = Value::String(filled);
        }
        "copies" => {
            let item = recipe["item"].to_string();
            let copies =
                (0..count).map(|n| serde_json::from_str(&item.replace("<n>", &n.to_string())).expect("an item"));
            place
                .as_array_mut()
                .expect("an array")
                .extend::<Vec<Value>>(copies.collect());
        }
        kind => panic!("no recipe is of kind `{kind}`"),
    }
}

impl Case {
    /// What is wrong with an answer; nothing if it is as expected.
    pub(crate) fn complaint(&self, answer: &Answer) -> Option<String> {
        let answer: Value = serde_json::from_str(&verdict::to_json(answer)).expect("an answer is JSON");
        let codes = |lists: &[&str]| -> BTreeSet<String> {
            let found = lists.iter().filter_map(|list| answer[list].as_array()).flatten();
            found
                .filter_map(|finding| Some(finding["code"].as_str()?.to_owned()))
                .collect()
        };
        let found = codes(&["findings", "reasons"]);
        let warnings = codes(&["warnings"]);
        let expect = &self.expect;
        let right = answer["decision"] == expect.decision.as_str()
            && expect.codes.iter().all(|code| found.contains(code))
            && expect.warnings.iter().all(|code| warnings.contains(code))
            && expect.limit.as_deref().is_none_or(|limit| answer["limit"] == limit);
        (!right).then(|| {
            let decision = &answer["decision"];
            format!(
                "{}: wanted {} {:?} warnings {:?} {:?}, got {decision} {found:?} warnings {warnings:?} {}",
                self.name, expect.decision, expect.codes, expect.warnings, expect.limit, answer["message"]
            )
        })
    }
}
