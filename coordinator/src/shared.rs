//! What all parts of one running coordinator share.

use std::time::Duration;

use tokio::{
    sync::{Mutex, Notify, watch},
    time::Instant,
};

use crate::{
    artifacts::Artifacts,
    durability::Durability,
    live::LiveBoard,
    machine::Machine,
    sessions::Sessions,
    store::{Store, StoreError},
};

/// How long and how much.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Silence after which a worker counts as lost.
    pub lease: Duration,
    /// Each side says something at least as often.
    pub heartbeat: Duration,
    /// The most bytes of checkpoints, those of replicates that may still go on apart.
    pub checkpoint_limit_bytes: u64,
}

/// What all parts of one running coordinator share.
#[derive(Debug)]
pub struct Shared {
    /// Clock, randomness and disk.
    pub machine: Machine,
    /// What is kept.
    pub store: Store,
    /// When it is on the disk.
    pub durability: Durability,
    /// Files that are kept.
    pub artifacts: Artifacts,
    /// Workers that can be reached.
    pub sessions: Sessions,
    /// What runs, for people to watch.
    pub live: LiveBoard,
    /// Held while leases are decided, written and sent, so that a worker sees commands in the order of the decisions,
    /// and a worker that greets is told of every lease exactly once.
    pub dispatch: Mutex<()>,
    /// Wakes the reconciler.
    pub wake: Notify,
    /// Becomes true when the coordinator shuts down.
    pub stopping: watch::Sender<bool>,
    /// Silence after which a worker counts as lost.
    pub lease: Duration,
    /// Each side says something at least as often.
    pub heartbeat: Duration,
    /// The most bytes of checkpoints, those of replicates that may still go on apart.
    pub checkpoint_limit_bytes: u64,
}

impl Shared {
    /// Puts the parts together. Workers that were connected before a restart have one lease to come back.
    ///
    /// # Errors
    /// The store cannot be read.
    pub async fn new(machine: Machine, store: Store, artifacts: Artifacts, limits: Limits) -> Result<Self, StoreError> {
        let Limits { lease, heartbeat, checkpoint_limit_bytes } = limits;
        let sessions = Sessions::default();
        let now = Instant::now();
        for worker in machine.disk(store.connected_workers()).await? {
            sessions.expect(worker, now);
        }
        Ok(Self {
            durability: Durability::new(machine.clone(), store.log_path()),
            machine,
            store,
            artifacts,
            sessions,
            live: LiveBoard::default(),
            dispatch: Mutex::default(),
            wake: Notify::new(),
            stopping: watch::Sender::new(false),
            lease,
            heartbeat,
            checkpoint_limit_bytes,
        })
    }

    /// Waits until the coordinator shuts down.
    pub async fn stopped(&self) {
        // An error would mean that the sender is gone, but it lives in `self`.
        let _ = self.stopping.subscribe().wait_for(|stopping| *stopping).await;
    }
}
