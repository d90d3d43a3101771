//! What survives a power cut: the end of an attempt is acknowledged only once it is on the disk.
//!
//! Commits go to the write-ahead log without waiting for the disk, which would hold everyone up for milliseconds each. One task syncs that
//! log for all who wait, so that a thousand ends cost as many syncs as one. Whoever waits keeps its events until then and sends them again
//! to a coordinator that has lost them.

use std::{
    fs::File,
    path::PathBuf,
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use tokio::{
    sync::{Notify, watch},
    task::spawn_blocking,
    time::sleep,
};
use tracing::error;

/// How long until the next try where the disk has failed.
const PAUSE: Duration = Duration::from_secs(1);

/// Syncs the log of the store.
#[derive(Debug)]
pub struct Durability {
    log: PathBuf,
    /// The last ticket that was given.
    given: AtomicU64,
    wanted: Notify,
    /// The last ticket that is on the disk.
    synced: watch::Sender<u64>,
}

impl Durability {
    /// Syncs the write-ahead log at `log`.
    pub fn new(log: PathBuf) -> Self {
        Self { log, given: AtomicU64::new(0), wanted: Notify::new(), synced: watch::Sender::new(0) }
    }

    /// A ticket for what has been committed before this call. It is on the disk once [`synced`](Self::synced) gets there.
    pub fn ticket(&self) -> u64 {
        let ticket = self.given.fetch_add(1, Ordering::SeqCst) + 1;
        self.wanted.notify_one();
        ticket
    }

    /// The last ticket that is on the disk, as it changes.
    pub fn synced(&self) -> watch::Receiver<u64> {
        self.synced.subscribe()
    }

    /// Syncs whenever someone waits; never returns.
    pub async fn run(&self) {
        loop {
            self.wanted.notified().await;
            while *self.synced.borrow() < self.given.load(Ordering::SeqCst) {
                self.sync().await;
            }
        }
    }

    async fn sync(&self) {
        let given = self.given.load(Ordering::SeqCst);
        let log = self.log.clone();
        let synced = spawn_blocking(move || File::open(&log)?.sync_data()).await;
        match synced {
            Ok(Ok(())) => _ = self.synced.send_replace(given),
            Ok(Err(error)) => {
                error!(%error, log = %self.log.display(), "cannot sync; results wait for their acknowledgement");
                sleep(PAUSE).await;
            }
            Err(error) => error!(%error, "the task that syncs has failed; it is tried again"),
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
        let durability = Arc::new(Durability::new(log.clone()));
        let mut synced = durability.synced();
        let task = tokio::spawn({
            let durability = durability.clone();
            async move { durability.run().await }
        });
        let ticket = durability.ticket();
        assert!(tokio::time::timeout(Duration::from_millis(100), synced.wait_for(|synced| *synced >= ticket)).await.is_err());
        std::fs::write(&log, "x").unwrap();
        let last = durability.ticket();
        tokio::time::timeout(Duration::from_secs(20), synced.wait_for(|synced| *synced >= last)).await.unwrap().unwrap();
        task.abort();
    }
}
