//! Stores that are damaged, disks that are full or read-only: a clear word, and nothing made worse.

use std::{
    fs::{self, File},
    io::{Seek, SeekFrom, Write},
    path::{Path, PathBuf},
    process::Command,
};

use tempfile::TempDir;

use crate::{
    harness::{Coordinator, TINY_SWEEP, finish, scratch, tinysweep, write},
    serving,
    small_disk::{on_read_only_disk, on_small_disk},
};

/// A sweep whose trials fill many pages.
fn large_sweep(trials: u32) -> String {
    TINY_SWEEP
        .replace("parameters:", &format!("method: random\nrun_cap: {trials}\nparameters:\n  lr: {{min: 1e-5, max: 1e-2}}"))
        .replace(", lr: 1e-3,", ",")
}

/// The store of a coordinator that was stopped properly, so that all is in its one file.
fn stopped_store() -> (TempDir, PathBuf) {
    let mut coordinator = Coordinator::start();
    coordinator.submit(&large_sweep(2000));
    let mut process = coordinator.process.take().unwrap();
    assert!(Command::new("kill").arg(process.0.id().to_string()).status().unwrap().success());
    assert!(process.0.wait().unwrap().success());
    let store = coordinator.folder.path().join("tinysweep-data/tinysweep.db");
    assert!(fs::metadata(&store).unwrap().len() > 1 << 20);
    (coordinator.folder, store)
}

/// Overwrites from one byte to another.
fn overwrite(store: &Path, from: u64, to: u64) {
    let mut file = File::options().write(true).open(store).unwrap();
    file.seek(SeekFrom::Start(from)).unwrap();
    file.write_all(&b"damaged.".repeat((to - from) as usize / 8)).unwrap();
}

/// What a command says that must end in exit code 2.
fn refusal(command: Command) -> String {
    let output = finish(command);
    let error = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(2), "{error}");
    error
}

#[test]
fn a_store_that_was_cut_off_or_overwritten_is_not_served() {
    let damages: [fn(&Path); 3] = [
        |store| File::options().write(true).open(store).unwrap().set_len(fs::metadata(store).unwrap().len() / 2).unwrap(),
        |store| overwrite(store, 4096, 40 * 4096),
        |store| {
            let middle = fs::metadata(store).unwrap().len() / 2 / 4096 * 4096;
            overwrite(store, middle, middle + 50 * 4096);
        },
    ];
    for damage in damages {
        let (folder, store) = stopped_store();
        damage(&store);
        let damaged = fs::read(&store).unwrap();
        let error = refusal(serving::serve(folder.path()));
        assert!(error.contains("tinysweep.db is not a database or is damaged") && error.contains("restore it from a copy"), "{error}");
        assert!(fs::read(&store).unwrap() == damaged, "what can still be rescued was changed");
    }
}

#[test]
fn damage_in_the_middle_is_told_and_not_copied() {
    let (folder, store) = stopped_store();
    let middle = fs::metadata(&store).unwrap().len() / 2;
    overwrite(&store, middle - 100 * 4096, middle + 100 * 4096);
    let mut backup = tinysweep(folder.path());
    backup.args(["backup", "--to", "copy.db"]);
    let error = refusal(backup);
    assert!(error.contains("tinysweep.db is not a database or is damaged"), "{error}");
    assert!(!folder.path().join("copy.db").exists());
}

#[test]
fn a_disk_that_cannot_be_written() {
    let (folder, store) = stopped_store();
    let Some(serve) = on_read_only_disk(&serving::serve(folder.path()), store.parent().unwrap()) else { return };
    let error = refusal(serve);
    assert!(error.contains("cannot write to") && error.contains("tinysweep-data"), "{error}");
}

#[test]
fn a_disk_without_room_for_a_store() {
    let folder = scratch();
    let data = folder.path().join("tinysweep-data");
    fs::create_dir(&data).unwrap();
    let Some(serve) = on_small_disk(&serving::serve(folder.path()), &data, 64) else { return };
    let error = refusal(serve);
    assert!(error.contains("no room is left on the disk"), "{error}");
}

#[test]
fn a_disk_that_fills_up_while_a_coordinator_serves() {
    let folder = scratch();
    let data = folder.path().join("tinysweep-data");
    fs::create_dir(&data).unwrap();
    let Some(serve) = on_small_disk(&serving::serve(folder.path()), &data, 3 << 10) else { return };
    let coordinator = serving::start(folder, serve);
    let sweep = coordinator.submit(TINY_SWEEP);
    let large = write(coordinator.folder.path(), "large.yaml", large_sweep(20_000));
    let output = finish(coordinator.command(&["submit", large.to_str().unwrap()]));
    let error = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.code() == Some(1) && error.contains("no room is left"), "{error}");
    // Nothing of it was kept, and what was there before goes on.
    assert_eq!(coordinator.json(&["sweeps"])["sweeps"].as_array().unwrap().len(), 1);
    let _worker = coordinator.worker("a");
    assert_eq!(coordinator.wait_for_end(&sweep)["completed"], 2);
}
