//! The store: the only SQL of the coordinator.
//!
//! One connection writes and a few read, so that no write meets a locked database. Every write is one short transaction; it
//! reads the state that it changes, asks [`lifecycle`](crate::domain::lifecycle) what follows, and repeats in its `WHERE` the
//! state from which it came. The schema, which is open data, is documented in `migrations/`.

pub mod backup;
mod changes;
mod checkpoints;
mod control;
mod costs;
mod error;
mod extend;
mod leases;
mod logs;
mod open;
mod queue;
mod rehearsal;
mod replicates;
mod reports;
#[cfg(test)]
mod rows;
mod sweeps;
mod views;
mod workers;
mod writer;

use std::{fs::File, path::PathBuf};

use sqlx::SqlitePool;
use writer::{Turn, Writer};

pub use checkpoints::StateRecord;
pub use control::Changes;
pub use error::{StoreError, inconsistent};
pub use extend::NewExtension;
pub use leases::{LeaseContent, Leased, Room};
pub use open::OpenError;
pub use reports::{Applied, Progress, Report};
pub use sweeps::{NewSweep, NewTrial, Standing, SweepRecord, goal_name};
pub use views::{AttemptRecord, ReplicateRecord, ResultRecord, RunningRecord, TrialRecord};
pub use workers::{Greeting, WorkerRecord, WorkerState};

/// The database of one coordinator.
#[derive(Debug)]
pub struct Store {
    path: PathBuf,
    writer: Writer,
    readers: SqlitePool,
    /// Keeps other coordinators out as long as it lives.
    _lock: File,
}

impl Store {
    /// Waits for the turn to write, and begins a transaction.
    async fn begin(&self) -> Result<Turn, StoreError> {
        self.writer.begin().await
    }

    /// The write-ahead log, which has every commit that the database file may not have yet.
    pub fn log_path(&self) -> PathBuf {
        let mut path = self.path.clone().into_os_string();
        path.push("-wal");
        path.into()
    }

    /// Closes all connections, which folds the write-ahead log into the database file.
    pub async fn close(&self) {
        self.readers.close().await;
        self.writer.close().await;
    }
}
