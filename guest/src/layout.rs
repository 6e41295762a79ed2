//! Layouts: what must happen, who may sign it, and how artifacts may flow (specification 1.0, section 4.3).
//!
//! Reading a layout resolves everything in it: a step owns its rules, compiled, and its keys, decoded. What the reader
//! knows but cannot check is kept as [`Layout::unsupported`], and what it does not know as a [`Notice`]; neither
//! vanishes.

mod keys;
mod parts;

use crate::envelope::EnvelopeError;
use crate::index::Index;
use crate::instant::Instant;
use crate::json::{JsonError, Reader};
use crate::key::{KeyError, PublicKey};
use crate::limits::{Budget, Limit, Spent};
use crate::parameter::{ParameterError, Parameters};
use crate::prelude::*;
use crate::rule::{Rule, RuleError};
use parts::Parts;

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
    pub authorised: Vec<Rc<AuthorisedKey>>,
    /// What else `pubkeys` call keys that are in `authorised` under another label: the key's place there, and its other
    /// label in lower case.
    pub labels: Vec<(usize, String)>,
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
    /// A step that does not say how many of its several keys must have signed: one is enough (specification 1.0, section
    /// 4.3.1, has no default; both reference implementations take 1).
    AbsentThreshold {
        /// The step.
        step: String,
        /// How many keys may sign it.
        keys: usize,
    },
}

/// The sentence about [`Notice::AbsentThreshold`].
pub fn absent_threshold(step: &str, keys: usize) -> String {
    format!("step `{step}` has no `threshold`: any 1 of its {keys} keys is enough")
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

impl LayoutError {
    /// The bound that was reached, if that is why: it may be a layout nevertheless.
    pub fn limit(&self) -> Option<Spent> {
        match self {
            Self::Spent(spent) => Some(*spent),
            Self::Json(error) | Self::Envelope(EnvelopeError::Json(error)) => error.limit().map(Spent),
            Self::Envelope(EnvelopeError::TooManySignatures) => Some(Spent(Limit::Signatures)),
            _ => None,
        }
    }
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
    /// Pays for what is kept of it, and for decoding its keys.
    pub budget: &'p Budget,
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

/// Whether a step or inspection may have this name: it is part of file names.
pub fn is_step_name(name: &str) -> bool {
    (1..=255).contains(&name.chars().count())
        && !matches!(name, "." | "..")
        && !name
            .chars()
            .any(|character| matches!(character, '/' | '\\') || character.is_control())
}
