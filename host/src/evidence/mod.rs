//! Where links come from.
//!
//! Nothing that a source says is believed: whoever can add to one can keep a chain from being accepted, and can take away
//! nothing that contradicts. What a source could not say is told from what it does not have: a registry that is down is no
//! image without links.

mod artifact;
pub mod directory;
mod disk;
mod flight;
pub mod folder;
pub mod image_layout;
mod kept;
pub mod manifest;
pub mod registry;
pub mod store;

use std::collections::BTreeSet;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use bytes::Bytes;

use linkgate_image::{Image, ManifestDigest};

use crate::memory::{Lease, NoRoom};

/// What evidence is sought about.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct About {
    /// The image; none for an artifact that is no image.
    pub image: Option<Image>,
    /// The artifact's name; of an image `REGISTRY/REPOSITORY`.
    pub name: Option<String>,
    /// Its digest.
    pub digest: ManifestDigest,
    /// The namespace that it is to run in, or empty.
    pub namespace: String,
}

/// A piece of evidence that a source has: a link or a sublayout, by its digest.
#[derive(Clone, Debug)]
pub struct Piece {
    /// Its path among the evidence, as [`Document::name`](linkgate_verifier::request::Document::name) has it.
    pub name: String,
    /// The step that it is said to be for, where the source says so. A hint: a wrong one leaves the piece out.
    pub step: Option<String>,
    /// The SHA-256 of its bytes.
    pub digest: ManifestDigest,
    /// Its bytes' number.
    pub size: u64,
    /// Its bytes, where listing already read them.
    pub content: Option<Bytes>,
    /// The repository that holds it, where a source has several.
    pub at: Option<Image>,
}

/// Why a source could not say what it has. Nothing is known then.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{source_name}: {cause}")]
pub struct SourceError {
    /// What the source is called.
    pub source_name: String,
    /// What went wrong, in one line without secrets.
    pub cause: String,
    /// The lack of memory that it was, if it was one: the source itself is up.
    pub no_room: Option<NoRoom>,
}

/// What a source has about an artifact.
#[derive(Debug)]
pub struct Listed {
    /// The pieces, which whoever asks shares.
    pub pieces: Vec<Arc<Piece>>,
    /// The room that they take beside their bytes.
    pub room: Lease,
}

/// A future that any thread can carry on.
pub type Answer<'a, T> = Pin<Box<dyn Future<Output = Result<T, SourceError>> + Send + 'a>>;

/// A place that holds evidence.
pub trait Source: Send + Sync + fmt::Debug {
    /// What it is called in messages and metrics: its kind and place, no secrets.
    fn name(&self) -> String;

    /// By what of an artifact it finds its evidence: where that is equal, so is the list.
    fn scope(&self, about: &About) -> String;

    /// Lists what it has about an artifact, sublayouts' links included. None at all is no error.
    fn list<'a>(&'a self, about: &'a About) -> Answer<'a, Listed>;

    /// Brings a piece that was listed. The bytes have its digest.
    fn fetch<'a>(&'a self, piece: &'a Piece) -> Answer<'a, Bytes>;

    /// The error that it could not say what it has.
    fn failed(&self, cause: &dyn fmt::Display) -> SourceError {
        SourceError {
            source_name: self.name(),
            cause: cause.to_string(),
            no_room: None,
        }
    }

    /// The error that there is no memory for what it has.
    fn no_room(&self, no_room: NoRoom) -> SourceError {
        SourceError {
            no_room: Some(no_room),
            ..self.failed(&no_room)
        }
    }
}

/// What a piece in a list takes beside its bytes and the texts that are its own.
const ENTRY: u64 = 640;

impl Listed {
    /// An empty list, for which `room` is to be taken.
    pub fn new(room: Lease) -> Self {
        Self {
            pieces: Vec::new(),
            room,
        }
    }

