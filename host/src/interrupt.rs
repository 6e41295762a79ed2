//! What a signal that ends the process must not leave behind or half done: temporary files, hidden typing, one of two keys.
//!
//! The signals are those that people and systems end a command with: SIGHUP, SIGINT, SIGTERM. One that was ignored when the
//! process began (`nohup`, a background job) stays ignored. SIGKILL can be answered by nobody.

use std::collections::BTreeMap;
use std::sync::mpsc::{self, Receiver, Sender};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::{fs, thread};

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

/// How something is undone.
pub type Undo = Box<dyn FnOnce() + Send>;

static STATE: Mutex<State> = Mutex::new(State {
    is_watching: false,
    others: BTreeMap::new(),
    next: 0,
    undo: BTreeMap::new(),
});

struct State {
    is_watching: bool,
    /// The parts of the process that answer the signals themselves.
    others: BTreeMap<u64, Sender<i32>>,
    next: u64,
    undo: BTreeMap<u64, Undo>,
}

impl State {
    fn number(&mut self) -> u64 {
        self.next += 1;
        self.next
    }
}

/// Something that is undone when a signal ends the process, for as long as this lives.
#[derive(Debug)]
#[must_use = "what it stands for is no longer undone when it is dropped"]
pub struct Guard(u64);

/// Signals are somebody else's to answer for as long as this lives.
#[derive(Debug)]
#[must_use = "it ends when it is dropped"]
pub struct Others(u64);

/// Makes something, and says how it is undone. No signal comes between the two.
pub fn undone<T, E>(make: impl FnOnce() -> Result<(T, Undo), E>) -> Result<(T, Guard), E> {
    let mut state = lock();
    watch(&mut state);
    let (value, undo) = make()?;
    let number = state.number();
    state.undo.insert(number, undo);
    Ok((value, Guard(number)))
}

/// Does work that is done as a whole: a signal that comes meanwhile waits for its end. The work is short, and makes no
/// [`Guard`].
pub fn whole<T>(work: impl FnOnce() -> T) -> T {
    let mut state = lock();
    watch(&mut state);
    work()
}

/// Leaves the signals to whoever calls this and waits for them in another way: nothing is undone, and the process goes on.
pub fn left_to_others() -> Others {
    leave(&mut lock()).0
}

/// Gives the signals to whoever calls this: nothing is undone, and the process goes on. Each signal ends the process before, is
/// received until the first of the two is dropped, or ends the process after that: none is lost in between.
pub fn received() -> (Others, Receiver<i32>) {
    let mut state = lock();
    watch(&mut state);
    leave(&mut state)
}

fn leave(state: &mut State) -> (Others, Receiver<i32>) {
    let (sender, received) = mpsc::channel();
    let number = state.number();
    state.others.insert(number, sender);
    (Others(number), received)
}

/// Waits for the signals from now on. Where they cannot be waited for, the system ends the process at once, as it always does.
fn watch(state: &mut State) {
    if state.is_watching {
        return;
    }
    let ignored = ignored();
    let wanted = [SIGHUP, SIGINT, SIGTERM].into_iter();
    let Ok(mut signals) = Signals::new(wanted.filter(|signal| !ignored.contains(signal))) else {
        return;
    };
    let waiting = thread::Builder::new().spawn(move || {
        for signal in signals.forever() {
            let state = lock();
            if state.others.is_empty() {
                end_with(state, signal);
            } else {
                for other in state.others.values() {
                    // Whoever does not receive it waits for it in another way.
                    let _ = other.send(signal);
                }
            }
        }
    });
    state.is_watching = waiting.is_ok();
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
        lock().others.remove(&self.0);
    }
}

/// What a thread that panicked left behind is whole.
fn lock() -> MutexGuard<'static, State> {
    STATE.lock().unwrap_or_else(PoisonError::into_inner)
}
