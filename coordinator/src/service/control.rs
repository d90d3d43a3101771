//! What users do to sweeps and workers that exist.

use tinysweep_proto::v1::{Drain, coordinator_command::Command};
use tracing::info;

use super::{session, status::ServiceError};
use crate::{
    domain::{ids::SweepId, lifecycle::SweepVerb},
    shared::Shared,
    store::{StoreError, WorkerRecord, WorkerState},
};

/// Does a user's word, and tells the workers of what has ended by it.
///
/// # Errors
/// The state of the sweep does not allow it.
pub async fn control(shared: &Shared, id: &SweepId, verb: SweepVerb) -> Result<(), ServiceError> {
    // Workers hear of the end of these before they hear of the next lease for the same slots.
    let _turn = shared.dispatch.lock().await;
    let ended = shared.machine.disk(shared.store.control(id, verb, shared.machine.moment())).await?;
    info!(sweep = %id, verb = verb.name(), ended = ended.len(), "sweep controlled by a user");
    for (worker, attempt) in &ended {
        shared.live.forget(attempt);
        shared.sessions.send(worker, session::stop(attempt, "cancelled by a user".to_owned()));
    }
    if !ended.is_empty() {
        shared.sessions.count(&shared.machine.disk(shared.store.taken_slots()).await?);
    }
    shared.wake.notify_one();
    Ok(())
}

/// Tells a worker to leave.
///
/// # Errors
/// No worker is called so, or several, or it is not here.
pub async fn drain(shared: &Shared, given: &str) -> Result<WorkerRecord, ServiceError> {
    let worker = find(shared.machine.disk(shared.store.workers()).await?, given)?;
    let id = &worker.greeting.id;
    shared.sessions.drains(id);
    let reason = "drained by a user".to_owned();
    if worker.state != WorkerState::Connected || !shared.sessions.send(id, Command::Drain(Drain { reason })) {
        return Err(StoreError::NotConnected(worker.greeting.name).into());
    }
    info!(worker = %id, "worker told to leave");
    Ok(worker)
}

/// The worker that a user means: those that are here come first, since names are used again.
fn find(workers: Vec<WorkerRecord>, given: &str) -> Result<WorkerRecord, StoreError> {
    let exactly = |worker: &WorkerRecord| worker.greeting.name == given || worker.greeting.id.as_str() == given;
    let begins = |worker: &WorkerRecord| worker.greeting.name.starts_with(given) || worker.greeting.id.as_str().starts_with(given);
    let here = |worker: &WorkerRecord| worker.state == WorkerState::Connected;
    let choices: [&dyn Fn(&WorkerRecord) -> bool; 4] =
        [&|worker| here(worker) && exactly(worker), &|worker| here(worker) && begins(worker), &exactly, &begins];
    for choice in choices {
        let mut found: Vec<_> = workers.iter().filter(|worker| !given.is_empty() && choice(worker)).cloned().collect();
        match found.len() {
            0 => {}
            1 => return Ok(found.swap_remove(0)),
            _ => {
                let matches = found.iter().take(4).map(|worker| worker.greeting.name.as_str()).collect::<Vec<_>>().join(", ");
                return Err(StoreError::AmbiguousWorker { given: given.to_owned(), matches });
            }
        }
    }
    Err(StoreError::NoSuchWorker(given.to_owned()))
}
