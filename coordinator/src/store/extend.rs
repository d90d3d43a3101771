//! Trials that extend others.

use sqlx::SqliteConnection;

use super::{
    Store, StoreError,
    control::{find, set_state},
    views::role,
};
use crate::domain::{extension::Candidate, ids::SweepId, lifecycle::ReplicateStatus};

/// A trial that extends another.
#[derive(Clone, Debug)]
pub struct NewExtension {
    /// Number of the other.
    pub extends: u32,
    /// Its name.
    pub name: String,
    /// The whole configuration as canonical JSON.
    pub config_json: String,
    /// SHA-256 of that.
    pub config_hash: String,
}

impl Store {
    /// The trials of a sweep as far as it matters for extending them, in the order of their numbers.
    ///
    /// # Errors
    /// They train nothing that could go on; or the database fails or contradicts itself.
    pub async fn candidates(&self, sweep: &SweepId) -> Result<Vec<Candidate>, StoreError> {
        let id = sweep.as_str();
        let rows = sqlx::query!(
            r#"SELECT t.number AS "number: u32", x.number AS "extends?: u32", t.config_json ->> '$.train.steps' AS "steps: u64", t.role, t.score,
                 SUM(r.state IN ('queued', 'running')) AS "open!: u32", SUM(r.state = 'failed') AS "failed!: u32",
                 SUM(r.state = 'cancelled') AS "cancelled!: u32"
               FROM sweeps s JOIN trials t ON t.sweep_sequence = s.sequence JOIN replicates r ON r.trial_id = t.id
               LEFT JOIN trials x ON x.id = t.extends_id WHERE s.id = ? GROUP BY t.id ORDER BY t.number"#,
            id
        )
        .fetch_all(&self.readers)
        .await?;
        rows.into_iter()
            .map(|row| {
                let status = match (row.open, row.failed, row.cancelled) {
                    (1.., ..) => ReplicateStatus::Queued,
                    (0, 1.., _) => ReplicateStatus::Failed,
                    (0, 0, 1..) => ReplicateStatus::Cancelled,
                    (0, 0, 0) => ReplicateStatus::Completed,
                };
                Ok(Candidate {
                    number: row.number,
                    extends: row.extends,
                    steps: row.steps.ok_or_else(|| StoreError::NoTraining(sweep.to_string()))?,
                    role: role(row.number, &row.role)?,
                    status,
                    score: row.score,
                })
            })
            .collect()
    }

    /// The replicates of these trials whose state at the end of training is not kept: number of the trial, index of the replicate.
    ///
    /// # Errors
    /// The database fails.
    pub async fn without_final_state(&self, sweep: &SweepId, trials: &[u32]) -> Result<Vec<(u32, u32)>, StoreError> {
        let (id, numbers) = (sweep.as_str(), serde_json::to_string(trials).expect("numbers have a JSON form"));
        let rows = sqlx::query!(
            r#"SELECT t.number AS "trial: u32", r.replicate AS "replicate: u32"
               FROM sweeps s CROSS JOIN json_each(?2) AS chosen CROSS JOIN trials t ON t.sweep_sequence = s.sequence AND t.number = chosen.value
               JOIN replicates r ON r.trial_id = t.id
               WHERE s.id = ?1 AND NOT EXISTS (
                 SELECT 1 FROM checkpoints c WHERE c.replicate_id = r.id AND c.step IS t.config_json ->> '$.train.steps')
               ORDER BY t.number, r.replicate"#,
            id,
            numbers
        )
        .fetch_all(&self.readers)
        .await?;
        Ok(rows.into_iter().map(|row| (row.trial, row.replicate)).collect())
    }

    /// Adds trials that extend others, with a replicate for each that those have, all queued, to go on from the final states of those. All or
    /// nothing. Returns their numbers, in order.
    ///
    /// # Errors
    /// The sweep is stopping; or since it was looked at, one has been extended or a state has been dropped.
    pub async fn extend(&self, sweep: &SweepId, extensions: &[NewExtension], now_ms: i64) -> Result<Vec<u32>, StoreError> {
        let mut tx = self.begin().await?;
        let (sequence, from) = find(&mut tx, sweep).await?;
        let next = from.after_extension()?;
        if next != from {
            set_state(&mut tx, sequence, from, next, now_ms).await?;
        }
        let mut numbers = Vec::with_capacity(extensions.len());
        for extension in extensions {
            numbers.push(add(&mut tx, sequence, extension, now_ms).await?);
        }
        tx.commit().await?;
        Ok(numbers)
    }
}

async fn add(tx: &mut SqliteConnection, sequence: i64, extension: &NewExtension, now_ms: i64) -> Result<u32, StoreError> {
    let NewExtension { extends, name, config_json, config_hash } = extension;
    let conflict = || StoreError::Conflict(format!("trial {extends}"));
    // The condition is that no other has added the same meanwhile.
    let row = sqlx::query!(
        r#"INSERT INTO trials (sweep_sequence, number, name, role, config_json, config_hash, extends_id)
           SELECT t.sweep_sequence, (SELECT MAX(number) + 1 FROM trials WHERE sweep_sequence = ?1), ?3, t.role, ?4, ?5, t.id
           FROM trials t WHERE t.sweep_sequence = ?1 AND t.number = ?2 AND NOT EXISTS (
             SELECT 1 FROM trials o JOIN replicates r ON r.trial_id = o.id
             WHERE o.extends_id = t.id AND o.config_hash = ?5 AND r.state <> 'cancelled')
           RETURNING id, number AS "number: u32", extends_id AS "extends_id!""#,
        sequence,
        extends,
        name,
        config_json,
        config_hash
    )
    .fetch_optional(&mut *tx)
    .await?
    .ok_or_else(conflict)?;
    let reason = format!("it extends trial {extends}");
    let replicates = sqlx::query!(
        "INSERT INTO replicates (trial_id, sweep_sequence, replicate, seed, reason)
         SELECT ?, sweep_sequence, replicate, seed, ? FROM replicates WHERE trial_id = ? AND state = 'completed'",
        row.id,
        reason,
        row.extends_id
    )
    .execute(&mut *tx)
    .await?
    .rows_affected();
    let states = sqlx::query!(
        "INSERT INTO checkpoints (replicate_id, attempt_id, step, bytes, chunks_json, created_ms)
         SELECT r.id, c.attempt_id, c.step, c.bytes, c.chunks_json, ?
         FROM trials t JOIN replicates p ON p.trial_id = t.id JOIN checkpoints c ON c.replicate_id = p.id AND c.step IS t.config_json ->> '$.train.steps'
         JOIN replicates r ON r.trial_id = ? AND r.replicate = p.replicate WHERE t.id = ?",
        now_ms,
        row.id,
        row.extends_id
    )
    .execute(&mut *tx)
    .await?
    .rows_affected();
    if replicates == 0 || states != replicates { Err(conflict()) } else { Ok(row.number) }
}
