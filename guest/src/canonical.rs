//! OLPC canonical JSON, the form in which a Metablock is signed (in-toto specification 1.0, section 4.1).
//!
//! Keys by code point, no white space, only `\` and `"` escaped (control characters stay raw), integers of any size,
//! no floats. It is made of the received text, never of a model of it, so that unknown fields stay in what is signed.

use crate::json::{JsonError, Reader};
use crate::prelude::*;

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
    for part in text.split_inclusive(['"', '\\']) {
        match part.as_bytes().last() {
            Some(&last @ (b'"' | b'\\')) => {
                out.push_str(part.get(..part.len() - 1).unwrap_or_default());
                out.push('\\');
                out.push(char::from(last));
            }
            _ => out.push_str(part),
        }
    }
    out.push('"');
}
