//! Opening the store: one coordinator at a time, the schema brought up to date, and a clear word where that cannot be.

use std::{
    fs::{File, OpenOptions, TryLockError, create_dir_all},
    io,
    path::{Path, PathBuf},
    time::Duration,
};

use sqlx::{
    Connection, SqliteConnection,
    migrate::{MigrateError, Migrator},
    sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous},
};

use super::{
    Store, Writer,
    error::{SQLITE_CANTOPEN, SQLITE_CORRUPT, SQLITE_FULL, SQLITE_IOERR_SHMSIZE, SQLITE_NOTADB, SQLITE_READONLY, code, primary_code},
};

static MIGRATOR: Migrator = sqlx::migrate!("../migrations");

/// Connections that only read; WAL lets them do so beside the one that writes.
const READERS: u32 = 4;

/// How long a connection waits for another program that holds the database, as `sqlite3` in someone's terminal.
const BUSY_TIMEOUT: Duration = Duration::from_secs(10);

/// Why a store cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Directory or file cannot be written.
    #[error("cannot write to {path} ({problem}); give a data directory that this user can write to")]
    NotWritable {
        /// Where.
        path: PathBuf,
        /// What the system says.
        problem: String,
    },
    /// Another coordinator works here.
    #[error("another coordinator is using {path}; stop it, or give this one a data directory of its own")]
    InUse {
        /// The data directory.
        path: PathBuf,
    },
    /// The file is something else, or damaged.
    #[error("{path} is not a database or is damaged ({problem}); restore it from a copy, or move it away to begin anew")]
    Corrupt {
        /// The file.
        path: PathBuf,
        /// What SQLite says.
        problem: String,
    },
    /// A later program has changed the schema.
    #[error("{path} was written by a newer tinysweep (schema {found}, this program knows {known}); use that version")]
    Newer {
        /// The file.
        path: PathBuf,
        /// Its schema.
        found: i64,
        /// The newest schema of this program.
        known: i64,
    },
    /// Nothing can be written.
    #[error("no room is left on the disk of {path}")]
    DiskFull {
        /// The file.
        path: PathBuf,
    },
    /// Anything else.
    #[error("cannot open the database {path}: {source}")]
    Database {
        /// The file.
        path: PathBuf,
        /// What SQLite says.
        source: sqlx::Error,
    },
    /// The schema cannot be brought up to date.
    #[error("cannot bring the schema of {path} up to date: {source}")]
    Migrate {
        /// The file.
        path: PathBuf,
        /// What went wrong.
        source: MigrateError,
    },
}

impl Store {
    /// Opens the store in `data_dir`, which is created where it does not exist.
    ///
    /// # Errors
    /// Each kind of [`OpenError`].
    pub async fn open(data_dir: &Path) -> Result<Self, OpenError> {
        create_dir_all(data_dir).map_err(|error| not_writable(data_dir, &error))?;
        let lock = lock(data_dir)?;
        let path = data_dir.join("tinysweep.db");
        let options = SqliteConnectOptions::new()
            .filename(&path)
            .journal_mode(SqliteJournalMode::Wal)
            // With WAL, NORMAL survives the death of this process, and a power cut leaves the database whole; but the commits of
            // the last moments before a power cut may be gone. `durability.rs` syncs those that must not be: see README.md.
            .synchronous(SqliteSynchronous::Normal)
            .foreign_keys(true)
            .busy_timeout(BUSY_TIMEOUT);
        let classify = |error| opening(&path, error);
        let mut connection = SqliteConnection::connect_with(&options.clone().create_if_missing(true)).await.map_err(classify)?;
        check(&mut connection, &path).await?;
        migrate(&mut connection, &path).await?;
        let readers = SqlitePoolOptions::new()
            .max_connections(READERS)
            // A file does not go away as a server may.
            .test_before_acquire(false)
            .connect_with(options.clone().read_only(true))
            .await
            .map_err(classify)?;
        Ok(Self { path, writer: Writer::new(connection, options), readers, _lock: lock })
    }
}

/// Holds the data directory for this process; the system lets go of it when the process ends, however it ends.
fn lock(data_dir: &Path) -> Result<File, OpenError> {
    let path = data_dir.join("coordinator.lock");
    let file = OpenOptions::new().create(true).truncate(false).write(true).open(&path).map_err(|error| not_writable(&path, &error))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(OpenError::InUse { path: data_dir.to_owned() }),
        Err(TryLockError::Error(error)) => Err(not_writable(&path, &error)),
    }
}

/// Damage in the middle would show only when someone asks for what was there, and until then more would be written around it. Takes about
/// four seconds for each GiB.
async fn check(writer: &mut SqliteConnection, path: &Path) -> Result<(), OpenError> {
    let found: String = sqlx::query_scalar("PRAGMA quick_check(1)").fetch_one(writer).await.map_err(|error| opening(path, error))?;
    if found == "ok" { Ok(()) } else { Err(OpenError::Corrupt { path: path.to_owned(), problem: found }) }
}

async fn migrate(writer: &mut SqliteConnection, path: &Path) -> Result<(), OpenError> {
    let known = MIGRATOR.iter().map(|migration| migration.version).max().unwrap_or(0);
    match MIGRATOR.run(writer).await {
        Ok(()) => Ok(()),
        Err(MigrateError::VersionMissing(found)) if found > known => Err(OpenError::Newer { path: path.to_owned(), found, known }),
        Err(MigrateError::Execute(error) | MigrateError::ExecuteMigration(error, _)) => Err(opening(path, error)),
        Err(source) => Err(OpenError::Migrate { path: path.to_owned(), source }),
    }
}

fn not_writable(path: &Path, error: &io::Error) -> OpenError {
    match error.kind() {
        io::ErrorKind::StorageFull => OpenError::DiskFull { path: path.to_owned() },
        _ => OpenError::NotWritable { path: path.to_owned(), problem: error.to_string() },
    }
}

fn opening(path: &Path, source: sqlx::Error) -> OpenError {
    let path = path.to_owned();
    if code(&source) == Some(SQLITE_IOERR_SHMSIZE) {
        return OpenError::DiskFull { path };
    }
    match primary_code(&source) {
        Some(SQLITE_READONLY | SQLITE_CANTOPEN) => OpenError::NotWritable { path, problem: source.to_string() },
        Some(SQLITE_CORRUPT | SQLITE_NOTADB) => OpenError::Corrupt { path, problem: source.to_string() },
        Some(SQLITE_FULL) => OpenError::DiskFull { path },
        _ => OpenError::Database { path, source },
    }
}
