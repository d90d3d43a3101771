//! Makes true what should be: leases what waits, and gives up what is lost.
//!
//! Woken by whoever changes something, and by a timer. One pass reads a snapshot, asks [`plan`](crate::domain::plan), and
//! does what it says. A pass takes no input and may run at any time; it never tries anything twice: the next pass does.

use std::{collections::HashMap, time::Duration};

use tinysweep_proto::v1::{Lease, coordinator_command::Command};
use tokio::time::{Instant, MissedTickBehavior, interval};
use tonic::Status;
use tracing::{error, info, warn};

use crate::{
    clock::now_ms,
    domain::{
        ids::{AttemptKey, ReplicateKey, WorkerId},
        plan::{Decision, ExpiredWorker, Snapshot, plan},
    },
    service::convert::attempt_ref,
    shared::Shared,
    store::{LeaseContent, StoreError},
};

/// Reconciles until the coordinator shuts down.
pub async fn run(shared: &Shared) {
    let mut timer = interval((shared.lease / 4).min(Duration::from_secs(1)));
    timer.set_missed_tick_behavior(MissedTickBehavior::Skip);
    loop {
        tokio::select! {
            () = shared.stopped() => return,
            () = shared.wake.notified() => {}
            _ = timer.tick() => {}
        }
        if let Err(error) = pass(shared).await {
            error!(%error, "cannot reconcile; leases wait for the next try");
        }
    }
}

/// One pass.
///
/// # Errors
/// The store fails; what was done before stays done.
pub async fn pass(shared: &Shared) -> Result<(), StoreError> {
    let _turn = shared.dispatch.lock().await;
    let snapshot = snapshot(shared).await?;
    for decision in plan(&snapshot) {
        perform(shared, decision).await?;
    }
    Ok(())
}

async fn snapshot(shared: &Shared) -> Result<Snapshot, StoreError> {
    let mut expired = Vec::new();
    for (id, silent) in shared.sessions.silent(shared.lease, Instant::now()) {
        let running = shared.store.running_on(&id).await?;
        expired.push(ExpiredWorker { id, silent_secs: silent.as_secs(), running });
    }
    let running: HashMap<WorkerId, u32> = shared.store.running_counts().await?;
    let mut workers = shared.sessions.reachable(&running);
    workers.retain(|worker| expired.iter().all(|expired| expired.id != worker.id));
    let free = workers.iter().map(|worker| worker.slots.saturating_sub(worker.running)).sum();
    let queued = if free > 0 { shared.store.queue(free).await? } else { Vec::new() };
    Ok(Snapshot { queued, workers, expired })
}

async fn perform(shared: &Shared, decision: Decision) -> Result<(), StoreError> {
    match decision {
        Decision::Requeue { attempt, reason } => give_up(shared, &attempt, &reason).await,
        Decision::Forget { worker, reason } => {
            warn!(%worker, reason, "worker lost");
            shared.store.forget(&worker).await?;
            shared.sessions.forget(&worker, Status::deadline_exceeded(reason));
            Ok(())
        }
        Decision::Assign { replicate, worker, reason } => assign(shared, &replicate, &worker, &reason).await,
    }
}

/// Gives up an attempt whose worker is gone.
///
/// # Errors
/// The store fails.
pub async fn give_up(shared: &Shared, attempt: &AttemptKey, reason: &str) -> Result<(), StoreError> {
    let next = match shared.store.lose(attempt, reason, now_ms()).await {
        Err(StoreError::Refused(_)) => return Ok(()), // it has ended in the meantime
        other => other?,
    };
    shared.live.forget(attempt);
    shared.wake.notify_one();
    warn!(%attempt, reason, next = next.status().name(), "attempt lost");
    Ok(())
}

async fn assign(shared: &Shared, replicate: &ReplicateKey, worker: &WorkerId, reason: &str) -> Result<(), StoreError> {
    let content = shared.store.lease_content(replicate).await?;
    let attempt = match shared.store.lease(replicate, worker, reason, now_ms()).await {
        Err(StoreError::Refused(_)) => return Ok(()), // it was cancelled in the meantime
        other => other?,
    };
    info!(%attempt, %worker, reason, "leased");
    if !shared.sessions.send(worker, lease(&attempt, content)) {
        info!(%attempt, %worker, "the lease could not be sent; the worker gets it when it is back");
    }
    Ok(())
}

/// The command that hands an attempt to a worker; the same every time.
pub fn lease(attempt: &AttemptKey, content: LeaseContent) -> Command {
    let LeaseContent { config_json, seed, dataset } = content;
    Command::Lease(Lease {
        attempt: Some(attempt_ref(attempt)),
        config_json,
        seed,
        dataset: Some((&dataset).into()),
        slots: 1,
        ..Lease::default()
    })
}
