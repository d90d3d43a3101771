//! Rows that tests of the store begin with.

use sqlx::SqliteConnection;

/// Inserts the sweep `s` with trial 0, which has the id 1, and the worker `w`, which has left; then `rows`, which need them.
pub(super) async fn insert_trial_with(turn: &mut SqliteConnection, rows: &[&'static str]) {
    let first = [
        "INSERT INTO sweeps (id, name, benchmark, method, metric, goal, yaml, file_name, created_ms)
         VALUES ('s', '', '', 'grid', 'm', 'maximize', '', '', 0)",
        "INSERT INTO trials (id, sweep_sequence, number, name, config_json, config_hash) VALUES (1, 1, 0, '', '{}', printf('%064d', 0))",
        "INSERT INTO workers (id, name, version, slots, state, first_seen_ms, last_seen_ms) VALUES ('w', '', '', 1, 'left', 0, 0)",
    ];
    for row in first.iter().chain(rows) {
        sqlx::query(*row).execute(&mut *turn).await.unwrap();
    }
}
