//! Patterns of artifact rules: Python's `fnmatch`, case-sensitive, over the whole name, by code point.
//!
//! | written | matches |
//! |---|---|
//! | `*` | any characters, `/`, newlines and leading dots too, or none |
//! | `?` | any one character |
//! | `[abc]`, `[a-f]`, `[]x]`, `[x-]` | one of the characters shown; a reversed range such as `z-a` is no member |
//! | `[!abc]` | one character that is not shown; `[^a]` does not negate |
//! | anything else | itself: an unclosed `[`, `\`, `{`, `}` |
//!
//! The specification (1.0, section 4.3.3) leaves the dialect open; the Python reference is the one that its users know.
//! A pattern is compiled once, when its layout is parsed. Matching costs at most pattern length times name length,
//! which it spends from the budget.

use core::iter::Peekable;

use crate::limits::{Budget, Spent};
use crate::parameter::Filled;
use crate::prelude::*;

/// A compiled pattern.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pattern {
    text: String,
    elements: Vec<Element>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Element {
    Literal(String),
    AnyOne,
    AnyRun,
    Set { negated: bool, ranges: Vec<(char, char)> },
}

/// A character of a pattern's text, and whether it came from a parameter's value and so stands for itself.
type Written = (char, bool);

impl Pattern {
    /// Compiles a pattern. Every text is one; the budget pays for what it takes.
    pub fn new(filled: &Filled, budget: &Budget) -> Result<Self, Spent> {
        // Each character may become an element, which costs the same on every machine.
        if !is_literal(filled) {
            budget.memory(filled.pieces().map(|(piece, _)| 48 * piece.len()).sum())?;
        }
        Ok(Self::compile(filled))
    }

    fn compile(filled: &Filled) -> Self {
        let text = filled.to_string();
        let elements = match is_literal(filled) {
            true if text.is_empty() => Vec::new(),
            true => vec![Element::Literal(text.clone())],
            false => elements(filled),
        };
        Self { text, elements }
    }

    /// Compiles a pattern without parameters, whatever it takes.
    pub fn plain(text: &str) -> Self {
        Self::compile(&Filled::literal_braces(text))
    }

    /// The pattern as it was written, parameters filled in.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Whether the pattern matches the whole of `name`.
    pub fn matches(&self, name: &str, budget: &Budget) -> Result<bool, Spent> {
        let mut elements = self.elements.as_slice();
        let mut rest = name;
        // Where to go on after a mismatch: the elements after the last `*`, and the name from one character further.
        let mut retry: Option<(&[Element], &str)> = None;
        let mut work = 1_usize;
        let matched = loop {
            let advanced = match elements.split_first() {
                None if rest.is_empty() => break true,
                None => None,
                Some((Element::AnyRun, [])) => break true,
                Some((Element::AnyRun, after)) => {
                    retry = Some((after, rest));
                    Some((after, rest))
                }
                Some((Element::Literal(literal), after)) => {
                    work += literal.len().min(rest.len()) / WORD;
                    rest.strip_prefix(literal.as_str()).map(|rest| (after, rest))
                }
                Some((Element::AnyOne, after)) => without_first(rest).map(|(_, rest)| (after, rest)),
                Some((Element::Set { negated, ranges }, after)) => {
                    work += ranges.len();
                    without_first(rest)
                        .filter(|(first, _)| ranges.iter().any(|(low, high)| (low..=high).contains(&first)) != *negated)
                        .map(|(_, rest)| (after, rest))
                }
            };
            work += 1;
            if let Some((after, further)) = advanced {
                (elements, rest) = (after, further);
                continue;
            }
            let Some((after, from)) = retry else { break false };
            let Some((_, from)) = without_first(from) else {
                break false;
            };
            // What must follow the `*` is looked for, not tried at each character.
            let (from, advanced) = match after.split_first() {
                Some((Element::Literal(literal), further)) => {
                    let (found, steps) = find(from, literal);
                    work += steps;
                    let Some(at) = found else { break false };
                    let from = from.get(at..).unwrap_or_default();
                    (from, (further, from.get(literal.len()..).unwrap_or_default()))
                }
                _ => (from, (after, from)),
            };
            if work > 4096 {
                budget.pattern(work as u64)?;
                work = 0;
            }
            retry = Some((after, from));
            (elements, rest) = advanced;
        };
        budget.pattern(work as u64)?;
        Ok(matched)
    }
}

