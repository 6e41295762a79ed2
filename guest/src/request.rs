//! What is asked: bytes, trust, and the time to judge at. Its serde form is the JSON form of a request
//! (`wit/request.schema.json`).

use alloc::collections::BTreeMap;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::canonical;
use crate::index::Index;
use crate::instant::Instant;
use crate::json;
use crate::key::{KeyError, PublicKey};
use crate::limits::{self, Budget, Limit, Spent};
use crate::parameter;
use crate::prelude::*;
use crate::signature;
use crate::verdict::shown;

/// One question to the verifier. Equal requests get equal answers, anywhere.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Request {
    /// The root layout's envelope; only with asserted trust may it be bare.
    pub layout: Content,
    /// Why the layout is to be believed.
    pub trust: Trust,
    /// Links and sublayouts. Several may have one name: each has its own say.
    #[serde(default)]
    pub documents: Vec<Document>,
    /// Results of inspections, which the caller vouches for.
    #[serde(default)]
    pub inspections: Vec<InspectionResult>,
    /// Values for the layout's parameters.
    #[serde(default)]
    pub parameters: BTreeMap<String, String>,
    /// What the supply chain must have made. An empty list asks about no artifact; in JSON such a list is left out, so that
    /// one that came out empty by mistake is refused.
    #[serde(default, skip_serializing_if = "Vec::is_empty", deserialize_with = "some_subjects")]
    pub subjects: Vec<Subject>,
    /// How to judge.
    #[serde(default)]
    pub options: Options,
    /// The time to judge at, in seconds since 1970-01-01T00:00:00Z.
    pub now: i64,
}

/// The bytes of a document. In JSON `{"text": ".."}`, or `{"base64": ".."}` for any bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Content(pub Vec<u8>);

/// Why a layout is to be believed.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Trust {
    /// Every one of these owners has signed it.
    SignedBy(Vec<Key>),
    /// The caller vouches for its bytes, and names functionaries.
    Asserted(Vec<NamedKey>),
}

/// A public key as in-toto metadata has it.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Key {
    /// The keyid that it came with, if any. It is a label: the computed ones are recognised as well.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub keyid: Option<String>,
    /// `ed25519`, `ecdsa` (or, of old, an ECDSA scheme) or `rsa`.
    pub keytype: String,
    /// The only scheme that its signatures may have.
    pub scheme: String,
    /// What the key is.
    pub keyval: KeyValue,
    /// Accepted, and without effect.
    #[serde(default, skip_serializing)]
    #[expect(dead_code, reason = "part of the form in which securesystemslib writes keys")]
    keyid_hash_algorithms: Option<de::IgnoredAny>,
}

/// The member `keyval` of a key.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct KeyValue {
    /// Hexadecimal digits for ed25519, PEM for the others.
    pub public: String,
}

/// A functionary's key under a name of the caller's.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct NamedKey {
    /// What the layout's `pubkeys` call it.
    pub label: String,
    /// The key.
    pub key: Key,
}

/// A file of evidence.
#[derive(Clone, Debug)]
pub struct Document {
    /// Its path relative to the folder of evidence, with `/`. Only a sublayout is bound by it.
    pub name: String,
    /// Its bytes.
    pub content: Content,
}

/// What an inspection gave: a link, in an envelope or bare. The caller ran it and vouches for it.
#[derive(Clone, Debug)]
pub struct InspectionResult {
    /// The folders of the sublayout that has the inspection, from the root; empty for the root layout's.
    pub at: Vec<String>,
    /// The inspection's name.
    pub name: String,
    /// The link.
    pub content: Content,
}

/// An artifact that the supply chain must have made.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Subject {
    /// The product's name; any if there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Its digests by algorithm.
    pub digests: BTreeMap<String, String>,
}

/// How to judge.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct Options {
    /// Whether warnings that may hide a hole are findings.
    pub strict: bool,
    /// Steps whose products may be subjects; the last one if none is named.
    pub subject_steps: Vec<String>,
    /// Whether the verdict shall hold the summary link, not only its digest.
    pub summary_link: bool,
}

