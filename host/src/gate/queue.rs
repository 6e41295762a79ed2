//! At most so many verifications at once, and at most so many that wait: memory is bounded whatever is asked.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::sync::Semaphore;

/// More waits already than may.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("too many verifications are waiting")]
pub struct Overloaded;

/// Places to compute in, and to wait for one.
#[derive(Debug)]
pub struct Queue {
    places: Arc<Semaphore>,
    waiting: AtomicUsize,
    longest: usize,
}

/// Somebody who waits.
struct Waiting<'q>(&'q AtomicUsize);

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Queue {
    /// For `places` at once, while at most `longest` wait.
    pub fn new(places: usize, longest: usize) -> Self {
        Self {
            places: Arc::new(Semaphore::new(places)),
            waiting: AtomicUsize::new(0),
            longest,
        }
    }

    /// How many wait.
    pub fn waiting(&self) -> usize {
        self.waiting.load(Ordering::Relaxed)
    }

    /// Computes on a thread where waiting keeps nobody else waiting. Work that has begun ends even if nobody asks for it
    /// any more, and keeps its place until then.
    pub async fn run<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> Result<T, Overloaded> {
        let place = if let Ok(place) = Arc::clone(&self.places).try_acquire_owned() {
            place
        } else {
            let waiting = self.waiting.fetch_add(1, Ordering::Relaxed);
            let _waiting = Waiting(&self.waiting);
            if waiting >= self.longest {
                return Err(Overloaded);
            }
            let place = Arc::clone(&self.places).acquire_owned().await;
            place.map_err(|_| Overloaded)?
        };
        let computed = tokio::task::spawn_blocking(move || {
            let computed = work();
            drop(place);
            computed
        });
        computed.await.map_err(|_| Overloaded)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[tokio::test]
    async fn who_finds_no_place_is_told_so() {
        let queue = Arc::new(Queue::new(1, 1));
        let (ends, ended) = std::sync::mpsc::channel::<()>();
        let spawn = |work: Box<dyn FnOnce() + Send>| {
            let queue = Arc::clone(&queue);
            tokio::spawn(async move { queue.run(work).await })
        };
        let first = spawn(Box::new(move || ended.recv().unwrap()));
        while queue.places.available_permits() > 0 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        let second = spawn(Box::new(|| ()));
        while queue.waiting() == 0 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        assert_eq!(queue.run(|| ()).await, Err(Overloaded));
        assert_eq!(queue.waiting(), 1);
        ends.send(()).unwrap();
        first.await.unwrap().unwrap();
        second.await.unwrap().unwrap();
        assert_eq!(queue.waiting(), 0);
        queue.run(|| ()).await.unwrap();
    }

    #[tokio::test]
    async fn who_stops_waiting_makes_room() {
        let queue = Arc::new(Queue::new(0, 1));
        let waits = tokio::time::timeout(Duration::from_millis(5), queue.run(|| ())).await;
        assert!(waits.is_err());
        assert_eq!(queue.waiting(), 0);
    }
}
