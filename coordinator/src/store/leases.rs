//! Leases: what waits, who gets it, and what a worker is to be running.

use std::collections::HashMap;

use sqlx::SqliteConnection;
use tinysweep_proto::{dataset::Dataset, program::Program};

use super::{
    Store, StoreError,
    changes::{self, Beginning, Change},
    error::{inconsistent, signed},
    queue::{Head, Queues},
    replicates::{attempt_key, load, no_such_replicate, policy_from_json, stored_worker, transition, unknown},
    sweeps::{dataset_from_json, program_from_json},
};
use crate::{
    clock::Moment,
    domain::{
        checkpoint::Checkpoint,
        fleet::Available,
        ids::{AttemptKey, AttemptNumber, Fence, LeaseToken, ReplicateKey, SweepId, WorkerId},
        lifecycle::{Event, Refusal, Replicate, ReplicateState, Rules},
        plan::{self, Assignment},
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

/// Who can be leased to.
#[derive(Clone, Debug)]
pub struct Room {
    /// Workers.
    pub available: Available,
    /// Drawn for the leases.
    pub token: LeaseToken,
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

    /// Leases what waits to those who have room, all in one write.
    ///
    /// # Errors
    /// The database fails or contradicts itself; then nothing is leased.
    pub async fn lease(&self, room: Room, at: Moment) -> Result<Vec<Leased>, StoreError> {
        let turn = self.writer.turn().await?;
        // Nobody else writes meanwhile, so that what is read before the transaction is true in it.
        let queues = self.read_queues(room.available.slots(), at.now_ms).await?;
        let (changes, leased) = decide(queues, room, at)?;
        if leased.is_empty() {
            turn.committed();
            return Ok(leased);
        }
        changes::write_leases(turn, &changes, at.now_ms).await?;
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
        let sweep = replicate.sweep.as_str();
        let row = sqlx::query!(
            r#"SELECT t.config_json, r.seed AS "seed: u64", s.dataset_json, s.program_json, s.policy_json,
                 (SELECT json_object('step', c.step, 'bytes', c.bytes, 'chunks', json(c.chunks_json))
                  FROM checkpoints c WHERE c.replicate_id = r.id ORDER BY c.step DESC LIMIT 1) AS "resume: String"
               FROM sweeps s JOIN trials t ON t.sweep_sequence = s.sequence JOIN replicates r ON r.trial_id = t.id
               WHERE s.id = ? AND t.number = ? AND r.replicate = ?"#,
            sweep,
            replicate.trial,
            replicate.replicate
        )
        .fetch_optional(&self.readers)
        .await?
        .ok_or_else(|| no_such_replicate(replicate))?;
        let checkpoint = |json: String| {
            serde_json::from_str(&json).map_err(|error| inconsistent(format!("sweep {sweep}"), format!("checkpoint `{json}`: {error}")))
        };
        let resume = row.resume.map(checkpoint).transpose()?;
        let (config_json, seed, dataset_json) = (row.config_json, row.seed, row.dataset_json);
        Content { config_json, seed, dataset_json, program_json: row.program_json, policy_json: row.policy_json, resume }.parse(sweep)
    }
}

/// Decides what is leased next: the changes to write, and what they lease.
pub(super) fn decide(queues: Queues, room: Room, at: Moment) -> Result<(Vec<Change>, Vec<Leased>), StoreError> {
    let Queues { sweeps, mut heads } = queues;
    let Room { available, token } = room;
    let lease = |assignment: Assignment| {
        let head = heads.remove(&assignment.replicate).ok_or_else(|| no_such_replicate(&assignment.replicate))?;
        lease(assignment, head, token, at)
    };
    plan::assign(&sweeps, available).into_iter().map(lease).collect::<Result<Vec<_>, _>>().map(|leases| leases.into_iter().unzip())
}

fn lease(assignment: Assignment, head: Head, token: LeaseToken, at: Moment) -> Result<(Change, Leased), StoreError> {
    let Assignment { replicate, worker, slots, reason } = assignment;
    let Head { row, attempts, faults, content } = head;
    let queued = Replicate { attempts, faults, state: ReplicateState::default() };
    let content = content.parse(replicate.sweep.as_str())?;
    let rules = Rules { retry: &content.policy.retry, now_ms: at.now_ms, jitter: at.jitter };
    let transition = queued.apply(Event::Lease { worker: worker.clone(), token }, &rules)?;
    let attempt = AttemptKey { replicate, fence: Fence { number: AttemptNumber(transition.next.attempts), token } };
    let resumed_step = signed("step", content.resume.as_ref().map_or(0, |checkpoint| checkpoint.step))?;
    let change = Change::new(row, &queued, transition, Beginning { reason, slots: slots.max(1), resumed_step });
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

/// [`LeaseContent`] as it is stored.
pub(super) struct Content {
    pub(super) config_json: String,
    pub(super) seed: u64,
    pub(super) dataset_json: String,
    pub(super) program_json: Option<String>,
    pub(super) policy_json: String,
    pub(super) resume: Option<Checkpoint>,
}

impl Content {
    fn parse(self, sweep: &str) -> Result<LeaseContent, StoreError> {
        let Self { config_json, seed, dataset_json, program_json, policy_json, resume } = self;
        Ok(LeaseContent {
            config_json,
            seed,
            dataset: dataset_from_json(sweep, &dataset_json)?,
            program: program_from_json(sweep, program_json)?,
            policy: policy_from_json(&format!("sweep {sweep}"), &policy_json)?,
            resume,
        })
    }
}