/// Why a request cannot be answered.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RequestError {
    /// No owner, or with asserted trust no functionary, is named.
    #[error("no key is given: `trust` must name at least one")]
    NoKeys,
    /// A key that cannot be used.
    #[error("the key `{label}` cannot be used: {reason}")]
    UnusableKey {
        /// Its keyid, label, or place in the list.
        label: String,
        /// Why.
        reason: KeyError,
    },
    /// Two functionaries under one label.
    #[error("two keys are labelled `{0}`")]
    DuplicateLabel(String),
    /// A parameter that no layout could name.
    #[error("the parameter name `{0}` has other characters than letters, digits, `_` and `-`")]
    ParameterName(String),
    /// Not the JSON form of a request.
    #[error("the request is not of the documented form: {0}")]
    Form(String),
    /// Two results of one inspection.
    #[error("two results are given for the inspection `{0}`")]
    DuplicateInspection(String),
    /// A subject that no artifact could be compared with.
    #[error("subject {0} has no sha256, sha384 or sha512 digest of the right form")]
    Subject(usize),
    /// A time that no clock that is set shows, or no `expires` could be compared with.
    #[error("the time to judge at, {0} s after 1970-01-01T00:00:00Z, is before 1970 or after 9999: is the clock set?")]
    Now(i64),
    /// More than a request may hold.
    #[error(transparent)]
    Spent(#[from] Spent),
}

/// An owner's key, decoded.
#[derive(Clone, Debug)]
pub struct OwnerKey {
    /// The key itself.
    pub key: PublicKey,
    /// Every keyid, in lower case, under which a signature may name it.
    pub names: Vec<String>,
    /// Its declared keyid, or else the computed one.
    pub label: String,
}

/// The trust of a request, its keys decoded.
#[derive(Clone, Debug)]
pub enum Anchor {
    /// Every one of these owners must have signed.
    SignedBy(Vec<OwnerKey>),
    /// The caller vouches for the layout; its functionaries by label.
    Asserted(Vec<(String, PublicKey)>),
}

impl Request {
    /// Reads the JSON form. Members that a request does not have are errors, and so are those that stand twice, at any
    /// depth, and bytes that are not UTF-8.
    pub fn from_json(text: impl AsRef<[u8]>) -> Result<Self, RequestError> {
        let form = |error: String| RequestError::Form(shortened(error));
        // Of two digests or parameters under one name, one would not be asked about.
        let checked = json::text(text.as_ref()).and_then(json::check);
        let request = serde_json::from_slice(text.as_ref()).map_err(|error| form(error.to_string()))?;
        checked.map_err(|error| form(error.to_string()))?;
        Ok(request)
    }

    /// Checks the sizes and names of what was handed over.
    pub fn check(&self) -> Result<(), RequestError> {
        if self.documents.len() > limits::DOCUMENTS || self.inspections.len() > limits::DOCUMENTS {
            return Err(Spent(Limit::Documents).into());
        }
        if self.bytes() > limits::TOTAL_BYTES {
            return Err(Spent(Limit::TotalBytes).into());
        }
        if let Some(name) = self.parameters.keys().find(|name| !parameter::is_name(name)) {
            return Err(RequestError::ParameterName(shown(name)));
        }
        let places: Vec<String> = self.inspections.iter().map(InspectionResult::place).collect();
        let places = Index::new(places.iter().map(String::as_str));
        if let Some(twice) = places.twice().and_then(|at| self.inspections.get(at)) {
            return Err(RequestError::DuplicateInspection(shown(&twice.name)));
        }
        if !(0..=Instant::LAST.0).contains(&self.now) {
            return Err(RequestError::Now(self.now));
        }
        match self.subjects.iter().position(|subject| !subject.is_comparable()) {
            Some(at) => Err(RequestError::Subject(at)),
            None => Ok(()),
        }
    }

    /// The bytes of all that was handed over; an item has some even if it is empty.
    fn bytes(&self) -> usize {
        let mut bytes = self.layout.0.len();
        let mut add = |length: usize| bytes += 16 + length;
        for document in &self.documents {
            add(document.name.len() + document.content.0.len());
        }
        for result in &self.inspections {
            add(result.name.len() + result.content.0.len());
            for folder in &result.at {
                add(folder.len());
            }
        }
        for subject in &self.subjects {
            add(subject.name.as_ref().map_or(0, String::len));
            for (algorithm, value) in &subject.digests {
                add(algorithm.len() + value.len());
            }
        }
        for (name, value) in &self.parameters {
            add(name.len() + value.len());
        }
        match &self.trust {
            Trust::SignedBy(keys) => {
                for key in keys {
                    add(key.keyid.as_ref().map_or(0, String::len) + key.keyval.public.len());
                }
            }
            Trust::Asserted(keys) => {
                for named in keys {
                    add(named.label.len() + named.key.keyval.public.len());
                }
            }
        }
        for step in &self.options.subject_steps {
            add(step.len());
        }
        bytes
    }

