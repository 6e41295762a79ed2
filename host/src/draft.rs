//! Metadata that is about to be signed. A signature on what can never verify would be found out too late, when the links are
//! there and somebody waits; so a draft is read as the verifier will read it, and odd things are told to its author.

use std::fmt;

use linkgate_verifier::instant::Instant;
use linkgate_verifier::key::KeyError;
use linkgate_verifier::layout::{Layout, LayoutError, Notice, Reading, absent_threshold};
use linkgate_verifier::limits::Budget;
use linkgate_verifier::link::LinkError;
use linkgate_verifier::parameter::Parameters;
use linkgate_verifier::payload;
use linkgate_verifier::rule::Rule;
use serde_json::Value;

use crate::metadata::{Document, Kind, MetadataError};

/// Why a draft could never verify.
#[derive(Debug, thiserror::Error)]
pub enum DraftError {
    /// The layout lacks what only a layout that nobody signed may lack.
    #[error(
        "it could never verify: the layout has no `{0}` (only verifying with --trust-layout takes one without \
         it, and that asks for no signature)"
    )]
    Asserted(&'static str),
    /// The verifier does not read the layout.
    #[error("it could never verify: {0}")]
    Layout(LayoutError),
    /// The verifier does not read the link.
    #[error("it could never verify: {0}")]
    Link(LinkError),
    /// It has no form that could be signed.
    #[error(transparent)]
    Metadata(#[from] MetadataError),
}

/// What a draft's author may not have meant. It does not stand in a signature's way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Doubt {
    /// It no longer holds.
    Expired(Instant),
    /// A step that does not say how many of its keys must sign.
    AbsentThreshold {
        /// The step.
        step: String,
        /// How many may.
        keys: usize,
    },
    /// Too few keys for a step's threshold.
    Threshold {
        /// The step.
        step: String,
        /// How many it wants.
        threshold: u64,
        /// How many can count.
        usable: usize,
    },
    /// A step names a key that the layout does not have.
    UnknownKey {
        /// The step.
        step: String,
        /// What it names.
        label: String,
    },
    /// A key that can never count.
    UnusableKey {
        /// What the layout calls it.
        label: String,
        /// Why.
        reason: KeyError,
    },
    /// A MATCH rule refers to a step that the layout does not have.
    UnknownStep {
        /// The step or inspection that has the rule.
        within: String,
        /// The step that it names.
        from: String,
    },
    /// A field that no layout has.
    UnknownField {
        /// The step, inspection or key that holds it.
        within: Option<String>,
        /// Its name.
        field: String,
    },
    /// A constraint that this program's verifier cannot check.
    Unsupported(String),
}

impl fmt::Display for Doubt {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Expired(expires) => write!(
                formatter,
                "the layout expired at {expires}: sign one with a later `expires`"
            ),
            Self::AbsentThreshold { step, keys } => formatter.write_str(&absent_threshold(step, *keys)),
            Self::Threshold {
                step,
                threshold,
                usable,
            } => write!(
                formatter,
                "step `{step}` has the threshold {threshold}, and only {usable} of its `pubkeys` can count: it will never verify"
            ),
            Self::UnknownKey { step, label } => write!(
                formatter,
                "step `{step}` names the key `{label}`, which is not among the layout's `keys`"
            ),
            Self::UnusableKey { label, reason } => {
                write!(formatter, "the key `{label}` of the layout can never count: {reason}")
            }
            Self::UnknownStep { within, from } => write!(
                formatter,
                "a MATCH rule of `{within}` says FROM `{from}`, which is no step of the layout: it will match nothing"
            ),
            Self::UnknownField { within, field } => {
                let within = within
                    .as_ref()
                    .map_or_else(|| "the layout".to_owned(), |within| format!("`{within}`"));
                write!(
                    formatter,
                    "{within} has the field `{field}`, which means nothing in a layout"
                )
            }
            Self::Unsupported(what) => write!(formatter, "linkgate cannot verify a layout with {what}"),
        }
    }
}

