//! More steps from the end of a training, on another worker: the bits of a run that was to have as many from the start.

use std::fs;

use serde_json::{Value, json};

use crate::harness::{Coordinator, TINY_SWEEP, finish, stdout_of};

/// Two trials of so many steps, with evaluations on the way: one is due where the shorter sweep ends and the longer one does not.
fn sweep(steps: u32) -> String {
    let evaluated = TINY_SWEEP.replace("config: {", "config: {evaluation: {every: 10, examples: 5}, ");
    evaluated.replace("steps: 20,", &format!("steps: {steps},")) + "replicates: 2\n"
}

fn replicates(coordinator: &Coordinator, sweep: &str, trial: &Value) -> Vec<Value> {
    coordinator.json(&["show", &format!("{sweep}/{trial}")])["replicates"].as_array().unwrap().clone()
}

#[test]
fn more_steps_on_another_worker_end_as_if_they_had_been_asked_for_at_once() {
    let coordinator = Coordinator::start();
    let first = coordinator.worker("first");
    let (whole, short) = (coordinator.submit(&sweep(40)), coordinator.submit(&sweep(20)));
    coordinator.wait_for_end(&whole);
    coordinator.wait_for_end(&short);
    first.kill();
    let before = replicates(&coordinator, &short, &json!(0));
    for replicate in &before {
        let states: Vec<_> = replicate["states"].as_array().unwrap().iter().map(|state| (&state["step"], &state["kept_as"])).collect();
        assert_eq!(states, [(&json!(20), &json!("final"))]);
    }

    let extend = || coordinator.json(&["extend", &short, "--top", "2", "--steps", "40"]);
    let extended = extend();
    assert_eq!((&extended["state"], &extended["note"]), (&json!("running"), &json!("")));
    let _second = coordinator.worker("second");
    coordinator.wait_for_end(&short);
    let extensions = extended["extensions"].as_array().unwrap();
    assert_eq!(extensions.len(), 2);
    for extension in extensions {
        assert_eq!(extension["new"], true);
        let found = replicates(&coordinator, &short, &extension["trial"]);
        let expected = replicates(&coordinator, &whole, &extension["extends"]);
        assert_eq!((found.len(), expected.len()), (2, 2));
        for (found, expected) in found.iter().zip(&expected) {
            for name in ["metrics", "metrics_by_step", "seed"] {
                assert_eq!(found[name], expected[name], "{name}");
            }
            let attempt = &found["attempts"][0];
            assert_eq!(
                (&attempt["worker"], &attempt["resumed_step"], &attempt["state"]),
                (&json!("second"), &json!(20), &json!("completed"))
            );
        }
    }
    assert_eq!(replicates(&coordinator, &short, &json!(0)), before, "what had ended stays as it was");

    let again = extend();
    assert!(again["extensions"].as_array().unwrap().iter().all(|extension| extension["new"] == false), "{again}");
    assert_eq!((&again["state"], &coordinator.json(&["show", &short])["trials"]), (&json!("completed"), &json!(4)));
}

#[test]
fn a_wish_that_makes_no_sense_is_bad_input() {
    let coordinator = Coordinator::start();
    let sweep = coordinator.submit(TINY_SWEEP);
    for (arguments, says) in [
        (&["--top", "3", "--steps", "40"][..], "the best 3 are asked for"),
        (&["--trials", "0,7", "--steps", "40"], "still under way"),
        (&["--trials", "1", "--steps", "20"], "are not more"),
        (&["--top", "1", "--trials", "1", "--steps", "40"], "cannot be used with"),
        (&["--steps", "40"], "required"),
        (&["--top", "0", "--steps", "40"], "--top"),
    ] {
        let output = finish(coordinator.command(&[&["extend", &sweep], arguments].concat()));
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.code() == Some(2) && said.contains(says), "{arguments:?}: {said}");
    }
}

#[test]
fn a_result_does_not_depend_on_its_final_state() {
    let coordinator = Coordinator::start();
    let sweep = coordinator.submit(&TINY_SWEEP.replace("steps: 20,", "steps: 9000,"));
    let _worker = coordinator.worker("w");
    let first = format!("{sweep}/0");
    coordinator.wait_for(&["show", &first], |trial| trial["replicates"][0]["attempts"][0]["step"].as_u64() >= Some(1));
    // The data have been fetched; from now on nothing can be put.
    let artifacts = coordinator.folder.path().join("tinysweep-data/artifacts");
    fs::rename(&artifacts, artifacts.with_extension("away")).unwrap();
    fs::write(&artifacts, "no folder").unwrap();
    coordinator.wait_for_end(&sweep);
    let found = &coordinator.json(&["show", &first])["replicates"][0];
    assert_eq!((&found["state"], &found["states"]), (&json!("completed"), &json!([])));
    let said = stdout_of(coordinator.command(&["logs", &first]));
    assert!(said.contains("the state after step 9000 is not kept"), "{said}");
    let output = finish(coordinator.command(&["extend", &sweep, "--top", "2", "--steps", "20000"]));
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.code() == Some(2) && said.contains("not kept of trial 0 (replicate 0), trial 1 (replicate 0)"), "{said}");
}
