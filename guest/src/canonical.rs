//! OLPC canonical JSON, the form in which a Metablock is signed (in-toto specification 1.0, section 4.1).
//!
//! Keys by code point, no white space, only `\` and `"` escaped (control characters stay raw), integers of any size,
//! no floats. It is made of the received text, never of a model of it, so that unknown fields stay in what is signed.

use crate::json::{JsonError, Reader};
use crate::prelude::*;
use crate::run::plain_length;

/// The canonical form of a JSON text, which may hold nothing but one value.
pub fn encode(text: &str) -> Result<String, JsonError> {
    let mut reader = Reader::canonical(text);
    reader.skip()?;
    reader.finish()
}

/// The canonical form, but for numbers that have none and stand as they are: for what nobody signed.
pub(crate) fn compact(text: &str) -> Result<String, JsonError> {
    let mut reader = Reader::compact(text);
    reader.skip()?;
    reader.finish()
}

/// Writes one string in canonical form, quotes included.
pub(crate) fn write_string(out: &mut String, text: &str) {
    out.push('"');
    let mut rest = text;
    while let Some((plain, special)) = rest.split_at_checked(plain_length(rest.as_bytes())) {
        out.push_str(plain);
        let mut characters = special.chars();
        match characters.next() {
            Some(character @ ('"' | '\\')) => out.extend(['\\', character]),
            // A control character stands as it is.
            Some(character) => out.push(character),
            None => break,
        }
        rest = characters.as_str();
    }
    out.push('"');
}
