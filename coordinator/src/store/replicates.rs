//! One replicate: how it is read, and what an event does to it.

use sqlx::SqliteConnection;

use super::{
    StoreError,
    changes::{self, Beginning, Change},
    error::inconsistent,
};
use crate::{
    clock::Moment,
    domain::{
        failure::RetryPolicy,
        ids::{AttemptKey, AttemptNumber, Fence, LeaseToken, ReplicateKey, WorkerId},
        lifecycle::{Event, Refusal, Replicate, ReplicateState, ReplicateStatus, Rules, SweepState},
        policy::Policy,
    },
};

/// A replicate as the store has it.
pub(super) struct Loaded {
    /// Where it was read by [`take`]: the event had not been taken before.
    pub(super) is_news: bool,
    pub(super) id: i64,
    pub(super) trial_id: i64,
    pub(super) sweep_sequence: i64,
    /// The metric by which its sweep ranks.
    pub(super) metric: String,
    /// Row of the attempt that runs.
    pub(super) alive: Option<i64>,
    /// Slots that it takes.
    pub(super) slots: u32,
    /// There are states of training to go on from.
    pub(super) has_checkpoints: bool,
    /// Other replicates of the sweep are queued or running, so that the end of this one does not end it. Whether there are any, not how
    /// many: with 10⁵ replicates a count at every end would be felt.
    pub(super) others_open: bool,
    pub(super) replicate: Replicate,
    /// Read only where it matters.
    policy_json: String,
}

impl Loaded {
    fn retry(&self) -> Result<RetryPolicy, StoreError> {
        Ok(policy_from_json(&format!("replicates row {}", self.id), &self.policy_json)?.retry)
    }

    /// The change that follows from its `result`.
    pub(super) fn completed(&self, result: Event, at: Moment) -> Result<Change, StoreError> {
        let rules = Rules { retry: &self.retry()?, now_ms: at.now_ms, jitter: at.jitter };
        Ok(Change::new(self.id, &self.replicate, self.replicate.apply(result, &rules)?, Beginning::default()))
    }
}

/// Makes the query that reads one replicate, after other statements that go with it.
macro_rules! select_replicate {
    ($before:literal, $($argument:expr),+) => {
        sqlx::query_as!(
            ReplicateRow,
            $before
                + r#"SELECT changes() = 1 AS "has_changed!: bool",
             r.id, r.trial_id, r.sweep_sequence, s.metric, s.policy_json, r.state, r.attempts AS "attempts: u32", r.faults AS "faults: u32", r.reason,
             r.ready_ms, r.elsewhere AS "elsewhere: bool",
             a.id AS "alive_id?", a.number AS "alive_number?: u32", a.token AS "alive_token?: u64", a.worker_id AS "alive_worker?",
             a.slots AS "alive_slots?: u32",
             EXISTS (SELECT 1 FROM checkpoints c WHERE c.replicate_id = r.id) AS "has_checkpoints!: bool",
             EXISTS (SELECT 1 FROM replicates o WHERE o.sweep_sequence = s.sequence AND o.state = 'queued' AND o.id <> r.id)
               OR EXISTS (SELECT 1 FROM replicates o WHERE o.sweep_sequence = s.sequence AND o.state = 'running' AND o.id <> r.id)
               AS "others_open!: bool"
           FROM sweeps s JOIN trials t ON t.sweep_sequence = s.sequence JOIN replicates r ON r.trial_id = t.id
           LEFT JOIN attempts a ON a.replicate_id = r.id AND a.state = 'running'
           WHERE s.id = ? AND t.number = ? AND r.replicate = ?"#,
            $($argument),+
        )
    };
}

/// Reads a replicate; none where it does not exist.
pub(super) async fn load(tx: &mut SqliteConnection, replicate: &ReplicateKey) -> Result<Option<Loaded>, StoreError> {
    let sweep = replicate.sweep.as_str();
    let row = select_replicate!("", sweep, replicate.trial, replicate.replicate).fetch_optional(tx).await?;
    row.map(Loaded::try_from).transpose()
}

