//! The one place where the states of replicates and attempts are written.

use serde::Serialize;
use sqlx::SqliteConnection;

use super::StoreError;
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

/// Writes changes, all in one go.
///
/// # Errors
/// Something else has changed one of them; the transaction must not be ended.
pub(super) async fn write(tx: &mut SqliteConnection, changes: &[Change], now_ms: i64) -> Result<(), StoreError> {
    let json = serde_json::to_string(changes).expect("strings and numbers have a JSON form");
    let written = sqlx::query!(
        "UPDATE replicates SET state = c.value ->> 'state', attempts = c.value ->> 'attempts', faults = c.value ->> 'faults',
           reason = c.value ->> 'reason', ready_ms = c.value ->> 'ready_ms', elsewhere = c.value ->> 'elsewhere'
         FROM json_each(?) AS c
         WHERE replicates.id = c.value ->> 'row' AND replicates.state = c.value ->> 'from_state'
           AND replicates.attempts = c.value ->> 'from_attempts';
         UPDATE attempts SET state = c.value ->> '$.ends.state', reason = c.value ->> '$.ends.reason',
           failure = c.value ->> '$.ends.failure', ended_ms = ?
         FROM json_each(?) AS c
         WHERE attempts.replicate_id = c.value ->> 'row' AND attempts.number = c.value ->> '$.ends.number' AND attempts.state = 'running';
         INSERT INTO attempts (replicate_id, number, token, worker_id, lease_reason, slots, resumed_step, started_ms)
         SELECT value ->> 'row', value ->> '$.begins.number', value ->> '$.begins.token', value ->> '$.begins.worker',
           value ->> '$.begins.reason', value ->> '$.begins.slots', value ->> '$.begins.resumed_step', ?
         FROM json_each(?) WHERE value ->> '$.begins.number' IS NOT NULL",
        json,
        now_ms,
        json,
        now_ms,
        json
    )
    .execute(tx)
    .await?;
    // Each statement changes at most the rows that it is meant to, so that the sum tells whether all were.
    let expected: u64 = changes.iter().map(Change::rows).sum();
    if written.rows_affected() == expected {
        Ok(())
    } else {
        let rows: Vec<_> = changes.iter().map(|change| change.row).collect();
        Err(StoreError::Conflict(format!("one of the replicates in rows {rows:?}")))
    }
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

    #[tokio::test]
    async fn a_change_from_another_state_than_the_stored_one_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path()).await.unwrap();
        let mut turn = store.begin().await.unwrap();
        let replicates = "INSERT INTO replicates (id, trial_id, sweep_sequence, replicate, seed) VALUES (7, 1, 1, 0, 0), (8, 1, 1, 1, 0)";
        insert_trial_with(&mut turn, &[replicates]).await;
        let (queued, retry) = (Replicate::default(), RetryPolicy::default());
        let lease = |row| {
            let event = Event::Lease { worker: WorkerId::parse("w").unwrap(), token: LeaseToken(u64::MAX >> 1) };
            let transition = queued.apply(event, &Rules { retry: &retry, now_ms: 5, jitter: 1.0 }).unwrap();
            Change::new(row, &queued, transition, Beginning { reason: "why".into(), slots: 2, resumed_step: 3 })
        };
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
}
