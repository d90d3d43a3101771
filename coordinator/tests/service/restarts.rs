//! A coordinator that stops and comes back on the same data.

use tinysweep_proto::v1::SweepState;
use tonic::Code;

use crate::harness::{Running, Worker, completed, impatient, name, progress, settings, with_sweep};

#[tokio::test]
async fn workers_go_on_after_a_restart() {
    let (folder, running, _client, id) = with_sweep(3, 1).await;
    let mut worker = running.worker("w", 2).await;
    let (first, second) = (worker.lease().await, worker.lease().await);
    worker.send(progress(&first, 5, &[("train/lm_loss", 1.0)])).await;
    worker.acknowledged().await;
    running.stop().await;
    assert_eq!(worker.ended().await.code(), Code::Unavailable);

    let running = Running::start(settings(folder.path())).await;
    let client = running.client().await;
    assert_eq!(client.sweep(&id).await.running, 2, "leases outlive the coordinator");
    let mut back = Worker::join(&running, "w", 2, vec![name(&first), name(&second)]).await.unwrap();
    back.expect_nothing().await;
    back.seq = 1;
    back.send(completed(&first, 0.5)).await;
    back.acknowledged().await;
    let third = back.lease().await;
    for lease in [&second, &third] {
        back.send(completed(lease, 0.5)).await;
        back.acknowledged().await;
    }
    let sweep = client.sweep(&id).await;
    assert_eq!((sweep.state(), sweep.completed), (SweepState::Completed, 3));
    for trial in 0..3 {
        assert_eq!(client.trial(&id, trial).await.replicates[0].attempts.len(), 1);
    }
    running.stop().await;
}

#[tokio::test]
async fn workers_that_do_not_come_back_lose_their_leases() {
    let (folder, running, _client, id) = with_sweep(1, 1).await;
    let mut worker = running.worker("w", 1).await;
    worker.lease().await;
    running.stop().await;
    let running = Running::start(impatient(folder.path())).await;
    let client = running.client().await;
    client.until(&id, |sweep| sweep.queued == 1).await;
    let mut other = running.worker("v", 1).await;
    assert_eq!(name(&other.lease().await).attempt, 2);
    running.stop().await;
}
