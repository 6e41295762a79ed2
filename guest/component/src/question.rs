//! What comes in: the contract's request as the verifier's. Bytes move, nothing is copied.

use linkgate_verifier::request::{
    Content, Document, InspectionResult, Key, NamedKey, Options, Request, RequestError, Subject, Trust, by_name,
};

use crate::bindings::exports::linkgate::verifier::verification as wit;

pub(crate) fn request(request: wit::Request) -> Result<Request, RequestError> {
    let parameters = request.parameters.into_iter();
    Ok(Request {
        layout: Content(request.layout),
        trust: match request.trust {
            wit::Trust::SignedBy(keys) => Trust::SignedBy(keys.into_iter().map(key).collect()),
            wit::Trust::Asserted(keys) => Trust::Asserted(keys.into_iter().map(named_key).collect()),
        },
        documents: request.documents.into_iter().map(document).collect(),
        inspections: request.inspections.into_iter().map(inspection).collect(),
        parameters: by_name(parameters.map(|parameter| (parameter.name, parameter.value)))?,
        subjects: request.subjects.into_iter().map(subject).collect::<Result<_, _>>()?,
        options: Options {
            strict: request.options.strict,
            subject_steps: request.options.subject_steps,
            summary_link: request.options.summary_link,
        },
        now: request.now,
    })
}

fn key(key: wit::Key) -> Key {
    Key::new(key.keyid, key.keytype, key.scheme, key.public)
}

fn named_key(named: wit::NamedKey) -> NamedKey {
    NamedKey {
        label: named.label,
        key: key(named.key),
    }
}

fn document(document: wit::Document) -> Document {
    Document {
        name: document.name,
        content: Content(document.content),
    }
}

fn inspection(result: wit::InspectionResult) -> InspectionResult {
    InspectionResult {
        at: result.at,
        name: result.name,
        content: Content(result.content),
    }
}

fn subject(subject: wit::Subject) -> Result<Subject, RequestError> {
    let digests = subject.digests.into_iter();
    Ok(Subject {
        name: subject.name,
        digests: by_name(digests.map(|digest| (digest.algorithm, digest.value)))?,
    })
}
