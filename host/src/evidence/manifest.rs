//! Manifests of registries and image layouts, with the bytes that they were read from.

use bytes::Bytes;
use linkgate_image::ManifestDigest;
use linkgate_image::manifest::{self, ManifestError};

/// A manifest with the digest that its bytes have.
#[derive(Clone, Debug)]
pub struct Manifest {
    /// Its bytes.
    pub bytes: Bytes,
    /// The digest of its bytes.
    pub digest: ManifestDigest,
    /// What it says.
    pub says: manifest::Manifest,
}

impl Manifest {
    /// Reads the bytes of a digest that was checked.
    pub(super) fn read(bytes: Bytes, digest: ManifestDigest) -> Result<Self, ManifestError> {
        let says = manifest::Manifest::read(&bytes)?;
        Ok(Self { bytes, digest, says })
    }
}
