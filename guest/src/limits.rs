//! The bounds of one verification. Everything that loops over untrusted input spends from a [`Budget`].
//!
//! A document over a bound of its own is a document that does not count; a bound of the whole verification ends it,
//! undecided, with the bound's name. The numbers are far above what real supply chains need, and low enough that no
//! request takes more than 5 seconds inside the component, or more than 256 MiB of its memory: `tests/bench/worst` measures
//! what comes closest to that. What grows with a product of two inputs spends, or is looked up in an order.

use core::cell::Cell;

use crate::prelude::*;

/// How deeply JSON may nest. Real metadata stays below 10; 100 levels of the reader's frames fit the component's stack.
pub const JSON_DEPTH: u32 = 100;
/// Strings, objects and arrays of one JSON text. A link with 100,000 materials and products, each with two digests, has
/// 1.2 million. In an object whose keys do not ascend, two members count as one more, and so do [`MOVED_BYTES`].
pub const JSON_VALUES: usize = 2_000_000;
/// Bytes of an object that are brought into order. Unordered objects inside each other move the innermost bytes at each
/// level.
pub const MOVED_BYTES: usize = 256;
/// Bytes of one document. A link with 100,000 materials and products has 23 MB.
pub const DOCUMENT_BYTES: usize = 32 << 20;
/// Bytes of the layout, all documents and all inspection results together, their names included.
pub const TOTAL_BYTES: usize = 64 << 20;
/// Bytes of documents that are read, which is once, but for those beneath a sublayout that lies there under two names.
const READ_BYTES: u64 = TOTAL_BYTES as u64 + (16 << 20);
/// Bytes of what is kept of documents beside their own text: artifacts, rules, keys and what a verdict says of them. The
/// artifacts of a request full of links take half of it.
pub const MEMORY: u64 = 48 << 20;
/// Documents of a request. The largest real chains have some hundred links.
pub const DOCUMENTS: usize = 10_000;
/// Bytes of a document's name; a longer one is no path of a file.
pub const NAME_BYTES: usize = 4096;
/// Signatures on one document: a link has one, a root of trust with many owners some dozens.
pub const SIGNATURES: usize = 1_000;
/// Cost of all signature checks, where one ed25519 check costs 1, P-256, P-384 and P-521 cost 14, 40 and 80, and an RSA
/// check 4 up to 2048 bits and more by the square of the modulus (64 at 8192 bits): their measured proportions inside the
/// component, where a unit takes about 0.12 ms. Hashing the message costs 1 for each 16 KiB of it, a signature; decoding
/// a key costs 1 to 5. 700 P-256 checks, or two signatures on each document of a request as long as it may be.
pub const SIGNATURE_COST: u64 = 10_000;
/// Steps and inspections of one layout.
pub const STEPS: usize = 1_000;
/// Keys of one layout or request; likewise what the `pubkeys` of one layout's steps list together.
pub const KEYS: usize = 5_000;
/// Pairs of a rule and an artifact, characters compared by patterns, and whatever else compares one input with another:
/// 1,000 rules over 10,000 artifacts with twenty-five compared characters each. A unit takes 2 to 4 ns inside the
/// component.
pub const PATTERN_WORK: u64 = 300_000_000;
/// What it takes to say something of a document, an artifact or an inspection, in units of [`PATTERN_WORK`], beside the
/// bytes of its place.
pub(crate) const SAID: usize = 500;
/// How deeply sublayouts may nest. The specification gives none; one level is usual, three were seen.
pub const SUBLAYOUT_DEPTH: u32 = 8;
/// Sublayouts verified in one request, at any depth.
pub const SUBLAYOUTS: u32 = 1_000;
/// Findings, and likewise warnings and unconstrained artifacts, that a verdict lists. More are counted, not listed.
pub const FINDINGS: usize = 1_000;
/// Characters of a value (a name, a command) that a finding shows.
pub const SHOWN: usize = 300;

/// A bound of the whole verification that was reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Limit {
    /// [`JSON_DEPTH`]
    JsonDepth,
    /// [`JSON_VALUES`]
    JsonValues,
    /// [`DOCUMENT_BYTES`]
    DocumentBytes,
    /// [`TOTAL_BYTES`]
    TotalBytes,
    /// [`MEMORY`]
    Memory,
    /// [`DOCUMENTS`]
    Documents,
    /// [`SIGNATURES`]
    Signatures,
    /// [`SIGNATURE_COST`]
    SignatureCost,
    /// [`STEPS`]
    Steps,
    /// [`KEYS`]
    Keys,
    /// [`PATTERN_WORK`]
    PatternWork,
    /// [`SUBLAYOUT_DEPTH`]
    SublayoutDepth,
    /// [`SUBLAYOUTS`]
    Sublayouts,
}

