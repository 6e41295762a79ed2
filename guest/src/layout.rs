//! Layouts: what must happen, who may sign it, and how artifacts may flow (specification 1.0, section 4.3).
//!
//! Reading a layout resolves everything in it: a step owns its rules, compiled, and its keys, decoded. What the reader
//! knows but cannot check is kept as [`Layout::unsupported`], and what it does not know as a [`Notice`]; neither
//! vanishes.

use crate::envelope::EnvelopeError;
use crate::index::{self, Index};
use crate::instant::Instant;
use crate::json::{JsonError, Kind, Reader};
use crate::key::{KeyError, PublicKey};
use crate::limits::{Limit, Spent};
use crate::link;
use crate::parameter::{self, ParameterError, Parameters};
use crate::prelude::*;
use crate::rule::{Rule, RuleError};
use crate::verdict::shown;
use alloc::borrow::Cow;

/// A layout.
#[derive(Clone, Debug)]
pub struct Layout {
    /// In the order in which they stand.
    pub steps: Vec<Step>,
    /// In the order in which they stand.
    pub inspections: Vec<Inspection>,
    /// From when on it no longer holds. Only an asserted layout may have none.
    pub expires: Option<Instant>,
    /// Constraints that this verifier knows and cannot check, in words: a layout that has any cannot be judged.
    pub unsupported: Vec<String>,
    /// What an owner should know.
    pub notices: Vec<Notice>,
    /// The first parameter that could not be filled in. Rules with it hold nothing of use.
    pub parameters: Result<(), ParameterError>,
}

/// What a layout demands of one step.
#[derive(Clone, Debug)]
pub struct Step {
    /// Unique in its layout.
    pub name: String,
    /// How many distinct keys must have signed; at least 1.
    pub threshold: u64,
    /// The keys that may sign, each material once, in the order of `pubkeys`.
    pub authorised: Vec<AuthorisedKey>,
    /// Names among `pubkeys` under which there is no usable key.
    pub unknown: Vec<String>,
    /// Rules for what goes in.
    pub materials: Vec<Rule>,
    /// Rules for what comes out.
    pub products: Vec<Rule>,
    /// The command that should have been run; empty if any may.
    pub command: Vec<String>,
}

/// A key that may sign for a step.
#[derive(Clone, Debug)]
pub struct AuthorisedKey {
    /// What the layout calls it.
    pub label: String,
    /// The key itself.
    pub key: PublicKey,
    /// Every keyid, in lower case, under which a signature may name it: the label and the computed ones.
    pub names: Vec<String>,
    /// The key's [fingerprint](PublicKey::fingerprint), by which verdicts name it.
    pub fingerprint: String,
}

/// What a layout demands of one inspection.
#[derive(Clone, Debug)]
pub struct Inspection {
    /// Unique in its layout.
    pub name: String,
    /// The command to run, parameters filled in; not empty.
    pub run: Vec<String>,
    /// Rules for what was there before.
    pub materials: Vec<Rule>,
    /// Rules for what was there after.
    pub products: Vec<Rule>,
}

/// Something in a layout that does not stop its verification and that its owner should know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Notice {
    /// A field that no version of the format has: a typo, perhaps.
    UnknownField {
        /// The step, inspection or key that holds it; nothing for the layout itself.
        within: Option<String>,
        /// Its name.
        field: String,
    },
    /// A key that can never count, and why.
    UnusableKey {
        /// What the layout calls it.
        label: String,
        /// Why.
        reason: KeyError,
    },
    /// What looks like a parameter, while the request gave none.
    UnfilledParameter {
        /// The step or inspection.
        within: String,
        /// The name between the braces.
        name: String,
    },
    /// A field that only an asserted layout may leave out.
    AbsentField(&'static str),
}

