//! A layout's members as they are met, until all of them are there.

use alloc::borrow::Cow;

use super::keys::{Keys, Listed, authorisable};
use super::{Inspection, Layout, LayoutError, Notice, Reading, Step, is_step_name};
use crate::index::Index;
use crate::instant::Instant;
use crate::json::{JsonError, Kind, Reader};
use crate::key::PublicKey;
use crate::limits::{Limit, Spent};
use crate::link;
use crate::parameter::{self, ParameterError};
use crate::prelude::*;
use crate::rule::{Rule, RuleError};
use crate::verdict::shown;

/// A step before its keys are resolved.
struct RawStep {
    name: String,
    /// None if it is not said.
    threshold: Option<u64>,
    pubkeys: Vec<String>,
    materials: Vec<Rule>,
    products: Vec<Rule>,
    command: Vec<String>,
}

/// A layout's members as they are met.
pub(super) struct Parts<'p> {
    pub(super) reading: Reading<'p>,
    kind: Option<String>,
    steps: Option<Vec<RawStep>>,
    inspections: Option<Vec<Inspection>>,
    keys: Option<Vec<(String, Option<PublicKey>)>>,
    expires: Option<Instant>,
    pub(super) unsupported: Vec<String>,
    pub(super) notices: Vec<Notice>,
    parameters: Result<(), ParameterError>,
    /// How many keys the steps list together.
    listed: usize,
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
    pub(super) fn new(reading: Reading<'p>) -> Self {
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
            listed: 0,
        }
    }

    pub(super) fn member(&mut self, reader: &mut Reader<'_>, key: &str) -> Result<(), LayoutError> {
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
            self.notice(Notice::UnknownField {
                within: within.map(str::to_owned),
                field: shown(field),
            })?;
        } else if !empty {
            self.unsupported.push(match within {
                Some(within) => format!("`{field}` of `{within}`"),
                None => format!("`{field}`"),
            });
        }
        Ok(())
    }

    /// Notes something. Steps' names and what a verdict shows of a value have at most about 1,000 bytes each.
    pub(super) fn notice(&mut self, notice: Notice) -> Result<(), Spent> {
        let within = match &notice {
            Notice::UnknownField {
                within: Some(within), ..
            }
            | Notice::UnfilledParameter { within, .. } => within.len(),
            _ => 0,
        };
        self.notices.push(notice);
        self.reading.budget.memory(within + 128)
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
                _ => self.set_aside(reader, key, &mut others)?,
            }
            Ok::<_, LayoutError>(())
        })?;
        let name = Self::name(name, "a step")?;
        self.others(&name, &others)?;
        let pubkeys = pubkeys.ok_or_else(|| missing(&name, "pubkeys"))?;
        self.listed += pubkeys.len();
        within_limit(self.listed, Limit::Keys)?;
        Ok(RawStep {
            threshold: threshold.map(|text| parse_threshold(&name, &text)).transpose()?,
            pubkeys,
            materials: self.rules(&name, "expected_materials", &materials)?,
            products: self.rules(&name, "expected_products", &products)?,
            command: self.words(&name, &command)?,
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
                _ => self.set_aside(reader, key, &mut others)?,
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
            run: self.words(&name, &run)?,
            materials: self.rules(&name, "expected_materials", &materials)?,
            products: self.rules(&name, "expected_products", &products)?,
            name,
        })
    }

    /// Keeps a member's text until the name of what holds it is known.
    fn set_aside(
        &self,
        reader: &mut Reader<'_>,
        field: &str,
        others: &mut Vec<(String, String)>,
    ) -> Result<(), LayoutError> {
        reader.peek()?;
        let begins = reader.position();
        reader.skip()?;
        let text = reader.since(begins);
        self.reading.budget.memory(96 + field.len() + text.len())?;
        others.push((field.to_owned(), text.to_owned()));
        Ok(())
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
    fn words(&mut self, within: &str, words: &[Cow<'_, str>]) -> Result<Vec<String>, Spent> {
        words
            .iter()
            .map(|word| {
                self.look_for_parameters(within, word)?;
                match self.reading.parameters.fill(word, self.reading.budget) {
                    Ok(filled) => Ok(filled.to_string()),
                    Err(error) => self.unfilled(error),
                }
            })
            .collect()
    }

    fn unfilled(&mut self, error: ParameterError) -> Result<String, Spent> {
        if let ParameterError::Spent(spent) = error {
            return Err(spent);
        }
        if self.parameters.is_ok() {
            self.parameters = Err(error);
        }
        Ok(String::new())
    }

    fn look_for_parameters(&mut self, within: &str, text: &str) -> Result<(), Spent> {
        match parameter::looks_like_parameter(text) {
            Some(name) if self.reading.root && self.reading.parameters.is_empty() => {
                self.notice(Notice::UnfilledParameter {
                    within: within.to_owned(),
                    name: shown(name),
                })
            }
            _ => Ok(()),
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
                self.look_for_parameters(within, element)?;
            }
            match Rule::parse(elements, self.reading.parameters, self.reading.budget) {
                Ok(rule) => rules.push(rule),
                Err(RuleError::Parameter(error)) => drop(self.unfilled(error)?),
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

    pub(super) fn layout(mut self) -> Result<Layout, LayoutError> {
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
        let mut keys = Keys::new(&keys);
        Ok(Layout {
            steps: steps
                .into_iter()
                .map(|step| step.resolve(&mut keys, &mut self.notices))
                .collect(),
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
    fn resolve(self, keys: &mut Keys<'_>, notices: &mut Vec<Notice>) -> Step {
        let Listed {
            authorised,
            labels,
            unknown,
        } = keys.of_step(&self.pubkeys);
        if self.threshold.is_none() && authorised.len() > 1 {
            notices.push(Notice::AbsentThreshold {
                step: self.name.clone(),
                keys: authorised.len(),
            });
        }
        Step {
            name: self.name,
            threshold: self.threshold.unwrap_or(1),
            authorised,
            labels,
            unknown,
            materials: self.materials,
            products: self.products,
            command: self.command,
        }
    }
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

pub(super) fn within_limit(count: usize, limit: Limit) -> Result<(), LayoutError> {
    if count as u64 > limit.value() {
        Err(Spent(limit).into())
    } else {
        Ok(())
    }
}

pub(super) fn missing(within: &str, field: &'static str) -> LayoutError {
    LayoutError::Missing {
        within: within.to_owned(),
        field,
    }
}

fn owned(strings: Vec<Cow<'_, str>>) -> Vec<String> {
    strings.into_iter().map(Cow::into_owned).collect()
}
