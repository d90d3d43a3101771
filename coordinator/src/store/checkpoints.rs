//! States of training that attempts can go on from.

use std::collections::HashSet;

use sqlx::SqliteConnection;

use super::{Store, StoreError, error::signed, replicates::Loaded};
use crate::domain::checkpoint::Checkpoint;

/// Checkpoints that are kept of a replicate that has not ended: the newest, and one more should that be damaged.
const KEPT: i64 = 2;

/// Keeps a checkpoint of the attempt that runs, and forgets the oldest beyond [`KEPT`].
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
    sqlx::query!(
        "DELETE FROM checkpoints WHERE replicate_id = ?1
           AND step NOT IN (SELECT step FROM checkpoints WHERE replicate_id = ?1 ORDER BY step DESC LIMIT ?2)",
        loaded.id,
        KEPT
    )
    .execute(tx)
    .await?;
    Ok(())
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

/// Nothing goes on from the checkpoints of what has its result.
pub(super) async fn forget_checkpoints(tx: &mut SqliteConnection, loaded: &Loaded) -> Result<(), StoreError> {
    sqlx::query!("DELETE FROM checkpoints WHERE replicate_id = ?", loaded.id).execute(tx).await?;
    Ok(())
}

impl Store {
    /// Drops checkpoints of replicates that have ended, the oldest first, until all of them together have at most `limit` bytes. Returns
    /// how many were dropped.
    ///
    /// # Errors
    /// The database fails.
    pub async fn trim_checkpoints(&self, limit: u64) -> Result<u64, StoreError> {
        let limit = signed("limit", limit)?;
        let dropped = sqlx::query!(
            "DELETE FROM checkpoints WHERE id IN (
               SELECT id FROM (
                 SELECT c.id, r.state IN ('queued', 'running') AS open,
                   SUM(c.bytes) OVER (ORDER BY r.state IN ('queued', 'running') DESC, c.created_ms DESC, c.id DESC) AS total
                 FROM checkpoints c JOIN replicates r ON r.id = c.replicate_id)
               WHERE NOT open AND total > ?)",
            limit
        )
        .execute(&self.writer)
        .await?;
        Ok(dropped.rows_affected())
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
