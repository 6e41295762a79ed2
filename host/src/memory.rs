//! Memory for what others send: one bound on all bytes of it that are held at once, whoever holds them.
//!
//! Whatever reads a body, a file or an answer first takes room for it, and gives the room back when the last holder of the
//! bytes is gone. Nobody waits for room: who waited while holding some could wait for ever for another one who does
//! the same. Where there is none, what is only kept for later goes first, and then whoever asked is refused.

use std::fmt;
use std::io::{self, Read};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use bytes::Bytes;

/// What takes no more than this finds room where others do not: an eighth of all of it is left to the small ones, so that
/// the evidence of a few large images keeps no small one from being asked about.
const SMALL: u64 = 256 << 10;
/// The part that is left to the small ones.
const FOR_SMALL: u64 = 8;
/// What a buffer begins with, where nobody says how much comes.
const START: usize = 8 << 10;

/// There is no room.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoRoom {
    /// Others have it: later there may be some.
    #[error("more is held in memory than --evidence-memory allows: ask again shortly")]
    Taken,
    /// There never is as much.
    #[error("{0} bytes and more are wanted at once, where --evidence-memory leaves {1}: give the gate more")]
    TooLarge(u64, u64),
}

/// Room for bytes, which all clones share.
#[derive(Clone)]
pub struct Memory(Arc<Room>);

struct Room {
    bound: u64,
    used: AtomicU64,
    /// Room for something else, of which this is a part.
    of: Option<Memory>,
    /// Drops something that is only kept for later, and says whether there was any.
    give_way: OnceLock<Box<dyn Fn() -> bool + Send + Sync>>,
}

impl fmt::Debug for Memory {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Memory({} of {})", self.used(), self.bound())
    }
}

impl Memory {
    /// Room for so many bytes.
    pub fn new(bound: u64) -> Self {
        Self(Arc::new(Room {
            bound,
            used: AtomicU64::new(0),
            of: None,
            give_way: OnceLock::new(),
        }))
    }

    /// Room without a bound, for commands that handle what their own user names.
    pub fn unbounded() -> Self {
        Self::new(u64::MAX)
    }

    /// A part of it: whatever takes room there takes it here as well.
    #[must_use]
    pub fn part(&self, bound: u64) -> Self {
        Self(Arc::new(Room {
            bound,
            used: AtomicU64::new(0),
            of: Some(self.clone()),
            give_way: OnceLock::new(),
        }))
    }

    /// What to do where there is no room: `drop_one` drops something that is only kept for later, and says whether there was
    /// any. It must not take room itself. Only the first call has an effect.
    pub fn on_full(&self, drop_one: impl Fn() -> bool + Send + Sync + 'static) {
        let _ = self.0.give_way.set(Box::new(drop_one));
    }

    /// How many bytes there is room for in all.
    pub fn bound(&self) -> u64 {
        self.0.bound
    }

    /// How many of them are taken.
    pub fn used(&self) -> u64 {
        self.0.used.load(Ordering::Relaxed)
    }

    /// How many bytes one holder can have at most.
    pub fn largest(&self) -> u64 {
        let own = self.0.bound - self.0.bound / FOR_SMALL;
        self.0.of.as_ref().map_or(own, |of| own.min(of.largest()))
    }

    /// Room for so many bytes.
    pub fn take(&self, bytes: u64) -> Result<Lease, NoRoom> {
        let mut lease = self.nothing();
        lease.grow(bytes)?;
        Ok(lease)
    }

    /// Room for nothing yet.
    pub fn nothing(&self) -> Lease {
        Lease {
            memory: self.clone(),
            bytes: 0,
        }
    }

    /// An empty buffer into which about `expected` bytes come. That they are expected takes no room: whoever announces much
    /// may send nothing.
    pub fn buffer(&self, expected: usize) -> Buffer {
        Buffer {
            bytes: Vec::new(),
            expected,
            lease: self.nothing(),
        }
    }

    /// Whether there is room for `more` bytes of somebody who then has `total`.
    fn add(&self, more: u64, total: u64) -> Result<(), NoRoom> {
        if total > SMALL && total > self.largest() {
            return Err(NoRoom::TooLarge(total, self.largest()));
        }
        let usable = if total > SMALL {
            self.0.bound - self.0.bound / FOR_SMALL
        } else {
            self.0.bound
        };
        let fits = |used: u64| used.checked_add(more).filter(|after| *after <= usable);
        let added = self.0.used.fetch_update(Ordering::Relaxed, Ordering::Relaxed, fits);
        added.map_err(|_| NoRoom::Taken)?;
        if let Some(of) = &self.0.of
            && let Err(error) = of.add_or_make(more, total)
        {
            self.remove(more, false);
            return Err(error);
        }
        Ok(())
    }

