//! At most so many verifications at once, in so much memory together, and at most so many that wait: what a question is made
//! of is put together only once it has its place.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// More waits already than may.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("too many verifications are waiting")]
pub struct Overloaded;

/// What the verifier's memory takes at least: its own data, stack and tables, and a usual question.
const LEAST: usize = 16 << 20;
/// How many bytes of it one byte of a question takes, mostly: its own, those of what is parsed and of what is signed.
const OF_A_BYTE: usize = 4;

/// Places to compute in, and to wait for one.
#[derive(Debug)]
pub struct Queue {
    places: Arc<Semaphore>,
    /// Memory of the verifier, in KiB.
    rooms: Arc<Semaphore>,
    /// The most that one verification takes.
    largest: usize,
    waiting: AtomicUsize,
    longest: usize,
}

/// What a verification came to in the memory that it had.
pub struct Computed<T> {
    /// What it came to.
    pub value: T,
    /// Whether it wanted more memory. If there is more, it is done again.
    pub wanted_memory: bool,
}

/// Somebody who waits.
struct Waiting<'q>(&'q AtomicUsize);

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Queue {
    /// For `places` at once, each with up to `largest` bytes of the verifier's memory, while at most `longest` wait. All of
    /// them have small memories at once, or one has the largest while the others have small ones.
    pub fn new(places: usize, longest: usize, largest: usize) -> Self {
        let all = largest.saturating_add(LEAST.saturating_mul(places.saturating_sub(1)));
        Self {
            places: Arc::new(Semaphore::new(places)),
            rooms: Arc::new(Semaphore::new((all >> 10).min(Semaphore::MAX_PERMITS))),
            largest,
            waiting: AtomicUsize::new(0),
            longest,
        }
    }

    /// How many wait.
    pub fn waiting(&self) -> usize {
        self.waiting.load(Ordering::Relaxed)
    }

    /// Whether one more would have to wait, and could not.
    pub fn is_full(&self) -> bool {
        self.places.available_permits() == 0 && self.waiting() >= self.longest
    }

    /// Computes on a thread where waiting keeps nobody else waiting, in as many bytes of the verifier's memory as a question of
    /// so many bytes takes: `work` is told how many. Work that has begun ends even if nobody asks for it any more, and keeps
    /// its place until then.
    pub async fn run<T: Send + 'static>(
        &self,
        bytes: usize,
        work: impl Fn(usize) -> Computed<T> + Send + Sync + 'static,
    ) -> Result<T, Overloaded> {
        let mut place = self.place().await?;
        let work = Arc::new(work);
        let mut memory = bytes.saturating_mul(OF_A_BYTE).max(LEAST).min(self.largest);
        loop {
            // Whoever waits here holds none of it, and in turn gets what it waits for.
            let room = self.room(memory).await?;
            let work = Arc::clone(&work);
            let computed = tokio::task::spawn_blocking(move || {
                let computed = work(memory);
                drop((room, work));
                (computed, place)
            });
            let (computed, kept) = computed.await.map_err(|_| Overloaded)?;
            if !computed.wanted_memory || memory == self.largest {
                return Ok(computed.value);
            }
            (place, memory) = (kept, self.largest);
        }
    }

    async fn place(&self) -> Result<OwnedSemaphorePermit, Overloaded> {
        if let Ok(place) = Arc::clone(&self.places).try_acquire_owned() {
            return Ok(place);
        }
        let waiting = self.waiting.fetch_add(1, Ordering::Relaxed);
        let _waiting = Waiting(&self.waiting);
        if waiting >= self.longest {
            return Err(Overloaded);
        }
        let place = Arc::clone(&self.places).acquire_owned().await;
        place.map_err(|_| Overloaded)
    }

    async fn room(&self, memory: usize) -> Result<OwnedSemaphorePermit, Overloaded> {
        let kib = u32::try_from(memory >> 10).unwrap_or(u32::MAX);
        let room = Arc::clone(&self.rooms).acquire_many_owned(kib).await;
        room.map_err(|_| Overloaded)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Mutex;
    use std::time::Duration;

    const MIB: usize = 1 << 20;

    fn done<T>(value: T) -> Computed<T> {
        Computed {
            value,
            wanted_memory: false,
        }
    }

    #[tokio::test]
    async fn who_finds_no_place_is_told_so() {
        let queue = Arc::new(Queue::new(1, 1, 64 * MIB));
        let (ends, ended) = std::sync::mpsc::channel::<()>();
        let spawn = |work: Box<dyn Fn() + Send + Sync>| {
            let queue = Arc::clone(&queue);
            let work = move |_| {
                work();
                done(())
            };
            tokio::spawn(async move { queue.run(0, work).await })
        };
        let ended = Mutex::new(ended);
        let first = spawn(Box::new(move || ended.lock().unwrap().recv().unwrap()));
        while queue.places.available_permits() > 0 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        assert!(!queue.is_full());
        let second = spawn(Box::new(|| ()));
        while queue.waiting() == 0 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        assert!(queue.is_full());
        assert_eq!(queue.run(0, |_| done(())).await, Err(Overloaded));
        assert_eq!(queue.waiting(), 1);
        ends.send(()).unwrap();
        first.await.unwrap().unwrap();
        second.await.unwrap().unwrap();
        assert_eq!(queue.waiting(), 0);
        queue.run(0, |_| done(())).await.unwrap();
    }

    #[tokio::test]
    async fn who_stops_waiting_makes_room() {
        let queue = Arc::new(Queue::new(0, 1, 64 * MIB));
        let waits = tokio::time::timeout(Duration::from_millis(5), queue.run(0, |_| done(()))).await;
        assert!(waits.is_err());
        assert_eq!(queue.waiting(), 0);
    }

    #[tokio::test]
    async fn large_ones_are_judged_one_after_another_and_small_ones_beside_them() {
        let queue = Arc::new(Queue::new(3, 10, 64 * MIB));
        let (together, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let run = |bytes: usize| {
            let (queue, together, most) = (Arc::clone(&queue), Arc::clone(&together), Arc::clone(&most));
            tokio::spawn(async move {
                let work = move |memory: usize| {
                    let all = together.fetch_add(memory, Ordering::Relaxed) + memory;
                    most.fetch_max(all, Ordering::Relaxed);
                    std::thread::sleep(Duration::from_millis(20));
                    together.fetch_sub(memory, Ordering::Relaxed);
                    done(memory)
                };
                queue.run(bytes, work).await.unwrap()
            })
        };
        let runs: Vec<_> = [30, 0, 30, 0, 30].into_iter().map(|mib| run(mib * MIB)).collect();
        let mut memories = Vec::new();
        for run in runs {
            memories.push(run.await.unwrap() / MIB);
        }
        assert_eq!(memories, [64, 16, 64, 16, 64]);
        assert!(most.load(Ordering::Relaxed) <= 96 * MIB);
    }

    #[tokio::test]
    async fn what_wants_more_memory_is_done_again_with_the_most() {
        let queue = Queue::new(1, 0, 64 * MIB);
        let had = Arc::new(Mutex::new(Vec::new()));
        let noted = Arc::clone(&had);
        let work = move |memory| {
            noted.lock().unwrap().push(memory / MIB);
            Computed {
                value: memory,
                wanted_memory: true,
            }
        };
        assert_eq!(queue.run(5 * MIB, work).await, Ok(64 * MIB));
        assert_eq!(*had.lock().unwrap(), [20, 64]);
        assert_eq!(queue.places.available_permits(), 1);
        assert_eq!(queue.rooms.available_permits(), 64 << 10);
    }
}
