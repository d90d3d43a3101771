//! From a submitted sweep to its leaderboard, and what happens to leases on the way.

use tinysweep_proto::v1::{
    FailureKind, ListSweepsRequest, ListTrialsRequest, RowKind, SweepState, TrialState, WatchSweepRequest, worker_event::Event,
};
use tonic::Code;

use crate::harness::{METRIC, SHORT_LEASE, Worker, completed, failed, impatient, name, progress, with_sweep, with_sweep_under};

#[tokio::test]
async fn a_sweep_runs_to_its_leaderboard() {
    let (_folder, running, client, id) = with_sweep(2, 2).await;
    let mut watch = client.sweeps().watch_sweep(WatchSweepRequest { sweep: String::new() }).await.unwrap().into_inner();
    let first = watch.message().await.unwrap().unwrap();
    assert_eq!((first.sweep.unwrap().queued, first.workers, first.best_metric), (4, 0, None));

    let mut worker = running.worker("w", 1).await;
    let mut order = Vec::new();
    for value in [0.25, 0.5, 0.75, 1.0] {
        let lease = worker.lease().await;
        let attempt = name(&lease);
        order.push((attempt.trial, attempt.replicate));
        assert_eq!((attempt.sweep.as_str(), attempt.attempt), (id.as_str(), 1));
        assert!(lease.config_json.contains(&format!("\"halt_max_steps\":{}", attempt.trial + 1)));
        assert_eq!(lease.dataset.as_ref().unwrap().task, "sudoku-4x4");
        worker.send(progress(&lease, 7, &[("train/lm_loss", 1.5), ("train/exact_accuracy", f64::NAN)])).await;
        worker.acknowledged().await;
        worker.send(completed(&lease, value)).await;
        worker.acknowledged().await;
    }
    assert_eq!(order, [(0, 0), (1, 0), (0, 1), (1, 1)], "every trial has its first seed before any has a second");

    let sweep = client.until(&id, |sweep| sweep.state() != SweepState::Running).await;
    assert_eq!((sweep.state(), sweep.completed, sweep.ended_ms.is_some()), (SweepState::Completed, 4, true));
    let board = client.leaderboard(&id[..4]).await;
    assert_eq!((board.metric.as_str(), board.goal.as_str(), board.benchmark.as_str()), (METRIC, "maximize", "sudoku-4x4"));
    let measured: Vec<_> = board.rows.iter().filter(|row| row.kind() == RowKind::Trial).collect();
    assert_eq!(measured.iter().map(|row| (row.trial.unwrap(), row.mean, row.n)).collect::<Vec<_>>(), [(1, 0.75, 2), (0, 0.5, 2)]);
    assert_eq!((measured[0].exact_accuracy_by_step.as_slice(), measured[0].wall_seconds), ([0.375, 0.75].as_slice(), 3.0));
    assert!(measured[0].ci95_low.unwrap() < 0.75 && measured[0].parameters > 0);

    let trial = client.trial(&id, 1).await;
    assert_eq!((trial.trial.as_ref().unwrap().state(), trial.trial.unwrap().metric), (TrialState::Completed, Some(0.75)));
    assert_eq!(trial.replicates[0].metrics[METRIC], 0.5);
    assert_ne!(trial.replicates[0].seed, trial.replicates[1].seed);
    let attempt = &trial.replicates[0].attempts[0];
    assert_eq!((attempt.number, attempt.state.as_str(), attempt.worker.as_str(), attempt.step), (1, "completed", "name of w", 7));

    let mut last = None;
    while let Some(message) = watch.message().await.unwrap() {
        last = Some(message);
    }
    let last = last.unwrap();
    assert_eq!((last.sweep.unwrap().state(), last.best_metric, last.workers), (SweepState::Completed, Some(0.75), 1));
    assert_eq!(client.sweeps().list_sweeps(ListSweepsRequest {}).await.unwrap().into_inner().sweeps, [sweep]);
    running.stop().await;
}

#[tokio::test]
async fn what_runs_is_shown_live() {
    let (_folder, running, client, id) = with_sweep(1, 1).await;
    let mut worker = running.worker("w", 1).await;
    let lease = worker.lease().await;
    worker.send(progress(&lease, 3, &[("train/lm_loss", 1.5), ("train/exact_accuracy", 0.1)])).await;
    worker.send(progress(&lease, 4, &[])).await;
    worker.seq = 1;
    worker.acknowledged().await;
    worker.seq = 2;
    worker.acknowledged().await;
    let mut watch = client.sweeps().watch_sweep(WatchSweepRequest { sweep: id }).await.unwrap().into_inner();
    let shown = watch.message().await.unwrap().unwrap().running.remove(0);
    assert_eq!((shown.step, shown.total_steps, shown.worker.as_str(), shown.name.as_str()), (4, 100, "name of w", "halt_max_steps=1"));
    assert_eq!((shown.loss, shown.exact_accuracy, shown.seconds_left), (Some(1.5), Some(0.1), Some(2.5)));
    drop(worker);
    running.stop().await;
    assert_eq!(watch_end(&mut watch).await, Code::Unavailable);
}

