//! One write at a time, each a transaction.
//!
//! A statement travels to SQLite's thread and back, which costs several times what the statement itself does. So the queries that leases
//! and results depend on are texts of several statements that travel together: the first may begin the transaction, the last may end it.
//! A pool would add a round trip of its own to each turn, to see whether the connection still lives.

use std::{
    ops::{Deref, DerefMut},
    sync::Arc,
};

use sqlx::{Connection, SqliteConnection, sqlite::SqliteConnectOptions};
use tokio::{
    runtime::Handle,
    sync::{Mutex, OwnedMutexGuard},
};

use super::StoreError;

/// The one connection that writes.
#[derive(Debug)]
pub(super) struct Writer(Arc<Mutex<Slot>>);

#[derive(Debug)]
struct Slot {
    options: SqliteConnectOptions,
    /// None once it is closed.
    connection: Option<SqliteConnection>,
    /// A transaction may be open: one is under way, or was left by a failure or by someone who has gone.
    may_be_open: bool,
}

impl Writer {
    /// Writes over `connection`, which was made with `options`.
    pub(super) fn new(connection: SqliteConnection, options: SqliteConnectOptions) -> Self {
        Self(Arc::new(Mutex::new(Slot { options, connection: Some(connection), may_be_open: false })))
    }

    /// Waits until nobody else writes. Whoever has the turn begins a transaction by `BEGIN IMMEDIATE`, and what it does not end is rolled
    /// back; where it finds nothing to write, [`Turn::committed`] is the end.
    pub(super) async fn turn(&self) -> Result<Turn, StoreError> {
        let mut slot = clean(self.0.clone()).await?;
        slot.may_be_open = true;
        Ok(Turn(slot))
    }

    /// Begins a write. Taking the lock at once, not at the first write, makes a wait for another program end in success.
    pub(super) async fn begin(&self) -> Result<Turn, StoreError> {
        let mut turn = self.turn().await?;
        sqlx::query!("BEGIN IMMEDIATE").execute(&mut *turn).await?;
        Ok(turn)
    }

    /// Closes the connection; nobody writes any more.
    pub(super) async fn close(&self) {
        if let Some(connection) = self.0.lock().await.connection.take()
            && let Err(error) = connection.close().await
        {
            tracing::warn!(%error, "the database was not closed properly; nothing is lost, the next start reads its log");
        }
    }
}

/// The slot, without a transaction.
async fn clean(slot: Arc<Mutex<Slot>>) -> Result<OwnedMutexGuard<Slot>, StoreError> {
    let mut slot = slot.lock_owned().await;
    let Slot { options, connection, may_be_open } = &mut *slot;
    let connection = connection.as_mut().ok_or(sqlx::Error::PoolClosed)?;
    if *may_be_open {
        match sqlx::query!("ROLLBACK").execute(&mut *connection).await {
            // There is nothing to roll back where the disk was full, or after the end of a transaction of which nobody heard.
            Ok(_) | Err(sqlx::Error::Database(_)) => {}
            Err(_) => *connection = SqliteConnection::connect_with(options).await?,
        }
        *may_be_open = false;
    }
    Ok(slot)
}

/// The turn to write.
pub(super) struct Turn(OwnedMutexGuard<Slot>);

impl Turn {
    /// Ends the transaction.
    pub(super) async fn commit(mut self) -> Result<(), StoreError> {
        sqlx::query!("COMMIT").execute(&mut *self).await?;
        self.committed();
        Ok(())
    }

    /// Notes that the last query has ended the transaction, or that there was none.
    pub(super) fn committed(mut self) {
        self.0.may_be_open = false;
    }
}

impl Drop for Turn {
    /// What was left is rolled back soon, lest the database stay locked until someone else writes.
    fn drop(&mut self) {
        if self.0.may_be_open
            && let Ok(runtime) = Handle::try_current()
        {
            runtime.spawn(clean(OwnedMutexGuard::mutex(&self.0).clone()));
        }
    }
}

const CLOSED: &str = "a turn is given only while the connection is open, and lasts until it is closed";

impl Deref for Turn {
    type Target = SqliteConnection;

    fn deref(&self) -> &SqliteConnection {
        self.0.connection.as_ref().expect(CLOSED)
    }
}

impl DerefMut for Turn {
    fn deref_mut(&mut self) -> &mut SqliteConnection {
        self.0.connection.as_mut().expect(CLOSED)
    }
}

#[cfg(test)]
mod tests {
    use crate::store::Store;

    #[tokio::test]
    async fn what_is_not_ended_is_rolled_back() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path()).await.unwrap();
        for (id, ends) in [("left", false), ("ended", true), ("left_again", false)] {
            let mut turn = store.begin().await.unwrap();
            sqlx::query(
                "INSERT INTO workers (id, name, version, slots, state, first_seen_ms, last_seen_ms) VALUES (?, '', '', 1, 'left', 0, 0)",
            )
            .bind(id)
            .execute(&mut *turn)
            .await
            .unwrap();
            if ends {
                turn.commit().await.unwrap();
            }
        }
        let stored: Vec<String> = sqlx::query_scalar("SELECT id FROM workers").fetch_all(&mut *store.begin().await.unwrap()).await.unwrap();
        assert_eq!(stored, ["ended"]);
        store.close().await;
        assert!(store.begin().await.is_err(), "nobody writes after the end");
    }
}
