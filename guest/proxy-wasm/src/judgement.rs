//! The verifier's word on an image.

use std::time::Duration;

use linkgate_image::ManifestDigest;
use linkgate_verifier::key::PublicKey;
use linkgate_verifier::request::{Document, Request, Subject};
use linkgate_verifier::signature::{Checker, Outcome};
use linkgate_verifier::verdict::{Answer, Code, Decision, Verdict};
use linkgate_verifier::verify;

use crate::configuration::Configuration;
use crate::denial::{Denial, Kind};

/// What was decided, and the earliest second at which it could become something else.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Judgement {
    /// Accepted, or why not.
    pub result: Result<(), Denial>,
    /// In seconds since 1970.
    pub valid_until: Option<i64>,
}

/// The time, since 1970.
pub type Clock<'c> = &'c dyn Fn() -> Duration;

/// The seconds of a time since 1970. The proxy's clock is a signed number, which is handed over as if it had no sign: one
/// before 1970 comes out as a time after 2262, and is told as what it is, so that the verifier judges nothing at it.
pub fn seconds(time: Duration) -> i64 {
    match i64::try_from(time.as_nanos()) {
        Ok(nanoseconds) => nanoseconds / 1_000_000_000,
        Err(_) => -1,
    }
}

/// Leaves signatures to the verifier until its time is over: whoever can write to the registry can attach what takes half a
/// minute to check, and the proxy's thread waits meanwhile.
struct Until<'c> {
    clock: Clock<'c>,
    end: Duration,
    milliseconds: u32,
}

impl Checker for Until<'_> {
    fn check(&mut self, _: &PublicKey, _: &[u8], _: &[u8]) -> Result<Outcome, String> {
        if (self.clock)() < self.end {
            Ok(Outcome::NotHandled)
        } else {
            let milliseconds = self.milliseconds;
            Err(format!(
                "there was no judgement within {milliseconds} ms (`limits.judgement_milliseconds`)"
            ))
        }
    }
}

/// Judges an image: it is accepted as itself or, an index, when every one of its manifests is.
pub fn judge(
    configuration: &Configuration,
    image: &str,
    digest: &ManifestDigest,
    children: &[ManifestDigest],
    documents: Vec<Document>,
    clock: Clock<'_>,
) -> Judgement {
    let is_empty = documents.is_empty();
    let (began, milliseconds) = (clock(), configuration.limits.judgement_milliseconds);
    let mut until = Until {
        clock,
        end: began.saturating_add(Duration::from_millis(milliseconds.into())),
        milliseconds,
    };
    let now = seconds(began);
    let request = Request {
        documents,
        ..configuration.request(image, digest, Vec::new(), now)
    };
    let mut answer = named(configuration, &request, std::slice::from_ref(digest), &mut until);
    if !children.is_empty() && is_unknown_subject(&answer) {
        answer = named(configuration, &request, children, &mut until);
    }
    let place = format!("{image}@{digest}");
    match answer {
        Ok(verdict) => Judgement {
            valid_until: verdict.valid_until,
            result: result(configuration, &verdict, is_empty)
                .map_err(|cause| Denial::new(Kind::Rejected, format!("{place}: reject: {cause}"))),
        },
        Err(undecided) => {
            let message = format!("{place}: undecided: {}: {}", undecided.code.name(), undecided.message);
            Judgement {
                result: Err(Denial::new(Kind::Undecided, message)),
                valid_until: None,
            }
        }
    }
}

fn result(configuration: &Configuration, verdict: &Verdict, is_empty: bool) -> Result<(), String> {
    if verdict.decision == Decision::Accept {
        // A file that the last step took over could have the image's name, and other bytes than the image.
        let is_made = verdict.subjects.iter().all(|found| found.list == "products");
        return if configuration.subject.is_empty() || is_made {
            Ok(())
        } else {
            Err(
                "the last step did not make it, only passed it on: name the step that makes it in `subject_steps`"
                    .to_owned(),
            )
        };
    }
    let first = verdict.findings.first();
    let cause = first.map_or("it falls short", |finding| finding.message.as_str());
    Err(if is_empty {
        format!("there is no link about it in the registry: {cause}")
    } else {
        cause.to_owned()
    })
}