/// Why a payload is no layout.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LayoutError {
    /// The envelope is none.
    #[error(transparent)]
    Envelope(#[from] EnvelopeError),
    /// Not JSON of the right shape. The place is counted within the payload.
    #[error("{0} of the payload")]
    Json(#[from] JsonError),
    /// Something else than a layout.
    #[error("`_type` is `{0}`, not `layout`")]
    Type(String),
    /// A member that is needed and missing.
    #[error("{within}: `{field}` is missing")]
    Missing {
        /// Of what.
        within: String,
        /// Which member.
        field: &'static str,
    },
    /// A date that is not of the one form, or no real date.
    #[error("`expires` is `{0}`, not a real `YYYY-MM-DDTHH:MM:SSZ`")]
    Expires(String),
    /// A name that could not be the name of a file.
    #[error("the name `{0}` is empty, longer than 255 characters, `.`, `..`, or has a `/`, `\\` or control character")]
    Name(String),
    /// Two steps or inspections of one name.
    #[error("two steps or inspections are named `{0}`")]
    DuplicateName(String),
    /// A threshold that is no integer of 1 or more.
    #[error("step `{step}`: the threshold is `{found}`, not an integer of 1 or more")]
    Threshold {
        /// Whose.
        step: String,
        /// The number's text.
        found: String,
    },
    /// An inspection without a command.
    #[error("inspection `{0}`: `run` is empty")]
    EmptyRun(String),
    /// A list that is no rule.
    #[error("`{within}`, rule {number} of {list}: {error}")]
    Rule {
        /// The step or inspection.
        within: String,
        /// `expected_materials` or `expected_products`.
        list: &'static str,
        /// Counted from 1.
        number: usize,
        /// Why.
        error: RuleError,
    },
    /// A rule that is a pattern alone, as other tools' bare layouts have them.
    #[error(
        "`{within}`, rule {number} of {list}: `{found}` is a bare pattern; write it as a list, `[\"ALLOW\", \"{found}\"]`, and end the list with `[\"DISALLOW\", \"*\"]`"
    )]
    BareRule {
        /// The step or inspection.
        within: String,
        /// `expected_materials` or `expected_products`.
        list: &'static str,
        /// Counted from 1.
        number: usize,
        /// The pattern.
        found: String,
    },
    /// A key whose own keyid is not the one that it stands under.
    #[error("the key under `{label}` carries the keyid `{found}`")]
    KeyidMismatch {
        /// Under what it stands.
        label: String,
        /// What it carries; empty if nothing.
        found: String,
    },
    /// Two keyids that differ only in case.
    #[error("two keys stand under `{0}`, in different case")]
    KeyidCase(String),
    /// More steps or keys than a layout may have.
    #[error(transparent)]
    Spent(#[from] Spent),
}

/// How a layout is to be read.
#[derive(Clone, Copy, Debug)]
pub struct Reading<'p> {
    /// Values for its parameters.
    pub parameters: &'p Parameters,
    /// Whether braces may be parameters at all: not in a sublayout.
    pub root: bool,
    /// Functionary keys by label that the caller vouches for; with them, `expires`, `inspect` and `keys` may be absent.
    pub asserted: Option<&'p [(String, PublicKey)]>,
}

impl Layout {
    /// The places of its steps by their names.
    pub(crate) fn index(&self) -> Index<'_> {
        Index::new(self.steps.iter().map(|step| step.name.as_str()))
    }

    /// Reads a payload that must be a layout.
    pub fn read(reader: &mut Reader<'_>, reading: Reading<'_>) -> Result<Self, LayoutError> {
        let mut parts = Parts::new(reading);
        reader.object(|reader, key| parts.member(reader, key))?;
        parts.layout()
    }
}

/// A step before its keys are resolved.
struct RawStep {
    name: String,
    threshold: u64,
    pubkeys: Vec<String>,
    materials: Vec<Rule>,
    products: Vec<Rule>,
    command: Vec<String>,
}

/// A layout's members as they are met.
struct Parts<'p> {
    reading: Reading<'p>,
    kind: Option<String>,
    steps: Option<Vec<RawStep>>,
    inspections: Option<Vec<Inspection>>,
    keys: Option<Vec<(String, Option<PublicKey>)>>,
    expires: Option<Instant>,
    unsupported: Vec<String>,
    notices: Vec<Notice>,
    parameters: Result<(), ParameterError>,
}

/// Members of layouts and steps that constrain in a way that this verifier does not check (ITE-7, ITE-10, ITE-11).
const UNSUPPORTED: [&str; 10] = [
    "cert_constraints",
    "certConstraints",
    "rootcas",
    "intermediatecas",
    "expected_predicates",
    "expectedPredicates",
    "expected_attributes",
    "expectedAttributes",
    "functionaries",
    "subjects",
];