/// Reads a draft as the verifier will, and says what is odd about it.
pub fn doubts(document: &Document, now: Instant) -> Result<Vec<Doubt>, DraftError> {
    let envelope = document.envelope().map_err(MetadataError::from)?;
    if document.kind() == Kind::Link {
        payload::link(&envelope).map_err(DraftError::Link)?;
        return Ok(Vec::new());
    }
    let parameters = Parameters::default();
    let reading = Reading {
        parameters: &parameters,
        root: true,
        asserted: None,
        budget: &Budget::default(),
    };
    let (layout, _) = payload::layout(&envelope, reading).map_err(|error| match error {
        LayoutError::Missing {
            field: field @ ("expires" | "keys" | "inspect"),
            ..
        } => DraftError::Asserted(field),
        error => DraftError::Layout(error),
    })?;
    // The verifier resolves names to keys as it reads; what names nothing is only in the text.
    let text: Value = serde_json::from_str(envelope.payload()).unwrap_or_default();
    let mut doubts: Vec<Doubt> = layout
        .expires
        .filter(|expires| now >= *expires)
        .map(Doubt::Expired)
        .into_iter()
        .collect();
    doubts.extend(layout.unsupported.iter().cloned().map(Doubt::Unsupported));
    doubts.extend(layout.notices.iter().filter_map(notice));
    keys(&layout, &text, &mut doubts);
    steps(&layout, &mut doubts);
    Ok(doubts)
}

fn notice(notice: &Notice) -> Option<Doubt> {
    match notice.clone() {
        Notice::UnusableKey { label, reason } => Some(Doubt::UnusableKey { label, reason }),
        Notice::UnknownField { within, field } => Some(Doubt::UnknownField { within, field }),
        Notice::AbsentThreshold { step, keys } => Some(Doubt::AbsentThreshold { step, keys }),
        // Parameters are filled in when it is verified.
        Notice::UnfilledParameter { .. } | Notice::AbsentField(_) => None,
    }
}

/// Whether the steps have the keys that they name, and enough of them.
fn keys(layout: &Layout, text: &Value, doubts: &mut Vec<Doubt>) {
    for (at, step) in layout.steps.iter().enumerate() {
        let labels = text["steps"][at]["pubkeys"].as_array().into_iter().flatten();
        for label in labels.filter_map(Value::as_str) {
            let folded = label.to_ascii_lowercase();
            let known =
                text["keys"].get(label).is_some() || step.authorised.iter().any(|key| key.names.contains(&folded));
            if !known {
                doubts.push(Doubt::UnknownKey {
                    step: step.name.clone(),
                    label: label.to_owned(),
                });
            }
        }
        if step.threshold > step.authorised.len() as u64 {
            doubts.push(Doubt::Threshold {
                step: step.name.clone(),
                threshold: step.threshold,
                usable: step.authorised.len(),
            });
        }
    }
}

