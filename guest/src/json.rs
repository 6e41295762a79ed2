//! A strict reader of JSON text (RFC 8259) that can write the canonical form of what it reads as it goes.
//!
//! It is stricter than most: a key that stands twice in one object, a lone surrogate, `NaN`, a raw control character
//! and anything after the document are errors, at any depth and also in values that the caller skips. Two readers of
//! one document must never see two different documents.
//!
//! The reader is pulled by the typed parsers ([`crate::link`], [`crate::layout`]): they ask for the object, string or
//! number that must come next, and skip what they do not know. When [`Reader::canonical`] made the reader, each token
//! is also written in OLPC canonical form, so that a document is read once for its content and its signed bytes.

mod object;
mod string;

use crate::limits::{self, Limit};
use crate::prelude::*;
use crate::run::span_length;
use object::Member;

/// Why a text is not the JSON that was asked for. Offsets count bytes from the beginning of the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum JsonError {
    /// Something other than what the grammar or the caller allows here.
    #[error("expected {expected} at byte {offset}")]
    Expected {
        /// What had to stand here, in words.
        expected: &'static str,
        /// Where.
        offset: usize,
    },
    /// A key that stands twice in one object.
    #[error("duplicate key in the object that ends at byte {offset}")]
    DuplicateKey {
        /// Where the object ends.
        offset: usize,
    },
    /// An escaped surrogate without its other half: no Unicode text.
    #[error("lone surrogate at byte {offset}")]
    LoneSurrogate {
        /// Where.
        offset: usize,
    },
    /// A number with a fraction or an exponent, for which OLPC canonical JSON has no form.
    #[error("there is no canonical form of the fraction or exponent at byte {offset}")]
    Float {
        /// Where.
        offset: usize,
    },
    /// Nested deeper than [`limits::JSON_DEPTH`].
    #[error("nested deeper than {} levels at byte {offset}", limits::JSON_DEPTH)]
    Depth {
        /// Where.
        offset: usize,
    },
    /// More strings, objects and arrays than [`limits::JSON_VALUES`].
    #[error("more than {} values at byte {offset}", limits::JSON_VALUES)]
    Values {
        /// Where.
        offset: usize,
    },
    /// More text after the end of the document.
    #[error("unexpected text after the document at byte {offset}")]
    Trailing {
        /// Where.
        offset: usize,
    },
    /// The bytes are not UTF-8.
    #[error("not UTF-8 after byte {offset}")]
    Utf8 {
        /// How many bytes are.
        offset: usize,
    },
}

impl JsonError {
    /// The bound that was reached, if that is why: the text may be what was asked for.
    pub fn limit(&self) -> Option<Limit> {
        match self {
            Self::Depth { .. } => Some(Limit::JsonDepth),
            Self::Values { .. } => Some(Limit::JsonValues),
            _ => None,
        }
    }
}

/// What kind of value comes next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// `{`
    Object,
    /// `[`
    Array,
    /// `"`
    String,
    /// A digit or `-`
    Number,
    /// `true` or `false`
    Bool,
    /// `null`
    Null,
}

/// A position in a text, pulled forward value by value.
pub struct Reader<'a> {
    text: &'a str,
    position: usize,
    depth: u32,
    /// How many strings, objects and arrays were met, and what [`limits::JSON_VALUES`] counts besides.
    values: usize,
    /// Keys of all open objects, innermost last: one allocation serves the whole document.
    members: Vec<Member<'a>>,
    canonical: Option<String>,
    /// Whether numbers without a canonical form may stand in it as they were received.
    floats: bool,
}

/// Reads the bytes of a document as text.
pub fn text(bytes: &[u8]) -> Result<&str, JsonError> {
    core::str::from_utf8(bytes).map_err(|error| JsonError::Utf8 {
        offset: error.valid_up_to(),
    })
}

/// Checks a text that another reader reads: it is JSON, and no member stands twice in it.
pub fn check(text: &str) -> Result<(), JsonError> {
    let mut reader = Reader::new(text);
    reader.skip()?;
    reader.finish().map(drop)
}

impl<'a> Reader<'a> {
    /// A reader at the beginning of `text`.
    pub fn new(text: &'a str) -> Self {
        Self {
            text,
            position: 0,
            depth: 0,
            values: 0,
            members: Vec::new(),
            canonical: None,
            floats: false,
        }
    }

