//! Replicates and their attempts: the queue, leases, and the one place where their states are written.

use sqlx::SqliteConnection;
use tinysweep_proto::dataset::Dataset;

use super::{Store, StoreError, error::inconsistent, sweeps::dataset_from_json};
use crate::domain::{
    ids::{AttemptKey, AttemptNumber, ReplicateKey, SweepId, WorkerId},
    lifecycle::{AttemptChange, Event, Refusal, ReplicateState, ReplicateStatus, SweepState},
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
}

impl Store {
    /// The first `limit` replicates that wait, in the order in which they should run.
    ///
    /// # Errors
    /// The database fails.
    pub async fn queue(&self, limit: u32) -> Result<Vec<ReplicateKey>, StoreError> {
        let rows = sqlx::query!(
            r#"SELECT s.id AS sweep, t.number AS "trial: u32", r.replicate AS "replicate: u32"
               FROM replicates r JOIN sweeps s ON s.sequence = r.sweep_sequence JOIN trials t ON t.id = r.trial_id
               WHERE r.state = 'queued' ORDER BY r.sweep_sequence, r.replicate, r.trial_id LIMIT ?"#,
            limit
        )
        .fetch_all(&self.readers)
        .await?;
        Ok(rows
            .into_iter()
            .map(|row| ReplicateKey { sweep: SweepId::named(row.sweep), trial: row.trial, replicate: row.replicate })
            .collect())
    }

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
        Ok(rows
            .into_iter()
            .map(|row| AttemptKey {
                replicate: ReplicateKey { sweep: SweepId::named(row.sweep), trial: row.trial, replicate: row.replicate },
                number: AttemptNumber(row.number),
            })
            .collect())
    }

    /// Leases a replicate to a worker; `why` is kept. Returns the new attempt.
    ///
    /// # Errors
    /// The replicate is not queued any more.
    pub async fn lease(&self, replicate: &ReplicateKey, worker: &WorkerId, why: &str, now_ms: i64) -> Result<AttemptKey, StoreError> {
        let mut tx = self.begin().await?;
        let next = transition(&mut tx, replicate, Event::Lease { worker: worker.clone() }, why, now_ms).await?;
        tx.commit().await?;
        Ok(AttemptKey { replicate: replicate.clone(), number: AttemptNumber(next.attempts()) })
    }

    /// Gives an attempt up as lost; its replicate is queued again, or fails after too many.
    ///
    /// # Errors
    /// The attempt is not running any more.
    pub async fn lose(&self, attempt: &AttemptKey, why: &str, now_ms: i64) -> Result<ReplicateState, StoreError> {
        let mut tx = self.begin().await?;
        let event = Event::Lose { attempt: attempt.number, reason: why.to_owned() };
        let next = transition(&mut tx, &attempt.replicate, event, "", now_ms).await?;
        tx.commit().await?;
        Ok(next)
    }

    /// Why an attempt does not count any more; none where it runs on that worker.
    ///
    /// # Errors
    /// The database fails or contradicts itself.
    pub async fn refusal(&self, worker: &WorkerId, attempt: &AttemptKey) -> Result<Option<Refusal>, StoreError> {
        let mut reader = self.readers.acquire().await?;
        let loaded = load(&mut reader, &attempt.replicate).await?;
        Ok(loaded.map_or_else(|| Some(unknown(attempt)), |loaded| loaded.state.expect_running_on(attempt.number, worker).err()))
    }

    /// What a worker needs to run this replicate; the same for every attempt.
    ///
    /// # Errors
    /// There is no such replicate.
    pub async fn lease_content(&self, replicate: &ReplicateKey) -> Result<LeaseContent, StoreError> {
        let sweep = replicate.sweep.as_str();
        let row = sqlx::query_as!(
            LeaseRow,
            r#"SELECT t.config_json, r.seed AS "seed: u64", s.id AS sweep, s.dataset_json
               FROM sweeps s JOIN trials t ON t.sweep_sequence = s.sequence JOIN replicates r ON r.trial_id = t.id
               WHERE s.id = ? AND t.number = ? AND r.replicate = ?"#,
            sweep,
            replicate.trial,
            replicate.replicate
        )
        .fetch_optional(&self.readers)
        .await?;
        row.ok_or_else(|| no_such_replicate(replicate))?.try_into()
    }
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
        .map(|row| {
            let replicate = ReplicateKey { sweep: sweep.clone(), trial: row.trial, replicate: row.replicate };
            Ok((stored_worker(&row.worker)?, AttemptKey { replicate, number: AttemptNumber(row.number) }))
        })
        .collect()
}

