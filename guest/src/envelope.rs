//! The two envelopes of in-toto metadata: Metablock (specification 1.0, section 4.1) and DSSE (secure-systems-lab/dsse).
//!
//! [`Envelope::parse`] finds the payload and the signatures; [`Envelope::message`] gives the bytes that were signed.
//! Neither says that a signature is good: that is [`crate::signature`]'s part.

use alloc::borrow::Cow;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE};

use crate::index::Index;
use crate::json::{self, JsonError, Kind, Reader};
use crate::limits;
use crate::prelude::*;
use crate::verdict::shown;

/// The payload type of a DSSE envelope around a layout or a link.
pub const PAYLOAD_TYPE: &str = "application/vnd.in-toto+json";

/// Why bytes are no envelope.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EnvelopeError {
    /// Not strict JSON of the right shape.
    #[error(transparent)]
    Json(#[from] JsonError),
    /// Both `signed` and `payload` are there: two readers would see two documents.
    #[error("both `signed` and `payload` are present")]
    BothForms,
    /// A member that the form needs is missing.
    #[error("`{0}` is missing")]
    Missing(&'static str),
    /// A link whose signature stands inside it, or a bare layout or link: seen in tutorials, and never signed in any sense.
    #[error(
        "a bare {0} without an envelope: it needs `signed` and `signatures` around it (sign it with `linkgate sign`)"
    )]
    Bare(&'static str),
    /// A DSSE member that is no padded base64.
    #[error("`{0}` is not padded base64")]
    Base64(&'static str),
    /// A DSSE envelope around something else than in-toto metadata.
    #[error("the payload type is `{0}`, not `{PAYLOAD_TYPE}`")]
    PayloadType(String),
    /// Two signatures of a DSSE envelope by one keyid.
    #[error("two signatures have the keyid `{0}`")]
    DuplicateKeyid(String),
    /// A Metablock signature without its keyid.
    #[error("a signature without `keyid`")]
    NoKeyid,
    /// More signatures than [`limits::SIGNATURES`].
    #[error("more than {} signatures", limits::SIGNATURES)]
    TooManySignatures,
}

/// One signature of an envelope, unchecked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Signature<'a> {
    /// Who claims to have signed. Only a DSSE signature may leave it out.
    pub keyid: Option<Cow<'a, str>>,
    /// The signature's bytes; empty where a Metablock has no hexadecimal `sig` (a GPG signature, say), which never verifies.
    pub bytes: Vec<u8>,
}

impl Signature<'_> {
    /// The keyid in lower case: keyids that differ only in case are one.
    pub(crate) fn folded_keyid(&self) -> Option<String> {
        self.keyid.as_deref().map(str::to_ascii_lowercase)
    }
}

/// Which form an envelope has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// `signed` and `signatures`
    Metablock,
    /// `payload`, `payloadType` and `signatures`
    Dsse,
}

/// A document's payload and signatures.
#[derive(Clone, Debug)]
pub struct Envelope<'a> {
    /// Which of the two forms it has.
    pub form: Form,
    /// The payload's JSON text: of `signed` as it was received, or decoded from `payload`.
    payload: Cow<'a, str>,
    /// In the order in which they stand.
    pub signatures: Vec<Signature<'a>>,
}

