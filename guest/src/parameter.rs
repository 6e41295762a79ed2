//! Parameters of a layout: `{name}` in rules, expected commands and inspection commands (specification 1.0, section 4.3.1).
//!
//! A value fills one place inside one element: it never makes two elements of one, never becomes a keyword, and inside
//! a pattern each of its characters stands for itself.

use alloc::collections::BTreeMap;
use core::fmt;

use crate::limits::{Budget, Spent};
use crate::prelude::*;
use crate::verdict::shown;

/// What a piece of a text takes beside its bytes.
const PIECE: usize = 32;

/// The values that a request gives.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Parameters {
    values: BTreeMap<String, String>,
}

/// Why a text with parameters cannot be filled.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ParameterError {
    /// No value was given for a name.
    #[error("no value is given for the parameter `{{{0}}}`")]
    Unknown(String),
    /// A brace that is neither doubled nor around a name; format specifications and attributes among them.
    #[error("`{0}` has a brace that is neither doubled nor around a parameter's name")]
    Brace(String),
    /// The values would fill more memory than a verification has.
    #[error(transparent)]
    Spent(#[from] Spent),
}

/// A text whose parameters are filled in, and which of its parts are values.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Filled {
    pieces: Vec<(String, bool)>,
}

impl Filled {
    /// A text whose braces are literal.
    pub fn literal_braces(text: &str) -> Self {
        Self {
            pieces: vec![(text.to_owned(), false)],
        }
    }

    /// The parts in order, and whether each is a parameter's value.
    pub(crate) fn pieces(&self) -> impl Iterator<Item = (&str, bool)> {
        self.pieces.iter().map(|(piece, value)| (piece.as_str(), *value))
    }
}

impl fmt::Display for Filled {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.pieces.iter().try_for_each(|(piece, _)| formatter.write_str(piece))
    }
}

impl Parameters {
    /// Parameters by name. Names are `[A-Za-z0-9_-]+`.
    pub fn new(values: impl IntoIterator<Item = (String, String)>) -> Self {
        let mut parameters = Self::default();
        for (name, value) in values {
            parameters.values.insert(name, value);
        }
        parameters
    }

    /// Whether any value is given. If none is, braces are literal.
    pub fn is_empty(&self) -> bool {
        self.values.is_empty()
    }

    /// Fills the parameters of one element. `{{` and `}}` are literal braces.
    pub fn fill(&self, text: &str, budget: &Budget) -> Result<Filled, ParameterError> {
        // The text is kept as its pieces, and then as what is made of them.
        budget.memory(PIECE + 2 * text.len())?;
        if self.is_empty() {
            return Ok(Filled::literal_braces(text));
        }
        let mut pieces = Vec::new();
        let mut plain = String::new();
        let mut rest = text;
        while let Some((before, brace, after)) = next_brace(rest) {
            plain.push_str(before);
            if let Some(doubled) = after.strip_prefix(brace) {
                plain.push(brace);
                rest = doubled;
                continue;
            }
            let name = after
                .split_once('}')
                .filter(|(name, _)| brace == '{' && is_name(name))
                .ok_or_else(|| ParameterError::Brace(shown(text)))?;
            let value = self
                .values
                .get(name.0)
                .ok_or_else(|| ParameterError::Unknown(shown(name.0)))?;
            budget.memory(2 * (PIECE + value.len()))?;
            pieces.push((core::mem::take(&mut plain), false));
            pieces.push((value.clone(), true));
            rest = name.1;
        }
        plain.push_str(rest);
        pieces.push((plain, false));
        Ok(Filled { pieces })
    }
}

/// The first thing in `text` that looks like a parameter.
pub(crate) fn looks_like_parameter(text: &str) -> Option<&str> {
    text.split('{')
        .skip(1)
        .filter_map(|after| after.split_once('}'))
        .map(|(name, _)| name)
        .find(|name| is_name(name))
}

fn next_brace(text: &str) -> Option<(&str, char, &str)> {
    let at = text.find(['{', '}'])?;
    let (before, from) = text.split_at_checked(at)?;
    let mut characters = from.chars();
    let brace = characters.next()?;
    Some((before, brace, characters.as_str()))
}

/// Whether a parameter may have this name.
pub(crate) fn is_name(name: &str) -> bool {
    !name.is_empty()
        && name
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn filled() {
        let parameters = Parameters::new([("a-b".into(), "1{x}*".into()), ("c".into(), String::new())]);
        for (text, wanted) in [
            ("x", "x"),
            ("{a-b}", "1{x}*"),
            ("p/{c}/q{c}", "p//q"),
            ("{{a-b}}", "{a-b}"),
            ("{{{a-b}}}", "{1{x}*}"),
            ("", ""),
            ("é{c}é", "éé"),
        ] {
            assert_eq!(
                parameters.fill(text, &Budget::default()).unwrap().to_string(),
                wanted,
                "{text}"
            );
        }
    }

    #[test]
    fn refused() {
        let parameters = Parameters::new([("a".into(), "1".into())]);
        for text in [
            "{b}", "{", "}", "{}", "{a", "a}", "{a:>3}", "{a.x}", "{a[0]}", "{a!r}", "{ a}", "{a}}", "{{a}", "{{{a}}",
        ] {
            assert!(parameters.fill(text, &Budget::default()).is_err(), "{text}");
        }
    }

    #[test]
    fn without_values_braces_are_literal() {
        assert_eq!(
            Parameters::default()
                .fill("{a}{", &Budget::default())
                .unwrap()
                .to_string(),
            "{a}{"
        );
        assert_eq!(looks_like_parameter("x{a}"), Some("a"));
        assert_eq!(looks_like_parameter("x{ a}{}"), None);
    }
}