/// A replicate as the store has it.
pub(super) struct Loaded {
    pub(super) id: i64,
    pub(super) sweep_sequence: i64,
    /// The metric by which its sweep ranks.
    pub(super) metric: String,
    /// Row of the attempt that runs.
    pub(super) alive: Option<i64>,
    pub(super) state: ReplicateState,
}

/// Reads a replicate; none where it does not exist.
pub(super) async fn load(tx: &mut SqliteConnection, replicate: &ReplicateKey) -> Result<Option<Loaded>, StoreError> {
    let sweep = replicate.sweep.as_str();
    let row = sqlx::query_as!(
        ReplicateRow,
        r#"SELECT r.id, r.sweep_sequence, s.metric, r.state, r.attempts AS "attempts: u32", r.reason,
             a.id AS "alive_id?", a.number AS "alive_number?: u32", a.worker_id AS "alive_worker?"
           FROM sweeps s JOIN trials t ON t.sweep_sequence = s.sequence JOIN replicates r ON r.trial_id = t.id
           LEFT JOIN attempts a ON a.replicate_id = r.id AND a.state = 'running'
           WHERE s.id = ? AND t.number = ? AND r.replicate = ?"#,
        sweep,
        replicate.trial,
        replicate.replicate
    )
    .fetch_optional(tx)
    .await?;
    row.map(Loaded::try_from).transpose()
}

/// Performs what follows from `event`, and settles the sweep where this was its last open replicate.
pub(super) async fn transition(
    tx: &mut SqliteConnection,
    replicate: &ReplicateKey,
    event: Event,
    lease_reason: &str,
    now_ms: i64,
) -> Result<ReplicateState, StoreError> {
    let loaded = load(tx, replicate).await?.ok_or_else(|| no_such_replicate(replicate))?;
    perform(tx, replicate, &loaded, event, lease_reason, now_ms).await
}

/// The same for a replicate that was read in this transaction.
pub(super) async fn perform(
    tx: &mut SqliteConnection,
    replicate: &ReplicateKey,
    loaded: &Loaded,
    event: Event,
    lease_reason: &str,
    now_ms: i64,
) -> Result<ReplicateState, StoreError> {
    let following = loaded.state.apply(event)?;
    let (from, from_attempts) = (loaded.state.status().name(), loaded.state.attempts());
    let (state, attempts, reason) = (following.next.status().name(), following.next.attempts(), following.next.reason());
    let changed = sqlx::query!(
        "UPDATE replicates SET state = ?, attempts = ?, reason = ? WHERE id = ? AND state = ? AND attempts = ?",
        state,
        attempts,
        reason,
        loaded.id,
        from,
        from_attempts
    )
    .execute(&mut *tx)
    .await?;
    expect_one(changed.rows_affected(), replicate)?;
    if let Some(change) = following.attempt {
        change_attempt(tx, replicate, loaded.id, change, lease_reason, now_ms).await?;
    }
    if following.next.status().is_final() {
        settle_sweep(tx, loaded.sweep_sequence, now_ms).await?;
    }
    Ok(following.next)
}

async fn change_attempt(
    tx: &mut SqliteConnection,
    replicate: &ReplicateKey,
    replicate_id: i64,
    change: AttemptChange,
    lease_reason: &str,
    now_ms: i64,
) -> Result<(), StoreError> {
    let changed = match change {
        AttemptChange::Begins { number, worker } => {
            let worker = worker.as_str();
            sqlx::query!(
                "INSERT INTO attempts (replicate_id, number, worker_id, lease_reason, started_ms) VALUES (?, ?, ?, ?, ?)",
                replicate_id,
                number.0,
                worker,
                lease_reason,
                now_ms
            )
            .execute(tx)
            .await?
        }
        AttemptChange::Ends { number, state, reason } => {
            let state = state.name();
            sqlx::query!(
                "UPDATE attempts SET state = ?, reason = ?, ended_ms = ? WHERE replicate_id = ? AND number = ? AND state = 'running'",
                state,
                reason,
                now_ms,
                replicate_id,
                number.0
            )
            .execute(tx)
            .await?
        }
    };
    expect_one(changed.rows_affected(), replicate)
}

