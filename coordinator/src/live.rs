//! What running attempts said last: for the live view alone, so it is kept in memory and lost with the process.

use std::{collections::HashMap, sync::Mutex};

use crate::domain::ids::AttemptKey;

/// The last report of a running attempt.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct LiveProgress {
    /// Steps done.
    pub step: u64,
    /// Steps to do.
    pub total_steps: u64,
    /// Training loss per cell.
    pub loss: Option<f64>,
    /// Exact accuracy on training puzzles.
    pub train_accuracy: Option<f64>,
    /// Exact accuracy on test puzzles, where it has been measured.
    pub test_accuracy: Option<f64>,
    /// By the worker's own speed so far.
    pub seconds_left: Option<f64>,
    /// While an evaluation is under way: test examples answered, and to answer.
    pub evaluation: Option<(u64, u64)>,
}

/// The last reports of all running attempts.
#[derive(Debug, Default)]
pub struct LiveBoard(Mutex<HashMap<AttemptKey, LiveProgress>>);

impl LiveBoard {
    /// Takes a report; what it leaves out stays as it was.
    pub fn report(&self, attempt: &AttemptKey, new: LiveProgress) {
        let mut board = self.lock();
        let entry = board.entry(attempt.clone()).or_default();
        *entry = LiveProgress {
            loss: new.loss.or(entry.loss),
            train_accuracy: new.train_accuracy.or(entry.train_accuracy),
            test_accuracy: new.test_accuracy.or(entry.test_accuracy),
            ..new
        };
    }

    /// What an attempt said last.
    pub fn get(&self, attempt: &AttemptKey) -> Option<LiveProgress> {
        self.lock().get(attempt).cloned()
    }

    /// Forgets an attempt that does not run any more.
    pub fn forget(&self, attempt: &AttemptKey) {
        self.lock().remove(attempt);
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<AttemptKey, LiveProgress>> {
        self.0.lock().expect("no holder of this lock can panic: it only moves values")
    }
}
