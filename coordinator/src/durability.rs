//! What survives a power cut: the end of an attempt is acknowledged only once it is on the disk.
//!
//! Commits go to the write-ahead log without waiting for the disk, which would hold everyone up for milliseconds each. One task syncs that
//! log for all who wait, so that a thousand ends cost as many syncs as one. Whoever waits keeps its events until then and sends them again
//! to a coordinator that has lost them.

use std::{
    path::PathBuf,
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use tokio::{sync::Notify, time::sleep};
use tracing::error;

use crate::machine::Machine;

/// How long until the next try where the disk has failed.
const PAUSE: Duration = Duration::from_secs(1);

/// Syncs the log of the store.
#[derive(Debug)]
pub struct Durability {
    machine: Machine,
    log: PathBuf,
    /// The last ticket that was given.
    given: AtomicU64,
    wanted: Notify,
    /// The last ticket that is on the disk.
    synced: AtomicU64,
    /// Wakes those who wait for theirs, in the order in which they came.
    has_synced: Notify,
}

impl Durability {
    /// Syncs the write-ahead log at `log`.
    pub fn new(machine: Machine, log: PathBuf) -> Self {
        let (given, synced) = (AtomicU64::new(0), AtomicU64::new(0));
        Self { machine, log, given, wanted: Notify::new(), synced, has_synced: Notify::new() }
    }

    /// A ticket for what has been committed before this call. It is on the disk once [`synced`](Self::synced) gets there.
    pub fn ticket(&self) -> u64 {
        let ticket = self.given.fetch_add(1, Ordering::SeqCst) + 1;
        self.wanted.notify_one();
        ticket
    }

    /// The last ticket that is on the disk.
    pub fn synced(&self) -> u64 {
        self.synced.load(Ordering::SeqCst)
    }

    /// Waits until `ticket` is on the disk.
    pub async fn reaches(&self, ticket: u64) {
        loop {
            let has_synced = self.has_synced.notified(); // counts from here on, so that no sync is missed after the look
            if self.synced() >= ticket {
                return;
            }
            has_synced.await;
        }
    }

    /// Syncs whenever someone waits; never returns.
    pub async fn run(&self) {
        loop {
            self.wanted.notified().await;
            while self.synced() < self.given.load(Ordering::SeqCst) {
                self.sync().await;
            }
        }
    }

    async fn sync(&self) {
        let given = self.given.load(Ordering::SeqCst);
        match self.machine.sync(self.log.clone()).await {
            Ok(()) => {
                self.synced.store(given, Ordering::SeqCst);
                self.has_synced.notify_waiters();
            }
            Err(error) => {
                error!(%error, log = %self.log.display(), "cannot sync; results wait for their acknowledgement");
                sleep(PAUSE).await;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    #[tokio::test]
    async fn a_ticket_is_synced_once_the_file_can_be() {
        let folder = tempfile::tempdir().unwrap();
        let log = folder.path().join("log");
        let durability = Arc::new(Durability::new(Machine::Real, log.clone()));
        let task = tokio::spawn({
            let durability = durability.clone();
            async move { durability.run().await }
        });
        let ticket = durability.ticket();
        assert!(tokio::time::timeout(Duration::from_millis(100), durability.reaches(ticket)).await.is_err());
        std::fs::write(&log, "x").unwrap();
        let last = durability.ticket();
        tokio::time::timeout(Duration::from_secs(20), durability.reaches(last)).await.unwrap();
        task.abort();
    }
}