impl<'a> Envelope<'a> {
    /// Reads an envelope.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, EnvelopeError> {
        Self::parse_after(None, bytes)
    }

    /// [`Envelope::parse`] of a document that may well hold what the one before it holds: a payload that is found again
    /// is that one, at its address, so that [`Envelope::holds_the_same`] need not compare it once more.
    pub fn parse_after(before: Option<&Self>, bytes: &'a [u8]) -> Result<Self, EnvelopeError> {
        let mut reader = Reader::new(json::text(bytes)?);
        let mut parts = Parts {
            before: before.and_then(|before| match before.payload {
                Cow::Borrowed(payload) if before.form == Form::Metablock => Some(payload),
                _ => None,
            }),
            ..Parts::default()
        };
        reader.borrowed_object(|reader, key| parts.member(reader, &key))?;
        reader.finish()?;
        parts.envelope()
    }

    /// An envelope that stands for a bare layout, without any signature. Only asserted trust may use it.
    pub fn bare(bytes: &'a [u8]) -> Result<Self, EnvelopeError> {
        Ok(Self {
            form: Form::Metablock,
            payload: Cow::Borrowed(json::text(bytes)?),
            signatures: Vec::new(),
        })
    }

    /// The payload's text, not yet read strictly.
    pub fn payload(&self) -> &str {
        &self.payload
    }

    /// What it takes beside the document's own bytes: signatures, and less than a document's bytes if it is a DSSE.
    pub(crate) fn weight(&self) -> usize {
        self.signatures.iter().map(|signature| 64 + signature.bytes.len()).sum()
    }

    /// Whether another envelope holds the same payload in the same form, so that both say and sign the same.
    pub fn holds_the_same(&self, other: &Self) -> bool {
        self.form == other.form && (core::ptr::eq(self.payload(), other.payload()) || self.payload == other.payload)
    }

    /// A reader of the payload. For a Metablock, what the reader's `finish` returns is the signed message.
    pub fn reader(&self) -> Reader<'_> {
        match self.form {
            Form::Metablock => Reader::canonical(&self.payload),
            Form::Dsse => Reader::new(&self.payload),
        }
    }

    /// The bytes that the signatures are over: the canonical form that [`Envelope::reader`] wrote, or the DSSE's PAE.
    pub fn message(&self, canonical: String) -> Vec<u8> {
        match self.form {
            Form::Metablock => canonical.into_bytes(),
            Form::Dsse => pae(PAYLOAD_TYPE, self.payload.as_bytes()),
        }
    }
}

/// DSSE's pre-authentication encoding of a payload.
pub fn pae(payload_type: &str, payload: &[u8]) -> Vec<u8> {
    let head = format!("DSSEv1 {} {payload_type} {} ", payload_type.len(), payload.len());
    let mut message = Vec::with_capacity(head.len() + payload.len());
    message.extend_from_slice(head.as_bytes());
    message.extend_from_slice(payload);
    message
}

/// The members of an envelope as they are met.
#[derive(Default)]
struct Parts<'a> {
    /// What `signed` was in the document before.
    before: Option<&'a str>,
    signed: Option<&'a str>,
    payload: Option<Cow<'a, str>>,
    payload_type: Option<Cow<'a, str>>,
    signatures: Option<Vec<RawSignature<'a>>>,
    bare: Option<&'static str>,
}

/// A signature as it stands, before the envelope's form says how to read it.
#[derive(Default)]
struct RawSignature<'a> {
    keyid: Option<Cow<'a, str>>,
    sig: Option<Cow<'a, str>>,
}

impl<'a> Parts<'a> {
    fn member(&mut self, reader: &mut Reader<'a>, key: &str) -> Result<(), EnvelopeError> {
        match key {
            "signed" => self.signed = Some(reader.span_or(self.before)?),
            "payload" => self.payload = Some(reader.string()?),
            "payloadType" => self.payload_type = Some(reader.string()?),
            "signatures" if reader.peek()? == Kind::Array => {
                let mut signatures = Vec::new();
                reader.array(|reader| {
                    signatures.push(RawSignature::read(reader)?);
                    if signatures.len() > limits::SIGNATURES {
                        return Err(EnvelopeError::TooManySignatures);
                    }
                    Ok(())
                })?;
                self.signatures = Some(signatures);
            }
            "materials" | "products" => {
                self.bare = Some("link");
                reader.skip()?;
            }
            "steps" => {
                self.bare = Some("layout");
                reader.skip()?;
            }
            _ => reader.skip()?,
        }
        Ok(())
    }