impl<'p> Parts<'p> {
    fn new(reading: Reading<'p>) -> Self {
        Self {
            reading,
            kind: None,
            steps: None,
            inspections: None,
            keys: None,
            expires: None,
            unsupported: Vec::new(),
            notices: Vec::new(),
            parameters: Ok(()),
        }
    }

    fn member(&mut self, reader: &mut Reader<'_>, key: &str) -> Result<(), LayoutError> {
        match key {
            "_type" => self.kind = Some(reader.string()?.into_owned()),
            "steps" => {
                let mut steps = Vec::new();
                reader.array(|reader| {
                    steps.push(self.step(reader)?);
                    within_limit(steps.len(), Limit::Steps)
                })?;
                self.steps = Some(steps);
            }
            "inspect" => {
                let mut inspections = Vec::new();
                reader.array(|reader| {
                    inspections.push(self.inspection(reader)?);
                    within_limit(inspections.len(), Limit::Steps)
                })?;
                self.inspections = Some(inspections);
            }
            "keys" => self.keys = Some(self.keys(reader)?),
            "expires" => {
                let text = reader.string()?;
                self.expires = Some(Instant::parse(&text).ok_or_else(|| LayoutError::Expires(shown(&text)))?);
            }
            "readme" => drop(reader.string()?),
            _ => self.other(reader, None, key)?,
        }
        Ok(())
    }

    /// A member that is a constraint that cannot be checked, or is not known at all.
    fn other(&mut self, reader: &mut Reader<'_>, within: Option<&str>, field: &str) -> Result<(), LayoutError> {
        reader.peek()?;
        let begins = reader.position();
        reader.skip()?;
        let empty = matches!(reader.since(begins), "[]" | "{}" | "null" | "\"\"");
        if !UNSUPPORTED.contains(&field) {
            self.notices.push(Notice::UnknownField {
                within: within.map(str::to_owned),
                field: shown(field),
            });
        } else if !empty {
            self.unsupported.push(match within {
                Some(within) => format!("`{field}` of `{within}`"),
                None => format!("`{field}`"),
            });
        }
        Ok(())
    }

    fn step(&mut self, reader: &mut Reader<'_>) -> Result<RawStep, LayoutError> {
        let (mut name, mut threshold, mut pubkeys) = (None, None, None);
        let (mut materials, mut products, mut command) = (Vec::new(), Vec::new(), Vec::new());
        let mut others = Vec::new();
        reader.object(|reader, key| {
            match key {
                "_type" => reader.skip()?,
                "name" => name = Some(reader.string()?.into_owned()),
                "threshold" => threshold = Some(reader.number()?.to_owned()),
                "pubkeys" => pubkeys = Some(owned(link::strings(reader)?)),
                "expected_materials" => materials = raw_rules(reader)?,
                "expected_products" => products = raw_rules(reader)?,
                "expected_command" => command = link::strings(reader)?,
                _ => set_aside(reader, key, &mut others)?,
            }
            Ok::<_, LayoutError>(())
        })?;
        let name = Self::name(name, "a step")?;
        self.others(&name, &others)?;
        Ok(RawStep {
            threshold: threshold.map_or(Ok(1), |text| parse_threshold(&name, &text))?,
            pubkeys: pubkeys.ok_or_else(|| missing(&name, "pubkeys"))?,
            materials: self.rules(&name, "expected_materials", &materials)?,
            products: self.rules(&name, "expected_products", &products)?,
            command: self.words(&name, &command),
            name,
        })
    }

    fn inspection(&mut self, reader: &mut Reader<'_>) -> Result<Inspection, LayoutError> {
        let (mut name, mut run) = (None, None);
        let (mut materials, mut products) = (Vec::new(), Vec::new());
        let mut others = Vec::new();
        reader.object(|reader, key| {
            match key {
                "_type" => reader.skip()?,
                "name" => name = Some(reader.string()?.into_owned()),
                "run" => run = Some(link::strings(reader)?),
                "expected_materials" => materials = raw_rules(reader)?,
                "expected_products" => products = raw_rules(reader)?,
                _ => set_aside(reader, key, &mut others)?,
            }
            Ok::<_, LayoutError>(())
        })?;
        let name = Self::name(name, "an inspection")?;
        self.others(&name, &others)?;
        let run = run.ok_or_else(|| missing(&name, "run"))?;
        if run.is_empty() {
            return Err(LayoutError::EmptyRun(name));
        }
        Ok(Inspection {
            run: self.words(&name, &run),
            materials: self.rules(&name, "expected_materials", &materials)?,
            products: self.rules(&name, "expected_products", &products)?,
            name,
        })
    }

