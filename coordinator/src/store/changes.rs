//! The one place where the states of replicates and attempts are written.

use serde::Serialize;
use sqlx::SqliteConnection;

use super::{
    StoreError,
    error::{SQLITE_CONSTRAINT_NOTNULL, SQLITE_CONSTRAINT_UNIQUE, code},
    writer::Turn,
};
use crate::domain::{
    ids::Fence,
    lifecycle::{AttemptChange, Replicate, ReplicateState, Transition},
};

/// What a new attempt is beside its number and its worker.
#[derive(Clone, Debug, Default)]
pub(super) struct Beginning {
    /// Why it was leased to this worker.
    pub(super) reason: String,
    /// Slots that it takes there.
    pub(super) slots: u32,
    /// The step that it goes on from.
    pub(super) resumed_step: i64,
}

/// What becomes of one replicate, as SQL reads it.
#[derive(Debug, Serialize)]
pub(super) struct Change {
    row: i64,
    from_state: &'static str,
    from_attempts: u32,
    state: &'static str,
    attempts: u32,
    faults: u32,
    reason: String,
    ready_ms: i64,
    elsewhere: bool,
    begins: Option<Begins>,
    ends: Option<Ends>,
}

#[derive(Debug, Serialize)]
struct Begins {
    number: u32,
    token: u64,
    worker: String,
    reason: String,
    slots: u32,
    resumed_step: i64,
}

#[derive(Debug, Serialize)]
struct Ends {
    number: u32,
    state: &'static str,
    reason: String,
    failure: Option<&'static str>,
}

impl Change {
    /// The replicate of this row goes `from` there by this transition. An attempt that begins with it does so as `beginning` says.
    pub(super) fn new(row: i64, from: &Replicate, transition: Transition, beginning: Beginning) -> Self {
        let Transition { next, attempt } = transition;
        let (ready_ms, elsewhere) = match next.state {
            ReplicateState::Queued { ready_ms, elsewhere, .. } => (ready_ms, elsewhere),
            _ => (0, false),
        };
        let (begins, ends) = match attempt {
            Some(AttemptChange::Begins { attempt: Fence { number, token }, worker }) => {
                let Beginning { reason, slots, resumed_step } = beginning;
                let (number, token, worker) = (number.0, token.0, worker.as_str().to_owned());
                (Some(Begins { number, token, worker, reason, slots, resumed_step }), None)
            }
            Some(AttemptChange::Ends { number, state, reason, failure }) => {
                (None, Some(Ends { number: number.0, state: state.name(), reason, failure: failure.map(|kind| kind.name()) }))
            }
            None => (None, None),
        };
        Self {
            row,
            from_state: from.status().name(),
            from_attempts: from.attempts,
            state: next.status().name(),
            attempts: next.attempts,
            faults: next.faults,
            reason: next.state.reason().to_owned(),
            ready_ms,
            elsewhere,
            begins,
            ends,
        }
    }

    /// Rows that it changes.
    fn rows(&self) -> u64 {
        1 + u64::from(self.begins.is_some()) + u64::from(self.ends.is_some())
    }
}

/// Makes the query that writes changes, between other statements that travel with it.
///
/// A lease that does not fit what is stored names no replicate, which `NOT NULL` refuses: the text ends there, before a `COMMIT` in it.
macro_rules! write_changes {
    ($before:literal, [$($after:literal),+], $json:ident, $now_ms:ident $(, $argument:expr)*) => {
        sqlx::query!(
            $before
                + "UPDATE replicates SET state = c.value ->> 'state', attempts = c.value ->> 'attempts', faults = c.value ->> 'faults',
           reason = c.value ->> 'reason', ready_ms = c.value ->> 'ready_ms', elsewhere = c.value ->> 'elsewhere'
         FROM json_each(?) AS c
         WHERE replicates.id = c.value ->> 'row' AND replicates.state = c.value ->> 'from_state'
           AND replicates.attempts = c.value ->> 'from_attempts';
         UPDATE attempts SET state = c.value ->> '$.ends.state', reason = c.value ->> '$.ends.reason',
           failure = c.value ->> '$.ends.failure', ended_ms = ?
         FROM json_each(?) AS c
         WHERE attempts.replicate_id = c.value ->> 'row' AND attempts.number = c.value ->> '$.ends.number' AND attempts.state = 'running';
         INSERT INTO attempts (replicate_id, number, token, worker_id, lease_reason, slots, resumed_step, started_ms)
         SELECT (SELECT r.id FROM replicates r
             WHERE r.id = value ->> 'row' AND r.state = 'running' AND r.attempts = value ->> '$.begins.number'),
           value ->> '$.begins.number', value ->> '$.begins.token', value ->> '$.begins.worker',
           value ->> '$.begins.reason', value ->> '$.begins.slots', value ->> '$.begins.resumed_step', ?
         FROM json_each(?) WHERE value ->> '$.begins.number' IS NOT NULL" $(+ $after)+,
            $json,
            $now_ms,
            $json,
            $now_ms,
            $json
            $(, $argument)*
        )
    };
}
pub(super) use write_changes;

