//! A strict reader of JSON text (RFC 8259) that can write the canonical form of what it reads as it goes.
//!
//! It is stricter than most: a key that stands twice in one object, a lone surrogate, `NaN`, a raw control character
//! and anything after the document are errors, at any depth and also in values that the caller skips. Two readers of
//! one document must never see two different documents.
//!
//! The reader is pulled by the typed parsers ([`crate::link`], [`crate::layout`]): they ask for the object, string or
//! number that must come next, and skip what they do not know. When [`Reader::canonical`] made the reader, each token
//! is also written in OLPC canonical form, so that a document is read once for its content and its signed bytes.

use alloc::borrow::Cow;

use crate::index::Index;
use crate::limits;
use crate::prelude::*;
use crate::run::{plain_length, span_length};

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

/// A key of the object that is being read, and where its member begins in the canonical form.
struct Member<'a> {
    key: Cow<'a, str>,
    begins: usize,
}

/// An object that is being read.
struct Object {
    /// The place of its first member among those of all open objects.
    first: usize,
    /// Where its first member begins in the canonical form.
    body: usize,
    /// Whether its keys ascend so far.
    ordered: bool,
}

/// A position in a text, pulled forward value by value.
pub struct Reader<'a> {
    text: &'a str,
    position: usize,
    depth: u32,
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

    /// Reads an object; `member` is called with each key and must read that member's value.
    pub fn object<E: From<JsonError>>(
        &mut self,
        mut member: impl FnMut(&mut Self, &str) -> Result<(), E>,
    ) -> Result<(), E> {
        self.borrowed_object(|reader, key| member(reader, &key)).map(drop)
    }

    /// [`Reader::object`] for callers that keep the keys. Returns whether these ascend as they stand.
    pub fn borrowed_object<E: From<JsonError>>(
        &mut self,
        mut member: impl FnMut(&mut Self, Cow<'a, str>) -> Result<(), E>,
    ) -> Result<bool, E> {
        let mut object = self.open_object()?;
        while let Some(key) = self.next_key(&mut object)? {
            member(self, key)?;
        }
        Ok(object.ordered)
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

    /// Reads a string; borrowed from the text where that has no escapes.
    pub fn string(&mut self) -> Result<Cow<'a, str>, JsonError> {
        self.white_space();
        self.punctuation(b'"', "a string")?;
        let begins = self.position;
        match self.plain_run() {
            Some(b'"') => {
                let plain = self.between(begins, self.position);
                self.position += 1;
                let quoted = self.between(begins - 1, self.position);
                if let Some(canonical) = &mut self.canonical {
                    canonical.push_str(quoted);
                }
                Ok(Cow::Borrowed(plain))
            }
            Some(b'\\') => {
                let decoded = self.escaped_string(begins)?;
                if let Some(canonical) = &mut self.canonical {
                    crate::canonical::write_string(canonical, &decoded);
                }
                Ok(Cow::Owned(decoded))
            }
            _ => Err(self.expected("a character of the string or `\"`")),
        }
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

    fn open_object(&mut self) -> Result<Object, JsonError> {
        self.open(b'{', "an object")?;
        Ok(Object {
            first: self.members.len(),
            body: self.written(),
            ordered: true,
        })
    }

    /// Reads the next key of an object up to its value, or closes the object.
    fn next_key(&mut self, object: &mut Object) -> Result<Option<Cow<'a, str>>, JsonError> {
        let first = self.members.len() == object.first;
        if !self.another(first, b'}', "`,` or `}`")? {
            if !object.ordered {
                self.order_members(object.first, object.body)?;
            }
            self.members.truncate(object.first);
            self.close('}');
            return Ok(None);
        }
        self.white_space();
        let begins = self.written();
        let key = self.string()?;
        let last = self.members.get(object.first..).and_then(<[_]>::last);
        object.ordered &= last.is_none_or(|last| *last.key < *key);
        self.members.push(Member {
            key: key.clone(),
            begins,
        });
        self.white_space();
        self.punctuation(b':', "`:`")?;
        self.emit(':');
        Ok(Some(key))
    }

    /// How much of the canonical form is written.
    #[inline]
    fn written(&self) -> usize {
        self.canonical.as_ref().map_or(0, String::len)
    }

    /// Sorts the members of the object that is being closed, refuses a key that stands twice, and puts the canonical
    /// form into order of code points. Only reached for objects whose keys do not ascend as they stand.
    #[cold]
    fn order_members(&mut self, first: usize, body: usize) -> Result<(), JsonError> {
        let members = self.members.get(first..).unwrap_or_default();
        let index = Index::new(members.iter().map(|member| &*member.key));
        if index.twice().is_some() {
            return Err(JsonError::DuplicateKey { offset: self.position });
        }
        if let Some(canonical) = &mut self.canonical {
            let unordered = canonical.split_off(body);
            let begin = |place| members.get(place).map(|member: &Member<'_>| member.begins - body);
            for (at, (_, place)) in index.as_slice().iter().enumerate() {
                if at > 0 {
                    canonical.push(',');
                }
                // A member ends before the comma of the next.
                let begins = begin(*place).unwrap_or_default();
                let ends = begin(place + 1).map_or(unordered.len(), |next| next - 1);
                canonical.push_str(unordered.get(begins..ends).unwrap_or_default());
            }
        }
        Ok(())
    }

    fn open(&mut self, bracket: u8, expected: &'static str) -> Result<(), JsonError> {
        self.white_space();
        self.punctuation(bracket, expected)?;
        self.emit(char::from(bracket));
        self.depth += 1;
        if self.depth > limits::JSON_DEPTH {
            return Err(JsonError::Depth { offset: self.position });
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

    /// Advances over characters that stand for themselves and returns the byte that ends them.
    #[inline]
    fn plain_run(&mut self) -> Option<u8> {
        let rest = self.text.as_bytes().get(self.position..).unwrap_or_default();
        let length = plain_length(rest);
        self.position += length;
        rest.get(length).copied()
    }

    fn pass_string(&mut self) -> Result<(), JsonError> {
        self.position += 1;
        loop {
            match self.plain_run() {
                Some(b'"') => {
                    self.position += 1;
                    return Ok(());
                }
                // Whatever is escaped is one byte that does not end the string; the strict reading judges it.
                Some(b'\\') => self.position += 2,
                _ => return Err(self.expected("a character of the string or `\"`")),
            }
        }
    }

    fn escaped_string(&mut self, begins: usize) -> Result<String, JsonError> {
        let mut decoded = String::from(self.between(begins, self.position));
        loop {
            let run = self.position;
            match self.plain_run() {
                Some(b'"') => {
                    decoded.push_str(self.between(run, self.position));
                    self.position += 1;
                    return Ok(decoded);
                }
                Some(b'\\') => {
                    decoded.push_str(self.between(run, self.position));
                    self.position += 1;
                    decoded.push(self.escape()?);
                }
                _ => return Err(self.expected("a character of the string or `\"`")),
            }
        }
    }

    fn escape(&mut self) -> Result<char, JsonError> {
        let character = match self.byte() {
            Some(b'"') => '"',
            Some(b'\\') => '\\',
            Some(b'/') => '/',
            Some(b'b') => '\u{8}',
            Some(b'f') => '\u{c}',
            Some(b'n') => '\n',
            Some(b'r') => '\r',
            Some(b't') => '\t',
            Some(b'u') => return self.unicode_escape(),
            _ => return Err(self.expected("an escaped character")),
        };
        self.position += 1;
        Ok(character)
    }

    /// What follows a backslash: `u` and four digits, or two of these with a backslash between for a surrogate pair.
    fn unicode_escape(&mut self) -> Result<char, JsonError> {
        let lone = JsonError::LoneSurrogate { offset: self.position };
        let first = self.code_unit()?;
        if !(0xd800..0xe000).contains(&first) {
            return char::from_u32(first).ok_or(lone);
        }
        if first >= 0xdc00 || self.byte() != Some(b'\\') {
            return Err(lone);
        }
        self.position += 1;
        if self.byte() != Some(b'u') {
            return Err(lone);
        }
        let second = self.code_unit()?;
        if !(0xdc00..0xe000).contains(&second) {
            return Err(lone);
        }
        char::from_u32(0x1_0000 + ((first - 0xd800) << 10) + (second - 0xdc00)).ok_or(lone)
    }

    fn code_unit(&mut self) -> Result<u32, JsonError> {
        let digits = self.text.get(self.position + 1..self.position + 5).unwrap_or_default();
        if digits.len() != 4 || !digits.bytes().all(|digit| digit.is_ascii_hexdigit()) {
            return Err(self.expected("four hexadecimal digits"));
        }
        self.position += 5;
        u32::from_str_radix(digits, 16).map_err(|_| self.expected("four hexadecimal digits"))
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
