//! What was allowed to be pulled shortly before: the blobs of an image, and the manifests of an index.
//!
//! A part passes for as long as the decision on the whole may stand: for the pull's window, no longer than the verdict
//! holds, and only under the policies that it was made by. Being pulled does not prolong it.

use std::sync::Arc;
use std::time::{Duration, Instant as Moment};

use linkgate_image::{Image, ManifestDigest};
use linkgate_verifier::instant::Instant;
use moka::Expiry;
use moka::future::Cache;

use super::Gate;
use crate::evidence::SourceError;
use crate::record::hash::Digest;
use crate::record::link;

/// How many parts are remembered, and the parts of how many manifests are known.
const PARTS: u64 = 200_000;
const MANIFESTS: u64 = 10_000;

/// What one manifest may name: an index some platforms, an image some layers.
pub(super) const LISTED: usize = 1_000;

/// A manifest that names more.
pub(super) fn too_long(image: &Image) -> SourceError {
    SourceError {
        source_name: image.to_string(),
        cause: format!("its manifest names more than {LISTED} others"),
    }
}

/// As what a part may be pulled. A blob that reads like a manifest is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Kind {
    Blob,
    Manifest,
}

/// A part, and the policies under which the whole was allowed.
type Key = (Digest, Kind, Image);

/// Parts of images that were allowed, each with its repository.
pub(super) struct Allowed {
    /// Until when each passes.
    parts: Cache<Key, Moment>,
    /// What manifests name. A manifest under a digest never names anything else.
    named: Cache<Image, Arc<(Kind, Vec<ManifestDigest>)>>,
    window: Duration,
}

/// Parts pass until their moment.
struct Until;

impl Expiry<Key, Moment> for Until {
    fn expire_after_create(&self, _: &Key, until: &Moment, now: Moment) -> Option<Duration> {
        Some(until.saturating_duration_since(now))
    }

    fn expire_after_update(&self, _: &Key, until: &Moment, now: Moment, _: Option<Duration>) -> Option<Duration> {
        Some(until.saturating_duration_since(now))
    }
}

impl Allowed {
    /// Nothing yet; a part is remembered for at most that long.
    pub(super) fn new(window: Duration) -> Self {
        Self {
            parts: Cache::builder().max_capacity(PARTS).expire_after(Until).build(),
            named: Cache::builder().max_capacity(MANIFESTS).build(),
            window,
        }
    }

    /// Until when what was decided on now may be pulled, if the decision holds until `valid_until`.
    pub(super) fn until(&self, valid_until: Option<Instant>) -> Moment {
        let left = valid_until.map(|end| Duration::from_secs(u64::try_from(end.0 - link::now().0).unwrap_or_default()));
        Moment::now() + left.map_or(self.window, |left| left.min(self.window))
    }
}

impl Gate {
    /// Until when a part passes, if it is one of what was allowed under the policies in force.
    pub(super) async fn allowed_until(&self, kind: Kind, part: &Image) -> Option<Moment> {
        let key = (self.policies.load().fingerprint, kind, part.clone());
        self.allowed
            .parts
            .get(&key)
            .await
            .filter(|until| *until > Moment::now())
    }

    /// Lets the parts of an image pass until then, under the policies that were in force before it was decided on.
    pub(super) async fn allow(&self, image: &Image, until: Moment, policies: Digest) -> Result<(), SourceError> {
        let Some(named) = self.named(image).await? else {
            return Ok(());
        };
        let (kind, digests) = &*named;
        for digest in digests {
            let key = (policies, *kind, image.at(digest.clone()));
            self.allowed.parts.insert(key, until).await;
        }
        Ok(())
    }

    /// What an image's manifest names; nothing if its registry does not have it.
    async fn named(&self, image: &Image) -> Result<Option<Arc<(Kind, Vec<ManifestDigest>)>>, SourceError> {
        if let Some(named) = self.allowed.named.get(image).await {
            return Ok(Some(named));
        }
        let Some(manifest) = self.context.registry.manifest(image).await? else {
            return Ok(None);
        };
        let named = if manifest.says.is_index() {
            (Kind::Manifest, manifest.says.manifests())
        } else {
            (Kind::Blob, manifest.says.blobs())
        };
        if named.1.len() > LISTED {
            return Err(too_long(image));
        }
        let named = Arc::new(named);
        self.allowed.named.insert(image.clone(), Arc::clone(&named)).await;
        Ok(Some(named))
    }
}
