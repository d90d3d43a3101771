//! What attempts cost, by attempt and by trial.

use tinysweep_proto::v1::{
    Attempt, Completed, Cost, Failed, FailureKind, HandedBack, LeaderboardRow, Lease, Progress, worker_event::Event,
};

use crate::harness::{Client, SHORT_LEASE, completed, failed, impatient, progress, with_lines, with_sweep, with_sweep_under};

fn cost(steps: u64, joules: f64) -> Cost {
    Cost {
        wall_seconds: 2.0,
        device_seconds: 1.5,
        training_seconds: 1.0,
        steps,
        samples: 8 * steps,
        answered: 20,
        flops: 1e9,
        peak_memory_bytes: steps << 20,
        joules,
        joules_estimated: 0.0,
    }
}

fn progress_at(lease: &Lease, cost: Cost) -> Event {
    let Event::Progress(report) = progress(lease, 7, &[]) else { unreachable!() };
    Event::Progress(Progress { cost: Some(cost), ..report })
}

fn completed_at(lease: &Lease, value: f64, cost: Cost) -> Event {
    let Event::Completed(result) = completed(lease, value) else { unreachable!() };
    Event::Completed(Completed { cost: Some(cost), ..result })
}

async fn attempts(client: &Client, id: &str) -> Vec<Attempt> {
    client.trial(id, 0).await.replicates.remove(0).attempts
}

async fn row(client: &Client, id: &str) -> LeaderboardRow {
    client.leaderboard(id).await.rows.into_iter().find(|row| row.trial == Some(0)).unwrap()
}

#[tokio::test]
async fn what_a_lost_attempt_had_reported_is_a_part_of_its_trials_cost() {
    let (_folder, running, client, id) = with_sweep_under(impatient, 1, 1).await;
    let mut gone = running.worker("gone", 1).await;
    let old = gone.lease().await;
    gone.send(progress_at(&old, cost(10, 5.0))).await;
    gone.send(progress_at(&old, cost(40, 20.0))).await;
    gone.acknowledged().await;
    // Sent again, as after an acknowledgement that was lost: it counts once, and the newest report stands.
    gone.send_numbered(1, progress_at(&old, cost(10, 5.0))).await;
    let mut other = running.worker("other", 1).await;
    let new = loop {
        other.heartbeat().await;
        if let Ok(command) = tokio::time::timeout(SHORT_LEASE / 4, other.command()).await {
            let Some(tinysweep_proto::v1::coordinator_command::Command::Lease(lease)) = command.unwrap() else { panic!() };
            break lease;
        }
    };
    let estimated = Cost { joules_estimated: 40.0, ..cost(90, 40.0) };
    other.send(completed_at(&new, 0.5, estimated)).await;
    other.acknowledged().await;

    let reported: Vec<_> = attempts(&client, &id).await.into_iter().map(|attempt| (attempt.state, attempt.cost)).collect();
    assert_eq!(reported, [("lost".to_owned(), Some(cost(40, 20.0))), ("completed".to_owned(), Some(estimated))]);
    let row = row(&client, &id).await;
    let sum = Cost {
        wall_seconds: 4.0,
        device_seconds: 3.0,
        training_seconds: 2.0,
        steps: 130,
        samples: 1040,
        answered: 40,
        flops: 2e9,
        peak_memory_bytes: 90 << 20,
        joules: 60.0,
        joules_estimated: 40.0,
    };
    assert_eq!(row.cost, Some(sum));
    assert_eq!(row.joules_per_correct, Some(6.0), "half of 20 test puzzles are answered rightly");
    running.stop().await;
}

#[tokio::test]
async fn attempts_that_fail_or_are_handed_back_cost_as_much_as_they_say() {
    let (_folder, running, client, id) = with_lines(1, "retry: {backoff_secs: 0, on: {panic: anywhere}}\n").await;
    let mut worker = running.worker("w", 1).await;
    let lease = worker.lease().await;
    let back = HandedBack { attempt: lease.attempt.clone(), reason: "told to leave".into(), cost: Some(cost(3, 1.0)) };
    worker.send(Event::HandedBack(back)).await;
    let lease = worker.lease().await;
    worker.send(progress_at(&lease, cost(5, 2.0))).await;
    let Event::Failed(failure) = failed(&lease, FailureKind::Panic, "oh") else { unreachable!() };
    worker.send(Event::Failed(Failed { cost: Some(cost(6, 4.0)), ..failure })).await;
    let lease = worker.lease().await;
    // A worker that says nothing of its cost has a result all the same.
    worker.send(completed(&lease, 1.0)).await;
    worker.acknowledged().await;
    let steps: Vec<_> = attempts(&client, &id).await.into_iter().map(|attempt| attempt.cost.map(|cost| cost.steps)).collect();
    assert_eq!(steps, [Some(3), Some(6), None]);
    let total = row(&client, &id).await.cost.unwrap();
    assert_eq!((total.steps, total.joules), (9, 5.0));
    running.stop().await;
}

#[tokio::test]
async fn a_cost_that_cannot_be_is_left_out_and_the_result_stands() {
    let (_folder, running, client, id) = with_sweep(1, 1).await;
    let mut worker = running.worker("w", 1).await;
    let lease = worker.lease().await;
    worker.send(progress_at(&lease, cost(1, 1.0))).await;
    for impossible in [
        Cost { joules: -5.0, ..cost(2, 1.0) },
        Cost { wall_seconds: f64::NAN, ..cost(2, 1.0) },
        Cost { flops: f64::INFINITY, ..cost(2, 1.0) },
        Cost { steps: u64::MAX, ..cost(2, 1.0) },
        Cost { joules_estimated: 0.5, ..cost(2, 1.0) },
    ] {
        worker.send(progress_at(&lease, impossible)).await;
    }
    worker.send(completed_at(&lease, 0.5, Cost { device_seconds: 1e300, ..cost(2, 1.0) })).await;
    worker.acknowledged().await;
    assert_eq!(attempts(&client, &id).await.remove(0).cost, Some(cost(1, 1.0)));
    assert_eq!(row(&client, &id).await.mean, 0.5);
    running.stop().await;
}
