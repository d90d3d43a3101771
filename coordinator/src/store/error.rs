//! What can go wrong with the store.

use crate::domain::lifecycle::{NotAllowed, Refusal};

/// An operation of the store that did not succeed. Nothing of it was stored.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// SQLite failed.
    #[error("the database failed: {0}")]
    Database(#[source] sqlx::Error),
    /// There is no room for more.
    #[error("no room is left on the disk of the database; make room, and what was refused can be sent again")]
    DiskFull,
    /// The file has been damaged.
    #[error("the database is damaged ({0}); stop the coordinator, and restore a backup of its data directory")]
    Damaged(#[source] sqlx::Error),
    /// A row that this program cannot have written.
    #[error("the database contradicts itself at {place}: {problem}")]
    Inconsistent {
        /// Table and key.
        place: String,
        /// What is wrong there.
        problem: String,
    },
    /// Something changed a row between reading and writing it.
    #[error("{0} was changed at the same time")]
    Conflict(String),
    /// No sweep is called so.
    #[error("no sweep's id begins with `{0}`; `tinysweep sweeps` lists them")]
    NoSuchSweep(String),
    /// There is no newest sweep.
    #[error("there are no sweeps yet")]
    NoSweeps,
    /// A prefix of several sweeps' ids.
    #[error("several sweeps' ids begin with `{given}`: {matches}")]
    Ambiguous {
        /// What was given.
        given: String,
        /// Some of them.
        matches: String,
    },
    /// The sweep has no trial of that number.
    #[error("sweep {sweep} has no trial {trial}")]
    NoSuchTrial {
        /// The sweep.
        sweep: String,
        /// The number.
        trial: u32,
    },
    /// A sweep whose trials have no number of training steps.
    #[error("the trials of sweep {0} have no train.steps; only what trains a built-in model can be extended")]
    NoTraining(String),
    /// No state of a replicate is kept, or not the one that was asked for.
    #[error("no such state of training is kept of {0}; `tinysweep show SWEEP/TRIAL` lists those that are")]
    NoState(String),
    /// No worker is called so.
    #[error("no worker's name or id begins with `{0}`; `tinysweep workers` lists them")]
    NoSuchWorker(String),
    /// Several workers are called so.
    #[error("several workers' names or ids begin with `{given}`: {matches}; give an id, from `tinysweep workers --output json`")]
    AmbiguousWorker {
        /// What was given.
        given: String,
        /// Some of them.
        matches: String,
    },
    /// The worker is not here.
    #[error("worker {0} is not connected")]
    NotConnected(String),
    /// The state of a replicate does not allow it.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// The state of the sweep does not allow it.
    #[error(transparent)]
    NotAllowed(#[from] NotAllowed),
    /// A peer's number that no column can hold.
    #[error("{what} {number} is too large")]
    TooLarge {
        /// What it counts.
        what: &'static str,
        /// The number.
        number: u64,
    },
}

impl From<sqlx::Error> for StoreError {
    fn from(error: sqlx::Error) -> Self {
        match primary_code(&error) {
            Some(SQLITE_FULL) => Self::DiskFull,
            Some(SQLITE_CORRUPT | SQLITE_NOTADB) => Self::Damaged(error),
            _ => Self::Database(error),
        }
    }
}

/// Primary result codes of SQLite (<https://www.sqlite.org/rescode.html>).
pub(super) const SQLITE_READONLY: i32 = 8;
pub(super) const SQLITE_CORRUPT: i32 = 11;
pub(super) const SQLITE_FULL: i32 = 13;
pub(super) const SQLITE_CANTOPEN: i32 = 14;
pub(super) const SQLITE_NOTADB: i32 = 26;

/// An extended code: the file that connections share could not be made as large as it must be.
pub(super) const SQLITE_IOERR_SHMSIZE: i32 = 4874;

/// Extended codes of constraints that do not hold.
pub(super) const SQLITE_CONSTRAINT_NOTNULL: i32 = 1299;
pub(super) const SQLITE_CONSTRAINT_UNIQUE: i32 = 2067;

/// SQLite's extended result code.
pub(super) fn code(error: &sqlx::Error) -> Option<i32> {
    error.as_database_error()?.code()?.parse().ok()
}

/// SQLite's primary result code, which is the low byte of the extended one.
pub(super) fn primary_code(error: &sqlx::Error) -> Option<i32> {
    Some(code(error)? & 0xff)
}

/// An [`Inconsistent`](StoreError::Inconsistent) error.
pub fn inconsistent(place: impl Into<String>, problem: impl Into<String>) -> StoreError {
    StoreError::Inconsistent { place: place.into(), problem: problem.into() }
}

/// A peer's number as SQLite's signed one.
pub(super) fn signed(what: &'static str, number: u64) -> Result<i64, StoreError> {
    i64::try_from(number).map_err(|_| StoreError::TooLarge { what, number })
}
