//! A process for each slot: what happens to one leaves the others alone, and none outlives its worker.

use std::{
    fs,
    os::unix::process::CommandExt,
    process::{Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use serde_json::Value;

use crate::harness::{Coordinator, PATIENCE, Process, TINY_SWEEP, endless_sweep, tinysweep, wait};

fn signal(signal: &str, process: i64) {
    assert!(Command::new("kill").args([signal, "--", &process.to_string()]).status().unwrap().success());
}

/// State and parent of a process, as the system tells them after its name; none once it is gone.
fn facts(process: &str) -> Option<(char, u32)> {
    let stat = fs::read_to_string(format!("/proc/{process}/stat")).ok()?;
    let mut facts = stat.rsplit_once(')')?.1.split_whitespace();
    Some((facts.next()?.chars().next()?, facts.next()?.parse().ok()?))
}

/// The processes that a worker has started and that are alive, the oldest first.
fn slots_of(worker: &Process) -> Vec<u32> {
    let processes = fs::read_dir("/proc").unwrap().filter_map(|entry| entry.ok()?.file_name().into_string().ok());
    let children = processes.filter(|process| facts(process).is_some_and(|(state, parent)| parent == worker.0.id() && state != 'Z'));
    let mut children: Vec<u32> = children.map(|process| process.parse().unwrap()).collect();
    children.sort_unstable();
    children
}

/// Waits until both trials of a sweep run and are past step 100.
fn wait_for_both(coordinator: &Coordinator, sweep: &str) {
    for trial in [0, 1] {
        coordinator.wait_for(&["show", &format!("{sweep}/{trial}")], |trial| {
            attempts(trial).last().is_some_and(|attempt| attempt["step"].as_u64() > Some(100))
        });
    }
}

fn attempts(trial: &Value) -> &Vec<Value> {
    trial["replicates"][0]["attempts"].as_array().unwrap()
}

#[test]
fn a_killed_slot_costs_its_trial_an_attempt_and_the_other_nothing() {
    expect_a_crash_of_one_slot("-KILL", "lost its process: signal 9 (SIGKILL, kill)");
}

#[test]
fn so_does_one_that_aborts() {
    expect_a_crash_of_one_slot("-ABRT", "lost its process: signal 6 (SIGABRT, abort)");
}

#[test]
fn so_does_one_with_a_segmentation_fault() {
    expect_a_crash_of_one_slot("-SEGV", "lost its process: signal 11 (SIGSEGV, segmentation fault)");
}

/// A slot of two ends by a signal; its trial begins again, and the other goes on.
fn expect_a_crash_of_one_slot(by: &str, words: &str) {
    let coordinator = Coordinator::start();
    let lasting = TINY_SWEEP.replace("steps: 20,", "steps: 6000,") + "checkpoint_secs: 1\nretry: {backoff_secs: 0}\n";
    let sweep = coordinator.submit(&lasting);
    let worker = coordinator.worker_with("w", &["--slots", "2"]);
    wait_for_both(&coordinator, &sweep);
    let [victim, bystander] = slots_of(&worker)[..] else { panic!("{:?}", slots_of(&worker)) };
    // Rust looks at a segmentation fault itself first, and lets the next one through.
    while slots_of(&worker).contains(&victim) {
        signal(by, victim.into());
        thread::sleep(Duration::from_millis(100));
    }
    coordinator.wait_for_end(&sweep);
    assert!(slots_of(&worker).contains(&bystander), "its process is still the same");

    let trials = [0, 1].map(|trial| coordinator.json(&["show", &format!("{sweep}/{trial}")]));
    let mut ends: Vec<Vec<_>> =
        trials.iter().map(|trial| attempts(trial).iter().map(|attempt| attempt["state"].clone()).collect()).collect();
    ends.sort_by_key(Vec::len);
    assert_eq!(ends, [vec!["completed"], vec!["failed", "completed"]]);
    let hit = trials.iter().find(|trial| attempts(trial).len() == 2).unwrap();
    assert_eq!(attempts(hit)[0]["failure"], "crashed");
    assert!(hit.to_string().contains(words), "{hit:#}");
    let workers = coordinator.json(&["workers"]);
    assert_eq!((&workers["workers"][0]["slots"], &workers["workers"].as_array().unwrap().len()), (&2.into(), &1));
}

#[test]
fn no_slot_outlives_its_worker() {
    let coordinator = Coordinator::start();
    let sweep = coordinator.submit(&endless_sweep());
    let worker = coordinator.worker_with("w", &["--slots", "2"]);
    wait_for_both(&coordinator, &sweep);
    let slots = slots_of(&worker);
    assert_eq!(slots.len(), 2);
    worker.kill();
    let deadline = Instant::now() + PATIENCE;
    // An end that nobody has asked for yet is one too.
    while slots.iter().any(|slot| facts(&slot.to_string()).is_some_and(|(state, _)| state != 'Z')) {
        assert!(Instant::now() < deadline, "of {slots:?} some still train");
        thread::sleep(Duration::from_millis(10));
    }
}

#[test]
fn a_slot_keeps_its_process_and_is_spared_the_terminals_interrupt() {
    let coordinator = Coordinator::start();
    let short = coordinator.submit(TINY_SWEEP);
    let mut command = tinysweep(coordinator.folder.path());
    command.args(["worker", "--slots", "1", "--join", &coordinator.address]);
    let mut worker = Process(command.stdout(Stdio::null()).stderr(Stdio::null()).process_group(0).spawn().unwrap());
    coordinator.wait_for_end(&short);
    let slots = slots_of(&worker);

    let lasting = TINY_SWEEP.replace("steps: 20,", "steps: 3000,").replace("values: [1, 2]", "values: [1]");
    let sweep = coordinator.submit(&lasting);
    coordinator.wait_for(&["show", &format!("{sweep}/0")], |trial| {
        attempts(trial).last().is_some_and(|attempt| attempt["step"].as_u64() > Some(100))
    });
    assert_eq!(slots_of(&worker), slots);
    // As a terminal does it: to the whole group.
    signal("-INT", -i64::from(worker.0.id()));
    assert!(wait(&mut worker.0).unwrap().success());
    let trial = coordinator.json(&["show", &format!("{sweep}/0")]);
    assert_eq!(attempts(&trial).iter().map(|attempt| &attempt["state"]).collect::<Vec<_>>(), ["completed"], "it was let to its end");
}

#[test]
fn a_trial_that_needs_more_memory_than_it_may_take_ends_alone() {
    let coordinator = Coordinator::start();
    // Weights, gradients and moments of the wide one have more than a GiB.
    let sweep = TINY_SWEEP
        .replace("steps: 20,", "steps: 3000,")
        .replace("hidden_size: 16, ", "")
        .replace("l_cycles: {values: [1, 2]}", "hidden_size: {values: [16, 2048]}");
    let sweep = coordinator.submit(&(sweep + "resources: {memory_gib: 0.5}\nretry: {on: {out_of_memory: give_up}}\n"));
    let worker = coordinator.worker_with("w", &["--slots", "2"]);
    coordinator.wait_for_end(&sweep);
    let [narrow, wide] = [0, 1].map(|trial| coordinator.json(&["show", &format!("{sweep}/{trial}")]));
    assert_eq!((attempts(&wide).len(), &attempts(&wide)[0]["failure"]), (1, &"out_of_memory".into()), "{wide:#}");
    let words = ["memory allocation of ", "it may take 512 MiB"];
    assert!(words.iter().all(|words| wide.to_string().contains(words)), "{wide:#}");
    assert_eq!((attempts(&narrow).len(), &attempts(&narrow)[0]["state"]), (1, &"completed".into()), "{narrow:#}");

    let unlimited = coordinator.submit(TINY_SWEEP);
    coordinator.wait_for_end(&unlimited);
    assert_eq!(coordinator.json(&["show", &unlimited])["completed"], 2);
    assert!(!slots_of(&worker).is_empty());
}
