//! What waits, as the plan sees it.

use super::{
    Store, StoreError,
    replicates::{policy_from_json, stored_worker},
};
use crate::domain::{
    ids::{ReplicateKey, SweepId, WorkerId},
    plan::{SweepQueue, Waiting},
};

/// A waiting replicate whose time is further away than this was given it by a clock that has been set back since; it need not wait.
const LONGEST_PAUSE_MS: i64 = 3_600_000;

impl Store {
    /// The sweeps in which something may begin, each with the first `limit` replicates that wait and may be leased at `now_ms`.
    ///
    /// # Errors
    /// The database fails or contradicts itself.
    pub async fn queues(&self, limit: u32, now_ms: i64) -> Result<Vec<SweepQueue>, StoreError> {
        // The first condition is that of the index of open sweeps, without which SQLite would look at all sweeps ever.
        let rows = sqlx::query!(
            r#"SELECT sequence, id, priority AS "priority: i32", share AS "share: u32", max_parallel AS "max_parallel: u32", policy_json,
                 (SELECT COUNT(*) FROM replicates r WHERE r.sweep_sequence = sequence AND r.state = 'running') AS "running!: u32"
               FROM sweeps WHERE state IN ('running', 'paused', 'stopping') AND state = 'running' ORDER BY sequence"#
        )
        .fetch_all(&self.readers)
        .await?;
        let mut queues = Vec::with_capacity(rows.len());
        for row in rows {
            let id = SweepId::named(row.id);
            let room = row.max_parallel.map_or(limit, |most| most.saturating_sub(row.running).min(limit));
            queues.push(SweepQueue {
                priority: row.priority,
                share: row.share.max(1),
                max_parallel: row.max_parallel,
                running: row.running,
                needs: policy_from_json(&format!("sweep {id}"), &row.policy_json)?.needs,
                waiting: self.waiting(row.sequence, &id, room, now_ms).await?,
                id,
            });
        }
        Ok(queues)
    }

    async fn waiting(&self, sequence: i64, sweep: &SweepId, limit: u32, now_ms: i64) -> Result<Vec<Waiting>, StoreError> {
        let rows = sqlx::query!(
            r#"SELECT r.id, t.number AS "trial: u32", r.replicate AS "replicate: u32", r.elsewhere AS "elsewhere: bool"
               FROM replicates r JOIN trials t ON t.id = r.trial_id
               WHERE r.sweep_sequence = ?1 AND r.state = 'queued' AND (r.ready_ms <= ?2 OR r.ready_ms > ?2 + ?3)
               ORDER BY r.replicate, r.trial_id LIMIT ?4"#,
            sequence,
            now_ms,
            LONGEST_PAUSE_MS,
            limit
        )
        .fetch_all(&self.readers)
        .await?;
        let mut waiting = Vec::with_capacity(rows.len());
        for row in rows {
            let avoid = if row.elsewhere { self.failed_on(row.id).await? } else { Vec::new() };
            waiting.push(Waiting { replicate: ReplicateKey { sweep: sweep.clone(), trial: row.trial, replicate: row.replicate }, avoid });
        }
        Ok(waiting)
    }

    /// The workers on which a replicate has failed.
    async fn failed_on(&self, replicate_row: i64) -> Result<Vec<WorkerId>, StoreError> {
        let workers = sqlx::query_scalar!(
            "SELECT DISTINCT worker_id FROM attempts WHERE replicate_id = ? AND failure IS NOT NULL ORDER BY worker_id",
            replicate_row
        )
        .fetch_all(&self.readers)
        .await?;
        workers.iter().map(|id| stored_worker(id)).collect()
    }

    /// One waiting replicate as the plan would see it, and not before when it may be leased; none where it does not wait.
    ///
    /// # Errors
    /// The database fails or contradicts itself.
    pub async fn waits(&self, replicate: &ReplicateKey) -> Result<Option<(Waiting, i64)>, StoreError> {
        let sweep = replicate.sweep.as_str();
        let row = sqlx::query!(
            r#"SELECT r.id, r.ready_ms, r.elsewhere AS "elsewhere: bool" FROM sweeps s JOIN trials t ON t.sweep_sequence = s.sequence
               JOIN replicates r ON r.trial_id = t.id WHERE s.id = ? AND t.number = ? AND r.replicate = ? AND r.state = 'queued'"#,
            sweep,
            replicate.trial,
            replicate.replicate
        )
        .fetch_optional(&self.readers)
        .await?;
        let Some(row) = row else { return Ok(None) };
        let avoid = if row.elsewhere { self.failed_on(row.id).await? } else { Vec::new() };
        Ok(Some((Waiting { replicate: replicate.clone(), avoid }, row.ready_ms)))
    }
}
