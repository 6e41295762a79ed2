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
        no_room: None,
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
    parts: Cache<Key, Window>,
    /// What manifests name. A manifest under a digest never names anything else.
    named: Cache<Image, Arc<(Kind, Vec<ManifestDigest>)>>,
    window: Duration,
}

/// How long a part passes. Two clocks must agree: the one that runs evenly, and the one by which a layout expires and a
/// manifest's verdict ends, which may be set, and goes on where a machine sleeps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Window {
    until: Moment,
    from: Instant,
    end: Instant,
}

impl Window {
    /// Of what is decided on now and holds until `valid_until`.
    fn new(longest: Duration, valid_until: Option<Instant>, now: Instant) -> Self {
        // In whole seconds, of which the present one is partly over: what is less the even clock tells.
        let seconds = i64::try_from(longest.as_secs()).unwrap_or(i64::MAX);
        let end = now.0.saturating_add(seconds).saturating_add(1);
        Self {
            until: Moment::now() + longest,
            from: now,
            end: Instant(valid_until.map_or(end, |valid| valid.0.min(end))),
        }
    }

    /// Whether a part passes at this time.
    fn holds(&self, now: Instant) -> bool {
        // A clock that was set back is no reason to believe longer, as with verdicts.
        self.until > Moment::now() && self.from <= now && now < self.end
    }
}

/// Parts are forgotten when they pass no longer by the even clock.
struct Until;

impl Expiry<Key, Window> for Until {
    fn expire_after_create(&self, _: &Key, window: &Window, now: Moment) -> Option<Duration> {
        Some(window.until.saturating_duration_since(now))
    }

    fn expire_after_update(&self, _: &Key, window: &Window, now: Moment, _: Option<Duration>) -> Option<Duration> {
        Some(window.until.saturating_duration_since(now))
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

    /// How long the parts of what was decided on now may be pulled, if the decision holds until `valid_until`.
    pub(super) fn window(&self, valid_until: Option<Instant>) -> Window {
        Window::new(self.window, valid_until, link::now())
    }
}

impl Gate {
    /// How long a part passes, if it is one of what was allowed under the policies in force.
    pub(super) async fn allowed_part(&self, kind: Kind, part: &Image) -> Option<Window> {
        let key = (self.policies.load().fingerprint, kind, part.clone());
        let window = self.allowed.parts.get(&key).await;
        window.filter(|window| window.holds(link::now()))
    }

    /// Lets the parts of an image pass for that long, under the policies that were in force before it was decided on.
    pub(super) async fn allow(&self, image: &Image, window: Window, policies: Digest) -> Result<(), SourceError> {
        let Some(named) = self.named(image).await? else {
            return Ok(());
        };
        let (kind, digests) = &*named;
        for digest in digests {
            let key = (policies, *kind, image.at(digest.clone()));
            self.allowed.parts.insert(key, window).await;
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_passes_by_both_clocks() {
        let (minute, now) = (Duration::from_mins(1), Instant(1_000));
        let holds = |valid_until, at| Window::new(minute, valid_until, now).holds(Instant(at));
        for (valid_until, at, expected) in [
            (None, 1_000, true),
            (None, 1_060, true),
            (None, 1_061, false),
            // Set back.
            (None, 999, false),
            // A layout that expires, however little of the window has passed by the other clock.
            (Some(Instant(1_030)), 1_029, true),
            (Some(Instant(1_030)), 1_030, false),
            (Some(Instant(2_000)), 1_061, false),
            (Some(Instant(1_000)), 1_000, false),
            (Some(Instant(i64::MIN)), 1_000, false),
        ] {
            assert_eq!(holds(valid_until, at), expected, "{valid_until:?} {at}");
        }
        assert!(!Window::new(Duration::ZERO, None, now).holds(now));
    }
}