    /// Decodes the keys of the trust.
    pub fn anchor(&self, budget: &Budget) -> Result<Anchor, RequestError> {
        let count = match &self.trust {
            Trust::SignedBy(keys) => keys.len(),
            Trust::Asserted(keys) => keys.len(),
        };
        if count == 0 {
            return Err(RequestError::NoKeys);
        }
        if count > limits::KEYS {
            return Err(Spent(Limit::Keys).into());
        }
        match &self.trust {
            Trust::SignedBy(keys) => {
                let keys: Result<Vec<_>, _> = keys.iter().enumerate().map(|(at, key)| key.owner(at, budget)).collect();
                Ok(Anchor::SignedBy(keys?))
            }
            Trust::Asserted(keys) => {
                let twice = Index::new(keys.iter().map(|named| named.label.as_str())).twice();
                let mut decoded = Vec::with_capacity(keys.len());
                for (at, named) in keys.iter().enumerate() {
                    if twice == Some(at) {
                        return Err(RequestError::DuplicateLabel(shown(&named.label)));
                    }
                    decoded.push((named.label.clone(), named.key.decode(&named.label, budget)?));
                }
                Ok(Anchor::Asserted(decoded))
            }
        }
    }
}

impl Key {
    /// A key in its parts.
    pub fn new(keyid: Option<String>, keytype: String, scheme: String, public: String) -> Self {
        Self {
            keyid,
            keytype,
            scheme,
            keyval: KeyValue { public },
            keyid_hash_algorithms: None,
        }
    }

    fn decode(&self, label: &str, budget: &Budget) -> Result<PublicKey, RequestError> {
        budget.signature(signature::decoding_cost(&self.scheme))?;
        PublicKey::from_parts(&self.keytype, &self.scheme, &self.keyval.public).map_err(|reason| {
            RequestError::UnusableKey {
                label: shown(label),
                reason,
            }
        })
    }

    fn owner(&self, at: usize, budget: &Budget) -> Result<OwnerKey, RequestError> {
        let place = format!("number {}", at + 1);
        let key = self.decode(self.keyid.as_deref().unwrap_or(&place), budget)?;
        let mut names = key.keyids();
        names.extend(self.keyid.as_deref().map(str::to_ascii_lowercase));
        Ok(OwnerKey {
            label: self.keyid.clone().unwrap_or_else(|| key.keyid()),
            key,
            names,
        })
    }
}

impl InspectionResult {
    /// [`place_of`] its inspection.
    pub(crate) fn place(&self) -> String {
        place_of(&self.at, &self.name)
    }
}

/// The folders that lead to an inspection and its name as one text, different for different places.
pub(crate) fn place_of(at: &[String], name: &str) -> String {
    let mut place = String::new();
    for folder in at {
        canonical::write_string(&mut place, folder);
    }
    canonical::write_string(&mut place, name);
    place
}

impl Subject {
    /// At least one digest of an algorithm that links use, and no such digest in another form.
    fn is_comparable(&self) -> bool {
        let sha2 = |algorithm: &str| match algorithm {
            "sha256" => Some(64),
            "sha384" => Some(96),
            "sha512" => Some(128),
            _ => None,
        };
        let mut known = self
            .digests
            .iter()
            .filter_map(|(algorithm, value)| Some((sha2(algorithm)?, value)))
            .peekable();
        known.peek().is_some()
            && known.all(|(digits, value)| {
                value.len() == digits && value.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
            })
    }
}

/// A request's parameters, or a subject's digests, by their names. The error is that a name stands twice: of its values, one
/// would not be asked about.
pub fn by_name(pairs: impl Iterator<Item = (String, String)>) -> Result<BTreeMap<String, String>, RequestError> {
    let mut values = BTreeMap::new();
    for (name, value) in pairs {
        if values.insert(name, value).is_some() {
            let twice = "two `parameters`, or two `digests` of a subject, have one name";
            return Err(RequestError::Form(twice.to_owned()));
        }
    }
    Ok(values)
}

/// A list of subjects that asks about one at least.
fn some_subjects<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<Subject>, D::Error> {
    let subjects = Vec::deserialize(deserializer)?;
    if subjects.is_empty() {
        return Err(de::Error::custom(
            "`subjects` names no artifact: leave it out to ask about none",
        ));
    }
    Ok(subjects)
}

/// What is wrong with a request, without most of a value that it quotes: what was expected, and where, stands at the end.
fn shortened(message: String) -> String {
    const END: usize = 100;
    match (
        message.char_indices().nth(limits::SHOWN),
        message.char_indices().rev().nth(END),
    ) {
        (Some((begin, _)), Some((end, _))) if begin < end => {
            let (begin, end) = (message.get(..begin), message.get(end..));
            format!("{}…{}", begin.unwrap_or_default(), end.unwrap_or_default())
        }
        _ => message,
    }
}

/// The JSON form of [`Content`], alone or among other members.
#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields, expecting = "an object with `text` or `base64`")]
struct JsonContent {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    text: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    base64: Option<String>,
}

