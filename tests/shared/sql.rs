//! A coordinator's store, read as anyone can read it.

use std::path::Path;

use sqlx::{Connection, Row, SqliteConnection, sqlite::SqliteConnectOptions};

/// The rows that a query gives, each as its columns' text.
pub fn rows(store: &Path, query: &str) -> Vec<Vec<String>> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let mut connection = SqliteConnection::connect_with(&SqliteConnectOptions::new().filename(store)).await.unwrap();
        let rows = sqlx::query(sqlx::AssertSqlSafe(query)).fetch_all(&mut connection).await.unwrap();
        connection.close().await.unwrap();
        let text = |row: &sqlx::sqlite::SqliteRow, column| row.try_get_unchecked::<Option<String>, _>(column).unwrap().unwrap_or_default();
        rows.iter().map(|row| (0..row.len()).map(|column| text(row, column)).collect()).collect()
    })
}

/// The only value that a query gives.
pub fn value(store: &Path, query: &str) -> String {
    let rows = rows(store, query);
    assert_eq!((rows.len(), rows[0].len()), (1, 1), "{query} gives {rows:?}");
    rows[0][0].clone()
}
