//! Coordinator, workers and clients as separate processes, as on several machines.

use crate::harness::{Coordinator, TINY_SWEEP, endless_sweep, finish, stdout_of};

#[test]
fn submit_watch_and_query() {
    let coordinator = Coordinator::start();
    let sweep = coordinator.submit(TINY_SWEEP);
    assert_eq!(coordinator.json(&["sweeps"])["sweeps"][0]["queued"], 2);
    let _workers = [coordinator.worker("a"), coordinator.worker("b")];
    assert!(finish(coordinator.command(&["watch", &sweep])).status.success());

    let trials = coordinator.json(&["trials"]);
    let trials = trials["trials"].as_array().unwrap();
    assert_eq!(trials.iter().map(|trial| trial["trial"].as_u64().unwrap()).collect::<Vec<_>>(), [0, 1]);
    assert!(trials.iter().all(|trial| trial["state"] == "completed" && trial["metric"].is_number()));

    let shown = coordinator.json(&["show", &format!("{}/1", &sweep[..4])]);
    assert_eq!(shown["config"]["l_cycles"], 2);
    assert_eq!(shown["replicates"][0]["attempts"].as_array().unwrap().len(), 1);
    assert_eq!(shown["replicates"][0]["exact_accuracy_by_step"].as_array().unwrap().len(), 2);

    let board = coordinator.json(&["leaderboard", "--benchmark", "sudoku-4x4"]);
    assert_eq!(board["rows"].as_array().unwrap().iter().filter(|row| row["kind"] == "trial").count(), 2);
    assert_eq!(coordinator.json(&["workers"])["workers"].as_array().unwrap().len(), 2);
    assert!(stdout_of(coordinator.command(&["leaderboard", "--output", "csv"])).starts_with("kind,name,benchmark,metric,mean"));
}

#[test]
fn cancel_stops_what_runs_and_what_waits() {
    let coordinator = Coordinator::start();
    let sweep = coordinator.submit(&endless_sweep());
    let _worker = coordinator.worker("a");
    coordinator.wait_for(&["show", &sweep], |sweep| sweep["running"] == 1);
    stdout_of(coordinator.command(&["cancel", &sweep]));
    let shown = coordinator.json(&["show", &sweep]);
    assert_eq!((&shown["state"], &shown["cancelled"]), (&"cancelled".into(), &2.into()));
    coordinator.wait_for(&["workers"], |workers| workers["workers"][0]["running"] == 0);

    // The slot is free again: the next sweep runs on the same worker.
    let next = coordinator.submit(TINY_SWEEP);
    coordinator.wait_for_end(&next);
}
