//! `tinysweep run`: one command, a whole sweep.

use serde_json::Value;

use crate::harness::{TINY_SWEEP, finish, scratch, stdout_of, tinysweep, write};

fn run_tiny(folder: &std::path::Path, data_dir: &str) -> Value {
    let file = write(folder, "tiny.yaml", TINY_SWEEP);
    let mut command = tinysweep(folder);
    command.arg("run").arg(file).args(["--output", "json", "--data-dir", data_dir]);
    serde_json::from_str(&stdout_of(command)).unwrap()
}

/// Everything but what it took, and the sweep's own id.
fn measured(mut board: Value) -> Value {
    for row in board["rows"].as_array_mut().unwrap() {
        row.as_object_mut().unwrap().retain(|key, _| !["wall_seconds", "sweep", "cost", "joules_per_correct"].contains(&key.as_str()));
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
fn every_trial_says_what_it_has_cost() {
    let folder = scratch();
    let file = write(folder.path(), "tiny.yaml", TINY_SWEEP);
    let mut command = tinysweep(folder.path());
    command.arg("run").arg(&file).args(["--output", "json", "--published", "none", "--watts-per-core", "5"]);
    let board: Value = serde_json::from_str(&stdout_of(command)).unwrap();
    for row in board["rows"].as_array().unwrap() {
        let cost = &row["cost"];
        for key in ["wall_seconds", "device_seconds", "training_seconds", "steps_per_s", "samples_per_s", "flops", "joules"] {
            assert!(cost[key].as_f64().unwrap() > 0.0, "{key}: {row:#}");
        }
        assert_eq!([&cost["steps"], &cost["samples"], &cost["answered"]], [20, 160, 20]);
        // Where no counter can be read, as in most machines' containers, all of it is an estimate; else nothing is.
        let (joules, estimated) = (cost["joules"].as_f64().unwrap(), cost["joules_estimated"].as_f64().unwrap());
        let by_power = 5.0 * cost["device_seconds"].as_f64().unwrap();
        assert!(estimated == 0.0 || (estimated == joules && (joules - by_power).abs() < 1e-9), "{row:#}");
        let correct = (row["metric"]["mean"].as_f64().unwrap() * 20.0).round();
        assert_eq!(row["joules_per_correct"].as_f64(), (correct > 0.0).then(|| joules / correct));
    }
    let mut wrong = tinysweep(folder.path());
    wrong.arg("run").arg(file).args(["--watts-per-core", "-3"]);
    assert_eq!(finish(wrong).status.code(), Some(2));
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