    fn envelope(self) -> Result<Envelope<'a>, EnvelopeError> {
        match (self.signed, self.payload, self.bare) {
            (Some(_), Some(_), _) => Err(EnvelopeError::BothForms),
            (None, None, Some(bare)) => Err(EnvelopeError::Bare(bare)),
            (None, None, None) => Err(EnvelopeError::Missing("signed")),
            (Some(signed), None, _) => {
                let signatures = self.signatures.ok_or(EnvelopeError::Missing("signatures"))?;
                Ok(Envelope {
                    form: Form::Metablock,
                    payload: Cow::Borrowed(signed),
                    signatures: signatures
                        .into_iter()
                        .map(RawSignature::metablock)
                        .collect::<Result<_, _>>()?,
                })
            }
            (None, Some(payload), _) => {
                let signatures = self.signatures.ok_or(EnvelopeError::Missing("signatures"))?;
                let payload_type = self.payload_type.ok_or(EnvelopeError::Missing("payloadType"))?;
                if payload_type != PAYLOAD_TYPE {
                    return Err(EnvelopeError::PayloadType(shown(&payload_type)));
                }
                let payload = String::from_utf8(decode_base64(&payload).ok_or(EnvelopeError::Base64("payload"))?)
                    .map_err(|error| JsonError::Utf8 {
                        offset: error.utf8_error().valid_up_to(),
                    })?;
                let signatures: Vec<Signature<'a>> = signatures
                    .into_iter()
                    .map(RawSignature::dsse)
                    .collect::<Result<_, _>>()?;
                refuse_duplicate_keyids(&signatures)?;
                Ok(Envelope {
                    form: Form::Dsse,
                    payload: Cow::Owned(payload),
                    signatures,
                })
            }
        }
    }
}

impl<'a> RawSignature<'a> {
    fn read(reader: &mut Reader<'a>) -> Result<Self, JsonError> {
        let mut signature = Self::default();
        reader.object(|reader, key| {
            match key {
                // securesystemslib writes "" where DSSE leaves the keyid out.
                "keyid" => signature.keyid = Some(reader.string()?),
                "sig" => signature.sig = Some(reader.string()?),
                _ => reader.skip()?,
            }
            Ok::<_, JsonError>(())
        })?;
        Ok(signature)
    }

    fn metablock(self) -> Result<Signature<'a>, EnvelopeError> {
        Ok(Signature {
            keyid: Some(self.keyid.ok_or(EnvelopeError::NoKeyid)?),
            bytes: self.sig.and_then(|sig| decode_hex(&sig)).unwrap_or_default(),
        })
    }

    fn dsse(self) -> Result<Signature<'a>, EnvelopeError> {
        let sig = self.sig.ok_or(EnvelopeError::Missing("sig"))?;
        Ok(Signature {
            keyid: self.keyid.filter(|keyid| !keyid.is_empty()),
            bytes: decode_base64(&sig).ok_or(EnvelopeError::Base64("sig"))?,
        })
    }
}

/// Two letter cases of one keyid are one keyid.
fn refuse_duplicate_keyids(signatures: &[Signature<'_>]) -> Result<(), EnvelopeError> {
    let keyids: Vec<String> = signatures.iter().filter_map(Signature::folded_keyid).collect();
    match Index::new(keyids.iter().map(String::as_str)).first_twice() {
        Some(keyid) => Err(EnvelopeError::DuplicateKeyid(shown(keyid))),
        None => Ok(()),
    }
}

/// Standard or URL-safe base64, padded, without stray bits.
pub(crate) fn decode_base64(text: &str) -> Option<Vec<u8>> {
    STANDARD.decode(text).or_else(|_| URL_SAFE.decode(text)).ok()
}

/// Hexadecimal digits of either case, two a byte.
pub fn decode_hex(text: &str) -> Option<Vec<u8>> {
    if !text.len().is_multiple_of(2) {
        return None;
    }
    let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    text.as_bytes()
        .chunks_exact(2)
        .map(|pair| match pair {
            &[high, low] => Some(digit(high)? << 4 | digit(low)?),
            _ => None,
        })
        .collect()
}
