//! States of training that attempts can go on from.

use std::collections::{HashMap, HashSet};

use sqlx::SqliteConnection;
use tinysweep_proto::metric::Goal;

use super::{
    Store, StoreError,
    error::{inconsistent, signed},
    replicates::{Loaded, policy_from_json},
    sweeps::goal_from_name,
};
use crate::domain::{
    checkpoint::Checkpoint,
    ids::ReplicateKey,
    lifecycle::ReplicateStatus,
    retention::{Claim, Reason, Retention, Standing, State, Stored, surplus},
};

/// A state of training as it is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StateRecord {
    /// Steps done.
    pub step: u64,
    /// Its size.
    pub bytes: u64,
    /// When it came, in ms since 1970.
    pub created_ms: i64,
    /// Why it is kept; none where it is about to be dropped.
    pub reason: Option<Reason>,
}

/// Keeps a checkpoint of the attempt that runs, and drops those that its sweep does not want besides.
pub(super) async fn store_checkpoint(
    tx: &mut SqliteConnection,
    loaded: &Loaded,
    checkpoint: &Checkpoint,
    now_ms: i64,
) -> Result<(), StoreError> {
    let Some(attempt) = loaded.alive else { return Ok(()) };
    let (step, bytes) = (signed("step", checkpoint.step)?, signed("size", checkpoint.bytes)?);
    let chunks = serde_json::to_string(&checkpoint.chunks).expect("strings have a JSON form");
    sqlx::query!(
        "INSERT OR REPLACE INTO checkpoints (replicate_id, attempt_id, step, bytes, chunks_json, created_ms) VALUES (?, ?, ?, ?, ?, ?)",
        loaded.id,
        attempt,
        step,
        bytes,
        chunks,
        now_ms
    )
    .execute(&mut *tx)
    .await?;
    retain(tx, loaded.id).await
}

/// The attempt that runs could not go on from its checkpoint: the next one takes the one before.
pub(super) async fn forget_resumed(tx: &mut SqliteConnection, loaded: &Loaded) -> Result<(), StoreError> {
    sqlx::query!(
        "DELETE FROM checkpoints WHERE replicate_id = ? AND step = (SELECT resumed_step FROM attempts WHERE id = ? AND resumed_step > 0)",
        loaded.id,
        loaded.alive
    )
    .execute(tx)
    .await?;
    Ok(())
}

/// Drops those states of a replicate that its sweep does not want to be kept, as the replicate now stands.
pub(super) async fn retain(tx: &mut SqliteConnection, replicate_row: i64) -> Result<(), StoreError> {
    for (id, state) in states(tx, replicate_row).await? {
        if state.reason.is_none() {
            sqlx::query!("DELETE FROM checkpoints WHERE id = ?", id).execute(&mut *tx).await?;
        }
    }
    Ok(())
}

/// The states of a replicate by step, with their rows.
pub(super) async fn states(reader: &mut SqliteConnection, replicate_row: i64) -> Result<Vec<(i64, StateRecord)>, StoreError> {
    let rows = sqlx::query!(
        r#"SELECT c.id AS "id!", c.step AS "step: u64", c.bytes AS "bytes: u64", c.created_ms, r.state, s.goal, s.policy_json,
             c.step IS t.config_json ->> '$.train.steps' AS "is_final!: bool",
             (SELECT p.value FROM metric_points p
              WHERE p.attempt_id = c.attempt_id AND p.step = c.step AND p.name = replace(s.metric, 'test/', 'subset/')) AS "score?"
           FROM checkpoints c JOIN replicates r ON r.id = c.replicate_id JOIN trials t ON t.id = r.trial_id
           JOIN sweeps s ON s.sequence = r.sweep_sequence WHERE c.replicate_id = ? ORDER BY c.step"#,
        replicate_row
    )
    .fetch_all(reader)
    .await?;
    let Some(any) = rows.first() else { return Ok(Vec::new()) };
    let place = format!("replicates row {replicate_row}");
    let status = ReplicateStatus::from_name(&any.state).ok_or_else(|| inconsistent(&place, format!("state `{}`", any.state)))?;
    let goal = goal_from_name(&any.goal).ok_or_else(|| inconsistent(&place, format!("goal `{}`", any.goal)))?;
    let retention = policy_from_json(&place, &any.policy_json)?.retention;
    let facts: Vec<_> = rows.iter().map(|row| State { step: row.step, score: row.score, is_final: row.is_final }).collect();
    let reasons = retention.reasons(status, goal, &facts);
    let records = rows.iter().zip(reasons).map(|(row, reason)| {
        let record = StateRecord { step: row.step, bytes: row.bytes, created_ms: row.created_ms, reason };
        (row.id, record)
    });
    Ok(records.collect())
}

