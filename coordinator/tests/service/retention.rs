//! Which states of training are kept.

use std::time::Duration;

use tinysweep_proto::v1::{Checkpoint, Checkpointed, Lease, SweepState, worker_event::Event};
use tokio::time::{sleep, timeout};

use crate::harness::{Client, METRIC, Running, completed, name, progress, settings, with_lines};

/// Steps of the trials here.
const STEPS: u64 = 65_104;

async fn state(client: &Client, lease: &Lease, step: u64) -> Event {
    let chunks = vec![client.put(b"state").await];
    Event::Checkpointed(Checkpointed { attempt: lease.attempt.clone(), checkpoint: Some(Checkpoint { step, bytes: 5, chunks }) })
}

/// What is kept of the first replicate of a trial: steps, and as what.
async fn kept(client: &Client, sweep: &str, trial: u32) -> Vec<(u64, String)> {
    let states = client.trial(sweep, trial).await.replicates.remove(0).states;
    assert!(states.iter().all(|state| state.bytes == 5 && state.created_ms > 0));
    states.into_iter().map(|state| (state.step, state.kept_as)).collect()
}

fn these<const N: usize>(states: [(u64, &str); N]) -> Vec<(u64, String)> {
    states.map(|(step, kept_as)| (step, kept_as.to_owned())).into()
}

#[tokio::test]
async fn a_result_leaves_the_final_state_alone() {
    let (_folder, running, client, id) = with_lines(1, "").await;
    let mut worker = running.worker("w", 1).await;
    let lease = worker.lease().await;
    assert_eq!((lease.checkpoint_evaluations, lease.checkpoint_end), (false, true));
    for step in [10, 20, STEPS] {
        worker.send(state(&client, &lease, step).await).await;
    }
    worker.acknowledged().await;
    assert_eq!(kept(&client, &id, 0).await, these([(20, "last"), (STEPS, "last")]));
    worker.send(completed(&lease, 0.5)).await;
    worker.acknowledged().await;
    assert_eq!(kept(&client, &id, 0).await, these([(STEPS, "final")]));
    running.stop().await;
}

#[tokio::test]
async fn a_sweep_says_what_is_kept() {
    let lines = "config: {evaluation: {every: 10}}\ncheckpoints: {keep_last: 1, keep_best: 1, keep_final: 0}\n";
    let (_folder, running, client, id) = with_lines(1, lines).await;
    let mut worker = running.worker("w", 1).await;
    let lease = worker.lease().await;
    assert_eq!((lease.checkpoint_evaluations, lease.checkpoint_end), (true, false));
    let subset = METRIC.replace("test/", "subset/");
    for (step, accuracy) in [(10, 0.2), (20, 0.9), (30, 0.5), (40, 0.1)] {
        worker.send(progress(&lease, step, &[(&subset, accuracy)])).await;
        worker.send(state(&client, &lease, step).await).await;
    }
    worker.acknowledged().await;
    assert_eq!(kept(&client, &id, 0).await, these([(20, "best"), (40, "last")]));
    worker.send(state(&client, &lease, STEPS).await).await;
    worker.send(completed(&lease, 0.5)).await;
    worker.acknowledged().await;
    assert_eq!(kept(&client, &id, 0).await, these([(20, "best")]));
    running.stop().await;
}

#[tokio::test]
async fn the_best_trials_keep_their_final_states() {
    let (folder, running, client, id) = with_lines(3, "checkpoints: {keep_final: 1}\n").await;
    let mut worker = running.worker("w", 1).await;
    for _ in 0..3 {
        let lease = worker.lease().await;
        worker.send(state(&client, &lease, STEPS).await).await;
        worker.send(completed(&lease, [0.3, 0.9, 0.5][name(&lease).trial as usize])).await;
        worker.acknowledged().await;
    }
    client.until(&id, |sweep| sweep.state() == SweepState::Completed).await;
    running.stop().await;
    // It tidies up when it starts.
    let running = Running::start(settings(folder.path())).await;
    let client = running.client().await;
    let dropped = async {
        while !kept(&client, &id, 0).await.is_empty() {
            sleep(Duration::from_millis(10)).await;
        }
    };
    timeout(Duration::from_secs(20), dropped).await.unwrap();
    assert_eq!(kept(&client, &id, 1).await, these([(STEPS, "final")]));
    assert_eq!(kept(&client, &id, 2).await, []);
    running.stop().await;
}
