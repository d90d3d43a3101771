//! Leases: what waits, who gets it, and what a worker is to be running.

use std::collections::HashMap;

use sqlx::SqliteConnection;
use tinysweep_proto::{dataset::Dataset, program::Program};

use super::{
    Store, StoreError,
    changes::{self, Beginning, Change},
    error::{inconsistent, signed},
    replicates::{attempt_key, load, no_such_replicate, policy_from_json, stored_worker, transition, unknown},
    sweeps::{dataset_from_json, program_from_json},
};
use crate::{
    clock::Moment,
    domain::{
        checkpoint::Checkpoint,
        ids::{AttemptKey, AttemptNumber, Fence, LeaseToken, ReplicateKey, SweepId, WorkerId},
        lifecycle::{Event, Refusal, Replicate, ReplicateState, ReplicateStatus, Rules},
        plan::Assignment,
        policy::Policy,
    },
};

/// What a worker needs to run an attempt.
#[derive(Clone, Debug, PartialEq)]
pub struct LeaseContent {
    /// The configuration as JSON.
    pub config_json: String,
    /// Seeds weights, data order and augmentation.
    pub seed: u64,
    /// What to train and measure on; none for a program.
    pub dataset: Option<Dataset>,
    /// What to run in place of a built-in model.
    pub program: Option<Program>,
    /// How it is to be run.
    pub policy: Policy,
    /// Where to go on; none for a start from nothing.
    pub resume: Option<Checkpoint>,
}

/// A new attempt.
#[derive(Clone, Debug, PartialEq)]
pub struct Leased {
    /// Its name.
    pub attempt: AttemptKey,
    /// Whose it is.
    pub worker: WorkerId,
    /// What the worker needs.
    pub content: LeaseContent,
}

/// Makes the query that reads what is leased, in the order in which it is named, after other statements that go with it.
macro_rules! select_leases {
    ($before:literal, $keys:expr) => {
        sqlx::query_as!(
            LeaseRow,
            $before
                + r#"SELECT r.id AS "id!", r.state, r.attempts AS "attempts: u32", r.faults AS "faults: u32",
             t.config_json, r.seed AS "seed: u64", s.id AS sweep, s.dataset_json, s.program_json, s.policy_json,
             (SELECT json_object('step', c.step, 'bytes', c.bytes, 'chunks', json(c.chunks_json))
              FROM checkpoints c WHERE c.replicate_id = r.id ORDER BY c.step DESC LIMIT 1) AS "resume: String"
           FROM json_each(?) AS wanted CROSS JOIN sweeps s ON s.id = wanted.value ->> 0
           CROSS JOIN trials t ON t.sweep_sequence = s.sequence AND t.number = wanted.value ->> 1
           CROSS JOIN replicates r ON r.trial_id = t.id AND r.replicate = wanted.value ->> 2
           ORDER BY wanted.key"#,
            $keys
        )
    };
}

impl Store {
    /// The attempts that a worker is to be running.
    ///
    /// # Errors
    /// The database fails.
    pub async fn running_on(&self, worker: &WorkerId) -> Result<Vec<AttemptKey>, StoreError> {
        let worker = worker.as_str();
        let rows = sqlx::query!(
            r#"SELECT s.id AS sweep, t.number AS "trial: u32", r.replicate AS "replicate: u32", a.number AS "number: u32", a.token AS "token: u64"
               FROM attempts a JOIN replicates r ON r.id = a.replicate_id JOIN trials t ON t.id = r.trial_id
               JOIN sweeps s ON s.sequence = t.sweep_sequence
               WHERE a.worker_id = ? AND a.state = 'running' ORDER BY a.id"#,
            worker
        )
        .fetch_all(&self.readers)
        .await?;
        Ok(rows.into_iter().map(|row| attempt_key(row.sweep, row.trial, row.replicate, row.number, row.token)).collect())
    }

