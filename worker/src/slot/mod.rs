//! A process for each slot of a worker, so that what goes wrong in one trial leaves the others alone.
//!
//! * `supervisor`, `process`, `diagnosis`: the worker's side: starts the process, passes on what it is told and says, finds out why it has
//!   died.
//! * `protocol`: the frames between them.
//! * [`serve`] (`child`), `voice`, `library`: the side of the process, which knows the training and no network.
//! * `memory`: what the system does when memory runs out.

mod child;
mod diagnosis;
mod library;
mod memory;
mod process;
mod protocol;
mod supervisor;
mod voice;

use std::{
    ffi::OsString,
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
};

use tokio::sync::Semaphore;

use crate::assignment::{Assignment, Order, Said, Trainers, handed_back};
pub use child::serve;
use supervisor::Slot;

/// How the process of a slot is started.
#[derive(Clone, Debug)]
pub struct Launch {
    /// The program.
    pub program: PathBuf,
    /// Its arguments; it must end up in [`serve`].
    pub arguments: Vec<OsString>,
    /// What is added to the environment.
    pub environment: Vec<(OsString, OsString)>,
}

/// The slots of a worker. A process is started with the first trial of its slot, and serves those that follow.
#[derive(Clone)]
pub struct Slots {
    /// As many permits as there are slots at rest.
    free: Arc<Semaphore>,
    /// The slots at rest; the last one is taken first, since its process is the most likely to be warm.
    resting: Arc<Mutex<Vec<Slot>>>,
}

impl Slots {
    /// `count` slots.
    pub fn new(count: usize, launch: Launch) -> Self {
        let launch = Arc::new(launch);
        let resting = (0..count).rev().map(|index| Slot::new(index, launch.clone())).collect();
        Self { free: Arc::new(Semaphore::new(count)), resting: Arc::new(Mutex::new(resting)) }
    }

    /// Trains in the next slot that is free.
    async fn train(self, mut assignment: Assignment) {
        let permit = tokio::select! {
            permit = self.free.acquire() => permit.ok(),
            _ = assignment.orders.wait_for(|order| *order >= Order::HandBack) => None,
        };
        let slot = permit.as_ref().and_then(|_| self.resting().pop());
        let Some(mut slot) = slot else {
            // It has not begun: what it was to go on from is still there for others.
            let end = handed_back(assignment.lease.attempt.as_ref().unwrap_or(&Default::default()));
            _ = assignment.says.send(Said::Event(end));
            return;
        };
        slot.train(assignment).await;
        self.resting().push(slot);
    }

    fn resting(&self) -> std::sync::MutexGuard<'_, Vec<Slot>> {
        self.resting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Trainers for Slots {
    fn take(&self, assignment: Assignment) {
        tokio::spawn(self.clone().train(assignment));
    }
}
