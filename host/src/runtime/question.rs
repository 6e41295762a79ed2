//! A request as the contract has it. Bytes are borrowed: they are copied once, into the component's memory.

use linkgate_verifier::request::{Key, Request, Trust};

use crate::evidence::SharedDocument;

use super::bindings::exports::linkgate::verifier::verification as wit;

/// Calls `ask` with the contract's form of a request, to whose documents these are added.
pub(super) fn with<R>(request: &Request, shared: &[SharedDocument], ask: impl FnOnce(wit::Request<'_>) -> R) -> R {
    let (mut owners, mut functionaries) = (Vec::new(), Vec::new());
    match &request.trust {
        Trust::SignedBy(keys) => owners.extend(keys.iter().map(key)),
        Trust::Asserted(keys) => functionaries.extend(keys.iter().map(|named| wit::NamedKey {
            label: &named.label,
            key: key(&named.key),
        })),
    }
    let documents: Vec<_> = request
        .documents
        .iter()
        .map(|document| wit::Document {
            name: &document.name,
            content: &document.content.0,
        })
        .chain(shared.iter().map(|document| wit::Document {
            name: &document.name,
            content: &document.content,
        }))
        .collect();
    let places: Vec<Vec<&str>> = request.inspections.iter().map(|result| strings(&result.at)).collect();
    let inspections: Vec<_> = request
        .inspections
        .iter()
        .zip(&places)
        .map(|(result, at)| wit::InspectionResult {
            at,
            name: &result.name,
            content: &result.content.0,
        })
        .collect();
    let parameters: Vec<_> = request
        .parameters
        .iter()
        .map(|(name, value)| wit::Parameter { name, value })
        .collect();
    let digests: Vec<Vec<_>> = request
        .subjects
        .iter()
        .map(|subject| {
            subject
                .digests
                .iter()
                .map(|(algorithm, value)| wit::Digest { algorithm, value })
                .collect()
        })
        .collect();
    let subjects: Vec<_> = request
        .subjects
        .iter()
        .zip(&digests)
        .map(|(subject, digests)| wit::Subject {
            name: subject.name.as_deref(),
            digests,
        })
        .collect();
    let subject_steps = strings(&request.options.subject_steps);
    ask(wit::Request {
        layout: &request.layout.0,
        trust: match &request.trust {
            Trust::SignedBy(_) => wit::Trust::SignedBy(&owners),
            Trust::Asserted(_) => wit::Trust::Asserted(&functionaries),
        },
        documents: &documents,
        inspections: &inspections,
        parameters: &parameters,
        subjects: &subjects,
        options: wit::Options {
            strict: request.options.strict,
            subject_steps: &subject_steps,
            summary_link: request.options.summary_link,
        },
        now: request.now,
    })
}

fn key(key: &Key) -> wit::Key<'_> {
    wit::Key {
        keyid: key.keyid.as_deref(),
        keytype: &key.keytype,
        scheme: &key.scheme,
        public: &key.keyval.public,
    }
}

fn strings(strings: &[String]) -> Vec<&str> {
    strings.iter().map(String::as_str).collect()
}
