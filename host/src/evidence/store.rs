//! Evidence that was fetched: each listing and each blob once, for all who ask at the same time and shortly after.
//!
//! A fetch goes on when whoever asked first has no time left, so that asking again finds what it brought. All that is brought
//! takes room in one memory, where what is only kept for whoever asks next gives way.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use bytes::Bytes;
use futures_util::stream::{self, StreamExt as _, TryStreamExt as _};
use linkgate_image::{Image, ManifestDigest};
use linkgate_verifier::limits;
use tokio::sync::Semaphore;

use super::flight::Flights;
use super::kept::Kept;
use super::{About, Listed, Piece, Source, SourceError};
use crate::memory::{Memory, NoRoom};

/// How evidence is kept.
#[derive(Clone, Copy, Debug)]
pub struct Keeping {
    /// How long a listing that is not empty holds.
    pub listing: Duration,
    /// How long an empty one does.
    pub negative: Duration,
    /// Bytes of blobs that are kept, and of listings.
    pub bytes: u64,
    /// Bytes that the evidence of one artifact may have.
    pub most: u64,
    /// How long a fetch may take, whoever waits for it.
    pub patience: Duration,
}

/// How long it is remembered that a source is down: long enough that a burst asks it once.
const DOWN: Duration = Duration::from_secs(1);
/// How many listings and blobs of one source are fetched at once.
const FETCHES: usize = 128;
/// How many blobs of one artifact are fetched at once.
const ABREAST: usize = 8;
/// What is said where more is on its way than is kept track of.
const CROWDED: &str = "too much is fetched at once: ask again shortly";
/// How many places are remembered that nothing is fetched from.
const PLACES: usize = 1_000;
/// What a listing or a blob takes among those that are kept, beside its bytes.
const ENTRY: u64 = 512;

/// A source, and by what of an artifact it finds its evidence.
type Key = (String, String);
type Listing = Result<Arc<Listed>, SourceError>;

/// Evidence at hand.
pub struct Store {
    kept: Arc<Hand>,
    /// What is on its way.
    listing: Flights<Key, Listing>,
    fetching: Flights<(String, ManifestDigest, u64), Result<Bytes, SourceError>>,
    /// How much is fetched from each source: one that hangs keeps no other from being asked.
    fetches: Mutex<HashMap<String, Arc<Semaphore>>>,
    keeping: Keeping,
    memory: Memory,
}

/// What was brought before.
struct Hand {
    listings: Kept<Key, Listing>,
    blobs: Kept<ManifestDigest, Bytes>,
}

impl Hand {
    /// Drops the oldest of what there is more of.
    fn give_way(&self) -> bool {
        let are_listings_more = self.listings.bytes() > self.blobs.bytes();
        are_listings_more && self.listings.drop_oldest() || self.blobs.drop_oldest() || self.listings.drop_oldest()
    }
}

/// How long a listing is kept.
fn lasts(listing: &Listing, keeping: &Keeping) -> Duration {
    match listing {
        Ok(listed) if listed.pieces.is_empty() => keeping.negative,
        Ok(_) => keeping.listing,
        // Room may be there at once.
        Err(error) if error.no_room.is_some() => Duration::ZERO,
        Err(_) => DOWN.min(keeping.negative),
    }
}

/// What may hang by itself: a source, and of the source that is many registries each of them.
fn place(source: &Arc<dyn Source>, image: Option<&Image>) -> String {
    let registry = image.map_or("", Image::registry);
    format!("{} {registry}", source.name())
}

/// The bytes that a listing takes.
fn weight(listing: &Listing) -> u64 {
    let of_piece = |piece: &Arc<Piece>| piece.content.as_ref().map_or(0, Bytes::len) as u64;
    let bytes = |listed: &Arc<Listed>| listed.room.bytes() + listed.pieces.iter().map(of_piece).sum::<u64>();
    listing.as_ref().map_or(0, bytes) + ENTRY
}

impl Store {
    /// An empty store of what takes room in this memory.
    pub fn new(keeping: Keeping, memory: &Memory) -> Arc<Self> {
        let kept = Arc::new(Hand {
            listings: Kept::new(keeping.bytes),
            blobs: Kept::new(keeping.bytes),
        });
        let hand = Arc::downgrade(&kept);
        memory.on_full(move || Weak::upgrade(&hand).is_some_and(|hand| hand.give_way()));
        Arc::new(Self {
            kept,
            listing: Flights::default(),
            fetching: Flights::default(),
            fetches: Mutex::default(),
            keeping,
            memory: memory.clone(),
        })
    }

