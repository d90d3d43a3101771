//! More steps for the best trials.

use tinysweep_proto::v1::{
    Checkpoint, Checkpointed, ExtendSweepRequest, ExtendSweepResponse, FailureKind, Lease, SweepState, SweepVerb, TrialNumbers, TrialState,
    extend_sweep_request::Which, worker_event::Event,
};
use tonic::{Code, Status};

use crate::harness::{Client, Worker, completed, failed, name, with_lines, with_sweep};

/// Steps of the trials here.
const STEPS: u64 = 65_104;

impl Client {
    async fn extend(&self, sweep: &str, which: Which, steps: u64) -> Result<ExtendSweepResponse, Status> {
        let request = ExtendSweepRequest { sweep: sweep.into(), steps, which: Some(which) };
        Ok(self.sweeps().extend_sweep(request).await?.into_inner())
    }

    async fn refused(&self, sweep: &str, which: Which, steps: u64) -> (Code, String) {
        let status = self.extend(sweep, which, steps).await.unwrap_err();
        (status.code(), status.message().to_owned())
    }
}

fn numbers<const N: usize>(numbers: [u32; N]) -> Which {
    Which::Trials(TrialNumbers { numbers: numbers.into() })
}

/// What extends what, and whether it is new.
fn pairs(answer: &ExtendSweepResponse) -> Vec<(u32, u32, bool)> {
    answer.extensions.iter().map(|one| (one.trial, one.extends, one.is_new)).collect()
}

async fn final_state(client: &Client, lease: &Lease) -> Checkpoint {
    let content = format!("the end of trial {}", name(lease).trial);
    Checkpoint { step: STEPS, bytes: content.len() as u64, chunks: vec![client.put(content.as_bytes()).await] }
}

/// Takes the next lease to its end, with its final state.
async fn finish(client: &Client, worker: &mut Worker, score: f64) -> (Lease, Checkpoint) {
    let lease = worker.lease().await;
    let checkpoint = final_state(client, &lease).await;
    worker.send(Event::Checkpointed(Checkpointed { attempt: lease.attempt.clone(), checkpoint: Some(checkpoint.clone()) })).await;
    worker.send(completed(&lease, score)).await;
    worker.acknowledged().await;
    (lease, checkpoint)
}

#[tokio::test]
async fn the_best_go_on_from_their_final_states_and_what_has_ended_stays() {
    let (_folder, running, client, id) = with_sweep(3, 1).await;
    let mut worker = running.worker("w", 1).await;
    let mut states = Vec::new();
    let mut seeds = Vec::new();
    for score in [0.3, 0.9, 0.5] {
        let (lease, state) = finish(&client, &mut worker, score).await;
        states.push(state);
        seeds.push(lease.seed);
    }
    client.until(&id, |sweep| sweep.state() == SweepState::Completed).await;
    let before = client.trial(&id, 1).await;

    let answer = client.extend(&id, Which::Top(2), 2 * STEPS).await.unwrap();
    assert_eq!((pairs(&answer), answer.note.as_str()), (vec![(3, 1, true), (4, 2, true)], ""));
    let sweep = answer.sweep.unwrap();
    assert_eq!((sweep.state(), sweep.trials, sweep.ended_ms), (SweepState::Running, 5, None));
    assert_eq!(client.trial(&id, 1).await, before, "a result is not touched");

    let again = client.extend(&id, Which::Top(2), 2 * STEPS).await.unwrap();
    assert_eq!((pairs(&again), again.sweep.unwrap().trials), (vec![(3, 1, false), (4, 2, false)], 5));
    let mut lease = worker.lease().await;
    assert_eq!((name(&lease).trial, lease.seed, lease.resume.as_ref()), (3, seeds[1], Some(&states[1])));
    assert!(lease.config_json.contains(&format!("\"steps\":{}", 2 * STEPS)), "{}", lease.config_json);
    let told = client.explain(&id, 3).await;
    assert_eq!(told[0], format!("it extends trial 1 from the state after its {STEPS} steps to {} steps", 2 * STEPS));
    assert!(told[1].contains(&format!("from the checkpoint of step {STEPS}")), "{told:?}");

    worker.send(completed(&lease, 0.95)).await;
    lease = worker.lease().await;
    worker.send(completed(&lease, 0.4)).await;
    client.until(&id, |sweep| sweep.state() == SweepState::Completed).await;
    let trial = client.trial(&id, 3).await.trial.unwrap();
    assert_eq!((trial.extends, trial.name), (Some(1), format!("halt_max_steps=2, extended to {} steps", 2 * STEPS)));
    let rows: Vec<_> = client.leaderboard(&id).await.rows.iter().filter_map(|row| row.trial).collect();
    assert_eq!(rows, [3, 1, 2, 4, 0], "both lengths have a row");
    assert_eq!(pairs(&client.extend(&id, Which::Top(2), 2 * STEPS).await.unwrap()), [(3, 1, false), (4, 2, false)]);
    running.stop().await;
}

