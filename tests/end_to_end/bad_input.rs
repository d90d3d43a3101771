//! Bad input gets a clear error that names the place, exit code 2, and nothing is stored.

use std::fs;

use crate::harness::{Coordinator, TINY_SWEEP, finish, scratch, sweep_of_files, tinysweep, write};

/// A change to the tiny sweep, and what its error must say.
const WRONG_SWEEPS: &[(&str, &str, &str)] = &[
    ("name: tiny", "nmae: tiny", "sweep.yaml:1:1: "),
    ("name: tiny", "nmae: tiny", "`name`"),
    ("l_cycles: {values", "l_cycels: {values", "did you mean `l_cycles`"),
    ("hidden_size: 16", "hidden_size: wide", "sweep.yaml:4:23: "),
    ("hidden_size: 16, num_heads: 2", "variant: att, hidden_size: 18, num_heads: 4", "num_heads 4 does not divide"),
    ("values: [1, 2]", "values: []", "sweep.yaml:6:"),
    ("lr: 1e-3", "lr: -1", "train.lr"),
    ("lr: 1e-3", "lr: .nan", "train.lr"),
    ("benchmark: sudoku-4x4", "benchmark: sudoku-44", "did you mean `sudoku-4x4`"),
    ("name: tiny", "metric: {name: test/bleu}", "test/bleu"),
    ("name: tiny", "constraints: [\"l_cycles > 5\"]", "no trial"),
    ("{train: 64, test: 20}", "{train: missing.csv, test: missing.csv}", "missing.csv"),
];

fn submit(coordinator: &Coordinator, yaml: &str) -> std::process::Output {
    write(coordinator.folder.path(), "sweep.yaml", yaml);
    finish(coordinator.command(&["submit", "sweep.yaml"]))
}

#[test]
fn wrong_sweep_files() {
    let coordinator = Coordinator::start();
    for (right, wrong, message) in WRONG_SWEEPS {
        assert!(TINY_SWEEP.contains(right), "{right}");
        let output = submit(&coordinator, &TINY_SWEEP.replace(right, wrong));
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{wrong}: {stderr}");
        assert!(stderr.contains(message), "{wrong}: {stderr}");
    }
    assert_eq!(coordinator.json(&["sweeps"])["sweeps"].as_array().unwrap().len(), 0);
}

#[test]
fn a_yaml_bomb_is_defused() {
    let coordinator = Coordinator::start();
    let mut bomb = String::from("a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n");
    for level in 1..12 {
        let previous = format!("*a{}", level - 1);
        bomb += &format!("a{level}: &a{level} [{}]\n", [previous.as_str(); 10].join(", "));
    }
    let output = submit(&coordinator, &bomb);
    assert_eq!(output.status.code(), Some(2), "{output:?}");
    assert_eq!(coordinator.json(&["sweeps"])["sweeps"].as_array().unwrap().len(), 0);
}

#[test]
fn a_grid_of_over_a_million_trials() {
    let coordinator = Coordinator::start();
    let values: Vec<_> = (1..=101).map(|value| value.to_string()).collect();
    let values = values.join(", ");
    let grid = format!("l_cycles: {{values: [{values}]}}\n  h_cycles: {{values: [{values}]}}\n  layers: {{values: [{values}]}}");
    let yaml = TINY_SWEEP.replace("l_cycles: {values: [1, 2]}", &grid).replace("h_cycles: 1, ", "");
    let output = submit(&coordinator, &yaml);
    assert_eq!(output.status.code(), Some(2));
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(stderr.contains("1030301"), "{stderr}");
}

#[test]
fn wrong_puzzle_files_name_the_row() {
    let coordinator = Coordinator::start();
    let right = "1.3.341...4.4..1,1234341221434321";
    for (rows, message) in [
        ("1.3.341...4.4..1", "row 2"),
        ("1.3.341...4.4..,1234341221434321", "row 2"),
        ("1.3.341...4.4..x,1234341221434321", "'x'"),
        ("1.1.341...4.4..1,1234341221434321", "row 2"),
    ] {
        write(coordinator.folder.path(), "test.csv", format!("question,answer\n{right}\n{rows}\n"));
        let output = submit(&coordinator, &sweep_of_files(coordinator.folder.path()));
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{rows}: {stderr}");
        assert!(stderr.contains("test.csv") && stderr.contains(message), "{rows}: {stderr}");
    }
}

#[test]
fn no_coordinator() {
    let folder = scratch();
    for arguments in [&["leaderboard"][..], &["watch"], &["workers"]] {
        let mut command = tinysweep(folder.path());
        command.args(arguments).args(["--coordinator", "http://127.0.0.1:1"]);
        let output = finish(command);
        assert_eq!(output.status.code(), Some(2));
        assert!(String::from_utf8_lossy(&output.stderr).contains("no coordinator answers at http://127.0.0.1:1"), "{output:?}");
    }
    let mut worker = tinysweep(folder.path());
    worker.args(["worker", "--join", "http://127.0.0.1:1"]);
    assert_eq!(finish(worker).status.code(), Some(2));
}

#[test]
fn a_port_in_use() {
    let coordinator = Coordinator::start();
    let folder = scratch();
    let mut second = tinysweep(folder.path());
    second.args(["serve", "--listen", coordinator.address.strip_prefix("http://").unwrap()]);
    let output = finish(second);
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&output.stderr).contains("in use"), "{output:?}");
}

#[test]
fn an_open_port_without_a_token() {
    let folder = scratch();
    let mut open = tinysweep(folder.path());
    open.args(["serve", "--listen", "0.0.0.0:0"]);
    let output = finish(open);
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&output.stderr).contains("token"), "{output:?}");
}

#[test]
fn a_data_folder_that_cannot_be_written() {
    let folder = scratch();
    write(folder.path(), "file", "in the way");
    let mut serve = tinysweep(folder.path());
    serve.args(["serve", "--listen", "127.0.0.1:0", "--data-dir", "file/data"]);
    let output = finish(serve);
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&output.stderr).contains("file/data"), "{output:?}");
}

#[test]
fn a_file_that_is_no_database() {
    let folder = scratch();
    fs::create_dir(folder.path().join("tinysweep-data")).unwrap();
    write(
        folder.path(),
        "tinysweep-data/tinysweep.db",
        "this is no database, but long enough to be taken for the beginning of one".repeat(20),
    );
    let mut serve = tinysweep(folder.path());
    serve.args(["serve", "--listen", "127.0.0.1:0"]);
    let output = finish(serve);
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&output.stderr).contains("tinysweep.db"), "{output:?}");
}