impl Limit {
    /// Every limit.
    pub const ALL: [Self; 13] = [
        Self::JsonDepth,
        Self::JsonValues,
        Self::DocumentBytes,
        Self::TotalBytes,
        Self::Memory,
        Self::Documents,
        Self::Signatures,
        Self::SignatureCost,
        Self::Steps,
        Self::Keys,
        Self::PatternWork,
        Self::SublayoutDepth,
        Self::Sublayouts,
    ];

    /// The limit of that name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|limit| limit.name() == name)
    }

    /// The limit's name in verdicts.
    pub const fn name(self) -> &'static str {
        match self {
            Self::JsonDepth => "json-depth",
            Self::JsonValues => "json-values",
            Self::DocumentBytes => "document-bytes",
            Self::TotalBytes => "total-bytes",
            Self::Memory => "memory",
            Self::Documents => "documents",
            Self::Signatures => "signatures",
            Self::SignatureCost => "signature-cost",
            Self::Steps => "steps",
            Self::Keys => "keys",
            Self::PatternWork => "pattern-work",
            Self::SublayoutDepth => "sublayout-depth",
            Self::Sublayouts => "sublayouts",
        }
    }

    /// The limit's number.
    pub const fn value(self) -> u64 {
        match self {
            Self::JsonDepth => JSON_DEPTH as u64,
            Self::JsonValues => JSON_VALUES as u64,
            Self::DocumentBytes => DOCUMENT_BYTES as u64,
            Self::TotalBytes => TOTAL_BYTES as u64,
            Self::Memory => MEMORY,
            Self::Documents => DOCUMENTS as u64,
            Self::Signatures => SIGNATURES as u64,
            Self::SignatureCost => SIGNATURE_COST,
            Self::Steps => STEPS as u64,
            Self::Keys => KEYS as u64,
            Self::PatternWork => PATTERN_WORK,
            Self::SublayoutDepth => SUBLAYOUT_DEPTH as u64,
            Self::Sublayouts => SUBLAYOUTS as u64,
        }
    }
}

/// The error that a bound of the whole verification was reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the limit `{}` of {} is reached", .0.name(), .0.value())]
pub struct Spent(pub Limit);

/// What is left to spend.
#[derive(Debug)]
pub struct Budget {
    signature_cost: Cell<u64>,
    pattern_work: Cell<u64>,
    sublayouts: Cell<u64>,
    read: Cell<u64>,
    memory: Cell<u64>,
}

impl Default for Budget {
    fn default() -> Self {
        Self {
            signature_cost: Cell::new(SIGNATURE_COST),
            pattern_work: Cell::new(PATTERN_WORK),
            sublayouts: Cell::new(u64::from(SUBLAYOUTS)),
            read: Cell::new(READ_BYTES),
            memory: Cell::new(MEMORY),
        }
    }
}

impl Budget {
    /// Pays for one signature check, or for decoding a key.
    pub fn signature(&self, cost: u64) -> Result<(), Spent> {
        spend(&self.signature_cost, cost, Limit::SignatureCost)
    }

    /// Pays for comparing characters, or one input with another: an artifact with a rule, a signature with a key.
    pub fn pattern(&self, work: u64) -> Result<(), Spent> {
        spend(&self.pattern_work, work, Limit::PatternWork)
    }

    /// [`Budget::pattern`] for so many items.
    pub(crate) fn compare(&self, items: usize) -> Result<(), Spent> {
        self.pattern(items as u64)
    }

    /// Pays for one sublayout.
    pub fn sublayout(&self) -> Result<(), Spent> {
        spend(&self.sublayouts, 1, Limit::Sublayouts)
    }

    /// Pays for reading bytes of a document.
    pub(crate) fn read(&self, bytes: usize) -> Result<(), Spent> {
        spend(&self.read, bytes as u64, Limit::TotalBytes)
    }

    /// Pays for keeping bytes.
    pub(crate) fn memory(&self, bytes: usize) -> Result<(), Spent> {
        spend(&self.memory, bytes as u64, Limit::Memory)
    }
}

/// What it takes to say something at a place: [`SAID`] and the place's bytes.
pub(crate) fn said_at(place: &[String]) -> usize {
    place.iter().fold(SAID, |sum, folder| sum + folder.len())
}

fn spend(left: &Cell<u64>, cost: u64, limit: Limit) -> Result<(), Spent> {
    if let Some(rest) = left.get().checked_sub(cost) {
        left.set(rest);
        Ok(())
    } else {
        left.set(0);
        Err(Spent(limit))
    }
}