async fn watch_end(watch: &mut tonic::Streaming<tinysweep_proto::v1::SweepProgress>) -> Code {
    loop {
        match watch.message().await {
            Ok(Some(_)) => {}
            Ok(None) => return Code::Ok,
            Err(status) => return status.code(),
        }
    }
}

#[tokio::test]
async fn a_silent_worker_loses_its_lease_and_is_not_counted_any_more() {
    let (_folder, running, client, id) = with_sweep_under(impatient, 1, 1).await;
    let mut gone = running.worker("gone", 1).await;
    let old = gone.lease().await;
    let mut other = running.worker("other", 1).await;
    let new = loop {
        other.heartbeat().await;
        // `gone` says nothing from here on.
        if let Ok(command) = tokio::time::timeout(SHORT_LEASE / 4, other.command()).await {
            let Some(tinysweep_proto::v1::coordinator_command::Command::Lease(lease)) = command.unwrap() else { panic!() };
            break lease;
        }
    };
    assert_eq!((name(&new).attempt, new.seed, &new.config_json), (2, old.seed, &old.config_json));
    assert_eq!(gone.ended().await.code(), Code::DeadlineExceeded);
    let state = |workers: Vec<tinysweep_proto::v1::Worker>, id: &str| workers.into_iter().find(|worker| worker.id == id).unwrap().state;
    assert_eq!(state(client.workers().await, "gone"), "lost");
    assert_eq!(state(client.workers().await, "other"), "connected");

    // The worker comes back, still running the first attempt, and even has a result of it.
    let mut back = Worker::join(&running, "gone", 1, vec![name(&old)]).await.unwrap();
    let stop = back.stop().await;
    assert_eq!((stop.attempt.unwrap(), stop.reason.as_str()), (name(&old), "attempt 1 has been superseded by attempt 2"));
    back.send(completed(&old, 0.9)).await;
    assert_eq!(back.stop().await.attempt.unwrap(), name(&old));
    back.acknowledged().await;
    assert_eq!(client.sweep(&id).await.completed, 0);

    other.send(completed(&new, 0.5)).await;
    other.acknowledged().await;
    let replicate = client.trial(&id, 0).await.replicates.remove(0);
    assert_eq!(replicate.metrics[METRIC], 0.5);
    assert_eq!(replicate.attempts.iter().map(|attempt| attempt.state.as_str()).collect::<Vec<_>>(), ["lost", "completed"]);
    assert!(replicate.attempts[0].reason.contains("silent for"), "{}", replicate.attempts[0].reason);
    running.stop().await;
}

#[tokio::test]
async fn a_broken_stream_is_no_goodbye() {
    let (_folder, running, client, id) = with_sweep(1, 1).await;
    let mut worker = running.worker("w", 1).await;
    let lease = worker.lease().await;
    drop(worker);
    let mut back = Worker::join(&running, "w", 1, vec![name(&lease)]).await.unwrap();
    back.expect_nothing().await;
    back.seq = 0;
    back.send(completed(&lease, 0.5)).await;
    back.acknowledged().await;
    assert_eq!(client.trial(&id, 0).await.replicates[0].attempts.len(), 1);
    running.stop().await;
}

#[tokio::test]
async fn a_lease_that_never_arrived_is_sent_again_unchanged() {
    let (_folder, running, _client, _id) = with_sweep(2, 1).await;
    let mut worker = running.worker("w", 1).await;
    let lease = worker.lease().await;
    drop(worker);
    let mut back = Worker::join(&running, "w", 1, vec![]).await.unwrap();
    assert_eq!(back.lease().await, lease);
    back.expect_nothing().await;
    running.stop().await;
}

#[tokio::test]
async fn an_event_that_is_sent_again_counts_once() {
    let (_folder, running, client, id) = with_sweep(2, 1).await;
    let mut worker = running.worker("w", 1).await;
    let first = worker.lease().await;
    worker.send(completed(&first, 0.5)).await;
    worker.acknowledged().await;
    let second = worker.lease().await;
    drop(worker); // as if the acknowledgement had been lost
    let mut back = Worker::join(&running, "w", 1, vec![name(&first), name(&second)]).await.unwrap();
    assert_eq!(back.stop().await.reason, "the replicate has ended (completed)");
    back.send(completed(&first, 0.5)).await;
    back.acknowledged().await;
    back.send(failed(&second, FailureKind::NonFinite, "loss is NaN at step 3")).await;
    back.acknowledged().await;
    let sweep = client.sweep(&id).await;
    assert_eq!((sweep.state(), sweep.completed, sweep.failed), (SweepState::Completed, 1, 1));
    let trial = client.trial(&id, 1).await.trial.unwrap();
    assert_eq!((trial.state(), trial.reason.as_str()), (TrialState::Failed, "diverged: loss is NaN at step 3"));
    running.stop().await;
}

