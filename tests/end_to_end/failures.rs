//! Killed workers, killed coordinators, full disks: nothing is lost, nothing is counted twice.

use std::{thread, time::Duration};

use serde_json::Value;

use crate::harness::{Coordinator, TINY_SWEEP, endless_sweep, write};

/// Enough steps to be killed in the middle, few enough to end soon.
fn lasting_sweep() -> String {
    TINY_SWEEP.replace("steps: 20,", "steps: 1500,")
}

fn attempts(trial: &Value) -> Vec<(u64, String)> {
    let attempts = trial["replicates"][0]["attempts"].as_array().unwrap();
    attempts.iter().map(|attempt| (attempt["attempt"].as_u64().unwrap(), attempt["state"].as_str().unwrap().to_owned())).collect()
}

#[test]
fn a_killed_workers_trial_is_leased_again_and_ends_once() {
    let coordinator = Coordinator::start();
    let sweep = coordinator.submit(&lasting_sweep());
    let victim = coordinator.worker("victim");
    coordinator.wait_for(&["show", &sweep], |sweep| sweep["running"] == 1);
    victim.kill();
    let _heir = coordinator.worker("heir");
    let ended = coordinator.wait_for_end(&sweep);
    assert_eq!((&ended["completed"], &ended["failed"]), (&2.into(), &0.into()));
    let tries = [0, 1].map(|trial| attempts(&coordinator.json(&["show", &format!("{sweep}/{trial}")])));
    assert!(tries.iter().any(|tries| *tries == [(1, "lost".to_owned()), (2, "completed".to_owned())]), "{tries:?}");
    for tries in tries {
        assert_eq!(tries.iter().filter(|(_, state)| state == "completed").count(), 1);
    }
}

#[test]
fn a_killed_coordinator_goes_on_where_it_was() {
    let mut coordinator = Coordinator::start();
    let sweep = coordinator.submit(&lasting_sweep());
    let _worker = coordinator.worker("steady");
    coordinator.wait_for(&["show", &sweep], |sweep| sweep["running"] == 1);
    coordinator.restart();
    let ended = coordinator.wait_for_end(&sweep);
    assert_eq!((&ended["completed"], &ended["failed"]), (&2.into(), &0.into()));
    for trial in [0, 1] {
        let shown = coordinator.json(&["show", &format!("{sweep}/{trial}")]);
        assert_eq!(attempts(&shown), [(1, "completed".to_owned())], "the worker kept its trial over the restart");
    }
}

#[test]
fn a_damaged_data_file_of_a_worker_is_fetched_again() {
    let coordinator = Coordinator::start();
    let first = coordinator.submit(TINY_SWEEP);
    let worker = coordinator.worker("a");
    coordinator.wait_for_end(&first);
    worker.kill();
    let cached = || std::fs::read_dir(coordinator.folder.path().join("a/data")).unwrap().map(|entry| entry.unwrap().path());
    let contents: Vec<_> = cached().map(|path| (path.clone(), std::fs::read(path).unwrap())).collect();
    assert_eq!(contents.len(), 2);
    std::fs::write(&contents[0].0, &contents[0].1[..contents[0].1.len() / 2]).unwrap();
    let mut flipped = contents[1].1.clone();
    flipped[40] ^= 1;
    std::fs::write(&contents[1].0, flipped).unwrap();

    let second = coordinator.submit(&TINY_SWEEP.replace("values: [1, 2]", "values: [1]").replace("name: tiny", "name: again"));
    let _worker = coordinator.worker("a");
    let ended = coordinator.wait_for_end(&second);
    assert_eq!((&ended["completed"], &ended["failed"]), (&1.into(), &0.into()));
    for (path, content) in contents {
        assert!(std::fs::read(&path).unwrap() == content, "{} is still damaged", path.display());
    }
}

#[test]
fn a_checkpoint_that_cannot_be_written_fails_the_trial_and_not_the_worker() {
    let coordinator = Coordinator::start();
    let work_dir = coordinator.folder.path().join("a");
    std::fs::create_dir(&work_dir).unwrap();
    let in_the_way = write(&work_dir, "checkpoints", "a file where the folder should be");
    // One worker alone would try again and again, with pauses; and three failures in a row would quarantine it.
    let sweep = coordinator.submit(&format!("{TINY_SWEEP}retry: {{on: {{checkpoint: give_up}}}}\n"));
    let _worker = coordinator.worker("a");
    let ended = coordinator.wait_for_end(&sweep);
    assert_eq!((&ended["completed"], &ended["failed"]), (&0.into(), &2.into()));
    assert_eq!(coordinator.json(&["show", &format!("{sweep}/0")])["replicates"][0]["attempts"][0]["failure"], "checkpoint");
    let trial = coordinator.json(&["show", &format!("{sweep}/0")]);
    assert!(trial["reason"].as_str().unwrap().contains("checkpoints"), "{trial:#}");

    std::fs::remove_file(in_the_way).unwrap();
    let next = coordinator.submit(TINY_SWEEP);
    assert_eq!(coordinator.wait_for_end(&next)["completed"], 2);
}

#[test]
fn a_diverging_trial_fails_with_the_step_at_which_it_did() {
    let coordinator = Coordinator::start();
    let sweep = coordinator.submit(&TINY_SWEEP.replace("lr: 1e-3", "lr: 10, weight_decay: 1000").replace("steps: 20,", "steps: 400,"));
    let _worker = coordinator.worker("a");
    let ended = coordinator.wait_for_end(&sweep);
    assert_eq!(ended["failed"], 2, "{ended:#}");
    let trial = coordinator.json(&["show", &format!("{sweep}/0")]);
    assert!(trial["reason"].as_str().unwrap().contains("step"), "{trial:#}");
}

#[test]
fn a_worker_that_is_told_to_leave_hands_its_trial_back_at_once() {
    let coordinator = Coordinator::start();
    let sweep = coordinator.submit(&endless_sweep());
    let leaver = coordinator.worker("leaver");
    coordinator.wait_for(&["show", &sweep], |sweep| sweep["running"] == 1);
    let terminated = std::process::Command::new("kill").arg(leaver.0.id().to_string()).status().unwrap();
    assert!(terminated.success());
    let shown = coordinator.wait_for(&["show", &sweep], |sweep| sweep["queued"] == 2);
    assert_eq!(shown["running"], 0);
    thread::sleep(Duration::from_millis(100));
    assert_eq!(coordinator.json(&["workers"])["workers"][0]["state"], "left");
}