/// A sweep without open replicates has completed, unless a user has cancelled it.
async fn settle_sweep(tx: &mut SqliteConnection, sequence: i64, now_ms: i64) -> Result<(), StoreError> {
    // Whether any is open decides, not how many: with 10⁵ replicates a count at every end would be felt.
    let open = sqlx::query_scalar!(
        r#"SELECT EXISTS (SELECT 1 FROM replicates WHERE sweep_sequence = ?1 AND state = 'queued')
             OR EXISTS (SELECT 1 FROM replicates WHERE sweep_sequence = ?1 AND state = 'running') AS "open!: bool""#,
        sequence
    )
    .fetch_one(&mut *tx)
    .await?;
    let (from, next) = (SweepState::Running, SweepState::Running.after_end(u64::from(open)));
    if next == from {
        return Ok(());
    }
    let (from, next) = (from.name(), next.name());
    sqlx::query!("UPDATE sweeps SET state = ?, ended_ms = ? WHERE sequence = ? AND state = ?", next, now_ms, sequence, from)
        .execute(tx)
        .await?;
    Ok(())
}

fn expect_one(changed: u64, replicate: &ReplicateKey) -> Result<(), StoreError> {
    if changed == 1 { Ok(()) } else { Err(StoreError::Conflict(format!("replicate {replicate}"))) }
}

fn no_such_replicate(replicate: &ReplicateKey) -> StoreError {
    inconsistent(format!("replicate {replicate}"), "is spoken of and does not exist")
}

/// A worker's id that this program once let in.
pub(super) fn stored_worker(id: &str) -> Result<WorkerId, StoreError> {
    WorkerId::parse(id).map_err(|error| inconsistent(format!("worker {id}"), error.to_string()))
}

struct ReplicateRow {
    id: i64,
    sweep_sequence: i64,
    metric: String,
    state: String,
    attempts: u32,
    reason: String,
    alive_id: Option<i64>,
    alive_number: Option<u32>,
    alive_worker: Option<String>,
}

impl TryFrom<ReplicateRow> for Loaded {
    type Error = StoreError;

    fn try_from(row: ReplicateRow) -> Result<Self, StoreError> {
        let ReplicateRow { id, sweep_sequence, metric, state: state_name, attempts, reason, alive_id, alive_number, alive_worker } = row;
        let wrong = |problem: String| inconsistent(format!("replicates row {id}"), problem);
        let status = ReplicateStatus::from_name(&state_name).ok_or_else(|| wrong(format!("state `{state_name}`")))?;
        let state = match (status, alive_number, alive_worker) {
            (ReplicateStatus::Running, Some(number), Some(worker)) if number == attempts => {
                ReplicateState::Running { attempt: AttemptNumber(number), worker: stored_worker(&worker)? }
            }
            (ReplicateStatus::Queued, None, None) => ReplicateState::Queued { attempts, reason },
            (ReplicateStatus::Completed, None, None) => ReplicateState::Completed { attempt: AttemptNumber(attempts) },
            (ReplicateStatus::Failed, None, None) => ReplicateState::Failed { attempt: AttemptNumber(attempts), reason },
            (ReplicateStatus::Cancelled, None, None) => ReplicateState::Cancelled { attempts, reason },
            (_, number, _) => return Err(wrong(format!("{state_name} after {attempts} attempts while attempt {number:?} is alive"))),
        };
        Ok(Self { id, sweep_sequence, metric, alive: alive_id, state })
    }
}

struct LeaseRow {
    config_json: String,
    seed: u64,
    sweep: String,
    dataset_json: String,
}

impl TryFrom<LeaseRow> for LeaseContent {
    type Error = StoreError;

    fn try_from(row: LeaseRow) -> Result<Self, StoreError> {
        let LeaseRow { config_json, seed, sweep, dataset_json } = row;
        Ok(Self { config_json, seed, dataset: dataset_from_json(&sweep, &dataset_json)? })
    }
}

/// What an attempt that nobody here knows of is told.
pub(super) const fn unknown(attempt: &AttemptKey) -> Refusal {
    Refusal::Unknown { attempt: attempt.number }
}
