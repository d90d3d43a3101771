//! What workers and users are told.

use std::collections::HashMap;

use tinysweep_proto::v1;

use crate::{
    domain::{
        checkpoint::Checkpoint,
        ids::{AttemptKey, Fence, ReplicateKey, SweepId},
        lifecycle::{ReplicateStatus, SweepState},
        policy::Traits,
        retention::Reason,
        spec::Role,
    },
    live::LiveProgress,
    store::{
        AttemptRecord, Greeting, ReplicateRecord, RunningRecord, Standing, StateRecord, SweepRecord, TrialRecord, WorkerRecord, goal_name,
    },
};

/// The name of an attempt in messages.
pub fn attempt_ref(attempt: &AttemptKey) -> v1::AttemptRef {
    let AttemptKey { replicate: ReplicateKey { sweep, trial, replicate }, fence: Fence { number, token } } = attempt;
    v1::AttemptRef { sweep: sweep.to_string(), trial: *trial, replicate: *replicate, attempt: number.0, token: token.0 }
}

/// A checkpoint as workers get it.
pub fn checkpoint_message(checkpoint: Checkpoint) -> v1::Checkpoint {
    let Checkpoint { step, bytes, chunks } = checkpoint;
    v1::Checkpoint { step, bytes, chunks }
}

/// A sweep for users.
pub fn sweep(record: SweepRecord) -> v1::Sweep {
    let SweepRecord { id, name, method, metric, goal, state, trials, counts, created_ms, ended_ms, benchmark, dataset, program, standing } =
        record;
    let Standing { priority, share, max_parallel } = standing;
    v1::Sweep {
        id: id.to_string(),
        name,
        benchmark,
        state: sweep_state(state).into(),
        method,
        metric,
        goal: goal_name(goal).into(),
        trials,
        queued: counts.queued,
        running: counts.running,
        completed: counts.completed,
        failed: counts.failed,
        cancelled: counts.cancelled,
        created_ms,
        ended_ms,
        dataset: dataset.as_ref().map(Into::into),
        program: program.as_ref().map(Into::into),
        priority,
        share,
        max_parallel,
    }
}

const fn sweep_state(state: SweepState) -> v1::SweepState {
    match state {
        SweepState::Running => v1::SweepState::Running,
        SweepState::Completed => v1::SweepState::Completed,
        SweepState::Cancelled => v1::SweepState::Cancelled,
        SweepState::Paused => v1::SweepState::Paused,
        SweepState::Stopping => v1::SweepState::Stopping,
        SweepState::Stopped => v1::SweepState::Stopped,
    }
}

/// The state of a replicate for users.
pub const fn trial_state(status: ReplicateStatus) -> v1::TrialState {
    match status {
        ReplicateStatus::Queued => v1::TrialState::Queued,
        ReplicateStatus::Running => v1::TrialState::Running,
        ReplicateStatus::Completed => v1::TrialState::Completed,
        ReplicateStatus::Failed => v1::TrialState::Failed,
        ReplicateStatus::Cancelled => v1::TrialState::Cancelled,
    }
}

/// A trial for users.
pub fn trial(sweep: &SweepId, record: TrialRecord) -> v1::Trial {
    let TrialRecord { number, name, role, config_json, config_hash, state, replicates, completed, metric, extends, reason } = record;
    v1::Trial {
        sweep: sweep.to_string(),
        number,
        state: trial_state(state).into(),
        name,
        config_json,
        config_hash,
        replicates,
        completed,
        metric,
        reason,
        baseline: role == Role::Baseline,
        extends,
    }
}

/// A replicate for users.
pub fn replicate(record: ReplicateRecord) -> v1::Replicate {
    let ReplicateRecord { replicate, status, seed, reason, attempts, metrics, metrics_by_step, states } = record;
    v1::Replicate {
        index: replicate,
        state: trial_state(status).into(),
        seed,
        reason,
        attempts: attempts.into_iter().map(attempt).collect(),
        metrics: metrics.into_iter().collect::<HashMap<_, _>>(),
        metrics_by_step: metrics_by_step.into_iter().map(|(name, values)| v1::Series { name, values }).collect(),
        states: states.into_iter().map(state).collect(),
    }
}

fn state(record: StateRecord) -> v1::KeptState {
    let StateRecord { step, bytes, created_ms, reason } = record;
    v1::KeptState { step, bytes, created_ms, kept_as: reason.map_or("", Reason::name).into() }
}

fn attempt(record: AttemptRecord) -> v1::Attempt {
    let AttemptRecord { number, state, worker, reason, failure, lease_reason, resumed_step, started_ms, ended_ms, step, cost } = record;
    let state = state.name().into();
    v1::Attempt { number, state, worker, reason, failure, lease_reason, resumed_step, started_ms, ended_ms, step, cost }
}

/// What runs, with what it said last where this process has heard it.
pub fn running(record: RunningRecord, live: Option<LiveProgress>) -> v1::RunningTrial {
    let RunningRecord { trial, replicate, attempt: _, token: _, name, worker, step, total_steps } = record;
    let live = live.unwrap_or(LiveProgress { step, total_steps, ..LiveProgress::default() });
    v1::RunningTrial {
        trial,
        replicate,
        name,
        worker,
        step: live.step,
        total_steps: live.total_steps,
        loss: live.loss,
        exact_accuracy: live.test_accuracy.or(live.train_accuracy),
        seconds_left: live.seconds_left,
        evaluated: live.evaluation.map(|(done, _)| done),
        to_evaluate: live.evaluation.map(|(_, total)| total),
    }
}

/// A worker for users. `heard_ms` is when it last spoke, and `withheld` why it gets no work, where a session knows.
pub fn worker(record: WorkerRecord, heard_ms: Option<i64>, withheld: Option<String>) -> v1::Worker {
    let WorkerRecord { greeting: Greeting { id, name, version, slots, traits }, state, health: _, running, last_seen_ms } = record;
    let Traits { device, memory_mib, labels, commands } = traits;
    v1::Worker {
        id: id.to_string(),
        name,
        state: state.name().into(),
        slots,
        running,
        version,
        last_seen_ms: heard_ms.unwrap_or(last_seen_ms),
        withheld: withheld.unwrap_or_default(),
        labels: labels.into_iter().collect(),
        device,
        memory_mib,
        commands,
    }
}
