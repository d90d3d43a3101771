//! Why a trial is where it is.

use tinysweep_proto::v1;

use super::{convert, extend::configuration, status::ServiceError};
use crate::{
    domain::{
        extension::rate_falls,
        ids::{ReplicateKey, SweepId},
        lifecycle::{AttemptState, ReplicateStatus, SweepState},
        plan::why_waiting,
    },
    shared::Shared,
    store::{AttemptRecord, ReplicateRecord, TrialRecord},
};

/// Slots for which queues are read: enough to say how long a queue is without reading all of it.
const QUEUE_SHOWN: u32 = 1000;

/// Explains every replicate of a trial.
///
/// # Errors
/// There is no such trial.
pub async fn explain(shared: &Shared, sweep: &SweepId, trial: u32) -> Result<v1::ExplainTrialResponse, ServiceError> {
    let record = shared.store.trial(sweep, trial).await?;
    let origin = origin(shared, sweep, &record).await?;
    let mut replicates = Vec::new();
    for replicate in shared.store.replicates(sweep, trial).await? {
        let mut sentences: Vec<_> = origin.iter().cloned().chain(replicate.attempts.iter().map(sentence)).collect();
        match replicate.status {
            ReplicateStatus::Queued => {
                let key = ReplicateKey { sweep: sweep.clone(), trial, replicate: replicate.replicate };
                sentences.extend(waits(shared, &key).await?);
            }
            status => sentences.push(stands(status, &replicate)),
        }
        let state = convert::trial_state(replicate.status).into();
        replicates.push(v1::Explanation { replicate: replicate.replicate, state, sentences });
    }
    Ok(v1::ExplainTrialResponse { trial: Some(convert::trial(sweep, record)), replicates })
}

/// What a trial extends, if it does.
async fn origin(shared: &Shared, sweep: &SweepId, record: &TrialRecord) -> Result<Option<String>, ServiceError> {
    let Some(extends) = record.extends else { return Ok(None) };
    let extended = configuration(sweep, &shared.store.trial(sweep, extends).await?)?.train;
    let (from, to) = (extended.steps, configuration(sweep, record)?.train.steps);
    let rates = if rate_falls(&extended) {
        format!("; the learning rate falls over train.steps, so that its first {from} steps had other rates than those of a run of {to}")
    } else {
        String::new()
    };
    Ok(Some(format!("it extends trial {extends} from the state after its {from} steps to {to} steps{rates}")))
}

/// Where an attempt ran, why there, from where, and how it ended.
fn sentence(attempt: &AttemptRecord) -> String {
    let AttemptRecord { number, worker, lease_reason, resumed_step, step, reason, .. } = attempt;
    let from = if *resumed_step > 0 { format!(" from the checkpoint of step {resumed_step}") } else { String::new() };
    let why = if reason.is_empty() { String::new() } else { format!(": {reason}") };
    let seconds = attempt.ended_ms.map(|ended| (ended - attempt.started_ms).max(0) as f64 / 1000.0);
    let end = match (attempt.state, seconds) {
        (AttemptState::Running, _) | (_, None) => format!("it runs, at step {step}"),
        (state, Some(seconds)) => format!("it ended {} after {seconds:.1} s, at step {step}{why}", state.name()),
    };
    format!("attempt {number} went to worker {worker}{from} ({lease_reason}); {end}")
}

fn stands(status: ReplicateStatus, replicate: &ReplicateRecord) -> String {
    let reason = if replicate.reason.is_empty() { String::new() } else { format!(": {}", replicate.reason) };
    format!("it is {}{reason}", status.name())
}

/// What a queued replicate waits for.
async fn waits(shared: &Shared, key: &ReplicateKey) -> Result<Vec<String>, ServiceError> {
    let now_ms = shared.machine.now_ms();
    let Some((waiting, pause_ms)) = shared.store.waits(key, now_ms).await? else { return Ok(Vec::new()) };
    if shared.store.sweep(&key.sweep).await?.state == SweepState::Paused {
        return Ok(vec!["it waits: its sweep is paused; `tinysweep resume` lets it go on".to_owned()]);
    }
    if pause_ms > 0 {
        return Ok(vec![format!("it waits: the pause after its last failure ends in {:.1} s", pause_ms as f64 / 1000.0)]);
    }
    let (sweeps, workers) = (shared.store.queues(QUEUE_SHOWN, now_ms).await?, shared.sessions.reachable(now_ms));
    let Some(queue) = sweeps.iter().find(|queue| queue.id == key.sweep) else { return Ok(Vec::new()) };
    let reasons = why_waiting(&sweeps, &workers, queue, key, &waiting.avoid);
    Ok(reasons.into_iter().map(|reason| format!("it waits: {reason}")).collect())
}
