//! Work that several wait for and that is done once. It goes on when nobody waits any more.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Arc, Mutex, PoisonError};

use futures_util::FutureExt as _;
use futures_util::future::{BoxFuture, Shared};

/// How much is on its way from one source at once. Beyond that, what is asked for costs no memory, and keeps no other source
/// from being asked.
const MOST: usize = 512;

/// What is on its way, by what it will bring.
pub(super) struct Flights<K, T: Clone>(Arc<Mutex<Listed<K, T>>>);

struct Listed<K, T: Clone> {
    flights: HashMap<K, Flight<T>>,
    /// How many there are from each source.
    of: HashMap<String, usize>,
}

/// One of them, to wait for.
pub(super) type Flight<T> = Shared<BoxFuture<'static, T>>;

impl<K, T: Clone> Default for Flights<K, T> {
    fn default() -> Self {
        Self(Arc::new(Mutex::new(Listed {
            flights: HashMap::new(),
            of: HashMap::new(),
        })))
    }
}

impl<K: Clone + Eq + Hash + Send + 'static, T: Clone + Send + Sync + 'static> Flights<K, T> {
    /// The flight of a key: the one that is on its way, or else a new one that does this work. Nothing if too many are from
    /// that source.
    pub(super) fn join(
        &self,
        source: &str,
        key: K,
        work: impl Future<Output = T> + Send + 'static,
    ) -> Option<Flight<T>> {
        let mut listed = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(flight) = listed.flights.get(&key) {
            return Some(flight.clone());
        }
        let count = listed.of.entry(source.to_owned()).or_default();
        if *count >= MOST {
            return None;
        }
        *count += 1;
        let (all, own, source) = (Arc::clone(&self.0), key.clone(), source.to_owned());
        let landing = async move {
            // Gone from the list also if the work panics.
            let _landed = Landed { all, own, source };
            work.await
        };
        let flight = landing.boxed().shared();
        listed.flights.insert(key, flight.clone());
        tokio::spawn(flight.clone());
        Some(flight)
    }
}

/// Takes a flight off the list.
struct Landed<K: Eq + Hash, T: Clone> {
    all: Arc<Mutex<Listed<K, T>>>,
    own: K,
    source: String,
}

impl<K: Eq + Hash, T: Clone> Drop for Landed<K, T> {
    fn drop(&mut self) {
        let mut listed = self.all.lock().unwrap_or_else(PoisonError::into_inner);
        let flight = listed.flights.remove(&self.own);
        if let Some(count) = listed.of.get_mut(&self.source) {
            *count = count.saturating_sub(1);
            if *count == 0 {
                listed.of.remove(&self.source);
            }
        }
        drop(listed);
        drop(flight);
    }
}
