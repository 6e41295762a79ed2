//! What is kept for whoever asks next: no more than so many bytes of it, the latest used, and each until its time. What is
//! dropped is gone at once, since others wait for its room.

use std::collections::{BTreeMap, HashMap};
use std::hash::Hash;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Values by their keys.
pub(super) struct Kept<K, V> {
    most: u64,
    listed: Mutex<Listed<K, V>>,
}

struct Listed<K, V> {
    values: HashMap<K, Value<V>>,
    /// Keys in the order in which they were last asked for.
    order: BTreeMap<u64, K>,
    /// The next place in that order.
    next: u64,
    bytes: u64,
}

struct Value<V> {
    itself: V,
    bytes: u64,
    until: Option<Instant>,
    place: u64,
}

impl<K: Clone + Eq + Hash, V: Clone> Kept<K, V> {
    /// For at most so many bytes.
    pub(super) fn new(most: u64) -> Self {
        let listed = Listed {
            values: HashMap::new(),
            order: BTreeMap::new(),
            next: 0,
            bytes: 0,
        };
        Self {
            most,
            listed: Mutex::new(listed),
        }
    }

    /// A value whose time is not over.
    pub(super) fn get(&self, key: &K) -> Option<V> {
        let mut listed = self.listed();
        let Listed {
            values, order, next, ..
        } = &mut *listed;
        let found = values.get_mut(key)?;
        if found.until.is_some_and(|until| until <= Instant::now()) {
            let gone = listed.remove(key);
            drop(listed);
            drop(gone);
            return None;
        }
        order.remove(&found.place);
        found.place = *next;
        order.insert(*next, key.clone());
        *next += 1;
        Some(found.itself.clone())
    }

    /// Keeps a value of so many bytes for so long, or for as long as there is room.
    pub(super) fn insert(&self, key: K, value: V, bytes: u64, lasts: Option<Duration>) {
        let until = lasts.map(|lasts| Instant::now() + lasts);
        if bytes > self.most || lasts.is_some_and(|lasts| lasts.is_zero()) {
            return;
        }
        let mut listed = self.listed();
        let mut gone = vec![listed.remove(&key)];
        let place = listed.next;
        listed.next += 1;
        listed.bytes += bytes;
        listed.order.insert(place, key.clone());
        let value = Value {
            itself: value,
            bytes,
            until,
            place,
        };
        listed.values.insert(key, value);
        while listed.bytes > self.most {
            gone.push(listed.remove_oldest());
        }
        drop(listed);
        // What a value holds may be large: nobody waits while it is given back.
        drop(gone);
    }

    /// Drops what was not asked for for the longest time, and says whether there was anything.
    pub(super) fn drop_oldest(&self) -> bool {
        let oldest = self.listed().remove_oldest();
        oldest.is_some()
    }

    /// How many bytes are kept.
    pub(super) fn bytes(&self) -> u64 {
        self.listed().bytes
    }

    fn listed(&self) -> std::sync::MutexGuard<'_, Listed<K, V>> {
        self.listed.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<K: Eq + Hash, V> Listed<K, V> {
    fn remove(&mut self, key: &K) -> Option<V> {
        let removed = self.values.remove(key)?;
        self.order.remove(&removed.place);
        self.bytes -= removed.bytes;
        Some(removed.itself)
    }

    fn remove_oldest(&mut self) -> Option<V> {
        let (_, key) = self.order.pop_first()?;
        self.remove(&key)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_latest_used_stay() {
        let kept = Kept::new(30);
        for key in ["a", "b", "c"] {
            kept.insert(key, key.len(), 10, None);
        }
        assert_eq!(kept.get(&"a"), Some(1));
        kept.insert("d", 1, 10, None);
        assert_eq!((kept.get(&"b"), kept.get(&"a"), kept.bytes()), (None, Some(1), 30));
        kept.insert("e", 1, 31, None);
        assert_eq!((kept.get(&"e"), kept.bytes()), (None, 30));
        // One in the place of another.
        kept.insert("a", 2, 20, None);
        assert_eq!(
            (kept.get(&"a"), kept.get(&"d"), kept.get(&"c")),
            (Some(2), Some(1), None)
        );
        assert!(kept.drop_oldest() && kept.drop_oldest() && !kept.drop_oldest());
        assert_eq!(kept.bytes(), 0);
    }

    #[test]
    fn each_has_its_time() {
        let kept = Kept::new(30);
        kept.insert("never", 1, 1, Some(Duration::ZERO));
        kept.insert("soon", 1, 1, Some(Duration::from_millis(1)));
        kept.insert("later", 1, 1, Some(Duration::from_mins(1)));
        std::thread::sleep(Duration::from_millis(2));
        assert_eq!(
            (kept.get(&"never"), kept.get(&"soon"), kept.get(&"later")),
            (None, None, Some(1))
        );
        assert_eq!(kept.bytes(), 1);
    }
}
