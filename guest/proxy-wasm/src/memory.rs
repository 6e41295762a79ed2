//! What is remembered of decisions, in a memory that all of the proxy's threads share and that forgets nothing by itself.
//!
//! So there are a fixed number of slots, in sets of four. What is remembered lies in a slot of the set that its key's
//! hash names, over what is expired or expires first. A slot holds the whole key, so that two keys of one set are never
//! taken for each other. Refusals have slots of their own: who is refused often makes nobody's accepted image forgotten.

use linkgate_image::ManifestDigest;
use linkgate_verifier::key::hex;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::denial::Denial;

/// The proxy's memory.
pub trait Store {
    /// What lies in a slot.
    fn load(&self, slot: &str) -> Option<Vec<u8>>;
    /// Overwrites a slot.
    fn save(&self, slot: &str, bytes: &[u8]);
}

/// What is remembered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Fact {
    /// This manifest was accepted, and has these parts.
    Accepted(Parts),
    /// It was refused.
    Refused(Denial),
    /// This manifest or blob belongs to one that was accepted.
    Part,
}

/// What an accepted manifest leads to.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Parts {
    /// Its blobs, or the manifests of an index.
    pub digests: Vec<String>,
    /// Whether they are manifests.
    pub are_manifests: bool,
}

/// What a fact is about.
#[derive(Clone, Copy, Debug)]
pub enum About<'a> {
    /// Whether a manifest was accepted.
    Accepted(&'a ManifestDigest),
    /// Whether it was refused.
    Refused(&'a ManifestDigest),
    /// Whether a manifest belongs to an index.
    Manifest(&'a str),
    /// Whether a blob belongs to an image.
    Blob(&'a str),
}

#[derive(Serialize, Deserialize)]
struct Slot {
    key: String,
    from: i64,
    until: i64,
    fact: Fact,
}

const WAYS: u32 = 4;

/// Parts of one manifest: what is remembered of it must be of a bounded size.
pub const PARTS: usize = 1_000;

impl About<'_> {
    /// The table, how many sets it has, and the key: configuration, repository and digest, unambiguously joined.
    fn place(self, fingerprint: &[u8; 32], repository: &str) -> (&'static str, u32, String) {
        let (table, sets, digest) = match self {
            Self::Accepted(digest) => ("accepted", 512, digest.to_string()),
            Self::Refused(digest) => ("refused", 512, digest.to_string()),
            Self::Manifest(digest) => ("manifest", 2_048, digest.to_owned()),
            Self::Blob(digest) => ("blob", 8_192, digest.to_owned()),
        };
        let text = format!("{}\n{table}\n{repository}\n{digest}", hex(fingerprint));
        (table, sets, text)
    }
}

/// The memory of one configuration about one repository.
pub struct Memory<'a, S> {
    /// Where it lies.
    pub store: &'a S,
    /// Whose.
    pub fingerprint: &'a [u8; 32],
    /// About what.
    pub repository: &'a str,
}

impl<S: Store> Memory<'_, S> {
    /// What is remembered, and until when, if that is not over.
    pub fn get(&self, about: About<'_>, now: i64) -> Option<(Fact, i64)> {
        let (slots, key) = self.slots(about);
        let found = slots
            .iter()
            .filter_map(|slot| self.read(slot))
            .find(|slot| slot.key == key)?;
        // A clock that was set back is no reason to believe longer.
        (found.from <= now && now < found.until).then_some((found.fact, found.until))
    }

    /// Remembers from now on until then.
    pub fn put(&self, about: About<'_>, fact: Fact, now: i64, until: i64) {
        if until <= now {
            return;
        }
        let (slots, key) = self.slots(about);
        let worth = |slot: &String| match self.read(slot) {
            Some(other) if other.key == key => i64::MIN,
            Some(other) if other.until > now && other.from <= now => other.until,
            _ => i64::MIN + 1,
        };
        let Some(slot) = slots.iter().min_by_key(|slot| worth(slot)) else {
            return;
        };
        let from = now;
        let written = serde_json::to_vec(&Slot { key, from, until, fact });
        if let Ok(bytes) = written {
            self.store.save(slot, &bytes);
        }
    }

    /// An accepted manifest with its parts.
    pub fn accept(&self, digest: &ManifestDigest, parts: Parts, now: i64, until: i64) {
        for part in &parts.digests {
            let about = if parts.are_manifests {
                About::Manifest(part)
            } else {
                About::Blob(part)
            };
            // What holds longer by another image still does.
            if self.get(about, now).is_none_or(|(_, other)| other < until) {
                self.put(about, Fact::Part, now, until);
            }
        }
        self.put(About::Accepted(digest), Fact::Accepted(parts), now, until);
    }

    fn read(&self, slot: &str) -> Option<Slot> {
        serde_json::from_slice(&self.store.load(slot)?).ok()
    }

    fn slots(&self, about: About<'_>) -> (Vec<String>, String) {
        let (table, sets, text) = about.place(self.fingerprint, self.repository);
        let hash = Sha256::digest(text.as_bytes());
        let number = hash
            .iter()
            .take(4)
            .fold(0_u32, |number, byte| number << 8 | u32::from(*byte));
        let first = number % sets * WAYS;
        let slots = (first..first + WAYS).map(|slot| format!("linkgate.{table}.{slot}"));
        (slots.collect(), hex(&hash))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::RefCell;
    use std::collections::BTreeMap;

    #[derive(Default)]
    struct Slots(RefCell<BTreeMap<String, Vec<u8>>>);

    impl Store for Slots {
        fn load(&self, slot: &str) -> Option<Vec<u8>> {
            self.0.borrow().get(slot).cloned()
        }

        fn save(&self, slot: &str, bytes: &[u8]) {
            self.0.borrow_mut().insert(slot.to_owned(), bytes.to_owned());
        }
    }

    #[test]
    fn facts_are_of_one_configuration_repository_and_time() {
        let (store, digest) = (Slots::default(), ManifestDigest::of(b""));
        let memory = |fingerprint, repository| Memory {
            store: &store,
            fingerprint,
            repository,
        };
        let parts = Parts {
            digests: vec![digest.to_string()],
            are_manifests: false,
        };
        memory(&[0; 32], "a").accept(&digest, parts, 100, 110);
        let text = digest.to_string();
        for about in [About::Accepted(&digest), About::Blob(&text)] {
            for (now, is_known) in [(99, false), (100, true), (109, true), (110, false)] {
                assert_eq!(
                    memory(&[0; 32], "a").get(about, now).is_some(),
                    is_known,
                    "{about:?} {now}"
                );
            }
            assert!(memory(&[1; 32], "a").get(about, 100).is_none());
            assert!(memory(&[0; 32], "b").get(about, 100).is_none());
        }
        assert!(memory(&[0; 32], "a").get(About::Manifest(&text), 100).is_none());
    }

    #[test]
    fn memory_is_bounded() {
        let store = Slots::default();
        let memory = Memory {
            store: &store,
            fingerprint: &[0; 32],
            repository: "a",
        };
        for number in 0..10_000_u32 {
            let digest = ManifestDigest::of(&number.to_be_bytes());
            memory.put(About::Accepted(&digest), Fact::Part, 0, i64::from(number) + 1);
        }
        assert!(store.0.borrow().len() <= 512 * 4);
        let last = ManifestDigest::of(&9_999_u32.to_be_bytes());
        assert!(memory.get(About::Accepted(&last), 0).is_some());
    }
}