/// The verifier's answer about subjects under the names that the configuration has for an image. Where it has several, it
/// is asked first under which name the chain knows each, and then about just those that the configuration has.
fn named(
    configuration: &Configuration,
    request: &Request,
    digests: &[ManifestDigest],
    until: &mut Until<'_>,
) -> Answer {
    let mut ask = |subjects: Vec<Subject>| {
        let request = Request {
            subjects,
            ..request.clone()
        };
        verify::verify(&request, until)
    };
    let known = configuration.subject.as_slice();
    let called = |name: Option<&String>| {
        let each = digests.iter().map(|digest| subject(digest, name));
        each.collect::<Vec<_>>()
    };
    match known {
        [] => ask(called(None)),
        [only] => ask(called(Some(only))),
        [first, ..] => {
            let verdict = ask(called(None))?;
            let found = |at: usize| {
                let of_it = verdict.subjects.iter().find(|found| found.subject == at as u64);
                of_it.map(|found| &found.artifact).filter(|name| known.contains(name))
            };
            let each = digests.iter().enumerate();
            let named = each.map(|(at, digest)| subject(digest, Some(found(at).unwrap_or(first))));
            ask(named.collect())
        }
    }
}

fn subject(digest: &ManifestDigest, name: Option<&String>) -> Subject {
    Subject {
        name: name.cloned(),
        digests: [(digest.algorithm().to_owned(), digest.hex().to_owned())].into(),
    }
}

/// Whether all that is wrong is that the chain made other artifacts.
fn is_unknown_subject(answer: &Answer) -> bool {
    answer.as_ref().is_ok_and(|verdict| {
        let mut findings = verdict.findings.iter();
        !verdict.findings.is_empty()
            && verdict.omitted == 0
            && findings.all(|finding| finding.code == Code::SubjectNotFound)
    })
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;
    use crate::configuration::tests::{read, written};
    use linkgate_verifier::request::Content;
    use serde_json::json;

    #[test]
    fn nothing_but_an_accept_passes() {
        let digest = ManifestDigest::of(b"image");
        let ask = |configuration: &Configuration, documents| {
            judge(configuration, "r.example/web/app", &digest, &[], documents, &|| {
                Duration::from_secs(1_790_000_000)
            })
            .result
        };
        let sound = read(&written()).unwrap();
        let denial = ask(&sound, Vec::new()).unwrap_err();
        assert_eq!(denial.kind, Kind::Rejected);
        assert!(denial.message.contains("no link about it"), "{denial:?}");
        // More documents than a request may have are no request, so nothing is known.
        let document = Document {
            name: "a.link".to_owned(),
            content: Content(b"{}".to_vec()),
        };
        let denial = ask(&sound, vec![document.clone(); linkgate_verifier::limits::DOCUMENTS + 1]).unwrap_err();
        assert_eq!(denial.kind, Kind::Undecided);
        // Two of one name are two documents.
        let denial = ask(&sound, vec![document; 2]).unwrap_err();
        assert_eq!(denial.kind, Kind::Rejected);
        // A layout that asks for nothing holds, and says that it made nothing.
        let mut changed = written();
        changed["layout"]["steps"] = json!([]);
        changed["parameters"] = json!({});
        if let Ok(empty) = read(&changed) {
            assert!(ask(&empty, Vec::new()).is_err());
        }
    }

    #[test]
    fn a_clock_before_1970_is_undecided() {
        let before = Duration::from_nanos((-1_i64).cast_unsigned());
        let configuration = read(&written()).unwrap();
        let digest = ManifestDigest::of(b"image");
        let asked = judge(&configuration, "r.example/web/app", &digest, &[], Vec::new(), &|| {
            before
        });
        let denial = asked.result.unwrap_err();
        assert_eq!(denial.kind, Kind::Undecided, "{denial:?}");
        assert!(denial.message.contains("is the clock set?"), "{denial:?}");
        assert_eq!(seconds(Duration::from_millis(1_999)), 1);
    }

    #[test]
    fn no_signature_is_checked_when_the_time_is_over() {
        // RFC 8032, section 7.1, test 1: bob's key, and a signature of its over another message.
        const SIGNATURE: &str = "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b";
        let link = json!({
            "signatures": [{"keyid": "bob", "sig": SIGNATURE}],
            "signed": {"_type": "link", "name": "build", "command": [], "materials": {}, "products": {},
                "byproducts": {}, "environment": {}},
        });
        let document = Document {
            name: "build.link".to_owned(),
            content: Content(link.to_string().into_bytes()),
        };
        let configuration = read(&written()).unwrap();
        for (step, kind, said) in [
            (0, Kind::Rejected, "reject"),
            (2_000, Kind::Undecided, "no judgement within 2000 ms"),
        ] {
            let asked = Cell::new(0);
            let clock = || Duration::from_millis(1_790_000_000_000 + step * asked.replace(asked.get() + 1));
            let documents = vec![document.clone()];
            let denial = judge(
                &configuration,
                "r.example/web/app",
                &ManifestDigest::of(b"image"),
                &[],
                documents,
                &clock,
            );
            let denial = denial.result.unwrap_err();
            assert_eq!(denial.kind, kind, "{denial:?}");
            assert!(denial.message.contains(said), "{denial:?}");
            assert!(asked.get() >= 2, "no signature was checked");
        }
    }
}
