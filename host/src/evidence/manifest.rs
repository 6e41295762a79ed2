//! Manifests of registries and image layouts, with the bytes that they were read from.

use bytes::Bytes;
use linkgate_image::ManifestDigest;
use linkgate_image::manifest::{self, ManifestError};

use crate::memory::{Lease, Memory, NoRoom};

/// A manifest with the digest that its bytes have.
#[derive(Debug)]
pub struct Manifest {
    /// Its bytes.
    pub bytes: Bytes,
    /// The digest of its bytes.
    pub digest: ManifestDigest,
    /// What it says.
    pub says: manifest::Manifest,
    /// The room that it takes.
    _room: Lease,
}

/// How many bytes one byte of a manifest takes once it is read: a short annotation becomes two texts in a map.
const READ: u64 = 16;

/// Why bytes were not read as a manifest.
#[derive(Clone, Debug, thiserror::Error)]
pub(super) enum Unread {
    /// They are none.
    #[error(transparent)]
    Manifest(#[from] ManifestError),
    /// There is no memory for what it says.
    #[error(transparent)]
    NoRoom(#[from] NoRoom),
}

impl Manifest {
    /// The room that is taken for what a manifest of these bytes says.
    pub(super) fn room(bytes: &[u8]) -> u64 {
        READ * bytes.len() as u64
    }

    /// Reads the bytes of a digest that was checked, into this memory.
    pub(super) fn read(bytes: Bytes, digest: ManifestDigest, memory: &Memory) -> Result<Self, Unread> {
        let room = memory.take(Self::room(&bytes))?;
        let says = manifest::Manifest::read(&bytes)?;
        Ok(Self {
            bytes,
            digest,
            says,
            _room: room,
        })
    }
}
