//! Where a coordinator cannot start, it says why.

use std::path::Path;

use sqlx::{Connection, SqliteConnection};
use tinysweep_coordinator::server::{Coordinator, Settings};

use crate::harness::{Running, settings};

async fn refusal(settings: Settings) -> String {
    Coordinator::bind(settings).await.unwrap_err().to_string()
}

async fn sql(data_dir: &Path, statement: &'static str) {
    let url = format!("sqlite:{}", data_dir.join("tinysweep.db").display());
    let mut connection = SqliteConnection::connect(&url).await.unwrap();
    sqlx::query(statement).execute(&mut connection).await.unwrap();
    connection.close().await.unwrap();
}

#[tokio::test]
async fn one_coordinator_for_each_directory_and_port() {
    let folder = tempfile::tempdir().unwrap();
    let running = Running::start(settings(folder.path())).await;
    assert!(refusal(settings(folder.path())).await.starts_with("another coordinator is using "));
    let elsewhere = tempfile::tempdir().unwrap();
    let taken = ([127, 0, 0, 1], running.address.port).into();
    let error = refusal(Settings { listen: taken, ..settings(elsewhere.path()) }).await;
    assert!(error.contains(&taken.to_string()) && error.contains("--listen"), "{error}");
    running.stop().await;
    Running::start(settings(folder.path())).await.stop().await;
}

#[tokio::test]
async fn a_newer_database_is_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    Running::start(settings(folder.path())).await.stop().await;
    sql(
        folder.path(),
        "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time) VALUES (9999, 'later', 1, x'00', 1)",
    )
    .await;
    let error = refusal(settings(folder.path())).await;
    assert!(error.contains("was written by a newer tinysweep (schema 9999, this program knows "), "{error}");
}

#[tokio::test]
async fn a_file_that_is_no_database_is_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("tinysweep.db");
    let content = "not a database, but long enough to be taken for one. ".repeat(50);
    std::fs::write(&path, &content).unwrap();
    let error = refusal(settings(folder.path())).await;
    assert!(error.contains("is not a database or is damaged"), "{error}");
    assert_eq!(std::fs::read_to_string(&path).unwrap(), content);
}

#[tokio::test]
async fn a_place_that_cannot_be_written_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    std::fs::write(&file, "").unwrap();
    let error = refusal(settings(&file.join("below"))).await;
    assert!(error.starts_with("cannot write to ") && error.contains("below"), "{error}");
}

#[tokio::test]
async fn the_store_keeps_its_rules() {
    let folder = tempfile::tempdir().unwrap();
    Running::start(settings(folder.path())).await.stop().await;
    let url = format!("sqlite:{}", folder.path().join("tinysweep.db").display());
    let mut connection = SqliteConnection::connect(&url).await.unwrap();
    let wrong = sqlx::query(
        "INSERT INTO workers (id, name, version, slots, state, first_seen_ms, last_seen_ms) VALUES ('w', 'n', 'v', 1, 'asleep', 0, 0)",
    )
    .execute(&mut connection)
    .await;
    assert!(wrong.unwrap_err().to_string().contains("CHECK"));
    let sweep = |state: &'static str, ended: &'static str| {
        format!(
            "INSERT INTO sweeps (id, name, benchmark, method, metric, goal, state, yaml, file_name, created_ms, ended_ms)
             VALUES ('{state}{ended}', 'n', 'b', 'm', 'm', 'maximize', '{state}', '', '', 0, {ended})"
        )
    };
    for (state, ended, is_right) in
        [("paused", "NULL", true), ("stopped", "5", true), ("stopped", "NULL", false), ("stopping", "5", false), ("asleep", "NULL", false)]
    {
        let inserted = sqlx::query(sqlx::AssertSqlSafe(sweep(state, ended))).execute(&mut connection).await;
        assert_eq!(inserted.is_ok(), is_right, "{state} {ended}");
    }
}