    /// A reader that also writes the canonical form; [`Reader::finish`] returns it. Floats are errors.
    pub fn canonical(text: &'a str) -> Self {
        Self {
            canonical: Some(String::with_capacity(text.len())),
            ..Self::new(text)
        }
    }

    /// [`Reader::canonical`], but numbers that have no canonical form stand as they are.
    pub fn compact(text: &'a str) -> Self {
        Self {
            floats: true,
            ..Self::canonical(text)
        }
    }

    /// The kind of the next value.
    pub fn peek(&mut self) -> Result<Kind, JsonError> {
        self.white_space();
        match self.byte() {
            Some(b'{') => Ok(Kind::Object),
            Some(b'[') => Ok(Kind::Array),
            Some(b'"') => Ok(Kind::String),
            Some(b'-' | b'0'..=b'9') => Ok(Kind::Number),
            Some(b't' | b'f') => Ok(Kind::Bool),
            Some(b'n') => Ok(Kind::Null),
            _ => Err(self.expected("a value")),
        }
    }

    /// Reads an array; `element` is called before each element and must read it.
    pub fn array<E: From<JsonError>>(&mut self, mut element: impl FnMut(&mut Self) -> Result<(), E>) -> Result<(), E> {
        self.open(b'[', "an array")?;
        let mut first = true;
        while self.another(core::mem::take(&mut first), b']', "`,` or `]`")? {
            element(self)?;
        }
        self.close(']');
        Ok(())
    }