    /// Lists one more piece.
    pub fn push(&mut self, piece: Piece) -> Result<(), NoRoom> {
        let texts = piece.name.len() + piece.step.as_ref().map_or(0, String::len);
        self.room.grow(texts as u64 + ENTRY)?;
        self.pieces.push(Arc::new(piece));
        Ok(())
    }

    /// Lists what another one does, too.
    pub fn join(&mut self, other: Self) {
        self.pieces.extend(other.pieces);
        self.room.join(other.room);
    }

    /// The bytes of all that is listed.
    pub fn size(&self) -> u64 {
        self.pieces.iter().map(|piece| piece.size).fold(0, u64::saturating_add)
    }
}

impl Piece {
    /// Whether a chain of these steps may need it. Left out is only what would have to be brought, and says of itself that it
    /// is for another step: a file's name says nothing, and a link that is left out could be the one that contradicts.
    pub fn may_be_for(&self, steps: &BTreeSet<String>) -> bool {
        // What lies in a folder is for the steps of a sublayout.
        let is_at_hand = self.content.is_some() || self.name.contains('/');
        is_at_hand || self.step.as_ref().is_none_or(|step| steps.contains(step))
    }
}

/// A document of a request whose bytes are not its own.
#[derive(Clone, Debug)]
pub struct SharedDocument {
    /// Its name, as [`Document::name`](linkgate_verifier::request::Document::name) has it.
    pub name: String,
    /// Its bytes.
    pub content: Bytes,
}

/// Pieces with their bytes as the documents of a request: equal ones once, in an order that the sources do not choose. Those
/// that only have one name are all there, each under that name: by it a sublayout is bound to its step.
pub fn documents(mut pieces: Vec<(Arc<Piece>, Bytes)>) -> Vec<SharedDocument> {
    pieces.sort_by(|(a, _), (b, _)| (&a.name, &a.digest).cmp(&(&b.name, &b.digest)));
    pieces.dedup_by(|(a, _), (b, _)| a.name == b.name && a.digest == b.digest);
    let document = |(piece, content): (Arc<Piece>, Bytes)| SharedDocument {
        name: piece.name.clone(),
        content,
    };
    pieces.into_iter().map(document).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn piece(name: &str, bytes: &'static [u8]) -> (Arc<Piece>, Bytes) {
        let piece = Piece {
            name: name.to_owned(),
            step: None,
            digest: ManifestDigest::of(bytes),
            size: bytes.len() as u64,
            content: None,
            at: None,
        };
        (Arc::new(piece), Bytes::from_static(bytes))
    }

    #[test]
    fn only_its_own_word_leaves_a_piece_out() {
        let steps: BTreeSet<String> = ["build".to_owned()].into();
        let (piece, bytes) = piece("test.776a00e2.link", b"");
        let mut piece = Piece::clone(&piece);
        assert!(piece.may_be_for(&steps));
        piece.step = Some("build".to_owned());
        assert!(piece.may_be_for(&steps));
        piece.step = Some("test".to_owned());
        assert!(!piece.may_be_for(&steps));
        let at_hand = Piece {
            content: Some(bytes),
            ..piece.clone()
        };
        assert!(at_hand.may_be_for(&steps));
        piece.name = "build.776a00e2/test.0a1b2c3d.link".to_owned();
        assert!(piece.may_be_for(&steps));
    }

    #[test]
    fn equal_names_stay_and_lose_nothing() {
        let given = vec![piece("a.link", b"2"), piece("a.link", b"1"), piece("a.link", b"2")];
        let documents = |given| {
            let documents = documents(given);
            let each = documents.into_iter().map(|document| (document.name, document.content));
            each.collect::<Vec<_>>()
        };
        let there = documents(given.clone());
        let named: Vec<&str> = there.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(named, ["a.link", "a.link"]);
        assert_ne!(there[0].1, there[1].1);
        assert_eq!(there, documents(given.into_iter().rev().collect()));
    }
}