impl JsonContent {
    fn of(content: &Content) -> Self {
        match core::str::from_utf8(&content.0) {
            Ok(text) => Self {
                text: Some(text.to_owned()),
                base64: None,
            },
            Err(_) => Self {
                text: None,
                base64: Some(base64::Engine::encode(
                    &base64::engine::general_purpose::STANDARD,
                    &content.0,
                )),
            },
        }
    }

    fn content<E: de::Error>(self) -> Result<Content, E> {
        match (self.text, self.base64) {
            (Some(text), None) => Ok(Content(text.into_bytes())),
            (None, Some(base64)) => crate::envelope::decode_base64(&base64)
                .map(Content)
                .ok_or_else(|| E::custom("`base64` is not padded base64")),
            _ => Err(E::custom("exactly one of `text` and `base64` must be given")),
        }
    }
}

impl<'de> Deserialize<'de> for Content {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        JsonContent::deserialize(deserializer)?.content()
    }
}

impl Serialize for Content {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        JsonContent::of(self).serialize(serializer)
    }
}

/// The JSON form of documents and inspection results: their content stands beside the name.
#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct JsonNamed {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    at: Option<Vec<String>>,
    name: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    text: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    base64: Option<String>,
}

impl JsonNamed {
    fn of(at: Option<&[String]>, name: &str, content: &Content) -> Self {
        let JsonContent { text, base64 } = JsonContent::of(content);
        Self {
            at: at.map(<[String]>::to_vec),
            name: name.to_owned(),
            text,
            base64,
        }
    }

    fn content<E: de::Error>(text: Option<String>, base64: Option<String>) -> Result<Content, E> {
        JsonContent { text, base64 }.content()
    }
}

impl<'de> Deserialize<'de> for Document {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let named = JsonNamed::deserialize(deserializer)?;
        if named.at.is_some() {
            return Err(de::Error::unknown_field("at", &["name", "text", "base64"]));
        }
        Ok(Self {
            name: named.name,
            content: JsonNamed::content(named.text, named.base64)?,
        })
    }
}

impl Serialize for Document {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        JsonNamed::of(None, &self.name, &self.content).serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for InspectionResult {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let named = JsonNamed::deserialize(deserializer)?;
        Ok(Self {
            at: named.at.unwrap_or_default(),
            name: named.name,
            content: JsonNamed::content(named.text, named.base64)?,
        })
    }
}

impl Serialize for InspectionResult {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        JsonNamed::of(Some(&self.at), &self.name, &self.content).serialize(serializer)
    }
}

#[cfg(test)]
mod tests {
    use alloc::string::ToString as _;

    use super::*;

    #[test]
    fn no_name_stands_twice() {
        let pairs = |names: &[&str]| {
            let pairs = names.iter().map(|name| ((*name).to_owned(), String::new()));
            by_name(pairs.collect::<Vec<_>>().into_iter())
        };
        assert_eq!(pairs(&["a", "A", ""]).map(|values| values.len()), Ok(3));
        assert!(matches!(pairs(&["a", "b", "a"]), Err(RequestError::Form(_))));
        let key = r#"{"keytype": "ed25519", "scheme": "ed25519", "keyval": {"public": "", "private": {}}}"#;
        let subjects = r#"[{"digests": {"sha256": "0", "sha512": "1"}}]"#;
        let request = format!(
            r#"{{"layout": {{"text": ""}}, "trust": {{"signed_by": [{key}]}}, "now": 0, "parameters": {{"a": "1", "b": "2"}}, "subjects": {subjects}}}"#
        );
        assert!(Request::from_json(&request).is_ok());
        for (once, twice) in [
            (r#""now": 0"#, r#""now": 0, "now": 0"#),
            (r#""b": "2""#, r#""a": "2""#),
            (r#""b": "2""#, r#""\u0061": "2""#),
            (r#""sha512""#, r#""sha256""#),
            // What nobody reads, too.
            ("{}", r#"{"x": [{"y": 0, "y": 0}]}"#),
        ] {
            let changed = request.replace(once, twice);
            assert_ne!(changed, request);
            let error = Request::from_json(&changed).unwrap_err().to_string();
            assert!(error.contains("duplicate"), "{error}");
        }
    }

    #[test]
    fn a_request_is_not_echoed() {
        for letter in ["x", "\u{e9}"] {
            let layout = letter.repeat(100_000);
            let text = format!(r#"{{"layout": "{layout}", "trust": {{"signed_by": []}}, "now": 0}}"#);
            let message = Request::from_json(&text).unwrap_err().to_string();
            assert!(message.chars().count() < 600, "{}", message.len());
            assert!(
                message.contains("expected an object with `text` or `base64`"),
                "{message}"
            );
        }
    }
}
