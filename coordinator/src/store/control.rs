//! What users do to sweeps that exist.

use sqlx::SqliteConnection;

use super::{
    Store, StoreError,
    leases::running_of_sweep,
    replicates::{settle_sweep, transition},
    sweeps::sweep_state,
};
use crate::{
    clock::Moment,
    domain::{
        ids::{AttemptKey, ReplicateKey, SweepId, WorkerId},
        lifecycle::{Event, SweepState, SweepVerb},
    },
};

/// What users can change while a sweep runs; what is none stays as it is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Changes {
    /// Higher ones go first.
    pub priority: Option<i32>,
    /// Of the slots, among sweeps of one priority.
    pub share: Option<u32>,
    /// The most replicates that run at once; `Some(None)` for no limit.
    pub max_parallel: Option<Option<u32>>,
}

impl Store {
    /// Does a user's word. Returns the attempts that ran and run no more, whose workers must be told.
    ///
    /// # Errors
    /// There is no such sweep, or its state does not allow it.
    pub async fn control(&self, id: &SweepId, verb: SweepVerb, at: Moment) -> Result<Vec<(WorkerId, AttemptKey)>, StoreError> {
        let mut tx = self.begin().await?;
        let (sequence, from) = find(&mut tx, id).await?;
        let next = from.after(verb)?;
        if next == from && verb != SweepVerb::Retry {
            return Ok(Vec::new());
        }
        set_state(&mut tx, sequence, from, next, at.now_ms).await?;
        let mut ended = Vec::new();
        match verb {
            SweepVerb::Pause | SweepVerb::Resume => {}
            SweepVerb::Stop => cancel_queued(&mut tx, sequence, "its sweep was stopped by a user").await?,
            SweepVerb::Cancel => {
                let reason = "cancelled by a user";
                ended = running_of_sweep(&mut tx, id).await?;
                for (_, attempt) in &ended {
                    transition(&mut tx, &attempt.replicate, Event::Cancel { reason: reason.to_owned() }, at).await?;
                }
                cancel_queued(&mut tx, sequence, reason).await?;
            }
            SweepVerb::Retry => {
                for replicate in failed(&mut tx, sequence, id).await? {
                    transition(&mut tx, &replicate, Event::Retry { reason: "tried again for a user".to_owned() }, at).await?;
                }
            }
        }
        // A sweep without anything open has ended, whatever was wanted of it: stopping one, or trying again what has not failed.
        settle_sweep(&mut tx, sequence, at.now_ms).await?;
        tx.commit().await?;
        Ok(ended)
    }

    /// Changes how a sweep competes for slots.
    ///
    /// # Errors
    /// There is no such sweep.
    pub async fn change(&self, id: &SweepId, changes: Changes) -> Result<(), StoreError> {
        let mut tx = self.begin().await?;
        let (sequence, _) = find(&mut tx, id).await?;
        let Changes { priority, share, max_parallel } = changes;
        let (sets_most, most) = (max_parallel.is_some(), max_parallel.flatten());
        sqlx::query!(
            "UPDATE sweeps SET priority = COALESCE(?, priority), share = COALESCE(?, share), max_parallel = iif(?, ?, max_parallel) WHERE sequence = ?",
            priority,
            share,
            sets_most,
            most,
            sequence
        )
        .execute(&mut *tx)
        .await?;
        tx.commit().await
    }
}

pub(super) async fn find(tx: &mut SqliteConnection, id: &SweepId) -> Result<(i64, SweepState), StoreError> {
    let sweep = id.as_str();
    let row = sqlx::query!("SELECT sequence, state FROM sweeps WHERE id = ?", sweep)
        .fetch_optional(tx)
        .await?
        .ok_or_else(|| StoreError::NoSuchSweep(id.to_string()))?;
    Ok((row.sequence, sweep_state(sweep, &row.state)?))
}

pub(super) async fn set_state(
    tx: &mut SqliteConnection,
    sequence: i64,
    from: SweepState,
    next: SweepState,
    now_ms: i64,
) -> Result<(), StoreError> {
    let ended_ms = (!next.is_open()).then_some(now_ms);
    let (from, next) = (from.name(), next.name());
    let changed =
        sqlx::query!("UPDATE sweeps SET state = ?, ended_ms = ? WHERE sequence = ? AND state = ?", next, ended_ms, sequence, from)
            .execute(tx)
            .await?;
    if changed.rows_affected() == 1 { Ok(()) } else { Err(StoreError::Conflict(format!("sweeps row {sequence}"))) }
}

/// The transition of [`Event::Cancel`] for all that is queued, in one statement: there may be very many.
async fn cancel_queued(tx: &mut SqliteConnection, sequence: i64, reason: &str) -> Result<(), StoreError> {
    sqlx::query!(
        "UPDATE replicates SET state = 'cancelled', reason = ?, ready_ms = 0, elsewhere = 0 WHERE sweep_sequence = ? AND state = 'queued'",
        reason,
        sequence
    )
    .execute(tx)
    .await?;
    Ok(())
}

async fn failed(tx: &mut SqliteConnection, sequence: i64, sweep: &SweepId) -> Result<Vec<ReplicateKey>, StoreError> {
    let rows = sqlx::query!(
        r#"SELECT t.number AS "trial: u32", r.replicate AS "replicate: u32" FROM replicates r JOIN trials t ON t.id = r.trial_id
           WHERE r.sweep_sequence = ? AND r.state = 'failed' ORDER BY r.id"#,
        sequence
    )
    .fetch_all(tx)
    .await?;
    Ok(rows.into_iter().map(|row| ReplicateKey { sweep: sweep.clone(), trial: row.trial, replicate: row.replicate }).collect())
}
