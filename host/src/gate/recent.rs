//! The last decisions, for the page that people look at.

use std::collections::VecDeque;
use std::io;
use std::sync::{Mutex, PoisonError};

use linkgate_verifier::instant::Instant;

use super::decision::Decision;
use super::face::Face;
use crate::record::link;

/// How many are kept.
const KEPT: usize = 100;
/// And how many bytes of them in JSON: a verdict may have megabytes.
const BYTES: usize = 16 << 20;

/// A decision, and when and by whom it was asked for.
#[derive(Clone, Debug)]
pub struct Made {
    /// Its number since the start.
    pub number: u64,
    /// When.
    pub at: Instant,
    /// Through which face.
    pub face: Face,
    /// The decision.
    pub decision: Decision,
}

/// The last decisions, the latest first.
#[derive(Debug, Default)]
pub struct Recent(Mutex<Last>);

#[derive(Debug, Default)]
struct Last {
    /// How many were made since the start.
    made: u64,
    /// Those that are kept, each with its bytes.
    kept: VecDeque<(usize, Made)>,
    /// The bytes of all that are kept.
    bytes: usize,
}

impl Recent {
    /// Keeps a decision.
    pub fn add(&self, face: Face, decision: &Decision) {
        let bytes = size(decision);
        let mut recent = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        recent.made += 1;
        let made = Made {
            number: recent.made,
            at: link::now(),
            face,
            decision: decision.clone(),
        };
        recent.bytes = recent.bytes.saturating_add(bytes);
        recent.kept.push_front((bytes, made));
        while (recent.kept.len() > KEPT || recent.bytes > BYTES)
            && let Some((bytes, _)) = recent.kept.pop_back()
        {
            recent.bytes = recent.bytes.saturating_sub(bytes);
        }
    }

    /// All that are kept.
    pub fn all(&self) -> Vec<Made> {
        let recent = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        recent.kept.iter().map(|(_, made)| made.clone()).collect()
    }

    /// The one of that number.
    pub fn get(&self, number: u64) -> Option<Made> {
        let recent = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let found = recent.kept.iter().find(|(_, made)| made.number == number);
        found.map(|(_, made)| made.clone())
    }
}

/// How many bytes a decision has in JSON.
fn size(decision: &Decision) -> usize {
    struct Count(usize);
    impl io::Write for Count {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0 = self.0.saturating_add(bytes.len());
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    let mut count = Count(0);
    match serde_json::to_writer(&mut count, decision) {
        Ok(()) => count.0,
        Err(_) => usize::MAX,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gate::decision::Reason;

    #[test]
    fn the_last_are_kept_within_their_bytes() {
        let recent = Recent::default();
        let add = |length: usize| {
            let message = "x".repeat(length);
            let decision = Decision::refused("a".to_owned(), String::new(), Reason::Timeout, &message);
            recent.add(Face::Verify, &decision);
        };
        for _ in 0..150 {
            add(10);
        }
        assert_eq!((recent.all().len(), recent.all()[0].number), (KEPT, 150));
        for _ in 0..10 {
            add(4 << 20);
        }
        let numbers: Vec<u64> = recent.all().iter().map(|made| made.number).collect();
        assert_eq!(numbers, [160, 159, 158]);
        assert!(recent.get(160).is_some() && recent.get(157).is_none());
        // One that is larger than all may be is not kept, nor what was before it.
        add(BYTES);
        assert!(recent.all().is_empty());
        add(10);
        assert_eq!(recent.all().len(), 1);
    }
}
