//! What attempts cost.

use std::collections::BTreeMap;

use sqlx::SqliteConnection;

use super::{Store, StoreError, error::signed, replicates::Loaded};
use crate::domain::{cost::Cost, ids::SweepId};

/// Notes what the attempt that runs has cost so far, in place of what it had cost when it reported last.
pub(super) async fn store_cost(tx: &mut SqliteConnection, loaded: &Loaded, cost: &Cost) -> Result<(), StoreError> {
    let Some(attempt_id) = loaded.alive else { return Ok(()) };
    let (steps, samples) = (signed("number of steps", cost.steps)?, signed("number of samples", cost.samples)?);
    let (answered, peak_memory_bytes) = (signed("number of answers", cost.answered)?, signed("memory", cost.peak_memory_bytes)?);
    sqlx::query!(
        "INSERT OR REPLACE INTO attempt_costs (attempt_id, wall_seconds, device_seconds, training_seconds, steps, samples, answered, flops,
           peak_memory_bytes, joules, joules_estimated) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        attempt_id,
        cost.wall_seconds,
        cost.device_seconds,
        cost.training_seconds,
        steps,
        samples,
        answered,
        cost.flops,
        peak_memory_bytes,
        cost.joules,
        cost.joules_estimated
    )
    .execute(tx)
    .await?;
    Ok(())
}

impl Store {
    /// What all attempts at the trials of these numbers have cost together, by number; nothing where none has reported.
    ///
    /// # Errors
    /// The database fails.
    pub async fn costs_of_trials(&self, sweep: &SweepId, trials: &[u32]) -> Result<BTreeMap<u32, Cost>, StoreError> {
        let id = sweep.as_str();
        let trials = serde_json::to_string(trials).expect("numbers have a JSON form");
        let rows = sqlx::query_as!(
            CostRow,
            r#"SELECT t.number AS "number: u32", SUM(c.wall_seconds) AS "wall_seconds!: f64", SUM(c.device_seconds) AS "device_seconds!: f64",
                 SUM(c.training_seconds) AS "training_seconds!: f64", SUM(c.steps) AS "steps!: u64", SUM(c.samples) AS "samples!: u64",
                 SUM(c.answered) AS "answered!: u64", SUM(c.flops) AS "flops!: f64", MAX(c.peak_memory_bytes) AS "peak_memory_bytes!: u64",
                 SUM(c.joules) AS "joules!: f64", SUM(c.joules_estimated) AS "joules_estimated!: f64"
               FROM sweeps s CROSS JOIN json_each(?2) AS chosen CROSS JOIN trials t ON t.sweep_sequence = s.sequence AND t.number = chosen.value
               CROSS JOIN replicates r ON r.trial_id = t.id CROSS JOIN attempts a ON a.replicate_id = r.id
               CROSS JOIN attempt_costs c ON c.attempt_id = a.id
               WHERE s.id = ?1 GROUP BY t.id"#,
            id,
            trials
        )
        .fetch_all(&self.readers)
        .await?;
        Ok(rows.into_iter().map(Into::into).collect())
    }

    /// What each attempt at a replicate has cost, by number; nothing of those that have not reported.
    pub(super) async fn costs_of_attempts(&self, replicate_row: i64) -> Result<BTreeMap<u32, Cost>, StoreError> {
        let rows = sqlx::query_as!(
            CostRow,
            r#"SELECT a.number AS "number: u32", c.wall_seconds, c.device_seconds, c.training_seconds, c.steps AS "steps: u64",
                 c.samples AS "samples: u64", c.answered AS "answered: u64", c.flops, c.peak_memory_bytes AS "peak_memory_bytes: u64",
                 c.joules, c.joules_estimated
               FROM attempts a JOIN attempt_costs c ON c.attempt_id = a.id WHERE a.replicate_id = ?"#,
            replicate_row
        )
        .fetch_all(&self.readers)
        .await?;
        Ok(rows.into_iter().map(Into::into).collect())
    }
}

/// The cost of what has a number: a trial or an attempt.
struct CostRow {
    number: u32,
    wall_seconds: f64,
    device_seconds: f64,
    training_seconds: f64,
    steps: u64,
    samples: u64,
    answered: u64,
    flops: f64,
    peak_memory_bytes: u64,
    joules: f64,
    joules_estimated: f64,
}

impl From<CostRow> for (u32, Cost) {
    fn from(row: CostRow) -> Self {
        let cost = Cost {
            wall_seconds: row.wall_seconds,
            device_seconds: row.device_seconds,
            training_seconds: row.training_seconds,
            steps: row.steps,
            samples: row.samples,
            answered: row.answered,
            flops: row.flops,
            peak_memory_bytes: row.peak_memory_bytes,
            joules: row.joules,
            joules_estimated: row.joules_estimated,
        };
        (row.number, cost)
    }
}
