//! Leases: what waits, who gets it, and what a worker is to be running.

use std::collections::HashMap;

use sqlx::SqliteConnection;
use tinysweep_proto::dataset::Dataset;

use super::{
    Store, StoreError,
    error::{inconsistent, signed},
    replicates::{attempt_key, load, no_such_replicate, policy_from_json, stored_worker, transition, unknown},
    sweeps::dataset_from_json,
};
use crate::{
    clock::Moment,
    domain::{
        checkpoint::Checkpoint,
        ids::{AttemptKey, AttemptNumber, ReplicateKey, SweepId, WorkerId},
        lifecycle::{Event, Refusal, Replicate},
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
    /// What to train and measure on.
    pub dataset: Dataset,
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

impl Store {
    /// The attempts that a worker is to be running.
    ///
    /// # Errors
    /// The database fails.
    pub async fn running_on(&self, worker: &WorkerId) -> Result<Vec<AttemptKey>, StoreError> {
        let worker = worker.as_str();
        let rows = sqlx::query!(
            r#"SELECT s.id AS sweep, t.number AS "trial: u32", r.replicate AS "replicate: u32", a.number AS "number: u32"
               FROM attempts a JOIN replicates r ON r.id = a.replicate_id JOIN trials t ON t.id = r.trial_id
               JOIN sweeps s ON s.sequence = t.sweep_sequence
               WHERE a.worker_id = ? AND a.state = 'running' ORDER BY a.id"#,
            worker
        )
        .fetch_all(&self.readers)
        .await?;
        Ok(rows.into_iter().map(|row| attempt_key(row.sweep, row.trial, row.replicate, row.number)).collect())
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

    /// Leases replicates to workers, all in one write. What is not queued any more is left out of the answer.
    ///
    /// # Errors
    /// The database fails or contradicts itself; then nothing is leased.
    pub async fn lease(&self, assignments: Vec<Assignment>, at: Moment) -> Result<Vec<Leased>, StoreError> {
        let mut tx = self.begin().await?;
        let mut leased = Vec::with_capacity(assignments.len());
        for assignment in assignments {
            match lease(&mut tx, assignment, at).await {
                Err(StoreError::Refused(_)) => {} // cancelled in the meantime
                other => leased.push(other?),
            }
        }
        tx.commit().await?;
        Ok(leased)
    }

    /// Gives an attempt up as lost; its replicate is queued again, or fails after too many.
    ///
    /// # Errors
    /// The attempt is not running any more.
    pub async fn lose(&self, attempt: &AttemptKey, why: &str, at: Moment) -> Result<Replicate, StoreError> {
        let mut tx = self.begin().await?;
        let event = Event::Lose { attempt: attempt.number, reason: why.to_owned() };
        let (_, next) = transition(&mut tx, &attempt.replicate, event, "", at).await?;
        tx.commit().await?;
        Ok(next)
    }

    /// Takes an attempt back from a worker that leaves: no fault of the attempt.
    ///
    /// # Errors
    /// The attempt is not running any more.
    pub async fn take_back(&self, attempt: &AttemptKey, worker: &WorkerId, why: &str, at: Moment) -> Result<(), StoreError> {
        let mut tx = self.begin().await?;
        let event = Event::HandBack { attempt: attempt.number, worker: worker.clone(), reason: why.to_owned() };
        transition(&mut tx, &attempt.replicate, event, "", at).await?;
        Ok(tx.commit().await?)
    }

    /// Why an attempt does not count any more; none where it runs on that worker.
    ///
    /// # Errors
    /// The database fails or contradicts itself.
    pub async fn refusal(&self, worker: &WorkerId, attempt: &AttemptKey) -> Result<Option<Refusal>, StoreError> {
        let mut reader = self.readers.acquire().await?;
        let loaded = load(&mut reader, &attempt.replicate).await?;
        Ok(loaded.map_or_else(|| Some(unknown(attempt)), |loaded| loaded.replicate.expect_running_on(attempt.number, worker).err()))
    }

    /// What a worker needs to run this replicate now.
    ///
    /// # Errors
    /// There is no such replicate.
    pub async fn lease_content(&self, replicate: &ReplicateKey) -> Result<LeaseContent, StoreError> {
        let mut reader = self.readers.acquire().await?;
        content(&mut reader, replicate).await
    }
}

async fn lease(tx: &mut SqliteConnection, assignment: Assignment, at: Moment) -> Result<Leased, StoreError> {
    let Assignment { replicate, worker, slots, reason } = assignment;
    let (loaded, next) = transition(tx, &replicate, Event::Lease { worker: worker.clone() }, &reason, at).await?;
    let content = content(tx, &replicate).await?;
    let resumed = signed("step", content.resume.as_ref().map_or(0, |checkpoint| checkpoint.step))?;
    if slots > 1 || resumed > 0 {
        sqlx::query!(
            "UPDATE attempts SET slots = ?, resumed_step = ? WHERE replicate_id = ? AND number = ?",
            slots,
            resumed,
            loaded.id,
            next.attempts
        )
        .execute(tx)
        .await?;
    }
    Ok(Leased { attempt: AttemptKey { replicate, number: AttemptNumber(next.attempts) }, worker, content })
}

async fn content(tx: &mut SqliteConnection, replicate: &ReplicateKey) -> Result<LeaseContent, StoreError> {
    let sweep = replicate.sweep.as_str();
    let row = sqlx::query_as!(
        LeaseRow,
        r#"SELECT t.config_json, r.seed AS "seed: u64", s.id AS sweep, s.dataset_json, s.policy_json,
             (SELECT json_object('step', c.step, 'bytes', c.bytes, 'chunks', json(c.chunks_json))
              FROM checkpoints c WHERE c.replicate_id = r.id ORDER BY c.step DESC LIMIT 1) AS "resume: String"
           FROM sweeps s JOIN trials t ON t.sweep_sequence = s.sequence JOIN replicates r ON r.trial_id = t.id
           WHERE s.id = ? AND t.number = ? AND r.replicate = ?"#,
        sweep,
        replicate.trial,
        replicate.replicate
    )
    .fetch_optional(tx)
    .await?;
    row.ok_or_else(|| no_such_replicate(replicate))?.try_into()
}

/// The attempts of a sweep that run, with their workers.
pub(super) async fn running_of_sweep(tx: &mut SqliteConnection, sweep: &SweepId) -> Result<Vec<(WorkerId, AttemptKey)>, StoreError> {
    let id = sweep.as_str();
    let rows = sqlx::query!(
        r#"SELECT t.number AS "trial: u32", r.replicate AS "replicate: u32", a.number AS "number: u32", a.worker_id AS worker
           FROM sweeps s JOIN replicates r ON r.sweep_sequence = s.sequence AND r.state = 'running' JOIN trials t ON t.id = r.trial_id
           JOIN attempts a ON a.replicate_id = r.id AND a.state = 'running' WHERE s.id = ? ORDER BY a.id"#,
        id
    )
    .fetch_all(tx)
    .await?;
    rows.into_iter()
        .map(|row| Ok((stored_worker(&row.worker)?, attempt_key(sweep.to_string(), row.trial, row.replicate, row.number))))
        .collect()
}

struct LeaseRow {
    config_json: String,
    seed: u64,
    sweep: String,
    dataset_json: String,
    policy_json: String,
    resume: Option<String>,
}

impl TryFrom<LeaseRow> for LeaseContent {
    type Error = StoreError;

    fn try_from(row: LeaseRow) -> Result<Self, StoreError> {
        let LeaseRow { config_json, seed, sweep, dataset_json, policy_json, resume } = row;
        let place = format!("sweep {sweep}");
        let checkpoint = |json: String| {
            serde_json::from_str(&json).map_err(|error| inconsistent(place.clone(), format!("checkpoint `{json}`: {error}")))
        };
        let resume = resume.map(checkpoint).transpose()?;
        Ok(Self {
            config_json,
            seed,
            dataset: dataset_from_json(&sweep, &dataset_json)?,
            policy: policy_from_json(&place, &policy_json)?,
            resume,
        })
    }
}
