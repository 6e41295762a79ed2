//! Artifact rules (specification 1.0, section 4.3.3), parsed into what they mean.

use alloc::borrow::Cow;

use crate::limits::Budget;
use crate::parameter::{Filled, ParameterError, Parameters};
use crate::pattern::Pattern;
use crate::prelude::*;
use crate::verdict::joined;

/// A rule of a step or an inspection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Rule {
    /// Consumes what is in the products and not in the materials.
    Create(Pattern),
    /// Consumes what is in the materials and not in the products.
    Delete(Pattern),
    /// Consumes what is in both with unequal digests.
    Modify(Pattern),
    /// Consumes whatever matches.
    Allow(Pattern),
    /// Fails if anything that is left matches.
    Disallow(Pattern),
    /// Fails if the artifact of exactly this name is not left.
    Require(String),
    /// Consumes what another step or inspection has with the same digests.
    Match(Match),
}

/// `MATCH pattern [IN source] WITH side [IN destination] FROM step`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Match {
    /// Over the names, less the source prefix.
    pub pattern: Pattern,
    /// Under which prefix the artifacts of this list are; with its final `/`, or empty.
    pub source: String,
    /// Under which prefix the other step has them; with its final `/`, or empty.
    pub destination: String,
    /// Which artifacts of the other step.
    pub side: Side,
    /// The other step's or inspection's name.
    pub from: String,
}

/// Which artifacts of a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Side {
    /// What went in.
    Materials,
    /// What came out.
    Products,
}

impl Side {
    /// `materials` or `products`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Materials => "materials",
            Self::Products => "products",
        }
    }

    /// `material` or `product`.
    pub const fn singular(self) -> &'static str {
        match self {
            Self::Materials => "material",
            Self::Products => "product",
        }
    }
}

/// Why a list of strings is no rule.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RuleError {
    /// No form of the grammar.
    #[error(
        "`{0}` is no rule: it must be `CREATE`, `DELETE`, `MODIFY`, `ALLOW`, `DISALLOW` or `REQUIRE` and one pattern, or `MATCH pattern [IN prefix] WITH MATERIALS|PRODUCTS [IN prefix] FROM step`"
    )]
    Form(String),
    /// A parameter that cannot be filled in.
    #[error(transparent)]
    Parameter(#[from] ParameterError),
}

impl Rule {
    /// Parses the elements of a rule. Keywords are recognised in any case and never come from a parameter.
    pub fn parse(elements: &[Cow<'_, str>], parameters: &Parameters, budget: &Budget) -> Result<Self, RuleError> {
        let form = || RuleError::Form(joined(elements.iter().map(AsRef::as_ref), " "));
        let elements: Vec<&str> = elements.iter().map(Cow::as_ref).collect();
        let fill = |text: &&str| parameters.fill(text, budget);
        let pattern = |text| Ok::<_, ParameterError>(Pattern::new(&fill(text)?, budget)?);
        match elements.as_slice() {
            [keyword, argument] => match keyword.to_ascii_uppercase().as_str() {
                "CREATE" => Ok(Self::Create(pattern(argument)?)),
                "DELETE" => Ok(Self::Delete(pattern(argument)?)),
                "MODIFY" => Ok(Self::Modify(pattern(argument)?)),
                "ALLOW" => Ok(Self::Allow(pattern(argument)?)),
                "DISALLOW" => Ok(Self::Disallow(pattern(argument)?)),
                "REQUIRE" => Ok(Self::Require(fill(argument)?.to_string())),
                _ => Err(form()),
            },
            [keyword, rest @ ..] if is(keyword, "MATCH") => {
                let parts = MatchParts::of(rest).ok_or_else(form)?;
                Ok(Self::Match(Match {
                    pattern: pattern(&parts.pattern)?,
                    source: prefix(parts.source.as_ref().map(fill).transpose()?.as_ref()),
                    destination: prefix(parts.destination.as_ref().map(fill).transpose()?.as_ref()),
                    side: parts.side,
                    from: fill(&parts.from)?.to_string(),
                }))
            }
            _ => Err(form()),
        }
    }

    /// The rule as a person writes it, parameters filled in.
    pub fn show(&self) -> String {
        match self {
            Self::Create(pattern) => format!("CREATE {}", pattern.text()),
            Self::Delete(pattern) => format!("DELETE {}", pattern.text()),
            Self::Modify(pattern) => format!("MODIFY {}", pattern.text()),
            Self::Allow(pattern) => format!("ALLOW {}", pattern.text()),
            Self::Disallow(pattern) => format!("DISALLOW {}", pattern.text()),
            Self::Require(name) => format!("REQUIRE {name}"),
            Self::Match(rule) => {
                let within = |prefix: &str| match prefix.strip_suffix('/') {
                    Some(folder) => format!(" IN {folder}"),
                    None => String::new(),
                };
                format!(
                    "MATCH {}{} WITH {}{} FROM {}",
                    rule.pattern.text(),
                    within(&rule.source),
                    rule.side.name().to_ascii_uppercase(),
                    within(&rule.destination),
                    rule.from
                )
            }
        }
    }
}

/// The elements of a MATCH rule by their part in it.
struct MatchParts<'a> {
    pattern: &'a str,
    source: Option<&'a str>,
    side: Side,
    destination: Option<&'a str>,
    from: &'a str,
}