/// Begins a transaction in which an event of a worker is taken: moves the worker's cursor to `seq`, unless it is there already, and reads
/// the replicate that the event is about, none where it does not exist. [`Loaded::is_news`] says whether the cursor has moved.
///
/// A gap is let through: after a power cut the store may have forgotten events that the worker was told are stored.
pub(super) async fn take(
    tx: &mut SqliteConnection,
    worker: &WorkerId,
    seq: i64,
    replicate: &ReplicateKey,
    now_ms: i64,
) -> Result<Option<Loaded>, StoreError> {
    let (worker, sweep) = (worker.as_str(), replicate.sweep.as_str());
    let rows = select_replicate!(
        "BEGIN IMMEDIATE; UPDATE workers SET applied_seq = ?, last_seen_ms = ? WHERE id = ? AND applied_seq < ?; ",
        seq,
        now_ms,
        worker,
        seq,
        sweep,
        replicate.trial,
        replicate.replicate
    )
    .fetch_all(tx)
    .await?;
    rows.into_iter().next().map(Loaded::try_from).transpose()
}

/// Reads a replicate and performs what follows from `event`.
pub(super) async fn transition(
    tx: &mut SqliteConnection,
    replicate: &ReplicateKey,
    event: Event,
    at: Moment,
) -> Result<Replicate, StoreError> {
    let loaded = load(tx, replicate).await?.ok_or_else(|| no_such_replicate(replicate))?;
    perform(tx, &loaded, event, at).await
}

/// Performs what follows from `event`, and settles the sweep where this was its last open replicate.
pub(super) async fn perform(tx: &mut SqliteConnection, loaded: &Loaded, event: Event, at: Moment) -> Result<Replicate, StoreError> {
    let retry = loaded.retry()?;
    let rules = Rules { retry: &retry, now_ms: at.now_ms, jitter: at.jitter };
    let mut following = loaded.replicate.apply(event, &rules)?;
    // Nothing that is queued in a sweep which was stopped would ever run, and the sweep never end.
    if following.next.status() == ReplicateStatus::Queued && standing(tx, loaded.sweep_sequence).await?.0 == SweepState::Stopping {
        let reason = format!("its sweep was stopped by a user; {}", following.next.state.reason());
        following.next = following.next.apply(Event::Cancel { reason }, &rules)?.next;
    }
    let next = following.next.clone();
    let change = Change::new(loaded.id, &loaded.replicate, following, Beginning::default());
    changes::write(tx, &[change], at.now_ms).await?;
    if next.status().is_final() && !loaded.others_open {
        settle_sweep(tx, loaded.sweep_sequence, at.now_ms).await?;
    }
    Ok(next)
}

/// A sweep without open replicates has ended, unless a user has cancelled it.
pub(super) async fn settle_sweep(tx: &mut SqliteConnection, sequence: i64, now_ms: i64) -> Result<(), StoreError> {
    let (from, is_open) = standing(tx, sequence).await?;
    let next = from.after_end(u64::from(is_open));
    if next == from {
        return Ok(());
    }
    let (from, next) = (from.name(), next.name());
    sqlx::query!("UPDATE sweeps SET state = ?, ended_ms = ? WHERE sequence = ? AND state = ?", next, now_ms, sequence, from)
        .execute(tx)
        .await?;
    Ok(())
}

/// The state of a sweep, and whether any of its replicates is open.
async fn standing(tx: &mut SqliteConnection, sequence: i64) -> Result<(SweepState, bool), StoreError> {
    let row = sqlx::query!(
        r#"SELECT state, EXISTS (SELECT 1 FROM replicates WHERE sweep_sequence = ?1 AND state = 'queued')
             OR EXISTS (SELECT 1 FROM replicates WHERE sweep_sequence = ?1 AND state = 'running') AS "open!: bool"
           FROM sweeps WHERE sequence = ?1"#,
        sequence
    )
    .fetch_one(tx)
    .await?;
    let wrong = || inconsistent(format!("sweeps row {sequence}"), format!("state `{}`", row.state));
    Ok((SweepState::from_name(&row.state).ok_or_else(wrong)?, row.open))
}