    /// What a source has about an artifact.
    pub async fn list(self: &Arc<Self>, source: &Arc<dyn Source>, about: &About) -> Listing {
        let key = (source.name(), source.scope(about));
        if let Some(listing) = self.kept.listings.get(&key) {
            return listing;
        }
        let (store, listed_by, asked, kept_as) = (Arc::clone(self), Arc::clone(source), about.clone(), key.clone());
        let list = async move {
            let place = place(&listed_by, asked.image.as_ref());
            let listed = store.bounded(&listed_by, &place, listed_by.list(&asked)).await;
            let listing = listed.map(Arc::new);
            let (bytes, lasts) = (weight(&listing), lasts(&listing, &store.keeping));
            store.kept.listings.insert(kept_as, listing.clone(), bytes, Some(lasts));
            listing
        };
        match self.listing.join(&place(source, about.image.as_ref()), key, list) {
            Some(flight) => flight.await,
            None => Err(source.failed(&CROWDED)),
        }
    }

    /// Whether the bytes of a piece need not be fetched.
    pub fn has(&self, piece: &Piece) -> bool {
        piece.content.is_some() || self.kept.blobs.get(&piece.digest).is_some()
    }

    /// The bytes of a piece, as many as it was said to have: what evidence may be in all is counted by that.
    pub async fn fetch(self: &Arc<Self>, source: &Arc<dyn Source>, piece: &Arc<Piece>) -> Result<Bytes, SourceError> {
        let bytes = self.bytes(source, piece).await?;
        if bytes.len() as u64 == piece.size {
            Ok(bytes)
        } else {
            let (length, size) = (bytes.len(), piece.size);
            Err(source.failed(&format!(
                "{} has {length} bytes, and is said to have {size}",
                piece.digest
            )))
        }
    }

    async fn bytes(self: &Arc<Self>, source: &Arc<dyn Source>, piece: &Arc<Piece>) -> Result<Bytes, SourceError> {
        if let Some(bytes) = &piece.content {
            return Ok(bytes.clone());
        }
        if let Some(bytes) = self.kept.blobs.get(&piece.digest) {
            return Ok(bytes);
        }
        let (store, fetched_by, wanted) = (Arc::clone(self), Arc::clone(source), Arc::clone(piece));
        let fetch = async move {
            let place = place(&fetched_by, wanted.at.as_ref());
            let bytes = store.bounded(&fetched_by, &place, fetched_by.fetch(&wanted)).await?;
            if !wanted.digest.is_of(&bytes) {
                let cause = format!("what it gave for {} has another digest", wanted.digest);
                return Err(fetched_by.failed(&cause));
            }
            let taken = bytes.len() as u64 + ENTRY;
            store
                .kept
                .blobs
                .insert(wanted.digest.clone(), bytes.clone(), taken, None);
            Ok(bytes)
        };
        // The same blob may be had from one place while another one is down, or says something else of it.
        let place = place(source, piece.at.as_ref());
        let key = (place.clone(), piece.digest.clone(), piece.size);
        match self.fetching.join(&place, key, fetch) {
            Some(flight) => flight.await,
            None => Err(source.failed(&CROWDED)),
        }
    }

    /// The bytes of pieces, which together have no more than an artifact's evidence may.
    pub async fn fetch_all(
        self: &Arc<Self>,
        source: &Arc<dyn Source>,
        pieces: Vec<Arc<Piece>>,
    ) -> Result<Vec<(Arc<Piece>, Bytes)>, SourceError> {
        let size = pieces.iter().map(|piece| piece.size).fold(0, u64::saturating_add);
        if pieces.len() > limits::DOCUMENTS || size > self.keeping.most {
            return Err(source.failed(&format!(
                "{} pieces of evidence of {size} bytes together, where {} of {} bytes are taken",
                pieces.len(),
                limits::DOCUMENTS,
                self.keeping.most
            )));
        }
        // Some of it would be fetched in vain.
        if size > self.memory.largest() {
            return Err(source.no_room(NoRoom::TooLarge(size, self.memory.largest())));
        }
        stream::iter(pieces)
            .map(|piece| async move {
                let bytes = self.fetch(source, &piece).await?;
                Ok((piece, bytes))
            })
            .buffered(ABREAST)
            .try_collect()
            .await
    }

    /// A fetch with an end, one of a bounded number.
    async fn bounded<T>(
        &self,
        source: &Arc<dyn Source>,
        place: &str,
        fetch: impl Future<Output = Result<T, SourceError>>,
    ) -> Result<T, SourceError> {
        let fetches = self.fetches(place);
        let bounded = async {
            let _fetching = fetches.acquire().await.map_err(|error| source.failed(&error))?;
            fetch.await
        };
        tokio::time::timeout(self.keeping.patience, bounded)
            .await
            .unwrap_or_else(|_| {
                let patience = self.keeping.patience.as_secs_f32();
                Err(source.failed(&format!("no answer within {patience} s")))
            })
    }