impl<'a> MatchParts<'a> {
    fn of(elements: &[&'a str]) -> Option<Self> {
        let (pattern, rest) = elements.split_first()?;
        let (source, rest) = within(rest);
        let [with, side, rest @ ..] = rest else { return None };
        let (destination, rest) = within(rest);
        let [from, step] = rest else { return None };
        let side = match () {
            () if is(side, "MATERIALS") => Side::Materials,
            () if is(side, "PRODUCTS") => Side::Products,
            () => return None,
        };
        (is(with, "WITH") && is(from, "FROM")).then_some(Self {
            pattern,
            source,
            side,
            destination,
            from: step,
        })
    }
}

/// Takes `IN prefix` off the front.
fn within<'a, 'e>(elements: &'e [&'a str]) -> (Option<&'a str>, &'e [&'a str]) {
    match elements {
        [keyword, prefix, rest @ ..] if is(keyword, "IN") => (Some(prefix), rest),
        _ => (None, elements),
    }
}

fn is(element: &str, keyword: &str) -> bool {
    element.eq_ignore_ascii_case(keyword)
}

/// A prefix with one final `/`; an empty one is none. Otherwise prefixes stand as they are.
fn prefix(written: Option<&Filled>) -> String {
    match written.map(Filled::to_string) {
        None => String::new(),
        Some(prefix) if prefix.is_empty() || prefix.ends_with('/') => prefix,
        Some(prefix) => prefix + "/",
    }
}

/// What of `name` lies under `prefix`: the rest, which does not begin with a `/`. An empty prefix holds every name.
pub fn under<'n>(name: &'n str, prefix: &str) -> Option<&'n str> {
    if prefix.is_empty() {
        return Some(name);
    }
    name.strip_prefix(prefix).filter(|rest| !rest.starts_with('/'))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Rule, RuleError> {
        let elements: Vec<Cow<'_, str>> = text
            .split(' ')
            .filter(|element| !element.is_empty())
            .map(Cow::from)
            .collect();
        Rule::parse(&elements, &Parameters::default(), &Budget::default())
    }

    #[test]
    fn forms() {
        for (text, shown) in [
            ("create *", "CREATE *"),
            ("Disallow a", "DISALLOW a"),
            ("REQUIRE a*", "REQUIRE a*"),
            ("MATCH * WITH PRODUCTS FROM s", "MATCH * WITH PRODUCTS FROM s"),
            (
                "match * in src/ with materials from s",
                "MATCH * IN src WITH MATERIALS FROM s",
            ),
            (
                "MATCH * WITH PRODUCTS IN out FROM s",
                "MATCH * WITH PRODUCTS IN out FROM s",
            ),
            (
                "MATCH IN IN IN WITH PRODUCTS IN FROM FROM FROM",
                "MATCH IN IN IN WITH PRODUCTS IN FROM FROM FROM",
            ),
        ] {
            assert_eq!(parse(text).unwrap().show(), shown);
        }
    }

    #[test]
    fn no_forms() {
        for text in [
            "",
            "CREATE",
            "CREATE a b",
            "FOO a",
            "src/*",
            "MATCH *",
            "MATCH * WITH PRODUCTS FROM",
            "MATCH * WITH THINGS FROM s",
            "MATCH * IN WITH PRODUCTS FROM s",
            "MATCH * WITH PRODUCTS FROM s x",
            "MATCH * WITH PRODUCTS s",
            "MATCH * IN a IN b WITH PRODUCTS FROM s",
        ] {
            assert!(parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn keywords_never_come_from_parameters() {
        let parameters = Parameters::new([("k".into(), "ALLOW".into())]);
        let elements = [Cow::from("{k}"), Cow::from("*")];
        assert!(Rule::parse(&elements, &parameters, &Budget::default()).is_err());
    }

    #[test]
    fn prefixes() {
        for (name, prefix, wanted) in [
            ("src/a", "src/", Some("a")),
            ("src/a/b", "src/", Some("a/b")),
            ("src//a", "src/", None),
            ("srcs/a", "src/", None),
            ("src", "src/", None),
            ("a", "", Some("a")),
            ("/a", "", Some("/a")),
            ("src/", "src/", Some("")),
        ] {
            assert_eq!(under(name, prefix), wanted, "{name} {prefix}");
        }
    }
}