/// Changes as [`write_changes`] reads them.
pub(super) fn json(changes: &[Change]) -> String {
    serde_json::to_string(changes).expect("strings and numbers have a JSON form")
}

/// Writes changes, all in one go.
///
/// # Errors
/// Something else has changed one of them; the transaction must not be ended.
pub(super) async fn write(tx: &mut SqliteConnection, changes: &[Change], now_ms: i64) -> Result<(), StoreError> {
    let json = json(changes);
    let written = write_changes!("", [""], json, now_ms).execute(tx).await.map_err(|error| unless_conflict(error, changes))?;
    // Each statement changes at most the rows that it is meant to, so that the sum tells whether all were.
    let expected: u64 = changes.iter().map(Change::rows).sum();
    if written.rows_affected() == expected { Ok(()) } else { Err(conflict(changes)) }
}

/// Writes leases in a transaction of their own.
///
/// # Errors
/// Something else has changed one of them; nothing is written.
pub(super) async fn write_leases(mut turn: Turn, changes: &[Change], now_ms: i64) -> Result<(), StoreError> {
    let json = json(changes);
    let query = write_changes!("BEGIN IMMEDIATE; ", ["; COMMIT"], json, now_ms);
    query.execute(&mut *turn).await.map_err(|error| unless_conflict(error, changes))?;
    turn.committed();
    Ok(())
}

/// What an error of a query says that writes `changes`: a constraint that does not hold shows that they are not of what is stored.
pub(super) fn unless_conflict(error: sqlx::Error, changes: &[Change]) -> StoreError {
    match code(&error) {
        Some(SQLITE_CONSTRAINT_NOTNULL | SQLITE_CONSTRAINT_UNIQUE) => conflict(changes),
        _ => error.into(),
    }
}

fn conflict(changes: &[Change]) -> StoreError {
    let rows: Vec<_> = changes.iter().map(|change| change.row).collect();
    StoreError::Conflict(format!("one of the replicates in rows {rows:?}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        domain::{
            failure::RetryPolicy,
            ids::{LeaseToken, WorkerId},
            lifecycle::{Event, Rules},
        },
        store::{Store, rows::insert_trial_with},
    };

    fn lease(row: i64) -> Change {
        let queued = Replicate::default();
        let event = Event::Lease { worker: WorkerId::parse("w").unwrap(), token: LeaseToken(u64::MAX >> 1) };
        let transition = queued.apply(event, &Rules { retry: &RetryPolicy::default(), now_ms: 5, jitter: 1.0 }).unwrap();
        Change::new(row, &queued, transition, Beginning { reason: "why".into(), slots: 2, resumed_step: 3 })
    }

    #[tokio::test]
    async fn a_change_from_another_state_than_the_stored_one_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path()).await.unwrap();
        let mut turn = store.begin().await.unwrap();
        let replicates = "INSERT INTO replicates (id, trial_id, sweep_sequence, replicate, seed) VALUES (7, 1, 1, 0, 0), (8, 1, 1, 1, 0)";
        insert_trial_with(&mut turn, &[replicates]).await;
        write(&mut turn, &[lease(7)], 5).await.unwrap();
        let begun: Vec<(i64, i64, i64, String, i64, i64, i64)> =
            sqlx::query_as("SELECT replicate_id, number, token, lease_reason, slots, resumed_step, started_ms FROM attempts")
                .fetch_all(&mut *turn)
                .await
                .unwrap();
        assert_eq!(begun, [(7, 1, i64::MAX, "why".into(), 2, 3, 5)]);
        sqlx::query("UPDATE replicates SET state = 'cancelled' WHERE id = 8").execute(&mut *turn).await.unwrap();
        let cancelled = write(&mut turn, &[lease(8)], 5).await;
        assert!(matches!(cancelled, Err(StoreError::Conflict(_))), "{cancelled:?}");
    }

    #[tokio::test]
    async fn leases_are_written_all_or_none() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path()).await.unwrap();
        let mut turn = store.begin().await.unwrap();
        let replicates = "INSERT INTO replicates (id, trial_id, sweep_sequence, replicate, seed) VALUES (7, 1, 1, 0, 0), (8, 1, 1, 1, 0)";
        insert_trial_with(&mut turn, &[replicates]).await;
        turn.commit().await.unwrap();
        for (leased, rows) in [([7, 9], 0), ([7, 8], 2), ([8, 7], 2)] {
            let written = write_leases(store.writer.turn().await.unwrap(), &leased.map(lease), 5).await;
            assert_eq!(written.is_ok(), leased == [7, 8], "{written:?}");
            assert!(matches!(written, Ok(()) | Err(StoreError::Conflict(_))), "{written:?}");
            let mut turn = store.begin().await.unwrap();
            let stored: (i64, i64) =
                sqlx::query_as("SELECT (SELECT COUNT(*) FROM replicates WHERE state = 'running'), (SELECT COUNT(*) FROM attempts)")
                    .fetch_one(&mut *turn)
                    .await
                    .unwrap();
            turn.commit().await.unwrap();
            assert_eq!(stored, (rows, rows), "after {leased:?}");
        }
    }
}
