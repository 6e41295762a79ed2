//! Links: what a step did (specification 1.0, section 4.4).

use alloc::borrow::Cow;

use sha2::{Digest as _, Sha256};

use crate::artifact::{self, ArtifactError, Artifacts};
use crate::canonical;
use crate::json::{JsonError, Kind, Reader};
use crate::key::hex;
use crate::prelude::*;

/// The evidence of one step, signed by a functionary.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Link<'a> {
    /// The step's name.
    pub name: Cow<'a, str>,
    /// What went in.
    pub materials: Artifacts<'a>,
    /// What came out.
    pub products: Artifacts<'a>,
    /// What was run; empty if the link does not say.
    pub command: Vec<Cow<'a, str>>,
    /// How that ended.
    pub return_value: ReturnValue,
    /// The JSON text of `byproducts` as it was received; `{}` if there is none.
    pub byproducts: &'a str,
}

/// The member `return-value` of a link's byproducts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum ReturnValue {
    /// There is none.
    #[default]
    Absent,
    /// The integer 0.
    Zero,
    /// Anything else, as it stands.
    Other(String),
}

/// Why a payload is no link that could count.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LinkError {
    /// Not JSON of the right shape. The place is counted within the payload.
    #[error("{0} of the payload")]
    Json(#[from] JsonError),
    /// A member that a link needs is missing.
    #[error("`{0}` is missing")]
    Missing(&'static str),
    /// An artifact that could not be compared safely.
    #[error(transparent)]
    Artifact(#[from] ArtifactError),
}

impl<'a> Link<'a> {
    /// Reads a payload whose `_type` is known to be `link`. Unknown members are read as strictly, and ignored.
    pub fn read(reader: &mut Reader<'a>) -> Result<Self, LinkError> {
        let (mut name, mut materials, mut products) = (None, None, None);
        let mut command = Vec::new();
        let mut return_value = ReturnValue::Absent;
        let mut byproducts = "{}";
        reader.object(|reader, key| {
            match key {
                "name" => name = Some(reader.string()?),
                "materials" => materials = Some(artifacts(reader)?),
                "products" => products = Some(artifacts(reader)?),
                "command" => command = strings(reader)?,
                "byproducts" => (return_value, byproducts) = read_byproducts(reader)?,
                "environment" => reader.object(|reader, _| reader.skip())?,
                _ => reader.skip()?,
            }
            Ok::<_, LinkError>(())
        })?;
        Ok(Self {
            name: name.ok_or(LinkError::Missing("name"))?,
            materials: materials.ok_or(LinkError::Missing("materials"))?,
            products: products.ok_or(LinkError::Missing("products"))?,
            command,
            return_value,
            byproducts,
        })
    }

    /// A link without anything in it: what stands for a sublayout without steps.
    pub fn empty() -> Self {
        Self {
            name: Cow::Borrowed(""),
            materials: Artifacts::default(),
            products: Artifacts::default(),
            command: Vec::new(),
            return_value: ReturnValue::Absent,
            byproducts: "{}",
        }
    }

    /// The link's JSON text: canonical, but for numbers that have no canonical form and stand as received.
    pub fn text(&self) -> String {
        let mut length = 0;
        self.write(&mut |piece| length += piece.len());
        let mut text = String::with_capacity(length);
        self.write(&mut |piece| text.push_str(piece));
        text
    }

    /// Writes the link's text piece by piece.
    pub(crate) fn write(&self, out: &mut dyn FnMut(&str)) {
        out(r#"{"_type":"link","byproducts":"#);
        // What was read once can be read again.
        out(&canonical::compact(self.byproducts).unwrap_or_default());
        out(r#","command":["#);
        for (at, word) in self.command.iter().enumerate() {
            write_string(out, if at > 0 { "," } else { "" }, word);
        }
        out(r#"],"environment":{},"materials":"#);
        write_artifacts(out, &self.materials);
        write_string(out, r#","name":"#, &self.name);
        out(r#","products":"#);
        write_artifacts(out, &self.products);
        out("}");
    }

    /// The SHA-256 of the artifacts, in hexadecimal: two links have equal ones if their materials and products are equal.
    pub(crate) fn artifacts_digest(&self) -> String {
        let mut hash = Sha256::new();
        let mut out = |piece: &str| hash.update(piece);
        write_artifacts(&mut out, &self.materials);
        write_artifacts(&mut out, &self.products);
        hex(&hash.finalize())
    }

    /// What it takes beside its document's bytes.
    pub(crate) fn weight(&self) -> usize {
        let words: usize = self.command.iter().map(|word| 24 + artifact::owned_bytes(word)).sum();
        words + self.materials.weight() + self.products.weight()
    }
}

fn artifacts<'a>(reader: &mut Reader<'a>) -> Result<Artifacts<'a>, LinkError> {
    Ok(Artifacts::read(reader)?)
}

/// Reads a list of strings.
pub(crate) fn strings<'a>(reader: &mut Reader<'a>) -> Result<Vec<Cow<'a, str>>, JsonError> {
    let mut strings = Vec::new();
    reader.array(|reader| {
        strings.push(reader.string()?);
        Ok::<_, JsonError>(())
    })?;
    Ok(strings)
}

fn read_byproducts<'a>(reader: &mut Reader<'a>) -> Result<(ReturnValue, &'a str), JsonError> {
    let mut return_value = ReturnValue::Absent;
    reader.peek()?;
    let begins = reader.position();
    reader.object(|reader, key| {
        if key == "return-value" {
            let kind = reader.peek()?;
            let begins = reader.position();
            reader.skip()?;
            let text = reader.since(begins);
            return_value = match text {
                "0" | "-0" if kind == Kind::Number => ReturnValue::Zero,
                _ => ReturnValue::Other(text.chars().take(crate::limits::SHOWN).collect()),
            };
            Ok::<_, JsonError>(())
        } else {
            reader.skip()
        }
    })?;
    Ok((return_value, reader.since(begins)))
}

fn write_artifacts(out: &mut dyn FnMut(&str), artifacts: &Artifacts<'_>) {
    out("{");
    for (at, artifact) in artifacts.as_slice().iter().enumerate() {
        write_string(out, if at > 0 { "," } else { "" }, &artifact.name);
        for (at, digest) in artifact.digests.iter().enumerate() {
            write_string(out, if at > 0 { "," } else { ":{" }, &digest.algorithm);
            write_string(out, ":", &digest.value);
        }
        out("}");
    }
    out("}");
}

fn write_string(out: &mut dyn FnMut(&str), before: &str, text: &str) {
    let mut piece = String::from(before);
    canonical::write_string(&mut piece, text);
    out(&piece);
}