#[tokio::test]
async fn what_cannot_be_extended_is_refused_with_what_would_help() {
    let (_folder, running, client, id) = with_sweep(4, 1).await;
    let mut worker = running.worker("w", 1).await;
    finish(&client, &mut worker, 0.3).await;
    let lease = worker.lease().await;
    worker.send(completed(&lease, 0.9)).await; // without a state
    worker.acknowledged().await;
    let lease = worker.lease().await;
    worker.send(failed(&lease, FailureKind::Other, "boom")).await;
    worker.acknowledged().await;
    worker.lease().await;

    let (code, message) = client.refused(&id, Which::Top(3), 2 * STEPS).await;
    assert_eq!(code, Code::FailedPrecondition);
    assert!(message.ends_with("2 trials have the results of all their replicates; 1 still under way; 1 without some result"), "{message}");
    assert_eq!(client.refused(&id, Which::Top(1), STEPS).await.0, Code::InvalidArgument);
    let (code, message) = client.refused(&id, numbers([0, 1]), 2 * STEPS).await;
    assert_eq!(code, Code::FailedPrecondition);
    assert!(message.contains("not kept of trial 1 (replicate 0)") && message.contains("keep_final: all"), "{message}");
    assert_eq!(client.refused(&id, numbers([9]), 2 * STEPS).await, (Code::NotFound, "the sweep has no trial 9".into()));
    assert!(client.refused(&id, numbers([2]), 2 * STEPS).await.1.contains("tinysweep retry"));
    assert!(client.refused(&id, numbers([3]), 2 * STEPS).await.1.contains("still under way"));
    assert_eq!(client.refused(&id, numbers([0]), 5_000_000_000).await.0, Code::InvalidArgument);
    assert_eq!(client.refused(&id, numbers([]), 2 * STEPS).await.0, Code::InvalidArgument);
    assert_eq!(client.sweep(&id).await.trials, 4);

    // What has its results can be extended while others run; a sweep that stops takes nothing more until it has.
    assert_eq!(pairs(&client.extend(&id, numbers([0]), 2 * STEPS).await.unwrap()), [(4, 0, true)]);
    client.control(&id, SweepVerb::Stop).await.unwrap();
    let (code, message) = client.refused(&id, numbers([0]), 2 * STEPS).await;
    assert_eq!(
        (code, message.as_str()),
        (Code::FailedPrecondition, "the sweep is stopping; there is nothing to extend until it has stopped")
    );
    running.stop().await;
}

#[tokio::test]
async fn what_was_cancelled_is_extended_anew_and_a_falling_rate_is_said() {
    let lines = "config: {train: {schedule: linear, lr_min_ratio: 0.1}}\n";
    let (_folder, running, client, id) = with_lines(1, lines).await;
    let mut worker = running.worker("w", 1).await;
    finish(&client, &mut worker, 0.3).await;
    client.control(&id, SweepVerb::Pause).await.unwrap_err(); // it has completed
    let answer = client.extend(&id, Which::Top(1), 2 * STEPS).await.unwrap();
    assert!(answer.note.starts_with("the learning rate of trial 0 falls over train.steps"), "{}", answer.note);
    assert!(client.explain(&id, 1).await[0].contains("had other rates"));
    worker.lease().await;
    client.cancel(&id).await.unwrap();
    worker.stop().await;
    assert_eq!(pairs(&client.extend(&id, Which::Top(1), 2 * STEPS).await.unwrap()), [(2, 0, true)]);
    let lease = worker.lease().await;
    assert_eq!((name(&lease).trial, lease.resume.map(|state| state.step)), (2, Some(STEPS)));
    assert_eq!(client.trial(&id, 1).await.trial.unwrap().state(), TrialState::Cancelled);
    running.stop().await;
}