/// Whether the rules refer to what there is. An inspection may also refer to inspections.
fn steps(layout: &Layout, doubts: &mut Vec<Doubt>) {
    let is_step = |name: &str| layout.steps.iter().any(|step| step.name == name);
    let is_inspection = |name: &str| layout.inspections.iter().any(|inspection| inspection.name == name);
    let mut look = |within: &str, rules: [&Vec<Rule>; 2], is_known: &dyn Fn(&str) -> bool| {
        for rule in rules.into_iter().flatten() {
            let Rule::Match(rule) = rule else { continue };
            let doubt = Doubt::UnknownStep {
                within: within.to_owned(),
                from: rule.from.clone(),
            };
            // A name in braces may be a parameter.
            if !is_known(&rule.from) && !rule.from.contains('{') && !doubts.contains(&doubt) {
                doubts.push(doubt);
            }
        }
    };
    for step in &layout.steps {
        look(&step.name, [&step.materials, &step.products], &is_step);
    }
    for inspection in &layout.inspections {
        let rules = [&inspection.materials, &inspection.products];
        look(&inspection.name, rules, &|name| is_step(name) || is_inspection(name));
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const NOW: Instant = Instant(1_700_000_000);

    fn layout() -> Value {
        let keyid = "776a00e29f3559e0141b3b096f696abc6cfb0c657ab40f441132b345b08453f5";
        let public = "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a";
        json!({
            "_type": "layout",
            "expires": "2036-01-01T00:00:00Z",
            "readme": "",
            "keys": {keyid: {"keyid": keyid, "keytype": "ed25519", "scheme": "ed25519", "keyval": {"public": public}}},
            "steps": [{"_type": "step", "name": "build", "threshold": 1, "pubkeys": [keyid], "expected_command": [],
                "expected_materials": [], "expected_products": [["MATCH", "*", "WITH", "PRODUCTS", "FROM", "build"]]}],
            "inspect": [],
        })
    }

    /// What is said of a layout after a change: the doubts, or the error.
    fn said(change: impl FnOnce(&mut Value)) -> Vec<String> {
        let mut layout = layout();
        change(&mut layout);
        let document = Document::read(layout.to_string()).unwrap();
        match doubts(&document, NOW) {
            Ok(doubts) => doubts.iter().map(Doubt::to_string).collect(),
            Err(error) => vec![format!("refused: {error}")],
        }
    }

    #[test]
    fn a_sound_layout_raises_no_doubt() {
        assert_eq!(said(|_| {}), Vec::<String>::new());
    }

    #[test]
    fn what_an_author_may_not_have_meant() {
        let expired = said(|layout| layout["expires"] = "2020-01-01T00:00:00Z".into());
        assert_eq!(
            expired,
            ["the layout expired at 2020-01-01T00:00:00Z: sign one with a later `expires`"]
        );
        let threshold = said(|layout| layout["steps"][0]["threshold"] = 2.into());
        assert!(
            threshold[0].contains("has the threshold 2, and only 1"),
            "{threshold:?}"
        );
        let second = "c93a5fa1a1d3a1c9c8d55a4ba6a0c1e8e2a5a3a4bd0e8d3f8dc8a35f2c1bd0aa";
        for misspelt in ["", "treshold"] {
            let absent = said(|layout| {
                let carol = "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c";
                layout["keys"][second] = json!({"keyid": second, "keytype": "ed25519", "scheme": "ed25519",
                    "keyval": {"public": carol}});
                let step = layout["steps"][0].as_object_mut().unwrap();
                step["pubkeys"].as_array_mut().unwrap().push(second.into());
                let threshold = step.remove("threshold").unwrap();
                if !misspelt.is_empty() {
                    step.insert(misspelt.to_owned(), threshold);
                }
            });
            let wanted = "step `build` has no `threshold`: any 1 of its 2 keys is enough";
            assert!(absent.iter().any(|said| said == wanted), "{absent:?}");
        }
        assert!(said(|layout| drop(layout["steps"][0].as_object_mut().unwrap().remove("threshold"))).is_empty());
        let unknown = said(|layout| layout["steps"][0]["pubkeys"] = json!(["bob"]));
        assert!(unknown[0].contains("names the key `bob`"), "{unknown:?}");
        assert!(unknown[1].contains("and only 0"), "{unknown:?}");
        let from = said(|layout| {
            layout["steps"][0]["expected_materials"] = json!([["MATCH", "*", "WITH", "PRODUCTS", "FROM", "clone"]]);
        });
        assert!(from[0].contains("FROM `clone`, which is no step"), "{from:?}");
        let field = said(|layout| layout["steps"][0]["expected_material"] = json!([]));
        assert!(
            field[0].contains("`build` has the field `expected_material`"),
            "{field:?}"
        );
    }

    #[test]
    fn what_could_never_verify() {
        for (member, value, wanted) in [
            ("expires", json!("2036-02-30T00:00:00Z"), "not a real"),
            ("steps", json!([{"name": "a"}]), "`pubkeys` is missing"),
            ("steps", json!([{"name": "a/b", "pubkeys": []}]), "the name `a/b`"),
            (
                "steps",
                json!([{"name": "a", "pubkeys": [], "expected_products": [["ALOW", "*"]]}]),
                "is no rule",
            ),
            ("keys", json!({"a": {}}), "carries the keyid"),
        ] {
            let refused = said(|layout| layout[member] = value);
            assert!(
                refused[0].starts_with("refused: it could never verify: "),
                "{refused:?}"
            );
            assert!(refused[0].contains(wanted), "{refused:?}");
        }
        for field in ["expires", "keys", "inspect"] {
            let refused = said(|layout| drop(layout.as_object_mut().unwrap().remove(field)));
            assert!(
                refused[0].contains(&format!("the layout has no `{field}`")),
                "{refused:?}"
            );
        }
        let link = json!({"_type": "link", "name": "a", "materials": {}, "products": {"../a": {"sha256": "00"}}});
        let document = Document::read(link.to_string()).unwrap();
        assert!(matches!(doubts(&document, NOW), Err(DraftError::Link(_))));
    }
}
