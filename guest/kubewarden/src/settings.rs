//! The policy's settings: which images a layout governs, who owns it, and the links.

use alloc::collections::BTreeMap;
use core::fmt::Display;

use linkgate_image::pattern::Pattern;
use linkgate_verifier::instant::Instant;
use linkgate_verifier::json;
use linkgate_verifier::request::{self, Content, Document, Key, Options, Request, Trust};
use linkgate_verifier::signature::Pure;
use linkgate_verifier::verdict::{self, Code, Decision, Undecided};
use linkgate_verifier::verify;
use serde::{Deserialize, Deserializer, de};

use crate::prelude::*;

/// What the policy was set up with.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct Settings {
    /// The chains. Every one that governs an image must accept it.
    pub(crate) policies: Vec<Policy>,
    /// What becomes of an image that none of them governs.
    #[serde(default)]
    pub(crate) ungoverned: Ungoverned,
}

/// What becomes of an image that no policy governs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Ungoverned {
    /// It is refused.
    #[default]
    Refuse,
    /// It passes, by tag or digest.
    Allow,
}

/// One supply chain, and the images that must come from it.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct Policy {
    /// What it is called in messages.
    pub(crate) name: String,
    /// The images that it governs.
    pub(crate) images: Vec<Pattern>,
    /// The signed layout.
    layout: String,
    /// The owners' keys, as `linkgate key show --json` prints them.
    keys: BTreeMap<String, Key>,
    /// Links and sublayouts by name.
    #[serde(default)]
    links: BTreeMap<String, String>,
    /// Values for the layout's parameters.
    #[serde(default)]
    parameters: BTreeMap<String, String>,
    /// What the products are called that may be the image; any product if that is not said.
    #[serde(default, deserialize_with = "one_or_many")]
    pub(crate) subject: Vec<String>,
    /// Steps whose products may be the image; the last one if none is named.
    #[serde(default)]
    subject_steps: Vec<String>,
    /// Whether warnings that may hide a hole refuse.
    #[serde(default)]
    strict: bool,
}

impl Settings {
    /// Reads settings, and refuses those that say nothing.
    pub(crate) fn read(text: &str) -> Result<Self, String> {
        let unusable = |error: &dyn Display| format!("the settings cannot be used: {error}");
        let settings: Self = serde_json::from_str(text).map_err(|error| unusable(&error))?;
        // Of two owners' keys under one name, one would not be asked for.
        json::check(text).map_err(|error| unusable(&error))?;
        settings.check_form()?;
        Ok(settings)
    }

    /// What can be said without the verifier: this is cheap, and done for each request.
    pub(crate) fn check_form(&self) -> Result<(), String> {
        if self.policies.is_empty() {
            return Err("the settings cannot be used: name at least one policy under `policies`".to_owned());
        }
        for (at, policy) in self.policies.iter().enumerate() {
            let wrong = |why: String| Err(format!("policy `{}`: {why}", policy.name));
            if policy.name.is_empty() {
                return Err(format!("the settings cannot be used: policy {at} has no name"));
            }
            if self.policies.iter().take(at).any(|other| other.name == policy.name) {
                return wrong("two policies are called so".to_owned());
            }
            if policy.images.is_empty() {
                return wrong("it governs nothing: name `images`".to_owned());
            }
            if policy.keys.is_empty() {
                return wrong("nobody's word makes its layout believed: name the owners' `keys`".to_owned());
            }
            let other_name = |(name, key): &(&String, &Key)| {
                key.keyid
                    .as_ref()
                    .is_some_and(|keyid| !keyid.eq_ignore_ascii_case(name))
            };
            if let Some((name, _)) = policy.keys.iter().find(other_name) {
                return wrong(format!("the key `{name}` stands under another name than its keyid"));
            }
        }
        Ok(())
    }

    /// Lets the verifier read every layout as it will for each request. What is told beside is no error: an expired layout
    /// refuses, and says why.
    pub(crate) fn check(&self, now: Option<i64>) -> Result<Vec<String>, String> {
        let mut advice = Vec::new();
        for policy in &self.policies {
            let thresholds = policy
                .check()
                .map_err(|why| format!("policy `{}`: {why}", policy.name))?;
            advice.extend(
                thresholds
                    .iter()
                    .map(|said| format!("policy `{}`: {said}", policy.name)),
            );
            if let Some(why) = now.and_then(|now| policy.refuses_all(now)) {
                advice.push(format!("policy `{}` refuses everything: {why}", policy.name));
            }
            if policy.subject.is_empty() {
                advice.push(format!(
                    "policy `{}` does not say by `subject` which product is the image: every product of its subject steps is taken for one",
                    policy.name
                ));
            }
        }
        Ok(advice)
    }
}

