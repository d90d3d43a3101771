//! What attempts say to people: the last lines of each.

use sqlx::SqliteConnection;

use super::{Store, StoreError, replicates::Loaded};
use crate::domain::ids::SweepId;

/// Lines that are kept of one attempt; the oldest go first.
const LINES_KEPT: i64 = 5000;

/// A line that an attempt has said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogLine {
    /// Its number among all lines of the store; grows.
    pub id: i64,
    /// Index of the replicate.
    pub replicate: u32,
    /// Number of the attempt.
    pub attempt: u32,
    /// When it came, in ms since 1970.
    pub at_ms: i64,
    /// What it says.
    pub text: String,
}

/// Keeps lines of the attempt that runs.
pub(super) async fn store_lines(tx: &mut SqliteConnection, loaded: &Loaded, lines: &[String], now_ms: i64) -> Result<(), StoreError> {
    let Some(attempt) = loaded.alive else { return Ok(()) };
    let json = serde_json::to_string(lines).expect("strings have a JSON form");
    sqlx::query!("INSERT INTO log_lines (attempt_id, at_ms, text) SELECT ?, ?, value FROM json_each(?)", attempt, now_ms, json)
        .execute(&mut *tx)
        .await?;
    sqlx::query!(
        "DELETE FROM log_lines WHERE attempt_id = ?1
           AND id <= (SELECT id FROM log_lines WHERE attempt_id = ?1 ORDER BY id DESC LIMIT 1 OFFSET ?2)",
        attempt,
        LINES_KEPT
    )
    .execute(tx)
    .await?;
    Ok(())
}

impl Store {
    /// Up to `limit` lines of a trial after line `after`, in the order in which they came.
    ///
    /// # Errors
    /// The database fails.
    pub async fn log_lines(&self, sweep: &SweepId, trial: u32, after: i64, limit: u32) -> Result<Vec<LogLine>, StoreError> {
        let id = sweep.as_str();
        Ok(sqlx::query_as!(
            LogLine,
            r#"SELECT l.id, r.replicate AS "replicate: u32", a.number AS "attempt: u32", l.at_ms, l.text
               FROM sweeps s JOIN trials t ON t.sweep_sequence = s.sequence JOIN replicates r ON r.trial_id = t.id
               JOIN attempts a ON a.replicate_id = r.id JOIN log_lines l ON l.attempt_id = a.id
               WHERE s.id = ? AND t.number = ? AND l.id > ? ORDER BY l.id LIMIT ?"#,
            id,
            trial,
            after,
            limit
        )
        .fetch_all(&self.readers)
        .await?)
    }
}