pub(super) fn no_such_replicate(replicate: &ReplicateKey) -> StoreError {
    inconsistent(format!("replicate {replicate}"), "is spoken of and does not exist")
}

/// A worker's id that this program once let in.
pub(super) fn stored_worker(id: &str) -> Result<WorkerId, StoreError> {
    WorkerId::parse(id).map_err(|error| inconsistent(format!("worker {id}"), error.to_string()))
}

/// A sweep's policy as it was stored.
pub(super) fn policy_from_json(place: &str, json: &str) -> Result<Policy, StoreError> {
    serde_json::from_str(json).map_err(|error| inconsistent(place, format!("policy `{json}`: {error}")))
}

struct ReplicateRow {
    has_changed: bool,
    id: i64,
    trial_id: i64,
    sweep_sequence: i64,
    metric: String,
    policy_json: String,
    state: String,
    attempts: u32,
    faults: u32,
    reason: String,
    ready_ms: i64,
    elsewhere: bool,
    alive_id: Option<i64>,
    alive_number: Option<u32>,
    alive_token: Option<u64>,
    alive_worker: Option<String>,
    alive_slots: Option<u32>,
    has_checkpoints: bool,
    others_open: bool,
}

impl TryFrom<ReplicateRow> for Loaded {
    type Error = StoreError;

    fn try_from(row: ReplicateRow) -> Result<Self, StoreError> {
        let ReplicateRow {
            has_changed,
            id,
            trial_id,
            sweep_sequence,
            metric,
            policy_json,
            state: state_name,
            attempts,
            faults,
            reason,
            ready_ms,
            elsewhere,
            alive_id,
            alive_number,
            alive_token,
            alive_worker,
            alive_slots,
            has_checkpoints,
            others_open,
        } = row;
        let wrong = |problem: String| inconsistent(format!("replicates row {id}"), problem);
        let status = ReplicateStatus::from_name(&state_name).ok_or_else(|| wrong(format!("state `{state_name}`")))?;
        let alive = alive_number.zip(alive_token).zip(alive_worker);
        let state = match (status, alive) {
            (ReplicateStatus::Running, Some(((number, token), worker))) if number == attempts => {
                ReplicateState::Running { worker: stored_worker(&worker)?, token: LeaseToken(token) }
            }
            (ReplicateStatus::Queued, None) => ReplicateState::Queued { reason, ready_ms, elsewhere },
            (ReplicateStatus::Completed, None) => ReplicateState::Completed,
            (ReplicateStatus::Failed, None) => ReplicateState::Failed { reason },
            (ReplicateStatus::Cancelled, None) => ReplicateState::Cancelled { reason },
            (_, alive) => return Err(wrong(format!("{state_name} after {attempts} attempts while attempt {alive:?} is alive"))),
        };
        let replicate = Replicate { attempts, faults, state };
        Ok(Self {
            is_news: has_changed,
            id,
            trial_id,
            sweep_sequence,
            metric,
            alive: alive_id,
            slots: alive_slots.unwrap_or(0),
            has_checkpoints,
            others_open,
            replicate,
            policy_json,
        })
    }
}

/// What an attempt that nobody here knows of is told.
pub(super) const fn unknown(attempt: &AttemptKey) -> Refusal {
    Refusal::Unknown { attempt: attempt.fence.number }
}

/// The attempt of these columns.
pub(super) fn attempt_key(sweep: String, trial: u32, replicate: u32, number: u32, token: u64) -> AttemptKey {
    let replicate = ReplicateKey { sweep: crate::domain::ids::SweepId::named(sweep), trial, replicate };
    AttemptKey { replicate, fence: Fence { number: AttemptNumber(number), token: LeaseToken(token) } }
}