    fn others(&mut self, within: &str, others: &[(String, String)]) -> Result<(), LayoutError> {
        others
            .iter()
            .try_for_each(|(field, text)| self.other(&mut Reader::new(text), Some(within), field))
    }

    fn name(name: Option<String>, within: &str) -> Result<String, LayoutError> {
        let name = name.ok_or_else(|| missing(within, "name"))?;
        if is_step_name(&name) {
            Ok(name)
        } else {
            Err(LayoutError::Name(shown(&name)))
        }
    }

    /// Fills the parameters of a command's words.
    fn words(&mut self, within: &str, words: &[Cow<'_, str>]) -> Vec<String> {
        words
            .iter()
            .map(|word| {
                self.look_for_parameters(within, word);
                match self.reading.parameters.fill(word) {
                    Ok(filled) => filled.to_string(),
                    Err(error) => self.unfilled(error),
                }
            })
            .collect()
    }

    fn unfilled(&mut self, error: ParameterError) -> String {
        if self.parameters.is_ok() {
            self.parameters = Err(error);
        }
        String::new()
    }

    fn look_for_parameters(&mut self, within: &str, text: &str) {
        if self.reading.root
            && self.reading.parameters.is_empty()
            && let Some(name) = parameter::looks_like_parameter(text)
        {
            self.notices.push(Notice::UnfilledParameter {
                within: within.to_owned(),
                name: shown(name),
            });
        }
    }

    fn rules(&mut self, within: &str, list: &'static str, raw: &[RawRule<'_>]) -> Result<Vec<Rule>, LayoutError> {
        let mut rules = Vec::with_capacity(raw.len());
        for (index, raw) in raw.iter().enumerate() {
            let elements = match raw {
                RawRule::List(elements) => elements,
                RawRule::Bare(found) => {
                    return Err(LayoutError::BareRule {
                        within: within.to_owned(),
                        list,
                        number: index + 1,
                        found: shown(found),
                    });
                }
            };
            for element in elements {
                self.look_for_parameters(within, element);
            }
            match Rule::parse(elements, self.reading.parameters) {
                Ok(rule) => rules.push(rule),
                Err(RuleError::Parameter(error)) => drop(self.unfilled(error)),
                Err(error) => {
                    return Err(LayoutError::Rule {
                        within: within.to_owned(),
                        list,
                        number: index + 1,
                        error,
                    });
                }
            }
        }
        Ok(rules)
    }

    /// The keys in order of their labels; none for one that can never count.
    fn keys(&mut self, reader: &mut Reader<'_>) -> Result<Vec<(String, Option<PublicKey>)>, LayoutError> {
        let mut keys: Vec<(String, Option<PublicKey>)> = Vec::new();
        let mut folded = Vec::new();
        reader.object(|reader, label| {
            let raw = RawKey::read(reader)?;
            if raw.keyid.as_deref() != Some(label) {
                return Err(LayoutError::KeyidMismatch {
                    label: shown(label),
                    found: shown(raw.keyid.as_deref().unwrap_or_default()),
                });
            }
            if !index::insert(&mut folded, label.to_ascii_lowercase()) {
                return Err(LayoutError::KeyidCase(shown(label)));
            }
            keys.push((label.to_owned(), self.key(label, raw)?));
            within_limit(keys.len(), Limit::Keys)
        })?;
        let order = Index::new(keys.iter().map(|(label, _)| label.as_str())).into_order();
        order.apply(&mut keys);
        Ok(keys)
    }