    /// How many slots are taken on each worker; those without are left out.
    ///
    /// # Errors
    /// The database fails or contradicts itself.
    pub async fn taken_slots(&self) -> Result<HashMap<WorkerId, u32>, StoreError> {
        let rows =
            sqlx::query!(r#"SELECT worker_id, SUM(slots) AS "slots!: u32" FROM attempts WHERE state = 'running' GROUP BY worker_id"#)
                .fetch_all(&self.readers)
                .await?;
        rows.into_iter().map(|row| Ok((stored_worker(&row.worker_id)?, row.slots))).collect()
    }

    /// Leases replicates to workers, all in one write and under one `token`. What is not queued any more is left out of the answer.
    ///
    /// # Errors
    /// The database fails or contradicts itself; then nothing is leased.
    pub async fn lease(&self, assignments: Vec<Assignment>, token: LeaseToken, at: Moment) -> Result<Vec<Leased>, StoreError> {
        let mut turn = self.writer.turn().await?;
        let keys: Vec<_> = assignments.iter().map(|assignment| &assignment.replicate).collect();
        let rows = select_leases!("BEGIN IMMEDIATE; ", keys_json(&keys)).fetch_all(&mut *turn).await?;
        if rows.len() != assignments.len() {
            return Err(inconsistent("the queue", format!("{} of these replicates exist: {keys:?}", rows.len())));
        }
        let (mut changes, mut leased) = (Vec::with_capacity(rows.len()), Vec::with_capacity(rows.len()));
        for (assignment, row) in assignments.into_iter().zip(rows) {
            if row.state == ReplicateStatus::Queued.name() {
                let (change, lease) = lease(assignment, row, token, at)?;
                changes.push(change);
                leased.push(lease);
            } // else it was cancelled in the meantime
        }
        changes::write(&mut turn, &changes, at.now_ms).await?;
        turn.commit().await?;
        Ok(leased)
    }

    /// Gives an attempt up as lost; its replicate is queued again, or fails after too many.
    ///
    /// # Errors
    /// The attempt is not running any more.
    pub async fn lose(&self, attempt: &AttemptKey, why: &str, at: Moment) -> Result<Replicate, StoreError> {
        let mut tx = self.begin().await?;
        let event = Event::Lose { attempt: attempt.fence, reason: why.to_owned() };
        let next = transition(&mut tx, &attempt.replicate, event, at).await?;
        tx.commit().await?;
        Ok(next)
    }

    /// Takes an attempt back from a worker that leaves: no fault of the attempt.
    ///
    /// # Errors
    /// The attempt is not running any more.
    pub async fn take_back(&self, attempt: &AttemptKey, worker: &WorkerId, why: &str, at: Moment) -> Result<(), StoreError> {
        let mut tx = self.begin().await?;
        let event = Event::HandBack { attempt: attempt.fence, worker: worker.clone(), reason: why.to_owned() };
        transition(&mut tx, &attempt.replicate, event, at).await?;
        tx.commit().await
    }

    /// Why an attempt does not count any more; none where it runs on that worker.
    ///
    /// # Errors
    /// The database fails or contradicts itself.
    pub async fn refusal(&self, worker: &WorkerId, attempt: &AttemptKey) -> Result<Option<Refusal>, StoreError> {
        let mut reader = self.readers.acquire().await?;
        let loaded = load(&mut reader, &attempt.replicate).await?;
        Ok(loaded.map_or_else(|| Some(unknown(attempt)), |loaded| loaded.replicate.expect_running_on(attempt.fence, worker).err()))
    }

    /// What a worker needs to run this replicate now.
    ///
    /// # Errors
    /// There is no such replicate.
    pub async fn lease_content(&self, replicate: &ReplicateKey) -> Result<LeaseContent, StoreError> {
        let row = select_leases!("", keys_json(&[replicate])).fetch_optional(&self.readers).await?;
        row.ok_or_else(|| no_such_replicate(replicate))?.content()
    }
}

/// Names replicates to [`select_leases`].
fn keys_json(keys: &[&ReplicateKey]) -> String {
    let keys: Vec<_> = keys.iter().map(|key| (key.sweep.as_str(), key.trial, key.replicate)).collect();
    serde_json::to_string(&keys).expect("strings and numbers have a JSON form")
}

fn lease(assignment: Assignment, row: LeaseRow, token: LeaseToken, at: Moment) -> Result<(Change, Leased), StoreError> {
    let Assignment { replicate, worker, slots, reason } = assignment;
    let (id, queued) = (row.id, Replicate { attempts: row.attempts, faults: row.faults, state: ReplicateState::default() });
    let content = row.content()?;
    let rules = Rules { retry: &content.policy.retry, now_ms: at.now_ms, jitter: at.jitter };
    let transition = queued.apply(Event::Lease { worker: worker.clone(), token }, &rules)?;
    let attempt = AttemptKey { replicate, fence: Fence { number: AttemptNumber(transition.next.attempts), token } };
    let resumed_step = signed("step", content.resume.as_ref().map_or(0, |checkpoint| checkpoint.step))?;
    let change = Change::new(id, &queued, transition, Beginning { reason, slots: slots.max(1), resumed_step });
    Ok((change, Leased { attempt, worker, content }))
}

/// The attempts of a sweep that run, with their workers.
pub(super) async fn running_of_sweep(tx: &mut SqliteConnection, sweep: &SweepId) -> Result<Vec<(WorkerId, AttemptKey)>, StoreError> {
    let id = sweep.as_str();
    let rows = sqlx::query!(
        r#"SELECT t.number AS "trial: u32", r.replicate AS "replicate: u32", a.number AS "number: u32",
             a.token AS "token: u64", a.worker_id AS worker
           FROM sweeps s JOIN replicates r ON r.sweep_sequence = s.sequence AND r.state = 'running' JOIN trials t ON t.id = r.trial_id
           JOIN attempts a ON a.replicate_id = r.id AND a.state = 'running' WHERE s.id = ? ORDER BY a.id"#,
        id
    )
    .fetch_all(tx)
    .await?;
    rows.into_iter()
        .map(|row| Ok((stored_worker(&row.worker)?, attempt_key(sweep.to_string(), row.trial, row.replicate, row.number, row.token))))
        .collect()
}

struct LeaseRow {
    id: i64,
    state: String,
    attempts: u32,
    faults: u32,
    config_json: String,
    seed: u64,
    sweep: String,
    dataset_json: String,
    program_json: Option<String>,
    policy_json: String,
    resume: Option<String>,
}

impl LeaseRow {
    fn content(self) -> Result<LeaseContent, StoreError> {
        let Self { config_json, seed, sweep, dataset_json, program_json, policy_json, resume, .. } = self;
        let place = format!("sweep {sweep}");
        let checkpoint = |json: String| {
            serde_json::from_str(&json).map_err(|error| inconsistent(place.clone(), format!("checkpoint `{json}`: {error}")))
        };
        let resume = resume.map(checkpoint).transpose()?;
        Ok(LeaseContent {
            config_json,
            seed,
            dataset: dataset_from_json(&sweep, &dataset_json)?,
            program: program_from_json(&sweep, program_json)?,
            policy: policy_from_json(&place, &policy_json)?,
            resume,
        })
    }
}
