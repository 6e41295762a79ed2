//! The last decisions, for the page that people look at.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};

use linkgate_verifier::instant::Instant;

use super::decision::Decision;
use super::face::Face;
use crate::record::link;

/// How many are kept.
const KEPT: usize = 100;

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
pub struct Recent(Mutex<(u64, VecDeque<Made>)>);

impl Recent {
    /// Keeps a decision.
    pub fn add(&self, face: Face, decision: &Decision) {
        let mut recent = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        recent.0 += 1;
        let made = Made {
            number: recent.0,
            at: link::now(),
            face,
            decision: decision.clone(),
        };
        recent.1.push_front(made);
        recent.1.truncate(KEPT);
    }

    /// All that are kept.
    pub fn all(&self) -> Vec<Made> {
        let recent = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        recent.1.iter().cloned().collect()
    }

    /// The one of that number.
    pub fn get(&self, number: u64) -> Option<Made> {
        let recent = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        recent.1.iter().find(|made| made.number == number).cloned()
    }
}