    /// Reads a number and returns its text as it stands: numbers have any size.
    pub fn number(&mut self) -> Result<&'a str, JsonError> {
        self.white_space();
        let begins = self.position;
        if self.byte() == Some(b'-') {
            self.position += 1;
        }
        match self.byte() {
            Some(b'0') => self.position += 1,
            Some(b'1'..=b'9') => self.digits(),
            _ => return Err(self.expected("a number")),
        }
        let integer = !matches!(self.byte(), Some(b'.' | b'e' | b'E'));
        if self.byte() == Some(b'.') {
            self.position += 1;
            self.some_digits()?;
        }
        if matches!(self.byte(), Some(b'e' | b'E')) {
            self.position += 1;
            if matches!(self.byte(), Some(b'+' | b'-')) {
                self.position += 1;
            }
            self.some_digits()?;
        }
        let number = self.between(begins, self.position);
        if let Some(canonical) = &mut self.canonical {
            if !integer && !self.floats {
                return Err(JsonError::Float { offset: begins });
            }
            canonical.push_str(if number == "-0" { "0" } else { number });
        }
        Ok(number)
    }

    /// Reads `true` or `false`.
    pub fn bool(&mut self) -> Result<bool, JsonError> {
        self.white_space();
        if self.word("true") {
            Ok(true)
        } else if self.word("false") {
            Ok(false)
        } else {
            Err(self.expected("`true` or `false`"))
        }
    }

    /// Reads `null`.
    pub fn null(&mut self) -> Result<(), JsonError> {
        self.white_space();
        if self.word("null") {
            Ok(())
        } else {
            Err(self.expected("`null`"))
        }
    }

    /// Reads any value as strictly as every other, and drops it.
    pub fn skip(&mut self) -> Result<(), JsonError> {
        match self.peek()? {
            Kind::Object => self.object(|reader, _| reader.skip()),
            Kind::Array => self.array(Self::skip),
            Kind::String => self.string().map(drop),
            Kind::Number => self.number().map(drop),
            Kind::Bool => self.bool().map(drop),
            Kind::Null => self.null(),
        }
    }

    /// Passes over an object or array without judging it, and returns its text. Whoever uses that text reads it
    /// strictly; both must agree on where it ends.
    pub fn span(&mut self) -> Result<&'a str, JsonError> {
        self.white_space();
        let begins = self.position;
        let mut open = 0_usize;
        loop {
            match self.byte() {
                Some(b'{' | b'[') => {
                    open += 1;
                    self.position += 1;
                }
                Some(b'}' | b']') if open > 0 => {
                    open -= 1;
                    self.position += 1;
                }
                Some(b'"') if open > 0 => self.pass_string()?,
                Some(_) if open > 0 => {
                    let rest = self.text.as_bytes().get(self.position..).unwrap_or_default();
                    self.position += span_length(rest);
                }
                _ => return Err(self.expected("an object")),
            }
            if open == 0 {
                return Ok(self.between(begins, self.position));
            }
        }
    }

    /// [`Reader::span`], but where the text goes on as an earlier span did, it is that one, at its address. Where a span
    /// ends depends on its own text alone, so that both come to the same.
    pub fn span_or(&mut self, earlier: Option<&'a str>) -> Result<&'a str, JsonError> {
        self.white_space();
        let rest = self.text.as_bytes().get(self.position..).unwrap_or_default();
        match earlier {
            Some(earlier) if rest.starts_with(earlier.as_bytes()) && !earlier.is_empty() => {
                self.position += earlier.len();
                Ok(earlier)
            }
            _ => self.span(),
        }
    }

    /// Ends the document: only white space may follow. Returns the canonical form if it was asked for, else nothing.
    pub fn finish(mut self) -> Result<String, JsonError> {
        self.white_space();
        if self.position < self.text.len() {
            return Err(JsonError::Trailing { offset: self.position });
        }
        Ok(self.canonical.unwrap_or_default())
    }

    /// How many bytes of the text are read.
    pub fn position(&self) -> usize {
        self.position
    }

    /// The text that was read since a [`Reader::position`].
    pub fn since(&self, position: usize) -> &'a str {
        self.between(position, self.position)
    }

    /// The error that something else had to stand at this place.
    pub fn expected(&self, expected: &'static str) -> JsonError {
        JsonError::Expected {
            expected,
            offset: self.position,
        }
    }

    /// How much of the canonical form is written.
    #[inline]
    fn written(&self) -> usize {
        self.canonical.as_ref().map_or(0, String::len)
    }

    fn open(&mut self, bracket: u8, expected: &'static str) -> Result<(), JsonError> {
        self.white_space();
        self.punctuation(bracket, expected)?;
        self.emit(char::from(bracket));
        self.values(1)?;
        self.depth += 1;
        if self.depth > limits::JSON_DEPTH {
            return Err(JsonError::Depth { offset: self.position });
        }
        Ok(())
    }

    /// Counts strings, objects and arrays: what is made of any of them has some size.
    #[inline]
    fn values(&mut self, count: usize) -> Result<(), JsonError> {
        self.values += count;
        if self.values > limits::JSON_VALUES {
            return Err(JsonError::Values { offset: self.position });
        }
        Ok(())
    }

    /// Whether another member or element comes; its comma is read, and the closing bracket left.
    #[inline]
    fn another(&mut self, first: bool, bracket: u8, expected: &'static str) -> Result<bool, JsonError> {
        self.white_space();
        match self.byte() {
            Some(byte) if byte == bracket => Ok(false),
            _ if first => Ok(true),
            Some(b',') => {
                self.position += 1;
                self.emit(',');
                Ok(true)
            }
            _ => Err(self.expected(expected)),
        }
    }

    fn close(&mut self, bracket: char) {
        self.position += 1;
        self.depth -= 1;
        self.emit(bracket);
    }

    #[inline]
    fn emit(&mut self, punctuation: char) {
        if let Some(canonical) = &mut self.canonical {
            canonical.push(punctuation);
        }
    }

    #[inline]
    fn byte(&self) -> Option<u8> {
        self.text.as_bytes().get(self.position).copied()
    }

    #[inline]
    fn white_space(&mut self) {
        while matches!(self.byte(), Some(b' ' | b'\n' | b'\r' | b'\t')) {
            self.position += 1;
        }
    }

    #[inline]
    fn punctuation(&mut self, byte: u8, expected: &'static str) -> Result<(), JsonError> {
        if self.byte() == Some(byte) {
            self.position += 1;
            Ok(())
        } else {
            Err(self.expected(expected))
        }
    }

    fn word(&mut self, word: &str) -> bool {
        let rest = self.text.as_bytes().get(self.position..).unwrap_or_default();
        let found = rest.starts_with(word.as_bytes());
        if found {
            self.position += word.len();
            if let Some(canonical) = &mut self.canonical {
                canonical.push_str(word);
            }
        }
        found
    }

    fn digits(&mut self) {
        while matches!(self.byte(), Some(b'0'..=b'9')) {
            self.position += 1;
        }
    }

    fn some_digits(&mut self) -> Result<(), JsonError> {
        match self.byte() {
            Some(b'0'..=b'9') => {
                self.digits();
                Ok(())
            }
            _ => Err(self.expected("a digit")),
        }
    }

    #[inline]
    fn between(&self, begins: usize, ends: usize) -> &'a str {
        self.text.get(begins..ends).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn canonical(text: &str) -> Result<String, JsonError> {
        let mut reader = Reader::canonical(text);
        reader.skip()?;
        reader.finish()
    }

    #[test]
    fn canonical_form() {
        for (text, wanted) in [
            (
                r#" { "b" : [ 1 , true , null ] , "a" : "x" } "#,
                r#"{"a":"x","b":[1,true,null]}"#,
            ),
            (
                r#"{"c":{"z":1,"y":2},"b":0,"a":{}}"#,
                r#"{"a":{},"b":0,"c":{"y":2,"z":1}}"#,
            ),
            (r#""\u0041\n\"\\\/""#, "\"A\n\\\"\\\\/\""),
            (r#""\ud83d\ude00""#, "\"\u{1f600}\""),
            ("-0", "0"),
            ("1180591620717411303424", "1180591620717411303424"),
            // By code point: U+FF5E comes before U+1F600, though its UTF-16 form does not.
            ("{\"\u{1f600}\":1,\"\u{ff5e}\":2}", "{\"\u{ff5e}\":2,\"\u{1f600}\":1}"),
            (r#"{"\"":1,"#, ""),
        ] {
            match canonical(text) {
                Ok(form) => assert_eq!(form, wanted, "{text}"),
                Err(_) => assert_eq!(wanted, "", "{text}"),
            }
        }
    }

    #[test]
    fn refused() {
        for text in [
            "",
            "{",
            "}",
            "[1,]",
            "{\"a\":1,}",
            "{\"a\" 1}",
            "NaN",
            "Infinity",
            "-Infinity",
            "01",
            "-",
            "1.",
            ".5",
            "+1",
            "1 2",
            "nul",
            "truefalse",
            "'a'",
            "\"\\x\"",
            "\"\\ud800\"",
            "\"\\udc00\\ud800\"",
            "\"\\ud800\\n\"",
            "\"\\u12g4\"",
            "\"\\u+123\"",
            "\"a\nb\"",
            "\"open",
            "{\"a\":1,\"a\":1}",
            "{\"b\":1,\"a\":2,\"\\u0062\":3}",
            "[{\"x\":{\"k\":1,\"j\":1,\"k\":2}}]",
            "1.5",
            "1e3",
            "\u{feff}{}",
            "{}\u{0}",
            "[1}",
            "{\"a\":1]",
        ] {
            assert!(canonical(text).is_err(), "{text}");
        }
        let deep = "[".repeat(200) + &"]".repeat(200);
        assert!(matches!(canonical(&deep), Err(JsonError::Depth { .. })));
    }

    #[test]
    fn floats_are_read_where_no_canonical_form_is_wanted() {
        let mut reader = Reader::new("[1.5e-3]");
        reader.skip().unwrap();
        reader.finish().unwrap();
    }

    #[test]
    fn spans() {
        let mut reader = Reader::new(r#" {"a":["}\"",{}]} ,"#);
        assert_eq!(reader.span().unwrap(), r#"{"a":["}\"",{}]}"#);
        for text in ["1", "\"a\"", "{\"a", "{\"a\\", "[[]"] {
            assert!(Reader::new(text).span().is_err(), "{text}");
        }
    }

    #[test]
    fn spans_that_are_found_again() {
        let earlier = r#"{"a":["}\"",{}]}"#;
        for (text, same) in [
            (r#" {"a":["}\"",{}]} ,"#, true),
            (r#"{"a":["}\"",{}]}{"#, true),
            (r#"{"a":["}\"",{}],"b":1}"#, false),
            (r#"{"a":["}\"",{}] }"#, false),
            (r#"{"a":[]}"#, false),
        ] {
            let (mut one, mut other) = (Reader::new(text), Reader::new(text));
            let (found, wanted) = (one.span_or(Some(earlier)).unwrap(), other.span().unwrap());
            assert_eq!((found, one.position()), (wanted, other.position()), "{text}");
            assert_eq!(core::ptr::eq(found, earlier), same, "{text}");
        }
        assert!(Reader::new("").span_or(Some("")).is_err());
        assert!(Reader::new("[").span_or(Some("[]")).is_err());
    }
}
