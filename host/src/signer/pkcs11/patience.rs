//! How long, and how often, something that may hang is waited for.
//!
//! A call that does not return in time is left behind in its thread: no other thread can end it. What was called is then not
//! asked for a while, so that not everybody waits for it in vain; after that, one call at a time tries whether it answers
//! again. The threads that hang are bounded: where the tries hang as well, only a restart of the process helps.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use super::error::REST;

/// Tries that may hang at once. Each of them keeps a thread.
const TRIES: u32 = 4;

/// Calls that may hang at once: as many as ask at one moment, which are bounded elsewhere, several times.
const HANGING: u32 = 256;

/// Whether a call was ever left behind.
static LEFT_BEHIND: AtomicBool = AtomicBool::new(false);

/// Whether a call into a module was left behind. What a module does when the process ends may then wait for it, for
/// ever: the process must end without that.
pub fn left_behind() -> bool {
    LEFT_BEHIND.load(Ordering::Relaxed)
}

/// The patience with one thing that may hang: a module, or a token of one.
#[derive(Default)]
pub(super) struct Patience(Arc<Mutex<State>>);

/// Why there is no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unanswered {
    /// It was asked, and did not answer in time.
    TimedOut,
    /// It was not asked, for it did not answer within that time shortly before.
    Resting(Duration),
    /// It is not asked any more: too many calls hang.
    Hopeless,
}

#[derive(Default)]
struct State {
    /// Calls that were left behind, and have not returned.
    hanging: u32,
    /// Those of them that tried whether it answers again.
    tries: u32,
    rest: Option<Rest>,
}

/// Set while it is not asked.
#[derive(Clone, Copy)]
struct Rest {
    until: Instant,
    /// How long the call might take that did not return.
    limit: Duration,
}

impl Patience {
    /// Makes a call in a thread of its own, at most so long.
    pub(super) fn call<R: Send + 'static>(
        &self,
        limit: Duration,
        call: impl FnOnce() -> R + Send + 'static,
    ) -> Result<R, Unanswered> {
        let is_try = self.begin(limit)?;
        let (answer, answered) = mpsc::sync_channel(1);
        let state = Arc::clone(&self.0);
        let caller = thread::Builder::new().name("pkcs11".to_owned()).spawn(move || {
            let said = call();
            let mut state = lock(&state);
            // Nobody listens any more where the call was left behind. What it gave is dropped by the thread that got it.
            if answer.send(said).is_err() {
                state.hanging -= 1;
                state.tries -= u32::from(is_try);
            }
        });
        caller.map_err(|_| Unanswered::TimedOut)?;
        let waited = answered.recv_timeout(limit);
        let mut state = lock(&self.0);
        // It may have answered since.
        if let Ok(said) = waited.or_else(|_| answered.try_recv()) {
            state.rest = None;
            return Ok(said);
        }
        state.hanging += 1;
        state.tries += u32::from(is_try);
        state.rest = Some(Rest {
            until: Instant::now() + limit * REST,
            limit,
        });
        drop(answered);
        LEFT_BEHIND.store(true, Ordering::Relaxed);
        Err(Unanswered::TimedOut)
    }

    /// Whether only a restart of the process helps, unless one of the calls that hang returns after all.
    pub(super) fn is_hopeless(&self) -> bool {
        lock(&self.0).is_hopeless()
    }

    /// Lets a call begin, and says whether it is one that tries whether there is an answer again.
    fn begin(&self, limit: Duration) -> Result<bool, Unanswered> {
        let mut state = lock(&self.0);
        if state.is_hopeless() {
            return Err(Unanswered::Hopeless);
        }
        let now = Instant::now();
        match state.rest {
            None => Ok(false),
            Some(rest) if now < rest.until => Err(Unanswered::Resting(rest.limit)),
            Some(rest) => {
                // While this call tries, no other one does.
                let until = now + limit * (1 + REST);
                state.rest = Some(Rest { until, ..rest });
                Ok(true)
            }
        }
    }
}

