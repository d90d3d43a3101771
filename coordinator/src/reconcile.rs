//! Makes true what should be: leases what waits, and gives up what is lost.
//!
//! Woken by whoever changes something, and by a timer. One pass looks at all workers and all that waits, asks [`plan`](crate::domain::plan),
//! and does what it says. A pass takes no input and may run at any time; it never tries anything twice: the next pass does. Only a result
//! does not wait for one: what its slot is free for is leased with it, in one write.

use std::time::Duration;

use tinysweep_proto::v1::{Lease, coordinator_command::Command};
use tokio::time::{Instant, MissedTickBehavior, interval};
use tonic::Status;
use tracing::{error, info, warn};

use crate::{
    domain::{
        ids::{AttemptKey, LeaseToken, WorkerId},
        plan::{ExpiredWorker, Loss, losses},
    },
    service::convert::{attempt_ref, checkpoint_message},
    shared::Shared,
    store::{LeaseContent, Leased, Room, StoreError},
};

/// Reconciles until the coordinator shuts down.
pub async fn run(shared: &Shared) {
    let mut timer = interval((shared.lease / 4).min(Duration::from_secs(1)));
    timer.set_missed_tick_behavior(MissedTickBehavior::Skip);
    let mut last_pass = Instant::now();
    loop {
        tokio::select! {
            biased; // the timer seldom ticks, so that who wakes this waits for nothing
            () = shared.stopped() => return,
            _ = timer.tick() => {
                if let Err(error) = count(shared).await {
                    error!(%error, "cannot count what runs");
                }
            }
            () = shared.wake.notified() => {}
        }
        // The timer ticks at least four times in a lease. Where it did not, this process or its machine was stopped, and what the workers
        // have said meanwhile is still unread.
        if last_pass.elapsed() > shared.lease / 2 {
            warn!(away_secs = last_pass.elapsed().as_secs(), "the coordinator was held up; workers get a new lease to be heard in");
            shared.sessions.excuse(Instant::now());
        }
        last_pass = Instant::now();
        if let Err(error) = pass(shared).await {
            error!(%error, "cannot reconcile; leases wait for the next try");
        }
    }
}

/// Sets right how many slots are taken, should that count have gone astray.
async fn count(shared: &Shared) -> Result<(), StoreError> {
    let _turn = shared.dispatch.lock().await;
    shared.sessions.count(&shared.machine.disk(shared.store.taken_slots()).await?);
    Ok(())
}

/// One pass.
///
/// # Errors
/// The store fails; what was done before stays done.
pub async fn pass(shared: &Shared) -> Result<(), StoreError> {
    let Shared { machine, store, sessions, .. } = shared;
    let _turn = shared.dispatch.lock().await;
    for (id, silent) in sessions.silent(shared.lease, Instant::now()) {
        let running = machine.disk(store.running_on(&id)).await?;
        for loss in losses(ExpiredWorker { id, silent_secs: silent.as_secs(), running }) {
            match loss {
                Loss::Requeue { attempt, reason } => give_up(shared, &attempt, &reason).await?,
                Loss::Forget { worker, reason } => forget(shared, &worker, reason).await?,
            }
        }
    }
    let room = room(shared, None);
    if room.available.slots() > 0 {
        hand_out(shared, machine.disk(store.lease(room, machine.moment())).await?);
    }
    Ok(())
}

/// Who can be leased to: those who have room, and `ending`, a worker of which something is about to end. Whoever leases holds
/// [`Shared::dispatch`] from before this until the leases are handed out.
pub fn room(shared: &Shared, ending: Option<&WorkerId>) -> Room {
    let Shared { machine, sessions, .. } = shared;
    Room { available: sessions.available(ending, machine.now_ms()), token: LeaseToken::from_random(machine.random()) }
}

async fn forget(shared: &Shared, worker: &WorkerId, reason: String) -> Result<(), StoreError> {
    warn!(%worker, reason, "worker lost");
    shared.machine.disk(shared.store.forget(worker)).await?;
    shared.sessions.forget(worker, Status::deadline_exceeded(reason));
    Ok(())
}

/// Gives up an attempt whose worker is gone.
///
/// # Errors
/// The store fails.
pub async fn give_up(shared: &Shared, attempt: &AttemptKey, reason: &str) -> Result<(), StoreError> {
    let next = match shared.machine.disk(shared.store.lose(attempt, reason, shared.machine.moment())).await {
        Err(StoreError::Refused(_)) => return Ok(()), // it has ended in the meantime
        other => other?,
    };
    shared.live.forget(attempt);
    // The worker that loses it is forgotten with all its slots.
    shared.wake.notify_one();
    warn!(%attempt, reason, next = next.status().name(), "attempt lost");
    Ok(())
}

/// Sends what was leased.
pub fn hand_out(shared: &Shared, leased: Vec<Leased>) {
    for Leased { attempt, worker, content } in leased {
        info!(%attempt, %worker, "leased");
        shared.sessions.take(&worker, content.policy.needs.slots);
        if !shared.sessions.send(&worker, lease(&attempt, content)) {
            info!(%attempt, %worker, "the lease could not be sent; the worker gets it when it is back");
        }
    }
}

/// The command that hands an attempt to a worker.
pub fn lease(attempt: &AttemptKey, content: LeaseContent) -> Command {
    let LeaseContent { config_json, seed, dataset, program, policy, resume } = content;
    Command::Lease(Lease {
        attempt: Some(attempt_ref(attempt)),
        config_json,
        seed,
        dataset: dataset.as_ref().map(Into::into),
        program: program.as_ref().map(Into::into),
        resume: resume.map(checkpoint_message),
        checkpoint_secs: policy.checkpoint_secs,
        timeout_secs: policy.timeout_secs,
        slots: policy.needs.slots,
        memory_mib: policy.needs.memory_mib,
        checkpoint_evaluations: policy.retention.keep_best > 0,
        checkpoint_end: policy.retention.keeps_final(),
    })
}
