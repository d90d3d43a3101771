//! What waits, as the plan sees it.

use std::collections::HashMap;

use serde::Deserialize;

use super::{
    Store, StoreError,
    error::inconsistent,
    leases::Content,
    replicates::{policy_from_json, stored_worker},
};
use crate::domain::{
    checkpoint::Checkpoint,
    ids::{ReplicateKey, SweepId, WorkerId},
    plan::{SweepQueue, Waiting},
};

/// What waits.
#[derive(Default)]
pub(super) struct Queues {
    /// What a plan sees of it.
    pub(super) sweeps: Vec<SweepQueue>,
    /// What a lease of each needs.
    pub(super) heads: HashMap<ReplicateKey, Head>,
}

impl Queues {
    /// One of the replicates of `sweep` that run ends with what is decided by these queues.
    pub(super) fn ends(&mut self, sweep: &SweepId) {
        if let Some(queue) = self.sweeps.iter_mut().find(|queue| queue.id == *sweep) {
            queue.running = queue.running.saturating_sub(1);
        }
    }
}

/// A waiting replicate.
pub(super) struct Head {
    pub(super) row: i64,
    pub(super) attempts: u32,
    pub(super) faults: u32,
    pub(super) content: Content,
}

/// A waiting replicate of some sweep, as SQL says it.
#[derive(Deserialize)]
struct WaitingRow {
    row: i64,
    trial: u32,
    replicate: u32,
    attempts: u32,
    faults: u32,
    avoid: Vec<String>,
    config: String,
    seed: u64,
    resume: Option<Checkpoint>,
}

impl Store {
    /// The sweeps in which something may begin, each with the first `limit` replicates that wait and may be leased at `now_ms`.
    ///
    /// # Errors
    /// The database fails or contradicts itself.
    pub async fn queues(&self, limit: u32, now_ms: i64) -> Result<Vec<SweepQueue>, StoreError> {
        Ok(self.read_queues(limit, now_ms).await?.sweeps)
    }

    /// The sweeps in which something may begin, each with the first `limit` replicates that wait and may be leased at `now_ms`, and what
    /// leases of them need.
    ///
    /// An attempt that ended later than that shows that the clock has been set back since. Its replicate need not wait, or it would until
    /// the clock has caught up.
    pub(super) async fn read_queues(&self, limit: u32, now_ms: i64) -> Result<Queues, StoreError> {
        // The first condition is that of the index of open sweeps, without which SQLite would look at all sweeps ever. What waits comes along
        // as JSON, since a query for each sweep would cost a round trip each. `+ 0` hides the limit from SQLite's planner, which else plans
        // anew each time that it is bound, and that took a third of all that SQLite did for a trial.
        let rows = sqlx::query!(
            r#"SELECT id, priority AS "priority: i32", share AS "share: u32", max_parallel AS "max_parallel: u32",
                 policy_json, dataset_json, program_json,
                 (SELECT COUNT(*) FROM replicates r WHERE r.sweep_sequence = sequence AND r.state = 'running') AS "running!: u32",
                 (SELECT json_group_array(json_object('row', id, 'trial', trial, 'replicate', replicate, 'attempts', attempts, 'faults', faults,
                    'avoid', json(avoid), 'config', config_json, 'seed', seed, 'resume', json(resume))) FROM (
                    SELECT r.id, t.number AS trial, r.replicate, r.attempts, r.faults, t.config_json, r.seed, iif(r.elsewhere,
                      (SELECT json_group_array(DISTINCT a.worker_id) FROM attempts a WHERE a.replicate_id = r.id AND a.failure IS NOT NULL),
                      '[]') AS avoid,
                      (SELECT json_object('step', c.step, 'bytes', c.bytes, 'chunks', json(c.chunks_json))
                       FROM checkpoints c WHERE c.replicate_id = r.id ORDER BY c.step DESC LIMIT 1) AS resume
                    FROM replicates r JOIN trials t ON t.id = r.trial_id
                    WHERE r.sweep_sequence = sequence AND r.state = 'queued' AND (r.ready_ms <= ?1 OR ?1 <
                      (SELECT a.ended_ms FROM attempts a WHERE a.replicate_id = r.id AND a.number = r.attempts))
                    ORDER BY r.replicate, r.trial_id LIMIT ?2 + 0)) AS "waiting!: String"
               FROM sweeps WHERE state IN ('running', 'paused', 'stopping') AND state = 'running' ORDER BY sequence"#,
            now_ms,
            limit
        )
        .fetch_all(&self.readers)
        .await?;
        let mut queues = Queues { sweeps: Vec::with_capacity(rows.len()), heads: HashMap::new() };
        for sweep in rows {
            let id = SweepId::named(sweep.id);
            let place = format!("sweep {id}");
            let waits: Vec<WaitingRow> = serde_json::from_str(&sweep.waiting)
                .map_err(|error| inconsistent(&place, format!("queue `{}`: {error}", sweep.waiting)))?;
            let mut waiting = Vec::with_capacity(waits.len());
            for WaitingRow { row, trial, replicate, attempts, faults, avoid, config, seed, resume } in waits {
                let replicate = ReplicateKey { sweep: id.clone(), trial, replicate };
                let content = Content {
                    config_json: config,
                    seed,
                    dataset_json: sweep.dataset_json.clone(),
                    program_json: sweep.program_json.clone(),
                    policy_json: sweep.policy_json.clone(),
                    resume,
                };
                queues.heads.insert(replicate.clone(), Head { row, attempts, faults, content });
                waiting.push(Waiting { replicate, avoid: avoid.iter().map(|id| stored_worker(id)).collect::<Result<_, _>>()? });
            }
            queues.sweeps.push(SweepQueue {
                priority: sweep.priority,
                share: sweep.share.max(1),
                max_parallel: sweep.max_parallel,
                running: sweep.running,
                needs: policy_from_json(&place, &sweep.policy_json)?.needs,
                waiting,
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
    use crate::store::rows::insert_trial_with;

    #[tokio::test]
    async fn a_pause_does_not_last_until_a_clock_that_was_set_back_has_caught_up() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path()).await.unwrap();
        let mut turn = store.begin().await.unwrap();
        let rows = [
            "INSERT INTO replicates (id, trial_id, sweep_sequence, replicate, seed, attempts, ready_ms) VALUES (7, 1, 1, 0, 0, 1, 12000)",
            "INSERT INTO attempts (replicate_id, number, worker_id, state, lease_reason, started_ms, ended_ms)
             VALUES (7, 1, 'w', 'failed', '', 9000, 10000)",
        ];
        insert_trial_with(&mut turn, &rows).await;
        turn.commit().await.unwrap();
        let replicate = ReplicateKey { sweep: SweepId::named("s"), trial: 0, replicate: 0 };
        for (now_ms, pause_ms) in [(10_000, 2000), (11_999, 1), (12_000, 0), (9_999, 0), (1, 0)] {
            let waiting = store.queues(9, now_ms).await.unwrap().remove(0).waiting.len();
            assert_eq!(waiting, usize::from(pause_ms == 0), "at {now_ms}");
            assert_eq!(store.waits(&replicate, now_ms).await.unwrap().unwrap().1, pause_ms, "at {now_ms}");
        }
    }
}
