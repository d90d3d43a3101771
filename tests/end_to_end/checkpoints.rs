//! `tinysweep train` and `tinysweep eval`.

use serde_json::Value;

use crate::harness::{TINY_SWEEP, finish, scratch, stdout_of, sweep_of_files, tinysweep, write};

const PUZZLES: &str = "source,question,answer,rating\nx,1.3.341...4.4..1,1234341221434321,0\ny,.234.41.2.43.3.1,1234341221434321,0\n";

#[test]
fn a_trained_checkpoint_evaluates_as_it_did_in_training() {
    let folder = scratch();
    write(folder.path(), "test.csv", PUZZLES);
    let sweep = sweep_of_files(folder.path()).replace("values: [1, 2]", "value: 2");
    let file = write(folder.path(), "one.yaml", sweep);
    let mut train = tinysweep(folder.path());
    train.arg("train").arg(file).args(["--output", "json", "--seed", "3"]);
    let trained: Value = serde_json::from_str(&stdout_of(train)).unwrap();
    assert!(folder.path().join("checkpoint/model.safetensors").is_file());

    let mut eval = tinysweep(folder.path());
    eval.args(["eval", "--checkpoint", "checkpoint", "--data", "test.csv", "--output", "json"]);
    let evaluated: Value = serde_json::from_str(&stdout_of(eval)).unwrap();
    assert_eq!(evaluated["examples"], 2);
    assert_eq!(evaluated["metrics"], trained["metrics"]);
    assert_eq!(evaluated["token_accuracy_by_step"], trained["token_accuracy_by_step"]);
}

#[test]
fn more_supervision_steps_at_test_time() {
    let folder = scratch();
    write(folder.path(), "test.csv", PUZZLES);
    let file = write(folder.path(), "one.yaml", TINY_SWEEP.replace("values: [1, 2]", "value: 1"));
    let mut train = tinysweep(folder.path());
    train.arg("train").arg(file);
    stdout_of(train);
    let mut eval = tinysweep(folder.path());
    eval.args(["eval", "--checkpoint", "checkpoint", "--data", "test.csv", "--steps", "5", "--output", "json"]);
    let evaluated: Value = serde_json::from_str(&stdout_of(eval)).unwrap();
    assert_eq!(evaluated["exact_accuracy_by_step"].as_array().unwrap().len(), 5);
}

#[test]
fn a_folder_without_a_checkpoint_is_bad_input() {
    let folder = scratch();
    write(folder.path(), "test.csv", PUZZLES);
    let mut eval = tinysweep(folder.path());
    eval.args(["eval", "--checkpoint", "nowhere", "--data", "test.csv"]);
    let output = finish(eval);
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&output.stderr).contains("nowhere"));
}