impl State {
    fn is_hopeless(&self) -> bool {
        self.tries >= TRIES || self.hanging >= HANGING
    }
}

/// Counts are whole whenever the lock is free.
fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHORT: Duration = Duration::from_millis(10);
    const LONG: Duration = Duration::from_mins(1);

    /// A call that hangs until the other end is dropped.
    fn hang(patience: &Patience) -> (mpsc::Sender<()>, Result<(), Unanswered>) {
        let (ends, wait) = mpsc::channel::<()>();
        let said = patience.call(SHORT, move || {
            let _ = wait.recv();
        });
        (ends, said)
    }

    /// The call that tries again, once it may.
    fn again<R>(mut call: impl FnMut() -> Result<R, Unanswered>) -> Result<R, Unanswered> {
        loop {
            match call() {
                Err(Unanswered::Resting(_)) => thread::sleep(SHORT),
                said => return said,
            }
        }
    }

    #[test]
    fn what_did_not_answer_is_asked_again_after_a_while() {
        let patience = Patience::default();
        assert_eq!(patience.call(LONG, || 7), Ok(7));
        let (ends, said) = hang(&patience);
        assert_eq!(said, Err(Unanswered::TimedOut));
        assert_eq!(patience.call(LONG, || 7), Err(Unanswered::Resting(SHORT)));
        assert_eq!(again(|| patience.call(LONG, || 7)), Ok(7));
        assert_eq!(patience.call(LONG, || 7), Ok(7), "all may ask again");
        drop(ends);
    }

    #[test]
    fn one_call_tries_and_the_others_do_not_wait_for_it() {
        let patience = Arc::new(Patience::default());
        let (_ends, _) = hang(&patience);
        let (begun, begins) = mpsc::channel();
        let (ends, wait) = mpsc::channel::<()>();
        let trying = {
            let (patience, wait) = (Arc::clone(&patience), Arc::new(Mutex::new(wait)));
            thread::spawn(move || {
                again(|| {
                    let (begun, wait) = (begun.clone(), Arc::clone(&wait));
                    patience.call(LONG, move || {
                        begun.send(()).unwrap();
                        let _ = wait.lock().unwrap().recv();
                    })
                })
            })
        };
        begins.recv().unwrap();
        assert_eq!(patience.call(LONG, || 7), Err(Unanswered::Resting(SHORT)));
        drop(ends);
        assert_eq!(trying.join().unwrap(), Ok(()));
        assert_eq!(patience.call(LONG, || 7), Ok(7));
    }

    #[test]
    fn threads_that_hang_are_bounded_and_one_that_returns_gives_hope() {
        let patience = Patience::default();
        let mut hanging = vec![hang(&patience).0];
        for _ in 0..TRIES {
            assert!(!patience.is_hopeless());
            let said = again(|| {
                let (ends, said) = hang(&patience);
                hanging.push(ends);
                said
            });
            assert_eq!(said, Err(Unanswered::TimedOut));
        }
        assert!(patience.is_hopeless());
        thread::sleep(SHORT * (REST + 1));
        assert_eq!(patience.call(LONG, || 7), Err(Unanswered::Hopeless));
        hanging.clear();
        while patience.is_hopeless() {
            thread::sleep(SHORT);
        }
        assert_eq!(again(|| patience.call(LONG, || 7)), Ok(7));
    }

    #[test]
    fn what_asks_at_once_before_it_hangs_is_no_try() {
        let patience = Arc::new(Patience::default());
        let (ends, wait) = mpsc::channel::<()>();
        let wait = Arc::new(Mutex::new(wait));
        let asking: Vec<_> = (0..2 * TRIES)
            .map(|_| {
                let (patience, wait) = (Arc::clone(&patience), Arc::clone(&wait));
                thread::spawn(move || {
                    patience.call(SHORT * 20, move || {
                        let _ = wait.lock().unwrap().recv();
                    })
                })
            })
            .collect();
        for asking in asking {
            assert_ne!(asking.join().unwrap(), Ok(()));
        }
        assert!(!patience.is_hopeless());
        drop(ends);
    }
}
