//! What follows a failure: another attempt elsewhere from the last checkpoint, a quarantine, an end.

use tinysweep_proto::v1::{Checkpoint, Checkpointed, FailureKind, SweepState, worker_event::Event};

use crate::harness::{completed, failed, name, with_lines, with_sweep};

#[tokio::test]
async fn a_panic_is_tried_again_elsewhere() {
    let (_folder, running, client, id) = with_lines(1, "retry: {backoff_secs: 0}\n").await;
    let mut worker = running.worker("a", 1).await;
    let lease = worker.lease().await;
    let mut other = running.worker("b", 1).await;
    worker.send(failed(&lease, FailureKind::Panic, "boom")).await;
    let lease = other.lease().await;
    assert_eq!(name(&lease).attempt, 2);
    let attempts = client.trial(&id, 0).await.replicates[0].attempts.clone();
    assert_eq!((attempts[0].failure.as_str(), attempts[0].reason.as_str()), ("panic", "panicked: boom"));
    other.send(completed(&lease, 0.5)).await;
    client.until(&id, |sweep| sweep.state() == SweepState::Completed).await;
    running.stop().await;
}

#[tokio::test]
async fn attempts_end_at_the_limit_of_the_sweep() {
    let (_folder, running, client, id) = with_lines(1, "retry: {max_attempts: 2, backoff_secs: 0, on: {non_finite: anywhere}}\n").await;
    let mut worker = running.worker("a", 1).await;
    for _ in 0..2 {
        let lease = worker.lease().await;
        worker.send(failed(&lease, FailureKind::NonFinite, "boom")).await;
        worker.acknowledged().await;
    }
    let sweep = client.until(&id, |sweep| sweep.state() == SweepState::Completed).await;
    assert_eq!(sweep.failed, 1);
    assert_eq!(client.trial(&id, 0).await.replicates[0].reason, "2 attempts failed, the last one: diverged: boom");
    running.stop().await;
}

#[tokio::test]
async fn a_pause_keeps_a_failed_attempt_back() {
    let (_folder, running, client, id) = with_lines(1, "retry: {backoff_secs: 600, max_backoff_secs: 600}\n").await;
    let mut worker = running.worker("a", 1).await;
    let lease = worker.lease().await;
    worker.send(failed(&lease, FailureKind::Panic, "boom")).await;
    worker.acknowledged().await;
    worker.expect_nothing().await;
    let told = client.explain(&id, 0).await;
    assert!(told[1].contains("the pause after its last failure ends in"), "{told:?}");
    running.stop().await;
}

#[tokio::test]
async fn a_worker_that_only_fails_gets_no_work_and_says_why() {
    let (_folder, running, client, id) = with_sweep(5, 1).await;
    let mut sick = running.worker("sick", 1).await;
    for _ in 0..3 {
        let lease = sick.lease().await;
        sick.send(failed(&lease, FailureKind::OutOfMemory, "boom")).await;
        sick.acknowledged().await;
    }
    sick.expect_nothing().await;
    let withheld = client.workers().await.remove(0).withheld;
    assert!(withheld.contains("3 failures in a row, the last one: out of memory: boom"), "{withheld}");
    assert!(client.explain(&id, 4).await[0].contains("worker sick gets no work: quarantined"));
    let mut well = running.worker("well", 5).await;
    assert_eq!(name(&well.lease().await).attempt, 1);
    running.stop().await;
}

#[tokio::test]
async fn the_next_attempt_goes_on_from_the_newest_checkpoint() {
    let (_folder, running, client, id) = with_sweep(1, 1).await;
    let mut worker = running.worker("a", 1).await;
    let lease = worker.lease().await;
    assert_eq!((lease.resume.clone(), lease.checkpoint_secs), (None, 60));
    let chunk = client.put(b"state").await;
    let checkpoint = |step, chunks| Checkpoint { step, bytes: 5, chunks };
    let says = |checkpoint| Event::Checkpointed(Checkpointed { attempt: lease.attempt.clone(), checkpoint: Some(checkpoint) });
    for step in [10, 20, 30] {
        worker.send(says(checkpoint(step, vec![chunk.clone()]))).await;
        worker.acknowledged().await;
    }
    worker.send(says(checkpoint(40, vec!["0".repeat(64)]))).await; // nobody has put that
    worker.acknowledged().await;
    worker.goodbye().await;
    let mut next = running.worker("b", 1).await;
    let lease = next.lease().await;
    assert_eq!((name(&lease).attempt, lease.resume), (2, Some(checkpoint(30, vec![chunk]))));
    assert_eq!(client.trial(&id, 0).await.replicates[0].attempts[1].resumed_step, 30);
    running.stop().await;
}
