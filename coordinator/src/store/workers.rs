//! Workers: who is here, who has left, who was lost.

use std::collections::HashMap;

use super::{Store, StoreError, error::inconsistent, leases::stored_worker};
use crate::domain::ids::WorkerId;

/// What a worker says of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Greeting {
    /// Which.
    pub id: WorkerId,
    /// For people.
    pub name: String,
    /// Of its program.
    pub version: String,
    /// Attempts that it runs at once.
    pub slots: u32,
}

/// Whether a worker is here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WorkerState {
    /// It is, or was so a moment ago.
    Connected,
    /// It fell silent.
    Lost,
    /// It said goodbye.
    Left,
}

impl WorkerState {
    /// The name in the store and in messages.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Connected => "connected",
            Self::Lost => "lost",
            Self::Left => "left",
        }
    }

    fn from_name(name: &str) -> Option<Self> {
        [Self::Connected, Self::Lost, Self::Left].into_iter().find(|state| state.name() == name)
    }
}

/// A worker that is or has been here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WorkerRecord {
    /// What it says of itself.
    pub greeting: Greeting,
    /// Whether it is here.
    pub state: WorkerState,
    /// Attempts that it is to be running.
    pub running: u32,
    /// When it was last written down, in ms since 1970; while it is connected, sessions know better.
    pub last_seen_ms: i64,
}

impl Store {
    /// Writes down that a worker is here, for the first time or again.
    ///
    /// # Errors
    /// The database fails.
    pub async fn greet(&self, greeting: &Greeting, now_ms: i64) -> Result<(), StoreError> {
        let Greeting { id, name, version, slots } = greeting;
        let id = id.as_str();
        sqlx::query!(
            "INSERT INTO workers (id, name, version, slots, state, first_seen_ms, last_seen_ms) VALUES (?1, ?2, ?3, ?4, 'connected', ?5, ?5)
             ON CONFLICT (id) DO UPDATE SET name = ?2, version = ?3, slots = ?4, state = 'connected', last_seen_ms = ?5",
            id, name, version, slots, now_ms
        )
        .execute(&self.writer)
        .await?;
        Ok(())
    }

    /// Writes down that a worker counts as lost.
    ///
    /// # Errors
    /// The database fails.
    pub async fn forget(&self, worker: &WorkerId) -> Result<(), StoreError> {
        let id = worker.as_str();
        sqlx::query!("UPDATE workers SET state = 'lost' WHERE id = ? AND state = 'connected'", id).execute(&self.writer).await?;
        Ok(())
    }

    /// Workers that were here when it was last written down.
    ///
    /// # Errors
    /// The database fails or contradicts itself.
    pub async fn connected_workers(&self) -> Result<Vec<WorkerId>, StoreError> {
        let ids = sqlx::query_scalar!("SELECT id FROM workers WHERE state = 'connected'").fetch_all(&self.readers).await?;
        ids.iter().map(|id| stored_worker(id)).collect()
    }

    /// How many attempts each worker is to be running; those with none are left out.
    ///
    /// # Errors
    /// The database fails or contradicts itself.
    pub async fn running_counts(&self) -> Result<HashMap<WorkerId, u32>, StoreError> {
        let rows =
            sqlx::query!(r#"SELECT worker_id, COUNT(*) AS "running!: u32" FROM attempts WHERE state = 'running' GROUP BY worker_id"#)
                .fetch_all(&self.readers)
                .await?;
        rows.into_iter().map(|row| Ok((stored_worker(&row.worker_id)?, row.running))).collect()
    }

    /// All workers, the last seen first.
    ///
    /// # Errors
    /// The database fails or contradicts itself.
    pub async fn workers(&self) -> Result<Vec<WorkerRecord>, StoreError> {
        let rows = sqlx::query_as!(
            WorkerRow,
            r#"SELECT w.id, w.name, w.version, w.slots AS "slots: u32", w.state, w.last_seen_ms,
                 (SELECT COUNT(*) FROM attempts a WHERE a.worker_id = w.id AND a.state = 'running') AS "running!: u32"
               FROM workers w ORDER BY w.last_seen_ms DESC, w.id"#
        )
        .fetch_all(&self.readers)
        .await?;
        rows.into_iter().map(WorkerRecord::try_from).collect()
    }
}

struct WorkerRow {
    id: String,
    name: String,
    version: String,
    slots: u32,
    state: String,
    last_seen_ms: i64,
    running: u32,
}

impl TryFrom<WorkerRow> for WorkerRecord {
    type Error = StoreError;

    fn try_from(row: WorkerRow) -> Result<Self, StoreError> {
        let WorkerRow { id, name, version, slots, state, last_seen_ms, running } = row;
        let state = WorkerState::from_name(&state).ok_or_else(|| inconsistent(format!("worker {id}"), format!("state `{state}`")))?;
        Ok(Self { greeting: Greeting { id: stored_worker(&id)?, name, version, slots }, state, running, last_seen_ms })
    }
}
