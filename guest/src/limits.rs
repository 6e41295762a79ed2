//! The bounds of one verification. Everything that loops over untrusted input spends from a [`Budget`].
//!
//! A document over a bound of its own is a document that does not count; a bound of the whole verification ends it,
//! undecided, with the bound's name. The numbers are far above what real supply chains need and low enough that the
//! costliest request ends: about a minute of work inside the component, where native checks do not help.

use core::cell::Cell;

/// How deeply JSON may nest. Real metadata stays below 10; 100 levels of the reader's frames fit the component's stack.
pub const JSON_DEPTH: u32 = 100;
/// Bytes of one document. A link with 100,000 materials and products has 23 MB; five times that.
pub const DOCUMENT_BYTES: usize = 128 << 20;
/// Bytes of the layout, all documents and all inspection results together. With what is parsed out of them they stay
/// below 2 GiB, half of a 32-bit memory.
pub const TOTAL_BYTES: usize = 512 << 20;
/// Documents of a request. The largest real chains have some hundred links.
pub const DOCUMENTS: usize = 10_000;
/// Signatures on one document: a link has one, a root of trust with many owners some dozens.
pub const SIGNATURES: usize = 1_000;
/// Cost of all signature checks, where one ed25519 check costs 1, P-256, P-384 and P-521 cost 14, 40 and 80, and an RSA
/// check 4 up to 2048 bits and more by the square of the modulus (64 at 8192 bits): their measured proportions inside the
/// component, where a unit takes about 0.12 ms. Hashing the message costs 1 for each 32 KiB of it, a signature.
pub const SIGNATURE_COST: u64 = 200_000;
/// Steps and inspections of one layout.
pub const STEPS: usize = 1_000;
/// Keys of one layout or request.
pub const KEYS: usize = 10_000;
/// Pairs of a rule and an artifact, and characters compared by patterns: 1,000 rules over 100,000 artifacts with twenty
/// compared characters each. A unit takes about 2 ns inside the component.
pub const PATTERN_WORK: u64 = 2_000_000_000;
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
    /// [`DOCUMENT_BYTES`]
    DocumentBytes,
    /// [`TOTAL_BYTES`]
    TotalBytes,
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
    pub const ALL: [Self; 11] = [
        Self::JsonDepth,
        Self::DocumentBytes,
        Self::TotalBytes,
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
            Self::DocumentBytes => "document-bytes",
            Self::TotalBytes => "total-bytes",
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
            Self::DocumentBytes => DOCUMENT_BYTES as u64,
            Self::TotalBytes => TOTAL_BYTES as u64,
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
}

impl Default for Budget {
    fn default() -> Self {
        Self {
            signature_cost: Cell::new(SIGNATURE_COST),
            pattern_work: Cell::new(PATTERN_WORK),
            sublayouts: Cell::new(u64::from(SUBLAYOUTS)),
        }
    }
}

impl Budget {
    /// Pays for one signature check.
    pub fn signature(&self, cost: u64) -> Result<(), Spent> {
        spend(&self.signature_cost, cost, Limit::SignatureCost)
    }

    /// Pays for comparing characters, or for asking a rule about an artifact.
    pub fn pattern(&self, work: u64) -> Result<(), Spent> {
        spend(&self.pattern_work, work, Limit::PatternWork)
    }

    /// Pays for one sublayout.
    pub fn sublayout(&self) -> Result<(), Spent> {
        spend(&self.sublayouts, 1, Limit::Sublayouts)
    }
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
