//! What an envelope holds, told apart by `_type`.

use crate::envelope::Envelope;
use crate::json::{self, JsonError, Reader};
use crate::layout::{Layout, LayoutError, Reading};
use crate::link::{Link, LinkError};
use crate::prelude::*;

/// The kind of a payload.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kind {
    /// `_type` is `link`.
    Link,
    /// `_type` is `layout`.
    Layout,
    /// Anything else, as it stands; empty if there is no `_type`, or one that is no string.
    Other(String),
}

/// Looks for `_type` without judging the rest.
pub fn kind(envelope: &Envelope<'_>) -> Result<Kind, JsonError> {
    /// Ends the reading early.
    enum Stop {
        Found(String),
        Json(JsonError),
    }
    impl From<JsonError> for Stop {
        fn from(error: JsonError) -> Self {
            Self::Json(error)
        }
    }
    let sought = Reader::new(envelope.payload()).object(|reader, key| {
        if key == "_type" {
            return Err(Stop::Found(match reader.peek()? {
                json::Kind::String => reader.string()?.into_owned(),
                _ => String::new(),
            }));
        }
        Ok(reader.skip()?)
    });
    match sought {
        Ok(()) => Ok(Kind::Other(String::new())),
        Err(Stop::Json(error)) => Err(error),
        Err(Stop::Found(kind)) => Ok(match kind.as_str() {
            "link" => Kind::Link,
            "layout" => Kind::Layout,
            _ => Kind::Other(crate::verdict::shown(&kind)),
        }),
    }
}

/// Reads a link and the bytes that its signatures are over.
pub fn link<'e>(envelope: &'e Envelope<'_>) -> Result<(Link<'e>, Vec<u8>), LinkError> {
    let mut reader = envelope.reader();
    let link = Link::read(&mut reader)?;
    Ok((link, envelope.message(reader.finish()?)))
}

/// Reads a layout and the bytes that its signatures are over.
pub fn layout(envelope: &Envelope<'_>, reading: Reading<'_>) -> Result<(Layout, Vec<u8>), LayoutError> {
    let mut reader = envelope.reader();
    let layout = Layout::read(&mut reader, reading)?;
    Ok((layout, envelope.message(reader.finish()?)))
}