    /// How much may be fetched from a place. Of those that nobody fetches from none is kept.
    fn fetches(&self, source: &str) -> Arc<Semaphore> {
        let mut fetches = self.fetches.lock().unwrap_or_else(PoisonError::into_inner);
        if fetches.len() > PLACES {
            fetches.retain(|_, places| Arc::strong_count(places) > 1);
        }
        let places = fetches
            .entry(source.to_owned())
            .or_insert_with(|| Arc::new(Semaphore::new(FETCHES)));
        Arc::clone(places)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::evidence::Answer;
    use std::sync::atomic::{AtomicUsize, Ordering};

    const KEEPING: Keeping = Keeping {
        listing: Duration::from_mins(1),
        negative: Duration::from_mins(1),
        bytes: 1 << 20,
        most: 1 << 10,
        patience: Duration::from_millis(200),
    };

    /// A source that counts, is slow, and can lie.
    #[derive(Debug, Default)]
    struct Counting {
        listed: AtomicUsize,
        fetched: AtomicUsize,
        slow: Duration,
        lies: bool,
    }

    impl Source for Counting {
        fn name(&self) -> String {
            "counting".to_owned()
        }

        fn scope(&self, _: &About) -> String {
            String::new()
        }

        fn list<'a>(&'a self, _: &'a About) -> Answer<'a, Listed> {
            Box::pin(async {
                self.listed.fetch_add(1, Ordering::Relaxed);
                tokio::time::sleep(self.slow).await;
                let mut listed = Listed::new(Memory::unbounded().nothing());
                listed.push(Piece::clone(&piece(4))).unwrap();
                Ok(listed)
            })
        }

        fn fetch<'a>(&'a self, _: &'a Piece) -> Answer<'a, Bytes> {
            Box::pin(async {
                self.fetched.fetch_add(1, Ordering::Relaxed);
                tokio::time::sleep(self.slow).await;
                Ok(Bytes::from_static(if self.lies { b"tesT" } else { b"test" }))
            })
        }
    }

    fn piece(size: u64) -> Arc<Piece> {
        Arc::new(Piece {
            name: "a.link".to_owned(),
            step: None,
            digest: ManifestDigest::of(b"test"),
            size,
            content: None,
            at: None,
        })
    }

    fn about() -> About {
        About {
            image: None,
            name: None,
            digest: ManifestDigest::of(b"image"),
            namespace: String::new(),
        }
    }

    #[tokio::test]
    async fn equal_questions_share_one_fetch() {
        let store = Store::new(KEEPING, &Memory::unbounded());
        let counting = Arc::new(Counting {
            slow: Duration::from_millis(20),
            ..Counting::default()
        });
        let source: Arc<dyn Source> = Arc::<Counting>::clone(&counting);
        let about = about();
        let all = (0..50).map(|_| async {
            store.list(&source, &about).await.unwrap();
            store.fetch(&source, &piece(4)).await.unwrap()
        });
        let bytes = futures_util::future::join_all(all).await;
        assert!(bytes.iter().all(|bytes| bytes.as_ref() == b"test"));
        assert_eq!(counting.listed.load(Ordering::Relaxed), 1);
        assert_eq!(counting.fetched.load(Ordering::Relaxed), 1);
    }

    #[tokio::test]
    async fn a_fetch_outlives_the_impatient() {
        let keeping = Keeping {
            patience: Duration::from_mins(1),
            ..KEEPING
        };
        let store = Store::new(keeping, &Memory::unbounded());
        let counting = Arc::new(Counting {
            slow: Duration::from_secs(1),
            ..Counting::default()
        });
        let source: Arc<dyn Source> = Arc::<Counting>::clone(&counting);
        let gone = tokio::time::timeout(Duration::from_millis(5), store.fetch(&source, &piece(4))).await;
        assert!(gone.is_err());
        // It ends by itself: nobody waits for it.
        let is_there = async {
            while store.kept.blobs.get(&piece(4).digest).is_none() {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::time::timeout(Duration::from_mins(1), is_there).await.unwrap();
        store.fetch(&source, &piece(4)).await.unwrap();
        assert_eq!(counting.fetched.load(Ordering::Relaxed), 1);
    }

    #[tokio::test]
    async fn what_is_slow_large_or_false_is_an_error() {
        let store = Store::new(KEEPING, &Memory::unbounded());
        let source = |counting: Counting| -> Arc<dyn Source> { Arc::new(counting) };
        let slow = source(Counting {
            slow: Duration::from_mins(1),
            ..Counting::default()
        });
        let error = store.list(&slow, &about()).await.unwrap_err().to_string();
        assert!(error.contains("no answer within 0.2 s"), "{error}");
        let lying = source(Counting {
            lies: true,
            ..Counting::default()
        });
        let error = store.fetch(&lying, &piece(4)).await.unwrap_err().to_string();
        assert!(error.contains("another digest"), "{error}");
        let honest = source(Counting::default());
        let error = store.fetch(&honest, &piece(3)).await.unwrap_err().to_string();
        assert!(error.contains("has 4 bytes, and is said to have 3"), "{error}");
        let error = store.fetch_all(&lying, vec![piece(1 << 11)]).await.unwrap_err();
        assert!(error.to_string().contains("2048 bytes"), "{error}");
    }
}