#[tokio::test]
async fn a_goodbye_frees_what_ran_at_once() {
    let (_folder, running, client, _id) = with_sweep(1, 1).await;
    let mut worker = running.worker("w", 1).await;
    worker.lease().await;
    let mut other = running.worker("v", 1).await;
    worker.goodbye().await;
    worker.acknowledged().await;
    assert_eq!(name(&other.lease().await).attempt, 2);
    assert_eq!(worker.ended().await.code(), Code::Ok);
    assert!(client.workers().await.iter().any(|worker| worker.id == "w" && worker.state == "left"));
    running.stop().await;
}

#[tokio::test]
async fn a_result_that_cannot_stand_is_a_failure() {
    let (_folder, running, client, id) = with_sweep(1, 1).await;
    let mut worker = running.worker("w", 1).await;
    let lease = worker.lease().await;
    worker.send(completed(&lease, f64::NAN)).await;
    worker.acknowledged().await;
    assert_eq!(client.trial(&id, 0).await.trial.unwrap().reason, "bad result: test/exact_accuracy is NaN");
    assert_eq!(client.sweep(&id).await.failed, 1);
    running.stop().await;
}

#[tokio::test]
async fn a_cancelled_sweep_stops_what_runs_and_frees_the_slot() {
    let (_folder, running, client, id) = with_sweep(3, 1).await;
    let mut worker = running.worker("w", 1).await;
    let lease = worker.lease().await;
    let next = client.submit(1, 1).await.id;
    assert_eq!(client.cancel(&id).await.unwrap().state(), SweepState::Cancelled);
    assert_eq!(worker.stop().await.attempt, lease.attempt);
    let following = worker.lease().await;
    assert_eq!(name(&following).sweep, next);
    worker.send(completed(&lease, 1.0)).await;
    assert_eq!(worker.stop().await.reason, "the replicate has ended (cancelled)");
    worker.acknowledged().await;
    let sweep = client.cancel(&id).await.unwrap();
    assert_eq!((sweep.cancelled, sweep.completed, sweep.queued), (3, 0, 0));
    let request = ListTrialsRequest { sweep: id, ..ListTrialsRequest::default() };
    let trials = client.sweeps().list_trials(request).await.unwrap().into_inner().trials;
    assert!(trials.iter().all(|trial| trial.state() == TrialState::Cancelled && trial.reason == "cancelled by a user"));

    worker.send(completed(&following, 1.0)).await;
    worker.acknowledged().await;
    assert_eq!(client.cancel(&next).await.unwrap_err().code(), Code::FailedPrecondition);
    running.stop().await;
}

#[tokio::test]
async fn a_newer_stream_of_the_same_worker_ends_the_older() {
    let (_folder, running, _client, _id) = with_sweep(1, 1).await;
    let mut older = running.worker("w", 1).await;
    let lease = older.lease().await;
    let mut newer = Worker::join(&running, "w", 1, vec![name(&lease)]).await.unwrap();
    assert_eq!(older.ended().await.code(), Code::Aborted);
    newer.send(completed(&lease, 0.5)).await;
    newer.acknowledged().await;
    running.stop().await;
}

#[tokio::test]
async fn slots_are_filled_and_not_overfilled() {
    let (_folder, running, client, id) = with_sweep(5, 1).await;
    let mut a = running.worker("a", 3).await;
    for _ in 0..3 {
        a.lease().await;
    }
    a.expect_nothing().await;
    let mut b = running.worker("b", 1).await;
    b.lease().await;
    assert_eq!((client.sweep(&id).await.running, client.sweep(&id).await.queued), (4, 1));
    assert!(matches!(progress_of_nobody(&mut b).await, Event::Progress(_)));
    running.stop().await;
}

/// Reports on an attempt that never was; the worker is told to stop it, and nothing else happens.
async fn progress_of_nobody(worker: &mut Worker) -> Event {
    let lease = tinysweep_proto::v1::Lease {
        attempt: Some(tinysweep_proto::v1::AttemptRef { sweep: "nosuch".into(), trial: 9, replicate: 9, attempt: 9, token: 9 }),
        ..Default::default()
    };
    let event = progress(&lease, 1, &[]);
    worker.send(event.clone()).await;
    assert_eq!(worker.stop().await.reason, "attempt 9 is not known here");
    worker.acknowledged().await;
    event
}
