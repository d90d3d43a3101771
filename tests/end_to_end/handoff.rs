//! Workers that leave in the middle of a trial: another goes on from the last checkpoint, to the same bits.

use std::process::Command;

use serde_json::Value;

use crate::harness::{Coordinator, Process, TINY_SWEEP, stdout_of, wait};

/// One trial of some seconds, with a checkpoint every second.
fn sweep() -> String {
    let lasting = TINY_SWEEP.replace("steps: 20,", "steps: 9000,").replace("values: [1, 2]", "values: [2]");
    lasting + "checkpoint_secs: 1\n"
}

/// The one replicate of a sweep that has ended, and its attempts.
fn replicate(coordinator: &Coordinator, sweep: &str) -> (Value, Vec<Value>) {
    coordinator.wait_for_end(sweep);
    let replicate = coordinator.json(&["show", &format!("{sweep}/0")])["replicates"][0].clone();
    let attempts = replicate["attempts"].as_array().unwrap().clone();
    (replicate, attempts)
}

fn signal(process: &Process, signal: &str) {
    assert!(Command::new("kill").args([signal, &process.0.id().to_string()]).status().unwrap().success());
}

/// Waits until the trial that runs has said that it is at `step`.
fn wait_for_step(coordinator: &Coordinator, sweep: &str, step: u64) {
    coordinator.wait_for(&["show", &format!("{sweep}/0")], |trial| {
        trial["replicates"][0]["attempts"].as_array().unwrap().last().is_some_and(|attempt| attempt["step"].as_u64() >= Some(step))
    });
}

#[test]
fn a_trial_goes_on_elsewhere_to_the_same_bits() {
    let coordinator = Coordinator::start();
    let whole = coordinator.submit(&sweep());
    let first = coordinator.worker("first");
    let (expected, attempts) = replicate(&coordinator, &whole);
    assert_eq!(attempts.len(), 1);

    let cut = coordinator.submit(&sweep());
    wait_for_step(&coordinator, &cut, 2000);
    signal(&first, "-TERM");
    let second = coordinator.worker("second");
    wait_for_step(&coordinator, &cut, 6000);
    second.kill();
    let _third = coordinator.worker("third");
    let (found, attempts) = replicate(&coordinator, &cut);
    for name in ["metrics", "metrics_by_step", "seed"] {
        assert_eq!(found[name], expected[name], "{name}");
    }
    let states: Vec<_> =
        attempts.iter().map(|attempt| (attempt["state"].as_str().unwrap(), attempt["failure"].as_str().unwrap())).collect();
    assert_eq!(states, [("lost", ""), ("lost", "lost"), ("completed", "")]);
    let resumed: Vec<_> = attempts.iter().map(|attempt| attempt["resumed_step"].as_u64().unwrap()).collect();
    assert!(resumed[0] == 0 && resumed[1] >= 2000 && resumed[2] > resumed[1], "{resumed:?}");
    let logs = stdout_of(coordinator.command(&["logs", &format!("{cut}/0")]));
    for said in ["#1 step 900: in training", "#1 the state after step", "goes on from step", "#3 the end, step 9000: of 20 test puzzles"] {
        assert!(logs.contains(said), "no `{said}` in {logs}");
    }
    let steps: Vec<_> = attempts.iter().map(|attempt| attempt["cost"]["steps"].as_u64().unwrap()).collect();
    assert!(steps[0] == resumed[1] && steps[1] > 0 && steps[2] == 9000 - resumed[2], "{steps:?} from {resumed:?}");
    let board = coordinator.json(&["leaderboard", &cut, "--published", "none"]);
    assert_eq!(board["rows"][0]["cost"]["steps"], steps.iter().sum::<u64>());
    let story = coordinator.json(&["explain", &format!("{cut}/0")])["replicates"][0]["why"].to_string();
    assert!(story.contains("its worker was told to leave") && story.contains("from the checkpoint of step"), "{story}");
}

#[test]
fn a_worker_leaves_after_so_many_trials_and_when_it_is_drained() {
    let coordinator = Coordinator::start();
    let first = coordinator.submit(TINY_SWEEP);
    let mut one = coordinator.worker_with("one", &["--count", "1"]);
    assert!(wait(&mut one.0).unwrap().success());
    let shown = coordinator.json(&["show", &first]);
    assert_eq!((&shown["completed"], &shown["queued"]), (&1.into(), &1.into()));

    let mut two = coordinator.worker("two");
    coordinator.wait_for_end(&first);
    let second = coordinator.submit(&sweep());
    wait_for_step(&coordinator, &second, 100);
    stdout_of(coordinator.command(&["drain", "two"]));
    assert!(wait(&mut two.0).unwrap().success());
    let shown = coordinator.json(&["show", &second]);
    assert_eq!((&shown["queued"], &shown["running"]), (&1.into(), &0.into()));
}
