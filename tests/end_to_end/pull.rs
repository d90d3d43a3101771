//! The trained model of a trial, out of the coordinator's store.

use std::fs;

use crate::harness::{Coordinator, TINY_SWEEP, finish};

#[test]
fn the_model_that_is_pulled_is_the_one_that_the_worker_wrote() {
    let coordinator = Coordinator::start();
    let sweep = coordinator.submit(TINY_SWEEP);
    let worker = coordinator.worker("w");
    coordinator.wait_for_end(&sweep);
    worker.kill();
    let trial = format!("{sweep}/1");
    let pulled = coordinator.json(&["pull", &trial, "--out", "pulled"]);
    assert_eq!((&pulled["steps"], &pulled["checkpoint"]), (&20.into(), &"pulled".into()));
    let folder = coordinator.folder.path();
    for name in ["model.safetensors", "config.json"] {
        let written = fs::read(folder.join(format!("w/checkpoints/{sweep}-1-0")).join(name)).unwrap();
        assert_eq!(fs::read(folder.join("pulled").join(name)).unwrap(), written, "{name}");
    }

    for (trial, step) in [(trial.as_str(), "19"), (&format!("{sweep}/9"), "20")] {
        let output = finish(coordinator.command(&["pull", trial, "--step", step, "--out", "other"]));
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.code() == Some(2) && (said.contains("no such state") || said.contains("no trial 9")), "{said}");
        assert!(!folder.join("other").exists());
    }
}
