//! What waits, as the plan sees it.

use serde::Deserialize;

use super::{
    Store, StoreError,
    error::inconsistent,
    replicates::{policy_from_json, stored_worker},
};
use crate::domain::{
    ids::{ReplicateKey, SweepId, WorkerId},
    plan::{SweepQueue, Waiting},
};

/// A waiting replicate of some sweep, as SQL says it.
#[derive(Deserialize)]
struct WaitingRow {
    trial: u32,
    replicate: u32,
    avoid: Vec<String>,
}

impl WaitingRow {
    fn of(self, sweep: &SweepId) -> Result<Waiting, StoreError> {
        let Self { trial, replicate, avoid } = self;
        let avoid = avoid.iter().map(|id| stored_worker(id)).collect::<Result<_, _>>()?;
        Ok(Waiting { replicate: ReplicateKey { sweep: sweep.clone(), trial, replicate }, avoid })
    }
}

/// A waiting replicate whose time is further away than this was given it by a clock that has been set back since; it need not wait.
const LONGEST_PAUSE_MS: i64 = 3_600_000;

impl Store {
    /// The sweeps in which something may begin, each with the first `limit` replicates that wait and may be leased at `now_ms`.
    ///
    /// # Errors
    /// The database fails or contradicts itself.
    pub async fn queues(&self, limit: u32, now_ms: i64) -> Result<Vec<SweepQueue>, StoreError> {
        // The first condition is that of the index of open sweeps, without which SQLite would look at all sweeps ever. What waits comes
        // along as JSON, since a query for each sweep would cost a round trip each.
        let rows = sqlx::query!(
            r#"SELECT id, priority AS "priority: i32", share AS "share: u32", max_parallel AS "max_parallel: u32", policy_json,
                 (SELECT COUNT(*) FROM replicates r WHERE r.sweep_sequence = sequence AND r.state = 'running') AS "running!: u32",
                 (SELECT json_group_array(json_object('trial', trial, 'replicate', replicate, 'avoid', json(avoid))) FROM (
                    SELECT t.number AS trial, r.replicate, iif(r.elsewhere,
                      (SELECT json_group_array(DISTINCT a.worker_id) FROM attempts a WHERE a.replicate_id = r.id AND a.failure IS NOT NULL),
                      '[]') AS avoid
                    FROM replicates r JOIN trials t ON t.id = r.trial_id
                    WHERE r.sweep_sequence = sequence AND r.state = 'queued' AND (r.ready_ms <= ?1 OR r.ready_ms > ?1 + ?2)
                    ORDER BY r.replicate, r.trial_id LIMIT ?3)) AS "waiting!: String"
               FROM sweeps WHERE state IN ('running', 'paused', 'stopping') AND state = 'running' ORDER BY sequence"#,
            now_ms,
            LONGEST_PAUSE_MS,
            limit
        )
        .fetch_all(&self.readers)
        .await?;
        let mut queues = Vec::with_capacity(rows.len());
        for row in rows {
            let id = SweepId::named(row.id);
            let place = format!("sweep {id}");
            let waiting: Vec<WaitingRow> =
                serde_json::from_str(&row.waiting).map_err(|error| inconsistent(&place, format!("queue `{}`: {error}", row.waiting)))?;
            queues.push(SweepQueue {
                priority: row.priority,
                share: row.share.max(1),
                max_parallel: row.max_parallel,
                running: row.running,
                needs: policy_from_json(&place, &row.policy_json)?.needs,
                waiting: waiting.into_iter().map(|row| row.of(&id)).collect::<Result<_, _>>()?,
                id,
            });
        }
        Ok(queues)
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
