//! A copy of the store, whole and of one moment, also while a coordinator works on it.

use std::path::{Path, PathBuf};

use sqlx::{ConnectOptions, Connection, SqliteConnection, sqlite::SqliteConnectOptions};

/// Why a store cannot be copied.
#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    /// No coordinator has worked there.
    #[error("{data_dir} has no tinysweep.db; give the data directory of a coordinator with --data-dir")]
    NoStore {
        /// Where one was looked for.
        data_dir: PathBuf,
    },
    /// Nothing can be written.
    #[error("no room is left on the disk of {path}")]
    DiskFull {
        /// The copy.
        path: PathBuf,
    },
    /// What is there cannot be read as a database.
    #[error("{path} is not a database or is damaged ({problem}); it was not copied")]
    Damaged {
        /// The store, or its copy.
        path: PathBuf,
        /// What SQLite says.
        problem: String,
    },
    /// A name that SQLite cannot be told.
    #[error("{path} is not UTF-8")]
    Name {
        /// The copy.
        path: PathBuf,
    },
    /// Anything else.
    #[error("cannot copy {path}: {source}")]
    Database {
        /// The store.
        path: PathBuf,
        /// What SQLite says.
        source: sqlx::Error,
    },
}

/// Copies the store of `data_dir` into the file `copy`, which must be empty, and checks it. It is not synced.
///
/// The copy is of the moment at which this begins. A coordinator reads and writes on; its write-ahead log only grows until the copy is done.
///
/// # Errors
/// Each kind of [`BackupError`]; `copy` is then to be thrown away.
pub async fn copy(data_dir: &Path, copy: &Path) -> Result<(), BackupError> {
    let store = data_dir.join("tinysweep.db");
    if !store.is_file() {
        return Err(BackupError::NoStore { data_dir: data_dir.to_owned() });
    }
    let target = copy.to_str().ok_or_else(|| BackupError::Name { path: copy.to_owned() })?;
    let classify = |error| failing(&store, copy, error);
    let mut connection = open(&store, false).await.map_err(classify)?;
    sqlx::query("VACUUM INTO ?").bind(target).execute(&mut connection).await.map_err(classify)?;
    connection.close().await.map_err(classify)?;
    check(copy).await
}

/// A connection that only reads. An immutable file is one that nobody else has, and needs no files beside it.
async fn open(path: &Path, immutable: bool) -> Result<SqliteConnection, sqlx::Error> {
    let options = SqliteConnectOptions::new().filename(path).read_only(true).immutable(immutable).disable_statement_logging();
    SqliteConnection::connect_with(&options).await
}

async fn check(copy: &Path) -> Result<(), BackupError> {
    let classify = |error| failing(copy, copy, error);
    let mut connection = open(copy, true).await.map_err(classify)?;
    let found: String = sqlx::query_scalar("PRAGMA quick_check(1)").fetch_one(&mut connection).await.map_err(classify)?;
    connection.close().await.map_err(classify)?;
    if found == "ok" { Ok(()) } else { Err(BackupError::Damaged { path: copy.to_owned(), problem: found }) }
}

/// By SQLite's primary result code (<https://www.sqlite.org/rescode.html>).
fn failing(store: &Path, copy: &Path, source: sqlx::Error) -> BackupError {
    const CORRUPT: i32 = 11;
    const FULL: i32 = 13;
    const NOT_A_DATABASE: i32 = 26;
    let code = source.as_database_error().and_then(|error| error.code()?.parse::<i32>().ok());
    match code.map(|code| code & 0xff) {
        Some(CORRUPT | NOT_A_DATABASE) => BackupError::Damaged { path: store.to_owned(), problem: source.to_string() },
        Some(FULL) => BackupError::DiskFull { path: copy.to_owned() },
        _ => BackupError::Database { path: store.to_owned(), source },
    }
}
