//! What a signal that ends the process must not leave behind or half done: temporary files, hidden typing, one of two keys.
//!
//! The signals are those that people and systems end a command with: SIGHUP, SIGINT, SIGTERM. One that was ignored when the
//! process began (`nohup`, a background job) stays ignored. SIGKILL can be answered by nobody.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::{fs, io, thread};

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

/// How something is undone.
pub type Undo = Box<dyn FnOnce() + Send>;

static STATE: Mutex<State> = Mutex::new(State {
    is_watching: false,
    others: 0,
    next: 0,
    undo: BTreeMap::new(),
});

struct State {
    is_watching: bool,
    /// How many parts of the process answer the signals themselves.
    others: usize,
    next: u64,
    undo: BTreeMap<u64, Undo>,
}

/// Something that is undone when a signal ends the process, for as long as this lives.
#[derive(Debug)]
#[must_use = "what it stands for is no longer undone when it is dropped"]
pub struct Guard(u64);

/// Signals are somebody else's to answer for as long as this lives.
#[derive(Debug)]
#[must_use = "it ends when it is dropped"]
pub struct Others(());

/// Makes something, and says how it is undone. No signal comes between the two.
pub fn undone<T, E>(make: impl FnOnce() -> Result<(T, Undo), E>) -> Result<(T, Guard), E> {
    watch();
    let mut state = lock();
    let (value, undo) = make()?;
    let number = state.next;
    state.next += 1;
    state.undo.insert(number, undo);
    Ok((value, Guard(number)))
}

/// Does work that is done as a whole: a signal that comes meanwhile waits for its end. The work is short, and makes no
/// [`Guard`].
pub fn whole<T>(work: impl FnOnce() -> T) -> T {
    watch();
    let _state = lock();
    work()
}

/// Leaves the signals to whoever calls this: nothing is undone, and the process goes on.
pub fn left_to_others() -> Others {
    lock().others += 1;
    Others(())
}

/// Waits for the signals from now on. What else waits for them need not end the process then.
pub fn watch() {
    let mut state = lock();
    if state.is_watching {
        return;
    }
    // Where they cannot be waited for, the system ends the process at once, as it always does.
    let Ok(mut signals) = signals() else {
        return;
    };
    let waiting = thread::Builder::new().spawn(move || {
        for signal in signals.forever() {
            let state = lock();
            if state.others == 0 {
                end_with(state, signal);
            }
        }
    });
    state.is_watching = waiting.is_ok();
}

/// The signals that end the process, to be waited for.
pub fn signals() -> io::Result<Signals> {
    let ignored = ignored();
    let wanted = [SIGHUP, SIGINT, SIGTERM].into_iter();
    Signals::new(wanted.filter(|signal| !ignored.contains(signal)))
}

/// Under the lock, so that nothing is made meanwhile that would stay.
fn end_with(mut state: MutexGuard<'_, State>, signal: i32) {
    for undo in std::mem::take(&mut state.undo).into_values() {
        undo();
    }
    let _ = signal_hook::low_level::emulate_default_handler(signal);
}

/// The signals that the process was told to ignore, by whoever started it.
fn ignored() -> Vec<i32> {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let mask = mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
    let is_ignored = |signal: &i32| mask.unwrap_or_default() >> (signal - 1) & 1 == 1;
    [SIGHUP, SIGINT, SIGTERM].into_iter().filter(is_ignored).collect()
}

impl Drop for Guard {
    fn drop(&mut self) {
        lock().undo.remove(&self.0);
    }
}

impl Drop for Others {
    fn drop(&mut self) {
        lock().others -= 1;
    }
}

/// What a thread that panicked left behind is whole.
fn lock() -> MutexGuard<'static, State> {
    STATE.lock().unwrap_or_else(PoisonError::into_inner)
}