    /// [`Memory::add`] at the expense of what is only kept.
    fn add_or_make(&self, more: u64, total: u64) -> Result<(), NoRoom> {
        loop {
            match self.add(more, total) {
                Err(NoRoom::Taken) if self.0.give_way.get().is_some_and(|drop_one| drop_one()) => {}
                added => return added,
            }
        }
    }

    fn remove(&self, bytes: u64, everywhere: bool) {
        self.0.used.fetch_sub(bytes, Ordering::Relaxed);
        if let (true, Some(of)) = (everywhere, &self.0.of) {
            of.remove(bytes, true);
        }
    }
}

/// Room that was taken, and is given back with this.
#[derive(Debug)]
pub struct Lease {
    memory: Memory,
    bytes: u64,
}

impl Lease {
    /// How much room it is.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Takes room for more, or leaves it as it is.
    pub fn grow(&mut self, more: u64) -> Result<(), NoRoom> {
        self.memory.add_or_make(more, self.bytes.saturating_add(more))?;
        self.bytes += more;
        Ok(())
    }

    /// Has the room of another one, too, which is taken in the same memory.
    pub fn join(&mut self, mut other: Self) {
        self.bytes += std::mem::take(&mut other.bytes);
    }

    /// Gives back what is beyond so many bytes.
    pub fn shrink_to(&mut self, bytes: u64) {
        if let Some(less) = self.bytes.checked_sub(bytes) {
            self.memory.remove(less, true);
            self.bytes = bytes;
        }
    }

    /// Bytes that keep this room until the last of those who share them is gone.
    pub fn hold(self, bytes: impl AsRef<[u8]> + Send + 'static) -> Bytes {
        struct Held<B>(B, #[expect(dead_code, reason = "it is held, not read")] Lease);
        impl<B: AsRef<[u8]>> AsRef<[u8]> for Held<B> {
            fn as_ref(&self) -> &[u8] {
                self.0.as_ref()
            }
        }
        Bytes::from_owner(Held(bytes, self))
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        self.memory.remove(self.bytes, true);
    }
}

/// Bytes that come one after another, and take room as they come.
#[derive(Debug)]
pub struct Buffer {
    bytes: Vec<u8>,
    expected: usize,
    lease: Lease,
}

impl Buffer {
    /// How many have come.
    pub fn len(&self) -> usize {
        self.bytes.len()
    }

    /// Whether none has come.
    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// Takes what has come.
    pub fn extend(&mut self, more: &[u8]) -> Result<(), NoRoom> {
        self.reserve(more.len())?;
        self.bytes.extend_from_slice(more);
        Ok(())
    }

    /// All that came, in the room that it needs.
    pub fn finish(mut self) -> Bytes {
        self.bytes.shrink_to_fit();
        self.lease.shrink_to(self.bytes.capacity() as u64);
        self.lease.hold(self.bytes)
    }