impl Store {
    /// A state that is kept of a replicate: the one after `step`, or the last.
    ///
    /// # Errors
    /// There is none.
    pub async fn kept_state(&self, replicate: &ReplicateKey, step: Option<u64>) -> Result<Checkpoint, StoreError> {
        let (sweep, after) = (replicate.sweep.as_str(), step.map(|step| signed("step", step)).transpose()?);
        let row = sqlx::query!(
            r#"SELECT c.step AS "step: u64", c.bytes AS "bytes: u64", c.chunks_json
               FROM sweeps s JOIN trials t ON t.sweep_sequence = s.sequence JOIN replicates r ON r.trial_id = t.id
               JOIN checkpoints c ON c.replicate_id = r.id
               WHERE s.id = ?1 AND t.number = ?2 AND r.replicate = ?3 AND (?4 IS NULL OR c.step = ?4) ORDER BY c.step DESC LIMIT 1"#,
            sweep,
            replicate.trial,
            replicate.replicate,
            after
        )
        .fetch_optional(&self.readers)
        .await?
        .ok_or_else(|| StoreError::NoState(replicate.to_string()))?;
        let wrong = |error: serde_json::Error| inconsistent(format!("checkpoints of replicate {replicate}"), error.to_string());
        Ok(Checkpoint { step: row.step, bytes: row.bytes, chunks: serde_json::from_str(&row.chunks_json).map_err(wrong)? })
    }

    /// Drops checkpoints of replicates that have ended: the final ones of trials that are not among their sweep's best, and what exceeds
    /// `limit` bytes of all of them together. Returns how many were dropped.
    ///
    /// # Errors
    /// The database fails or contradicts itself.
    pub async fn trim_checkpoints(&self, limit: u64) -> Result<u64, StoreError> {
        let dropped = surplus(&self.stored_states().await?, limit);
        if dropped.is_empty() {
            return Ok(0);
        }
        let dropped = serde_json::to_string(&dropped).expect("numbers have a JSON form");
        let mut turn = self.writer.turn().await?;
        // Since they were read, a user may have had a failed replicate tried again.
        let deleted = sqlx::query!(
            "DELETE FROM checkpoints WHERE id IN (SELECT value FROM json_each(?))
               AND replicate_id NOT IN (SELECT id FROM replicates WHERE state IN ('queued', 'running'))",
            dropped
        )
        .execute(&mut *turn)
        .await?;
        turn.committed();
        Ok(deleted.rows_affected())
    }

    async fn stored_states(&self) -> Result<Vec<Stored>, StoreError> {
        let rows = sqlx::query!(
            r#"SELECT c.id, c.bytes AS "bytes: u64", c.created_ms, t.id AS trial, t.sweep_sequence AS sweep, t.score,
                 r.state IN ('queued', 'running') AS "is_open!: bool",
                 r.state = 'completed' AND c.step IS t.config_json ->> '$.train.steps' AS "is_final!: bool",
                 NOT EXISTS (SELECT 1 FROM replicates o WHERE o.trial_id = t.id AND o.state IN ('queued', 'running')) AS "is_settled!: bool"
               FROM checkpoints c JOIN replicates r ON r.id = c.replicate_id JOIN trials t ON t.id = r.trial_id ORDER BY c.id"#
        )
        .fetch_all(&self.readers)
        .await?;
        let wants = self.wants().await?;
        let stored = rows.into_iter().map(|row| {
            let (goal, retention) = wants.get(&row.sweep).copied().unwrap_or((Goal::Maximize, Retention::default()));
            let standing = Standing {
                sweep: row.sweep,
                trial: row.trial,
                score: row.score,
                goal,
                is_settled: row.is_settled,
                keep_final: retention.keep_final,
            };
            let claim = match (row.is_open, row.is_final) {
                (true, _) => Claim::Open,
                (false, true) => Claim::Final(standing),
                (false, false) => Claim::Other,
            };
            Stored { id: row.id, bytes: row.bytes, created_ms: row.created_ms, claim }
        });
        Ok(stored.collect())
    }

    /// Which way is better in each sweep that has checkpoints, and which of them it wants to be kept; by its row.
    async fn wants(&self) -> Result<HashMap<i64, (Goal, Retention)>, StoreError> {
        let rows = sqlx::query!(
            "SELECT sequence, goal, policy_json FROM sweeps
             WHERE sequence IN (SELECT r.sweep_sequence FROM checkpoints c JOIN replicates r ON r.id = c.replicate_id)"
        )
        .fetch_all(&self.readers)
        .await?;
        rows.into_iter()
            .map(|row| {
                let place = format!("sweeps row {}", row.sequence);
                let goal = goal_from_name(&row.goal).ok_or_else(|| inconsistent(&place, format!("goal `{}`", row.goal)))?;
                Ok((row.sequence, (goal, policy_from_json(&place, &row.policy_json)?.retention)))
            })
            .collect()
    }

    /// SHA-256 of every artifact that something in the store still needs: data of sweeps, chunks of checkpoints.
    ///
    /// # Errors
    /// The database fails.
    pub async fn needed_artifacts(&self) -> Result<HashSet<String>, StoreError> {
        let hashes = sqlx::query_scalar!(
            r#"SELECT dataset_json ->> '$.train.sha256' AS "hash: String" FROM sweeps
               UNION SELECT dataset_json ->> '$.test.sha256' FROM sweeps
               UNION SELECT chunk.value FROM checkpoints, json_each(chunks_json) AS chunk"#
        )
        .fetch_all(&self.readers)
        .await?;
        Ok(hashes.into_iter().flatten().collect())
    }
}
