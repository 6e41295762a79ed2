//! Whether an object is let in.

use alloc::collections::BTreeMap;

use linkgate_image::object::{Kind, Named, ObjectError, changed_images, different};
use linkgate_image::{Image, ImageError, ManifestDigest};
use linkgate_verifier::request::Subject;
use linkgate_verifier::rule::Side;
use linkgate_verifier::signature::Pure;
use linkgate_verifier::verdict::Decision;
use linkgate_verifier::verify;
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::prelude::*;
use crate::settings::{Policy, Settings, Ungoverned};

/// Other images that a refusal names.
const NAMED: usize = 10;
/// A chain says no.
const FORBIDDEN: u16 = 403;
/// Whether it says no is not known.
const UNAVAILABLE: u16 = 503;

/// `AdmissionRequest` of `admission.k8s.io/v1`, as far as images depend on it.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Request {
    kind: Kind,
    operation: String,
    object: Option<Box<RawValue>>,
    old_object: Option<Box<RawValue>>,
}

/// Why an object is refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Refusal {
    /// As HTTP has it.
    pub(crate) code: u16,
    /// The same in one line.
    pub(crate) message: String,
}

impl Refusal {
    pub(crate) fn reject(message: String) -> Self {
        Self {
            code: FORBIDDEN,
            message,
        }
    }

    pub(crate) fn undecided(message: String) -> Self {
        Self {
            code: UNAVAILABLE,
            message,
        }
    }
}

/// Decides on what an object brings. The clock is only read where a chain is asked.
pub(crate) fn decide(
    request: &Request,
    settings: &Settings,
    clock: impl FnOnce() -> Result<i64, String>,
) -> Result<(), Refusal> {
    let refuse = |error: ObjectError| Refusal::reject(error.to_string());
    let brought = request.brings().map_err(refuse)?;
    let written = different(&brought).map_err(refuse)?;
    if written.is_empty() {
        return Ok(());
    }
    let now = clock().map_err(Refusal::undecided)?;
    let refused: Vec<(&str, Refusal)> = written
        .into_iter()
        .filter_map(|image| Some((image, admit(image, settings, now).err()?)))
        .collect();
    // What is certain is said first: a judged reject before what could not be judged.
    let Some((_, first)) = refused.iter().min_by_key(|(_, refusal)| refusal.code) else {
        return Ok(());
    };
    let others: Vec<&str> = refused
        .iter()
        .filter(|(_, refusal)| refusal != first)
        .map(|(image, _)| *image)
        .collect();
    let also = match others.len() {
        0 => String::new(),
        count if count > NAMED => format!("; also refused: {count} more images"),
        _ => format!("; also refused: {}", others.join(", ")),
    };
    Err(Refusal {
        code: first.code,
        message: format!("{}{also}", first.message),
    })
}

impl Request {
    fn brings(&self) -> Result<Vec<Named>, ObjectError> {
        changed_images(
            &self.operation,
            &self.kind,
            self.object.as_deref().map(RawValue::get),
            self.old_object.as_deref().map(RawValue::get),
        )
    }
}

/// Decides on one image.
fn admit(written: &str, settings: &Settings, now: i64) -> Result<(), Refusal> {
    let image: Image = written
        .parse()
        .map_err(|error: ImageError| Refusal::reject(error.to_string()))?;
    let name = image.name();
    let governing: Vec<&Policy> = settings
        .policies
        .iter()
        .filter(|policy| policy.governs(&name))
        .collect();
    if governing.is_empty() {
        return match settings.ungoverned {
            Ungoverned::Allow => Ok(()),
            Ungoverned::Refuse => Err(Refusal::reject(format!("{image}: no policy governs it"))),
        };
    }
    let Some(digest) = image.digest() else {
        return Err(Refusal::reject(format!(
            "`{written}` is named by a tag, which may mean another image tomorrow: name it by digest, {name}@sha256:…"
        )));
    };
    let refusals = governing.into_iter().filter_map(|policy| {
        let refusal = ask(policy, digest, now).err()?;
        Some(Refusal {
            message: format!("{image}: policy `{}`: {}", policy.name, refusal.message),
            ..refusal
        })
    });
    match refusals.min_by_key(|refusal| refusal.code) {
        Some(refusal) => Err(refusal),
        None => Ok(()),
    }
}

/// Asks one chain whether it made that, under one of the names that the policy has for its images.
fn ask(policy: &Policy, digest: &ManifestDigest, now: i64) -> Result<(), Refusal> {
    let names: Vec<Option<String>> = match policy.subject.as_slice() {
        [] => vec![None],
        names => names.iter().cloned().map(Some).collect(),
    };
    let mut first = None;
    for name in names {
        let digests: BTreeMap<String, String> = [(digest.algorithm().to_owned(), digest.hex().to_owned())].into();
        match judge(policy, Subject { name, digests }, now) {
            Ok(()) => return Ok(()),
            Err(refusal) => first = first.or(Some(refusal)),
        }
    }
    // There is at least one name, or none that is `None`.
    Err(first.unwrap_or_else(|| Refusal::undecided("nothing was asked".to_owned())))
}

fn judge(policy: &Policy, subject: Subject, now: i64) -> Result<(), Refusal> {
    let is_named = subject.name.is_some();
    let verdict = match verify::verify(&policy.request(vec![subject], now), &mut Pure) {
        Ok(verdict) => verdict,
        Err(undecided) => return Err(Refusal::undecided(format!("undecided: {}", undecided.message))),
    };
    if verdict.decision != Decision::Accept {
        let mut sentences = verdict.findings.iter().map(|finding| finding.message.as_str());
        let first = sentences.next().unwrap_or("the chain does not hold");
        let more = match sentences.count() {
            0 => String::new(),
            count => format!(" (and {count} more)"),
        };
        return Err(Refusal::reject(format!("reject: {first}{more}")));
    }
    let [found] = verdict.subjects.as_slice() else {
        return Err(Refusal::undecided(
            "the verifier did not say what the image is".to_owned(),
        ));
    };
    // A file that the last step took over could have the image's name, and other bytes than the image.
    if is_named && found.list != Side::Products.name() {
        return Err(Refusal::reject(
            "reject: the last step did not make it, only passed it on: name the step that makes it under `subjectSteps`"
                .to_owned(),
        ));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_says_nothing_twice() {
        let request = |more: &str| {
            let text =
                format!(r#"{{"kind": {{"group": "", "kind": "Pod"}}, "operation": "CREATE", "uid": "u"{more}}}"#);
            serde_json::from_str::<Request>(&text)
        };
        assert!(request("").is_ok());
        for twice in [r#", "operation": "DELETE""#, r#", "object": null, "object": null"#] {
            assert!(request(twice).is_err(), "{twice}");
        }
    }
}
