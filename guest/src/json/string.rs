//! Strings, their escapes decoded (RFC 8259, section 7).

use alloc::borrow::Cow;

use super::{JsonError, Reader};
use crate::prelude::*;
use crate::run::plain_length;

impl<'a> Reader<'a> {
    /// Reads a string; borrowed from the text where that has no escapes.
    pub fn string(&mut self) -> Result<Cow<'a, str>, JsonError> {
        self.white_space();
        self.punctuation(b'"', "a string")?;
        self.values(1)?;
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

    /// Advances over characters that stand for themselves and returns the byte that ends them.
    #[inline]
    pub(super) fn plain_run(&mut self) -> Option<u8> {
        let rest = self.text.as_bytes().get(self.position..).unwrap_or_default();
        let length = plain_length(rest);
        self.position += length;
        rest.get(length).copied()
    }

    pub(super) fn pass_string(&mut self) -> Result<(), JsonError> {
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
