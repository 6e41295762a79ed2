//! Signals that end the process while inspections run: no copy of what was inspected stays behind.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use super::scratch;
use crate::interrupt;

/// Watches for signals from its start to the process's end.
#[derive(Debug, Default)]
pub(super) struct Watch {
    /// Whether one came.
    stopped: AtomicBool,
    /// Whether work is done that ends soon when it is told to, and then clears up.
    ends_by_itself: AtomicBool,
    /// What is removed before the process ends.
    folder: Mutex<Option<PathBuf>>,
}

impl Watch {
    pub(super) fn start() -> io::Result<Arc<Self>> {
        let watch = Arc::new(Self::default());
        let mut signals = interrupt::signals()?;
        let watching = Arc::clone(&watch);
        let others = interrupt::left_to_others();
        thread::spawn(move || {
            let _answered_here = others;
            for signal in signals.forever() {
                watching.stop(signal);
            }
        });
        Ok(watch)
    }

    fn stop(&self, signal: i32) {
        self.stopped.store(true, Ordering::SeqCst);
        if self.ends_by_itself.load(Ordering::SeqCst) {
            return;
        }
        if let Some(folder) = self.lock().take() {
            scratch::remove(&folder);
        }
        interrupt::end(signal);
    }

    /// Whether a signal came that ends the process.
    pub(super) fn stopped(&self) -> bool {
        self.stopped.load(Ordering::SeqCst)
    }

    /// Does work that ends soon after [`Self::stopped`], or after the signal reached it in another way. None if a signal came
    /// before its end.
    pub(super) fn ending_by_itself<T>(&self, work: impl FnOnce() -> T) -> Option<T> {
        self.ends_by_itself.store(true, Ordering::SeqCst);
        let done = (!self.stopped()).then(work);
        self.ends_by_itself.store(false, Ordering::SeqCst);
        done.filter(|_| !self.stopped())
    }

    /// What is to be removed when a signal ends the process, from now on.
    pub(super) fn keep(&self, folder: Option<&Path>) {
        *self.lock() = folder.map(Path::to_owned);
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Option<PathBuf>> {
        self.folder.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