    fn key(&mut self, label: &str, raw: RawKey) -> Result<Option<PublicKey>, LayoutError> {
        if raw.gpg {
            self.unsupported.push(format!("the GPG key `{}`", shown(label)));
            return Ok(None);
        }
        if raw.certificate {
            self.unsupported
                .push(format!("the certificate of the key `{}`", shown(label)));
            return Ok(None);
        }
        self.notices
            .extend(raw.unknown.into_iter().map(|field| Notice::UnknownField {
                within: Some(shown(label)),
                field,
            }));
        let member =
            |member: Option<String>, name| member.ok_or_else(|| missing(&format!("key `{}`", shown(label)), name));
        let keytype = member(raw.keytype, "keytype")?;
        let scheme = member(raw.scheme, "scheme")?;
        let public = member(raw.public, "public")?;
        match PublicKey::from_parts(&keytype, &scheme, &public) {
            Ok(key) => Ok(Some(key)),
            Err(reason) => {
                self.notices.push(Notice::UnusableKey {
                    label: shown(label),
                    reason,
                });
                Ok(None)
            }
        }
    }

    fn layout(mut self) -> Result<Layout, LayoutError> {
        match self.kind.as_deref() {
            Some("layout") => {}
            Some(other) => return Err(LayoutError::Type(shown(other))),
            None => return Err(missing("the layout", "_type")),
        }
        let steps = self.steps.take().ok_or_else(|| missing("the layout", "steps"))?;
        let inspections = self.optional("inspect", |parts| parts.inspections.take())?;
        let keys = self.optional("keys", |parts| parts.keys.take())?;
        if self.reading.asserted.is_none() && self.expires.is_none() {
            return Err(missing("the layout", "expires"));
        } else if self.expires.is_none() {
            self.notices.push(Notice::AbsentField("expires"));
        }
        let names = steps
            .iter()
            .map(|step| &step.name)
            .chain(inspections.iter().map(|inspection| &inspection.name));
        let names: Vec<&String> = names.collect();
        let twice = Index::new(names.iter().map(|name| name.as_str())).twice();
        if let Some(name) = twice.and_then(|at| names.get(at)) {
            return Err(LayoutError::DuplicateName((*name).clone()));
        }
        let keys = authorisable(keys, self.reading.asserted.unwrap_or_default());
        Ok(Layout {
            steps: steps.into_iter().map(|step| step.resolve(&keys)).collect(),
            inspections,
            expires: self.expires,
            unsupported: self.unsupported,
            notices: self.notices,
            parameters: self.parameters,
        })
    }

    /// A member that only an asserted layout may leave out.
    fn optional<T: Default>(
        &mut self,
        field: &'static str,
        take: impl FnOnce(&mut Self) -> Option<T>,
    ) -> Result<T, LayoutError> {
        match take(self) {
            Some(value) => Ok(value),
            None if self.reading.asserted.is_some() => {
                self.notices.push(Notice::AbsentField(field));
                Ok(T::default())
            }
            None => Err(missing("the layout", field)),
        }
    }
}

impl RawStep {
    fn resolve(self, keys: &[AuthorisedKey]) -> Step {
        let mut authorised: Vec<AuthorisedKey> = Vec::new();
        let mut unknown = Vec::new();
        for label in self.pubkeys {
            let folded = label.to_ascii_lowercase();
            let known = keys
                .iter()
                .find(|key| key.label == label)
                .or_else(|| keys.iter().find(|key| key.names.contains(&folded)));
            match known {
                None => unknown.push(shown(&label)),
                Some(key) => {
                    let material = key.key.material();
                    if !authorised.iter().any(|other| other.key.material() == material) {
                        authorised.push(key.clone());
                    }
                }
            }
        }
        Step {
            name: self.name,
            threshold: self.threshold,
            authorised,
            unknown,
            materials: self.materials,
            products: self.products,
            command: self.command,
        }
    }
}

/// Every usable key of a layout and of the caller, with all its names.
fn authorisable(keys: Vec<(String, Option<PublicKey>)>, asserted: &[(String, PublicKey)]) -> Vec<AuthorisedKey> {
    keys.into_iter()
        .filter_map(|(label, key)| Some((label, key?)))
        .chain(asserted.iter().cloned())
        .map(|(label, key)| {
            let mut names = vec![label.to_ascii_lowercase()];
            names.extend(key.keyids());
            AuthorisedKey {
                fingerprint: key.fingerprint(),
                label,
                key,
                names,
            }
        })
        .collect()
}

