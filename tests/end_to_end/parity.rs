//! `tinysweep parity`: exit 0 only when every quantity holds.

use std::{fs, path::Path};

use crate::harness::{finish, scratch, stdout_of, tinysweep};

fn golden(name: &str) -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("worker/tests/golden").join(name)
}

fn parity(folder: &Path) -> std::process::Command {
    let mut command = tinysweep(folder);
    command.args(["parity", "."]);
    command
}

#[test]
fn recorded_runs_of_the_reference_hold() {
    for name in ["trm_att", "trm_mlp", "hrm", "transformer"] {
        let table = stdout_of(parity(&golden(name)));
        assert!(table.contains("tolerance") && !table.contains("FAILED"), "{table}");
    }
}

#[test]
fn another_learning_rate_does_not() {
    let folder = scratch();
    for entry in fs::read_dir(golden("trm_mlp")).unwrap() {
        let entry = entry.unwrap();
        fs::copy(entry.path(), folder.path().join(entry.file_name())).unwrap();
    }
    let trace = folder.path().join("trace.json");
    let changed = fs::read_to_string(&trace).unwrap().replace("\"weight_decay\": 0.1", "\"weight_decay\": 0.2");
    fs::write(&trace, changed).unwrap();
    let output = finish(parity(folder.path()));
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stdout).contains("FAILED"));
}

#[test]
fn a_folder_without_a_trace_is_bad_input() {
    let folder = scratch();
    let output = finish(parity(folder.path()));
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&output.stderr).contains("trace.json"));
}
