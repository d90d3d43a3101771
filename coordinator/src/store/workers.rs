//! Workers: who is here, who has left, who was lost.

use serde::de::DeserializeOwned;

use super::{Store, StoreError, error::inconsistent, replicates::stored_worker};
use crate::domain::{failure::FailureKind, health::Health, ids::WorkerId, policy::Traits};

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
    /// What it can do.
    pub traits: Traits,
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
    /// How it fares.
    pub health: Health,
    /// Attempts that it is to be running.
    pub running: u32,
    /// When it was last written down, in ms since 1970; while it is connected, sessions know better.
    pub last_seen_ms: i64,
}

impl Store {
    /// Writes down that a worker is here, for the first time or again. Returns how it has fared.
    ///
    /// # Errors
    /// The database fails or contradicts itself.
    pub async fn greet(&self, greeting: &Greeting, now_ms: i64) -> Result<Health, StoreError> {
        let Greeting { id, name, version, slots, traits } = greeting;
        let id = id.as_str();
        let traits = serde_json::to_string(traits).expect("strings and numbers have a JSON form");
        let mut turn = self.writer.turn().await?;
        let health = sqlx::query_scalar!(
            "INSERT INTO workers (id, name, version, slots, traits_json, state, first_seen_ms, last_seen_ms)
               VALUES (?1, ?2, ?3, ?4, ?6, 'connected', ?5, ?5)
             ON CONFLICT (id) DO UPDATE SET name = ?2, version = ?3, slots = ?4, traits_json = ?6, state = 'connected', last_seen_ms = ?5
             RETURNING health_json",
            id,
            name,
            version,
            slots,
            now_ms,
            traits
        )
        .fetch_one(&mut *turn)
        .await?;
        turn.committed();
        stored(id, "health", &health)
    }

    /// Writes down how a worker fares after one of its attempts has ended: `failure` is none for a result.
    ///
    /// # Errors
    /// The database fails or contradicts itself.
    pub async fn judge(&self, worker: &WorkerId, failure: Option<(FailureKind, &str)>, now_ms: i64) -> Result<Health, StoreError> {
        let id = worker.as_str();
        let mut tx = self.begin().await?;
        let before = sqlx::query_scalar!("SELECT health_json FROM workers WHERE id = ?", id).fetch_one(&mut *tx).await?;
        let before: Health = stored(id, "health", &before)?;
        let after = match failure {
            Some((kind, message)) => before.after_failure(kind, message, now_ms),
            None => Health::after_result(),
        };
        if after != before {
            let json = serde_json::to_string(&after).expect("strings and numbers have a JSON form");
            sqlx::query!("UPDATE workers SET health_json = ? WHERE id = ?", json, id).execute(&mut *tx).await?;
        }
        tx.commit().await?;
        Ok(after)
    }

    /// Writes down that a worker counts as lost.
    ///
    /// # Errors
    /// The database fails.
    pub async fn forget(&self, worker: &WorkerId) -> Result<(), StoreError> {
        let id = worker.as_str();
        let mut turn = self.writer.turn().await?;
        sqlx::query!("UPDATE workers SET state = 'lost' WHERE id = ? AND state = 'connected'", id).execute(&mut *turn).await?;
        turn.committed();
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

    /// All workers, the last seen first.
    ///
    /// # Errors
    /// The database fails or contradicts itself.
    pub async fn workers(&self) -> Result<Vec<WorkerRecord>, StoreError> {
        let rows = sqlx::query_as!(
            WorkerRow,
            r#"SELECT w.id, w.name, w.version, w.slots AS "slots: u32", w.state, w.last_seen_ms, w.traits_json, w.health_json,
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
    traits_json: String,
    health_json: String,
    running: u32,
}

/// What a worker's row keeps as JSON.
fn stored<T: DeserializeOwned>(worker: &str, what: &str, json: &str) -> Result<T, StoreError> {
    serde_json::from_str(json).map_err(|error| inconsistent(format!("worker {worker}"), format!("{what} `{json}`: {error}")))
}

impl TryFrom<WorkerRow> for WorkerRecord {
    type Error = StoreError;

    fn try_from(row: WorkerRow) -> Result<Self, StoreError> {
        let WorkerRow { id, name, version, slots, state, last_seen_ms, traits_json, health_json, running } = row;
        let state = WorkerState::from_name(&state).ok_or_else(|| inconsistent(format!("worker {id}"), format!("state `{state}`")))?;
        let (traits, health) = (stored(&id, "traits", &traits_json)?, stored(&id, "health", &health_json)?);
        let greeting = Greeting { id: stored_worker(&id)?, name, version, slots, traits };
        Ok(Self { greeting, state, health, running, last_seen_ms })
    }
}