impl Policy {
    /// Whether it governs an image of that name.
    pub(crate) fn governs(&self, name: &str) -> bool {
        self.images.iter().any(|pattern| pattern.matches(name))
    }

    /// The question whether its chain made these subjects.
    pub(crate) fn request(&self, subjects: Vec<request::Subject>, now: i64) -> Request {
        let keys = self.keys.values().cloned();
        Request {
            layout: Content(self.layout.clone().into_bytes()),
            trust: Trust::SignedBy(keys.collect()),
            documents: self
                .links
                .iter()
                .map(|(name, text)| Document {
                    name: name.clone(),
                    content: Content(text.clone().into_bytes()),
                })
                .collect(),
            inspections: Vec::new(),
            parameters: self.parameters.clone(),
            subjects,
            options: Options {
                strict: self.strict,
                subject_steps: self.subject_steps.clone(),
                summary_link: false,
            },
            now,
        }
    }

    /// What is to be said of steps that have no threshold, or why it cannot be used at any time.
    fn check(&self) -> Result<Vec<String>, String> {
        let request = self.request(Vec::new(), 0);
        let requirements = match verify::plan(&request, &mut Pure) {
            Ok(requirements) => requirements,
            // In 1970 already: it refuses, and says why.
            Err(undecided) if undecided.code == Code::LayoutExpired => return Ok(Vec::new()),
            Err(undecided) => return Err(format!("the layout cannot be used: {}", reasons(&undecided))),
        };
        if let Some(inspection) = requirements.inspections.first() {
            return Err(format!(
                "the layout has the inspection `{}`, and Kubewarden runs no commands: make it a step",
                inspection.name
            ));
        }
        let is_step = |name: &&String| requirements.steps.iter().any(|step| step.name == **name);
        if let Some(other) = self.subject_steps.iter().find(|name| !is_step(name)) {
            return Err(format!("the subject step `{other}` is no step of the layout"));
        }
        let answer = verify::verify(&request, &mut Pure);
        Ok(verdict::absent_thresholds(&answer).map(str::to_owned).collect())
    }

    /// Why its chain holds for no image at all.
    fn refuses_all(&self, now: i64) -> Option<String> {
        match verify::verify(&self.request(Vec::new(), now), &mut Pure) {
            Ok(verdict) if verdict.decision == Decision::Accept => None,
            Ok(verdict) => {
                let expired = verdict.valid_until.filter(|until| *until <= now);
                let at = expired.map_or(String::new(), |until| format!(" (at {})", Instant(until)));
                let first = verdict.findings.first().map(|finding| finding.message.clone());
                Some(format!("{}{at}", first.unwrap_or_default()))
            }
            Err(undecided) => Some(reasons(&undecided)),
        }
    }
}

/// The verifier's sentences.
fn reasons(undecided: &Undecided) -> String {
    let messages: Vec<&str> = undecided.reasons.iter().map(|reason| reason.message.as_str()).collect();
    messages.join("; ")
}

/// A name, or a list of them.
fn one_or_many<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<String>, D::Error> {
    struct OneOrMany;
    impl<'de> de::Visitor<'de> for OneOrMany {
        type Value = Vec<String>;

        fn expecting(&self, formatter: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
            formatter.write_str("a name or a list of names")
        }

        fn visit_str<E>(self, name: &str) -> Result<Self::Value, E> {
            Ok(vec![name.to_owned()])
        }

        fn visit_seq<A: de::SeqAccess<'de>>(self, mut list: A) -> Result<Self::Value, A::Error> {
            let mut names = Vec::new();
            while let Some(name) = list.next_element()? {
                names.push(name);
            }
            if names.is_empty() {
                return Err(de::Error::custom(
                    "`subject` names nothing: leave it out, or name a product",
                ));
            }
            Ok(names)
        }
    }
    deserializer.deserialize_any(OneOrMany)
}
