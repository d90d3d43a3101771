//! Fills a store for measurements.

use super::{Store, StoreError};

impl Store {
    /// Completes everything that is queued, with one metric by `points` steps for each.
    ///
    /// # Errors
    /// The database fails; then nothing has changed.
    pub async fn complete_everything(&self, points: u32) -> Result<(), StoreError> {
        let mut tx = self.begin().await?;
        sqlx::query!(
            "INSERT INTO workers (id, name, version, slots, state, first_seen_ms, last_seen_ms) VALUES ('rehearsal', 'rehearsal', '', 1, 'left', 0, 0)"
        )
        .execute(&mut *tx)
        .await?;
        sqlx::query!(
            "INSERT INTO attempts (replicate_id, number, worker_id, state, lease_reason, started_ms, ended_ms)
             SELECT id, attempts + 1, 'rehearsal', 'completed', 'rehearsal', 0, 1 FROM replicates WHERE state = 'queued'"
        )
        .execute(&mut *tx)
        .await?;
        sqlx::query!("UPDATE replicates SET state = 'completed', attempts = attempts + 1 WHERE state = 'queued'").execute(&mut *tx).await?;
        sqlx::query!(
            "INSERT INTO results (replicate_id, attempt_id, wall_seconds, checkpoint, parameters)
             SELECT replicate_id, id, 1.0, '', 1 FROM attempts WHERE worker_id = 'rehearsal'"
        )
        .execute(&mut *tx)
        .await?;
        sqlx::query!(
            "INSERT INTO final_metrics (replicate_id, name, value)
             SELECT a.replicate_id, s.metric, (a.id * 7919 % 10007) / 10007.0 FROM attempts a
             JOIN replicates r ON r.id = a.replicate_id JOIN sweeps s ON s.sequence = r.sweep_sequence WHERE a.worker_id = 'rehearsal'"
        )
        .execute(&mut *tx)
        .await?;
        sqlx::query!(
            "UPDATE trials SET score = (SELECT AVG(m.value) FROM sweeps s JOIN replicates r ON r.trial_id = trials.id
               JOIN final_metrics m ON m.replicate_id = r.id AND m.name = s.metric WHERE s.sequence = trials.sweep_sequence)"
        )
        .execute(&mut *tx)
        .await?;
        sqlx::query!(
            "INSERT INTO metric_points (attempt_id, name, step, value)
             WITH RECURSIVE steps (step) AS (SELECT 1 UNION ALL SELECT step + 1 FROM steps WHERE step < ?)
             SELECT a.id, 'train/lm_loss', steps.step, 1.0 / steps.step FROM attempts a, steps WHERE a.worker_id = 'rehearsal'
             ORDER BY a.id, steps.step",
            points
        )
        .execute(&mut *tx)
        .await?;
        sqlx::query!(
            "INSERT INTO attempt_costs SELECT id, 1.0, 1.0, 1.0, 1, 1, 1, 1.0, 1, 1.0, 1.0 FROM attempts WHERE worker_id = 'rehearsal'"
        )
        .execute(&mut *tx)
        .await?;
        sqlx::query!("UPDATE sweeps SET state = 'completed', ended_ms = created_ms + 1 WHERE state = 'running'").execute(&mut *tx).await?;
        tx.commit().await
    }
}