    fn reserve(&mut self, more: usize) -> Result<(), NoRoom> {
        let (length, capacity) = (self.bytes.len(), self.bytes.capacity());
        let needed = length.saturating_add(more);
        if needed <= capacity {
            return Ok(());
        }
        // Twice as much as before, so that little is moved; but not more than is to come, if that is enough.
        let doubled = capacity.saturating_mul(2).max(START);
        let wanted = if needed <= self.expected {
            doubled.min(self.expected)
        } else {
            doubled
        };
        let wanted = wanted.max(needed);
        self.lease.grow((wanted - capacity) as u64)?;
        self.bytes.reserve_exact(wanted - length);
        Ok(())
    }
}

impl Memory {
    /// Reads to the end, but no more than `most` bytes, of which about `expected` are to come.
    pub fn read(&self, mut from: impl Read, expected: usize, most: usize) -> io::Result<Bytes> {
        let mut buffer = self.buffer(expected.min(most));
        let mut part = vec![0; START.max(expected.min(most).min(1 << 20))];
        while buffer.len() < most {
            let wanted = part.len().min(most - buffer.len());
            match from.read(&mut part[..wanted]) {
                Ok(0) => break,
                Ok(length) => buffer.extend(&part[..length]).map_err(io::Error::other)?,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(buffer.finish())
    }
}

impl NoRoom {
    /// The lack of room behind an error of the system, if it is one.
    pub fn behind(error: &io::Error) -> Option<Self> {
        error.get_ref()?.downcast_ref().copied()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;

    const MIB: u64 = 1 << 20;

    #[test]
    fn room_is_given_back_with_the_last_who_shares_the_bytes() {
        let memory = Memory::new(8 * MIB);
        let mut buffer = memory.buffer(0);
        for _ in 0..100 {
            buffer.extend(&[0; 10_000]).unwrap();
        }
        assert!(memory.used() >= MIB - (48 << 10));
        let bytes = buffer.finish();
        assert_eq!((bytes.len(), memory.used()), (1_000_000, 1_000_000));
        let shared = bytes.slice(10..20);
        drop(bytes);
        assert_eq!(memory.used(), 1_000_000);
        drop(shared);
        assert_eq!(memory.used(), 0);
    }

    #[test]
    fn what_is_announced_takes_no_room() {
        let memory = Memory::new(8 * MIB);
        let mut buffer = memory.buffer(4 << 20);
        assert_eq!(memory.used(), 0);
        buffer.extend(b"1").unwrap();
        assert_eq!(memory.used(), START as u64);
    }

    #[test]
    fn large_ones_leave_room_for_small_ones() {
        let memory = Memory::new(8 * MIB);
        assert_eq!(memory.take(8 * MIB).unwrap_err(), NoRoom::TooLarge(8 * MIB, 7 * MIB));
        let large = memory.take(7 * MIB).unwrap();
        assert_eq!(memory.take(SMALL + 1).unwrap_err(), NoRoom::Taken);
        let small: Vec<_> = (0..4).map(|_| memory.take(SMALL).unwrap()).collect();
        assert_eq!(memory.take(1).unwrap_err(), NoRoom::Taken);
        drop((large, small));
        // One that grows by small steps is a large one all the same.
        let mut lease = memory.nothing();
        while lease.grow(1000).is_ok() {}
        assert!((6 * MIB..7 * MIB + 1).contains(&memory.used()));
        assert!(memory.take(SMALL).is_ok());
    }

    #[test]
    fn a_part_takes_of_the_whole() {
        let memory = Memory::new(8 * MIB);
        let part = memory.part(2 * MIB);
        let one = part.take(MIB).unwrap();
        assert_eq!((part.used(), memory.used()), (MIB, MIB));
        assert_eq!(part.take(MIB).unwrap_err(), NoRoom::Taken);
        let other = memory.take(6 * MIB).unwrap();
        let mut one = one;
        assert_eq!(one.grow(MIB / 2).unwrap_err(), NoRoom::Taken);
        assert_eq!((part.used(), memory.used()), (MIB, 7 * MIB));
        drop((one, other));
        assert_eq!((part.used(), memory.used()), (0, 0));
    }

    #[test]
    fn what_is_kept_gives_way() {
        let memory = Memory::new(8 * MIB);
        let kept: Arc<Mutex<Vec<Lease>>> = Arc::default();
        let gives = Arc::downgrade(&kept);
        memory.on_full(move || gives.upgrade().is_some_and(|kept| kept.lock().unwrap().pop().is_some()));
        for _ in 0..7 {
            let lease = memory.take(MIB).unwrap();
            kept.lock().unwrap().push(lease);
        }
        let large = memory.take(4 * MIB).unwrap();
        assert_eq!((kept.lock().unwrap().len(), memory.used()), (3, 7 * MIB));
        assert_eq!(memory.take(4 * MIB).unwrap_err(), NoRoom::Taken);
        assert!(kept.lock().unwrap().is_empty());
        drop(large);
        assert_eq!(memory.used(), 0);
    }

    #[test]
    fn reading_stops_where_it_must() {
        let memory = Memory::new(MIB);
        let text = vec![7; 3 << 20];
        assert_eq!(memory.read(text.as_slice(), 100, 200).unwrap().len(), 200);
        assert_eq!(memory.read(&text[..5], 0, 200).unwrap().as_ref(), [7; 5]);
        let error = memory.read(text.as_slice(), text.len(), text.len()).unwrap_err();
        assert!(matches!(NoRoom::behind(&error), Some(NoRoom::TooLarge(..))), "{error}");
        assert_eq!(memory.used(), 0);
    }
}