/// How many bytes are compared at a time.
const WORD: usize = 8;

/// Where a text that is not empty begins in another, and the work of looking for it. What is compared is paid as if it were equal
/// to its end: a search that prepares itself would do so anew for each `*` that is tried further on.
fn find(text: &str, wanted: &str) -> (Option<usize>, usize) {
    let (bytes, wanted) = (text.as_bytes(), wanted.as_bytes());
    let mut tried = 0;
    let places = (bytes.len() + 1).saturating_sub(wanted.len());
    let found = bytes.iter().take(places).enumerate().position(|(at, byte)| {
        if wanted.first() != Some(byte) {
            return false;
        }
        tried += 1;
        bytes.get(at..).is_some_and(|rest| rest.starts_with(wanted))
    });
    let passed = found.unwrap_or(bytes.len());
    (found, passed + tried * (4 + wanted.len() / WORD))
}

fn push_literal(elements: &mut Vec<Element>, character: char) {
    if let Some(Element::Literal(literal)) = elements.last_mut() {
        literal.push(character);
    } else {
        elements.push(Element::Literal(character.into()));
    }
}

fn without_first(text: &str) -> Option<(char, &str)> {
    let mut characters = text.chars();
    characters.next().map(|first| (first, characters.as_str()))
}

/// Whether nothing in a pattern is special.
fn is_literal(filled: &Filled) -> bool {
    filled
        .pieces()
        .all(|(piece, literal)| literal || !piece.contains(['*', '?', '[']))
}

fn elements(filled: &Filled) -> Vec<Element> {
    let written: Vec<Written> = filled
        .pieces()
        .flat_map(|(piece, literal)| piece.chars().map(move |character| (character, literal)))
        .collect();
    let mut elements = Vec::new();
    let mut rest = written.as_slice();
    // Whether a `]` may yet come: where one `[` found none, no later one does.
    let mut closed = true;
    while let Some((&(character, literal), tail)) = rest.split_first() {
        rest = tail;
        match character {
            '*' if !literal => {
                // `**` is `*`.
                if elements.last() != Some(&Element::AnyRun) {
                    elements.push(Element::AnyRun);
                }
            }
            '?' if !literal => elements.push(Element::AnyOne),
            '[' if !literal && closed => {
                if let Some((element, after)) = set(tail) {
                    elements.push(element);
                    rest = after;
                } else {
                    closed = false;
                    push_literal(&mut elements, '[');
                }
            }
            _ => push_literal(&mut elements, character),
        }
    }
    elements
}

/// The set that begins after a `[`, and what follows its `]`; nothing if it is not closed.
fn set(after_bracket: &[Written]) -> Option<(Element, &[Written])> {
    let negated = after_bracket.first() == Some(&('!', false));
    let body = after_bracket.get(usize::from(negated)..)?;
    // A `]` in the first place is a member.
    let length = 1 + body.get(1..)?.iter().position(|written| *written == (']', false))?;
    let (members, closed) = body.split_at_checked(length)?;
    let element = Element::Set {
        negated,
        ranges: ranges(members.iter().copied().peekable()),
    };
    Some((element, closed.get(1..)?))
}

