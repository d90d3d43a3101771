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

impl Store {
    /// The sweeps in which something may begin, each with the first `limit` replicates that wait and may be leased at `now_ms`.
    ///
    /// An attempt that ended later than that shows that the clock has been set back since. Its replicate need not wait, or it would until
    /// the clock has caught up.
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
                    WHERE r.sweep_sequence = sequence AND r.state = 'queued' AND (r.ready_ms <= ?1 OR ?1 <
                      (SELECT a.ended_ms FROM attempts a WHERE a.replicate_id = r.id AND a.number = r.attempts))
                    ORDER BY r.replicate, r.trial_id LIMIT ?2)) AS "waiting!: String"
               FROM sweeps WHERE state IN ('running', 'paused', 'stopping') AND state = 'running' ORDER BY sequence"#,
            now_ms,
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

    /// One waiting replicate as the plan would see it, and for how many ms it may not be leased yet; none where it does not wait.
    ///
    /// # Errors
    /// The database fails or contradicts itself.
    pub async fn waits(&self, replicate: &ReplicateKey, now_ms: i64) -> Result<Option<(Waiting, i64)>, StoreError> {
        let sweep = replicate.sweep.as_str();
        let row = sqlx::query!(
            r#"SELECT r.id, r.ready_ms, r.elsewhere AS "elsewhere: bool", a.ended_ms FROM sweeps s
               JOIN trials t ON t.sweep_sequence = s.sequence JOIN replicates r ON r.trial_id = t.id
               LEFT JOIN attempts a ON a.replicate_id = r.id AND a.number = r.attempts
               WHERE s.id = ? AND t.number = ? AND r.replicate = ? AND r.state = 'queued'"#,
            sweep,
            replicate.trial,
            replicate.replicate
        )
        .fetch_optional(&self.readers)
        .await?;
        let Some(row) = row else { return Ok(None) };
        let avoid = if row.elsewhere { self.failed_on(row.id).await? } else { Vec::new() };
        let was_set_back = row.ended_ms.is_some_and(|ended_ms| now_ms < ended_ms);
        let pause_ms = if was_set_back { 0 } else { (row.ready_ms - now_ms).max(0) };
        Ok(Some((Waiting { replicate: replicate.clone(), avoid }, pause_ms)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_pause_does_not_last_until_a_clock_that_was_set_back_has_caught_up() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path()).await.unwrap();
        let mut turn = store.begin().await.unwrap();
        for row in [
            "INSERT INTO sweeps (id, name, benchmark, method, metric, goal, yaml, file_name, created_ms)
             VALUES ('s', '', '', 'grid', 'm', 'maximize', '', '', 0)",
            "INSERT INTO trials (id, sweep_sequence, number, name, config_json, config_hash) VALUES (1, 1, 0, '', '{}', printf('%064d', 0))",
            "INSERT INTO replicates (id, trial_id, sweep_sequence, replicate, seed, attempts, ready_ms) VALUES (7, 1, 1, 0, 0, 1, 12000)",
            "INSERT INTO workers (id, name, version, slots, state, first_seen_ms, last_seen_ms) VALUES ('w', '', '', 1, 'left', 0, 0)",
            "INSERT INTO attempts (replicate_id, number, worker_id, state, lease_reason, started_ms, ended_ms)
             VALUES (7, 1, 'w', 'failed', '', 9000, 10000)",
        ] {
            sqlx::query(row).execute(&mut *turn).await.unwrap();
        }
        turn.commit().await.unwrap();
        let replicate = ReplicateKey { sweep: SweepId::named("s"), trial: 0, replicate: 0 };
        for (now_ms, pause_ms) in [(10_000, 2000), (11_999, 1), (12_000, 0), (9_999, 0), (1, 0)] {
            let waiting = store.queues(9, now_ms).await.unwrap().remove(0).waiting.len();
            assert_eq!(waiting, usize::from(pause_ms == 0), "at {now_ms}");
            assert_eq!(store.waits(&replicate, now_ms).await.unwrap().unwrap().1, pause_ms, "at {now_ms}");
        }
    }
}