/// Keeps a member's text until the name of what holds it is known.
fn set_aside(reader: &mut Reader<'_>, field: &str, others: &mut Vec<(String, String)>) -> Result<(), JsonError> {
    reader.peek()?;
    let begins = reader.position();
    reader.skip()?;
    others.push((field.to_owned(), reader.since(begins).to_owned()));
    Ok(())
}

/// A rule before its grammar is looked at.
enum RawRule<'a> {
    List(Vec<Cow<'a, str>>),
    Bare(Cow<'a, str>),
}

fn raw_rules<'a>(reader: &mut Reader<'a>) -> Result<Vec<RawRule<'a>>, JsonError> {
    let mut rules = Vec::new();
    reader.array(|reader| {
        rules.push(match reader.peek()? {
            Kind::String => RawRule::Bare(reader.string()?),
            _ => RawRule::List(link::strings(reader)?),
        });
        Ok::<_, JsonError>(())
    })?;
    Ok(rules)
}

/// A key's members as they stand.
#[derive(Default)]
struct RawKey {
    keyid: Option<String>,
    keytype: Option<String>,
    scheme: Option<String>,
    public: Option<String>,
    gpg: bool,
    certificate: bool,
    unknown: Vec<String>,
}

impl RawKey {
    fn read(reader: &mut Reader<'_>) -> Result<Self, JsonError> {
        let mut raw = Self::default();
        reader.object(|reader, key| {
            match key {
                "keyid" => raw.keyid = Some(reader.string()?.into_owned()),
                "keytype" => raw.keytype = Some(reader.string()?.into_owned()),
                "scheme" => raw.scheme = Some(reader.string()?.into_owned()),
                "keyval" => reader.object(|reader, key| raw.value(reader, key))?,
                "keyid_hash_algorithms" => reader.skip()?,
                // The members that only GPG keys have in securesystemslib.
                "method" | "hashes" | "subkeys" | "creation_time" | "validity_period" => {
                    raw.gpg = true;
                    reader.skip()?;
                }
                _ => {
                    raw.unknown.push(shown(key));
                    reader.skip()?;
                }
            }
            Ok::<_, JsonError>(())
        })?;
        Ok(raw)
    }

    fn value(&mut self, reader: &mut Reader<'_>, key: &str) -> Result<(), JsonError> {
        match (key, reader.peek()?) {
            ("public", Kind::String) => self.public = Some(reader.string()?.into_owned()),
            ("public", Kind::Object) => {
                self.gpg = true;
                reader.skip()?;
            }
            ("certificate", Kind::String) => self.certificate = !reader.string()?.is_empty(),
            ("private", Kind::String) => {
                if !reader.string()?.is_empty() {
                    self.unknown.push("keyval.private".to_owned());
                }
            }
            _ => {
                self.unknown.push(shown(&format!("keyval.{key}")));
                reader.skip()?;
            }
        }
        Ok(())
    }
}

/// Whether a step or inspection may have this name: it is part of file names.
pub fn is_step_name(name: &str) -> bool {
    (1..=255).contains(&name.chars().count())
        && !matches!(name, "." | "..")
        && !name
            .chars()
            .any(|character| matches!(character, '/' | '\\') || character.is_control())
}

/// An integer of 1 or more; one that no number of keys could reach is as good as the largest.
fn parse_threshold(step: &str, text: &str) -> Result<u64, LayoutError> {
    let integer = text.bytes().all(|byte| byte.is_ascii_digit());
    if integer && text != "0" {
        Ok(text.parse().unwrap_or(u64::MAX))
    } else {
        Err(LayoutError::Threshold {
            step: step.to_owned(),
            found: shown(text),
        })
    }
}

fn within_limit(count: usize, limit: Limit) -> Result<(), LayoutError> {
    if count as u64 > limit.value() {
        Err(Spent(limit).into())
    } else {
        Ok(())
    }
}

fn missing(within: &str, field: &'static str) -> LayoutError {
    LayoutError::Missing {
        within: within.to_owned(),
        field,
    }
}

fn owned(strings: Vec<Cow<'_, str>>) -> Vec<String> {
    strings.into_iter().map(Cow::into_owned).collect()
}