fn ranges(mut members: Peekable<impl Iterator<Item = Written> + Clone>) -> Vec<(char, char)> {
    let mut ranges = Vec::new();
    while let Some((low, _)) = members.next() {
        let mut ahead = members.clone();
        match (ahead.next(), ahead.next()) {
            (Some(('-', false)), Some((high, _))) => {
                // A reversed range holds nothing.
                if low <= high {
                    ranges.push((low, high));
                }
                members = ahead;
            }
            _ => ranges.push((low, low)),
        }
    }
    ranges
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::parameter::Parameters;

    fn matches(pattern: &str, name: &str) -> bool {
        Pattern::plain(pattern).matches(name, &Budget::default()).unwrap()
    }

    #[test]
    fn matched() {
        for (pattern, name) in [
            ("*", ""),
            ("*", "a/b"),
            ("**", "x\ny"),
            ("*.c", ".c"),
            ("src/*", "src/a/b.c"),
            ("a?c", "aéc"),
            ("?", "\n"),
            ("[abc]", "b"),
            ("[a-c]x", "bx"),
            ("[!a]", "b"),
            ("[^a]", "^"),
            ("[^a]", "a"),
            ("[]x]", "]"),
            ("[]x]", "x"),
            ("[!]x]", "y"),
            ("[x-]", "-"),
            ("[-x]", "-"),
            ("[--a]", "."),
            ("[a-c-e]", "-"),
            ("[z-ab]", "b"),
            ("[!z-a]", "q"),
            ("[", "["),
            ("[a", "[a"),
            ("a[", "a["),
            ("[!", "[!"),
            ("[]", "[]"),
            ("[!]", "[!]"),
            ("\\*", "\\x"),
            ("{a}", "{a}"),
            ("*a*a*b", "xaxaxb"),
            ("*ab", "aab"),
            ("*a?", "aab"),
            ("*[b]", "ab"),
            ("a*", "a"),
            ("", ""),
            ("*é", "éé"),
            ("[à-ü]", "é"),
        ] {
            assert!(matches(pattern, name), "{pattern} {name}");
        }
    }

    #[test]
    fn not_matched() {
        for (pattern, name) in [
            ("", "a"),
            ("a", ""),
            ("a", "A"),
            ("a", "a\n"),
            ("?", ""),
            ("?", "ab"),
            ("*.c", "a.h"),
            ("[!a]", "a"),
            ("[!a]", ""),
            ("[z-a]", "z"),
            ("[z-a]", "b"),
            ("[^a]", "b"),
            ("[]", "]"),
            ("src/*", "src"),
            ("*a*a*a*b", "aaaaaaaaaaaa"),
            ("a\\b", "ab"),
        ] {
            assert!(!matches(pattern, name), "{pattern} {name}");
        }
    }

    #[test]
    fn a_value_stands_for_itself() {
        let parameters = Parameters::new([("v".to_owned(), "*]-!".to_owned())]);
        for (pattern, name, wanted) in [
            ("{v}", "*]-!", true),
            ("{v}", "x]-!", false),
            ("[{v}]", "]", true),
            ("[{v}]", "!", true),
            ("[{v}]", "a", false),
            ("{{*}}", "{abc}", true),
        ] {
            let pattern = Pattern::compile(&parameters.fill(pattern, &Budget::default()).unwrap());
            assert_eq!(pattern.matches(name, &Budget::default()), Ok(wanted), "{name}");
        }
    }

    #[test]
    fn equal_runs_are_paid_by_words() {
        // A rule that fails for certain with a name of letters that are all alike leaves enough for what follows.
        let pattern = Pattern::plain(&format!("*{}?b*?c", "a".repeat(29_000)));
        let (name, budget) = ("a".repeat(58_000), Budget::default());
        assert_eq!(pattern.matches(&name, &budget), Ok(false));
        assert_eq!(pattern.matches(&name, &budget), Ok(false));
    }

    #[test]
    fn what_follows_a_run_is_found_at_its_first_place() {
        for (pattern, name, wanted) in [
            ("*aab", "aaaab", true),
            ("*\u{e9}\u{e9}x", "\u{e9}\u{e9}\u{e9}x", true),
            ("*ab*ab", "abab", true),
            ("*ab?ab", "abab", false),
            ("a*a", "a", false),
            ("*abc", "ab", false),
            ("**x*", "\u{2028}x", true),
        ] {
            assert_eq!(
                Pattern::plain(pattern).matches(name, &Budget::default()),
                Ok(wanted),
                "{pattern}"
            );
        }
    }

    #[test]
    fn work_is_bounded() {
        let budget = Budget::default();
        let name = "a".repeat(60_000);
        let pattern = Pattern::plain(&("*".to_owned() + &"a".repeat(30_000) + "?b*?c"));
        let mut spent = false;
        for _ in 0..10 {
            spent |= pattern.matches(&name, &budget).is_err();
        }
        assert!(spent);
    }
}
