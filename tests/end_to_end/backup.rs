//! `tinysweep backup`: a copy of a store that is in use, and a coordinator that goes on from it.

use std::{fs, path::Path, process::Command};

use crate::{
    harness::{Coordinator, TINY_SWEEP, finish, scratch, stdout_of, tinysweep, write},
    serving,
    small_disk::on_small_disk,
    sql,
};

/// 12 runs that each last long enough to be copied in the middle.
fn lasting_sweep() -> String {
    format!("{}replicates: 6\n", TINY_SWEEP.replace("steps: 20,", "steps: 400,"))
}

fn backup(folder: &Path, to: &str) -> Command {
    let mut command = tinysweep(folder);
    command.args(["backup", "--to", to]);
    command
}

/// A coordinator on the store and the artifacts that lie in `backups`.
fn restored(backups: &Path) -> Coordinator {
    let folder = scratch();
    let data = folder.path().join("tinysweep-data");
    fs::create_dir(&data).unwrap();
    fs::copy(backups.join("copy.db"), data.join("tinysweep.db")).unwrap();
    fs::rename(backups.join("artifacts"), data.join("artifacts")).unwrap();
    let serve = serving::serve(folder.path());
    serving::start(folder, serve)
}

#[test]
fn a_sweep_that_runs_goes_on_from_the_copy() {
    let coordinator = Coordinator::start();
    let sweep = coordinator.submit(&lasting_sweep());
    let workers = [coordinator.worker("a"), coordinator.worker("b")];
    coordinator.wait_for(&["show", &sweep], |sweep| sweep["completed"].as_u64() >= Some(2) && sweep["running"].as_u64() >= Some(1));
    let folder = coordinator.folder.path();
    let said = stdout_of(backup(folder, "early.db"));
    assert!(said.contains("early.db") && said.contains("artifacts"), "{said}");
    let mut with_artifacts = backup(folder, "copy.db");
    with_artifacts.args(["--artifacts", "artifacts"]);
    let said = stdout_of(with_artifacts);
    let copied: u32 = said.split_once("copied ").and_then(|(_, rest)| rest.split(' ').next()).unwrap().parse().unwrap();
    assert!(copied >= 4, "two files of puzzles, and the final states of two trials at the least: {said}");
    let left: Vec<_> = folder.read_dir().unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    assert!(!left.iter().any(|name| name.starts_with(".tinysweep")), "{left:?}");
    drop(workers);

    for copy in ["early.db", "copy.db"] {
        let copy = folder.join(copy);
        assert_eq!(sql::value(&copy, "PRAGMA integrity_check"), "ok");
        assert_eq!(sql::rows(&copy, "PRAGMA foreign_key_check").len(), 0);
        let completed: u32 = sql::value(&copy, "SELECT COUNT(*) FROM results").parse().unwrap();
        assert!((2..12).contains(&completed), "{completed}");
    }
    let heir = restored(folder);
    let _worker = heir.worker("c");
    let ended = heir.wait_for_end(&sweep);
    assert_eq!((&ended["completed"], &ended["failed"]), (&12.into(), &0.into()));
}

#[test]
fn a_copy_of_a_stopped_coordinator_has_what_only_its_log_had() {
    let mut coordinator = Coordinator::start();
    coordinator.submit(TINY_SWEEP);
    coordinator.process.take().unwrap().kill();
    let folder = coordinator.folder.path();
    stdout_of(backup(folder, "copy.db"));
    assert_eq!(sql::value(&folder.join("copy.db"), "SELECT COUNT(*) FROM replicates WHERE state = 'queued'"), "2");
}

#[test]
fn a_place_that_cannot_be_read_or_written() {
    let coordinator = Coordinator::start();
    let folder = coordinator.folder.path();
    write(folder, "taken.db", "precious");
    let elsewhere = ["--data-dir", "nowhere"];
    for (to, more, message) in [
        ("copy.db", &elsewhere[..], "nowhere has no tinysweep.db"),
        ("taken.db", &[], "exists and was left as it is"),
        ("missing/copy.db", &[], "cannot write"),
        ("taken.db/copy.db", &[], "cannot write"),
    ] {
        let mut command = backup(folder, to);
        command.args(more);
        let output = finish(command);
        let error = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.code() == Some(2) && error.contains(message), "{to} {more:?}: {error}");
    }
    assert_eq!(fs::read(folder.join("taken.db")).unwrap(), b"precious");
    assert!(!folder.join("copy.db").exists());
}

#[test]
fn a_disk_without_room() {
    let coordinator = Coordinator::start();
    coordinator.submit(TINY_SWEEP);
    let full = scratch();
    let to = full.path().join("copy.db");
    let Some(command) = on_small_disk(&backup(coordinator.folder.path(), to.to_str().unwrap()), full.path(), 64) else { return };
    let output = finish(command);
    let error = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.code() == Some(2) && error.contains("no room is left"), "{error}");
}

#[test]
fn a_damaged_store_or_artifact_is_not_copied() {
    let mut coordinator = Coordinator::start();
    coordinator.submit(TINY_SWEEP);
    let data = coordinator.folder.path().join("tinysweep-data");
    let shard = fs::read_dir(data.join("artifacts")).unwrap().map(|entry| entry.unwrap().path()).find(|path| !path.ends_with("incoming"));
    let artifact = fs::read_dir(shard.unwrap()).unwrap().next().unwrap().unwrap().path();
    fs::write(&artifact, "something else").unwrap();
    let mut command = backup(coordinator.folder.path(), "copy.db");
    command.args(["--artifacts", "artifacts"]);
    let output = finish(command);
    let error = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.code() == Some(2) && error.contains("is damaged"), "{error}");

    coordinator.process.take().unwrap().kill();
    fs::remove_file(data.join("tinysweep.db-wal")).unwrap();
    fs::write(data.join("tinysweep.db"), "no database, but long enough to be taken for one".repeat(100)).unwrap();
    let output = finish(backup(coordinator.folder.path(), "second.db"));
    let error = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.code() == Some(2) && error.contains("is not a database or is damaged"), "{error}");
    assert!(!coordinator.folder.path().join("second.db").exists());
}
