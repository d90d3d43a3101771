//! `tinysweep run`: one command, a whole sweep.

use serde_json::Value;

use crate::harness::{TINY_SWEEP, finish, scratch, stdout_of, tinysweep, write};

fn run_tiny(folder: &std::path::Path, data_dir: &str) -> Value {
    let file = write(folder, "tiny.yaml", TINY_SWEEP);
    let mut command = tinysweep(folder);
    command.arg("run").arg(file).args(["--output", "json", "--data-dir", data_dir]);
    serde_json::from_str(&stdout_of(command)).unwrap()
}

/// Everything but how long it took, and the sweep's own id.
fn measured(mut board: Value) -> Value {
    for row in board["rows"].as_array_mut().unwrap() {
        row.as_object_mut().unwrap().retain(|key, _| !["wall_seconds", "sweep"].contains(&key.as_str()));
    }
    board
}

#[test]
fn prints_the_leaderboard_alone_on_stdout_best_first() {
    let folder = scratch();
    let board = run_tiny(folder.path(), "data");
    assert_eq!(board["benchmark"], "sudoku-4x4");
    let rows = board["rows"].as_array().unwrap();
    assert_eq!(rows.iter().filter(|row| row["kind"] == "trial").count(), 2);
    assert!(rows.iter().any(|row| row["kind"] == "published" && row["benchmark"] == "sudoku-extreme"));
    let means: Vec<_> = rows.iter().map(|row| row["metric"]["mean"].as_f64().unwrap()).collect();
    assert!(means.is_sorted_by(|a, b| a >= b), "{means:?}");
    let trial = rows.iter().find(|row| row["kind"] == "trial").unwrap();
    assert_eq!(trial["metric"]["n"], 1);
    assert_eq!(trial["config"]["hidden_size"], 16);
    assert!(trial["parameters"].as_u64().unwrap() > 1000);
}

#[test]
fn the_same_sweep_gives_the_same_numbers_to_the_last_digit() {
    let folder = scratch();
    let boards = ["one", "two"].map(|data_dir| measured(run_tiny(folder.path(), data_dir)));
    assert_eq!(boards[0], boards[1]);
}

#[test]
fn a_data_folder_in_use_is_refused() {
    let coordinator = crate::harness::Coordinator::start();
    let file = write(coordinator.folder.path(), "tiny.yaml", TINY_SWEEP);
    let mut command = tinysweep(coordinator.folder.path());
    command.arg("run").arg(file);
    let output = finish(command);
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&output.stderr).contains("another coordinator"), "{output:?}");
}
