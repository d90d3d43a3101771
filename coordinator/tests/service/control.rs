//! What users do to sweeps and workers: pause, stop, retry, priorities, needs, drains, explanations, logs, pages.

use tinysweep_proto::v1::{
    DrainWorkerRequest, Draining, FailureKind, HandedBack, ListTrialsRequest, LogLines, StreamLogsRequest, SweepState, SweepVerb,
    UpdateSweepRequest, coordinator_command::Command, update_sweep_request::Parallel, worker_event::Event,
};
use tonic::Code;

use crate::harness::{Running, Worker, completed, failed, hello, name, settings, with_lines, with_sweep};

#[tokio::test]
async fn a_paused_sweep_begins_nothing_and_goes_on_where_it_was() {
    let (_folder, running, client, id) = with_sweep(2, 1).await;
    let mut worker = running.worker("w", 1).await;
    let lease = worker.lease().await;
    assert_eq!(client.control(&id, SweepVerb::Pause).await.unwrap().state(), SweepState::Paused);
    worker.send(completed(&lease, 0.5)).await;
    worker.acknowledged().await;
    worker.expect_nothing().await;
    assert!(client.explain(&id, 1).await[0].contains("its sweep is paused"));
    client.control(&id, SweepVerb::Pause).await.unwrap();
    assert_eq!(client.control(&id, SweepVerb::Resume).await.unwrap().state(), SweepState::Running);
    let lease = worker.lease().await;
    worker.send(completed(&lease, 0.5)).await;
    client.until(&id, |sweep| sweep.state() == SweepState::Completed).await;
    let error = client.control(&id, SweepVerb::Pause).await.unwrap_err();
    assert_eq!((error.code(), error.message()), (Code::FailedPrecondition, "the sweep has completed; there is nothing to pause"));
    running.stop().await;
}

#[tokio::test]
async fn a_stopped_sweep_lets_what_runs_end() {
    let (_folder, running, client, id) = with_sweep(3, 1).await;
    let mut worker = running.worker("w", 1).await;
    let lease = worker.lease().await;
    let sweep = client.control(&id, SweepVerb::Stop).await.unwrap();
    assert_eq!((sweep.state(), sweep.running, sweep.cancelled), (SweepState::Stopping, 1, 2));
    worker.send(completed(&lease, 0.5)).await;
    let sweep = client.until(&id, |sweep| sweep.state() == SweepState::Stopped).await;
    assert!(sweep.completed == 1 && sweep.ended_ms.is_some());
    assert_eq!(client.control(&id, SweepVerb::Stop).await.unwrap().state(), SweepState::Stopped);
    running.stop().await;
}

#[tokio::test]
async fn what_fails_or_is_handed_back_while_its_sweep_stops_does_not_run_again() {
    let (_folder, running, client, id) = with_sweep(3, 1).await;
    let mut worker = running.worker("w", 2).await;
    let (first, second) = (worker.lease().await, worker.lease().await);
    client.control(&id, SweepVerb::Stop).await.unwrap();
    worker.send(failed(&first, FailureKind::Panic, "boom")).await;
    let back = HandedBack { attempt: second.attempt.clone(), reason: "I leave".into(), ..HandedBack::default() };
    worker.send(Event::HandedBack(back)).await;
    let sweep = client.until(&id, |sweep| sweep.state() == SweepState::Stopped).await;
    assert_eq!((sweep.queued, sweep.cancelled), (0, 3));
    running.stop().await;
}

#[tokio::test]
async fn stopping_what_has_not_begun_ends_it_at_once() {
    let (_folder, running, client, id) = with_sweep(3, 1).await;
    assert_eq!(client.control(&id, SweepVerb::Stop).await.unwrap().state(), SweepState::Stopped);
    running.stop().await;
}

#[tokio::test]
async fn retry_queues_what_failed_and_only_that() {
    let (_folder, running, client, id) = with_sweep(2, 1).await;
    let mut worker = running.worker("w", 1).await;
    let lease = worker.lease().await;
    worker.send(failed(&lease, FailureKind::Other, "boom")).await;
    worker.acknowledged().await;
    let lease = worker.lease().await;
    worker.send(completed(&lease, 0.5)).await;
    worker.acknowledged().await;
    client.until(&id, |sweep| sweep.state() == SweepState::Completed).await;
    let sweep = client.control(&id, SweepVerb::Retry).await.unwrap();
    assert_eq!((sweep.state(), sweep.failed, sweep.ended_ms), (SweepState::Running, 0, None));
    let lease = worker.lease().await;
    assert_eq!((name(&lease).trial, name(&lease).attempt), (0, 2), "a higher number: the first attempt stays fenced off");
    worker.send(completed(&lease, 0.7)).await;
    client.until(&id, |sweep| sweep.state() == SweepState::Completed && sweep.completed == 2).await;
    running.stop().await;
}

#[tokio::test]
async fn priority_and_limits_change_while_a_sweep_runs() {
    let folder = tempfile::tempdir().unwrap();
    let running = Running::start(settings(folder.path())).await;
    let client = running.client().await;
    let first = client.submit_with(4, "max_parallel: 1\n").await;
    let second = client.submit_with(4, "priority: -1\n").await;
    let mut worker = running.worker("w", 2).await;
    assert_eq!([name(&worker.lease().await).sweep, name(&worker.lease().await).sweep], [first.clone(), second.clone()]);
    assert!(client.explain(&first, 1).await[0].contains("max_parallel: 1 of at most 1"));
    let update =
        UpdateSweepRequest { sweep: first.clone(), parallel: Some(Parallel::NoMaxParallel(true)), ..UpdateSweepRequest::default() };
    client.sweeps().update_sweep(update).await.unwrap();
    let mut third = running.worker("x", 1).await;
    assert_eq!(name(&third.lease().await).sweep, first);
    let update = UpdateSweepRequest { sweep: second.clone(), priority: Some(7), share: Some(2), ..UpdateSweepRequest::default() };
    let changed = client.sweeps().update_sweep(update).await.unwrap().into_inner().sweep.unwrap();
    assert_eq!((changed.priority, changed.share, changed.max_parallel), (7, 2, None));
    let mut fourth = running.worker("y", 1).await;
    assert_eq!(name(&fourth.lease().await).sweep, second);
    let zero = UpdateSweepRequest { sweep: second, share: Some(0), ..UpdateSweepRequest::default() };
    assert_eq!(client.sweeps().update_sweep(zero).await.unwrap_err().code(), Code::InvalidArgument);
    running.stop().await;
}

#[tokio::test]
async fn trials_wait_for_a_worker_that_has_what_they_need() {
    let (_folder, running, client, id) = with_lines(1, "resources: {device: cuda, slots: 2, labels: {gpu: a100}}\n").await;
    let mut plain = running.worker("plain", 4).await;
    plain.expect_nothing().await;
    assert_eq!(client.explain(&id, 0).await, ["it waits: worker plain does not fit: it computes on , not on cuda"]);
    let labels = [("gpu".to_owned(), "a100".to_owned())].into();
    let greeting = tinysweep_proto::v1::Hello { device: "cuda".into(), labels, ..hello("fit", 2, vec![]) };
    let mut fit = Worker::open(&running, Event::Hello(greeting)).await.unwrap();
    assert!(matches!(fit.command().await.unwrap(), Some(Command::Welcome(_))));
    assert_eq!(fit.lease().await.slots, 2);
    running.stop().await;
}

#[tokio::test]
async fn a_draining_worker_gets_nothing_new_and_hands_back_without_fault() {
    let (_folder, running, client, id) = with_sweep(2, 1).await;
    let mut worker = running.worker("w", 2).await;
    let lease = worker.lease().await;
    let other = worker.lease().await;
    worker.send_numbered(0, Event::Draining(Draining {})).await;
    worker.send(completed(&other, 0.5)).await;
    worker.acknowledged().await;
    let back = tinysweep_proto::v1::HandedBack { attempt: lease.attempt.clone(), reason: "told to leave".into(), cost: None };
    worker.send(Event::HandedBack(back)).await;
    worker.acknowledged().await;
    worker.expect_nothing().await;
    assert_eq!(client.workers().await[0].withheld, "it is about to leave");
    let mut next = running.worker("x", 1).await;
    assert_eq!(name(&next.lease().await).attempt, 2);
    let told = client.explain(&id, 0).await;
    assert!(told[0].contains("name of w") && told[0].contains("told to leave"), "{told:?}");
    let drain = DrainWorkerRequest { worker: "name of x".into() };
    client.sweeps().drain_worker(drain.clone()).await.unwrap();
    assert!(matches!(next.command().await.unwrap(), Some(Command::Drain(_))));
    next.goodbye().await;
    next.acknowledged().await;
    client.until(&id, |sweep| sweep.queued == 1).await;
    assert_eq!(client.sweeps().drain_worker(drain).await.unwrap_err().code(), Code::FailedPrecondition);
    let nobody = DrainWorkerRequest { worker: "nobody".into() };
    assert_eq!(client.sweeps().drain_worker(nobody).await.unwrap_err().code(), Code::NotFound);
    running.stop().await;
}

#[tokio::test]
async fn logs_are_kept_and_followed() {
    let (_folder, running, client, id) = with_sweep(1, 1).await;
    let mut worker = running.worker("w", 1).await;
    let lease = worker.lease().await;
    let say = |line: &str| Event::LogLines(LogLines { attempt: lease.attempt.clone(), lines: vec![line.into()] });
    worker.send(say("first")).await;
    worker.acknowledged().await;
    let request = StreamLogsRequest { sweep: id.clone(), trial: 0, follow: true };
    let mut logs = client.sweeps().stream_logs(request).await.unwrap().into_inner();
    assert_eq!(logs.message().await.unwrap().unwrap().lines[0].text, "first");
    worker.send(say("second")).await;
    assert_eq!(logs.message().await.unwrap().unwrap().lines[0].text, "second");
    worker.send(completed(&lease, 0.5)).await;
    assert_eq!(logs.message().await.unwrap(), None, "the trial has ended");
    let missing = StreamLogsRequest { sweep: id, trial: 9, follow: false };
    assert_eq!(client.sweeps().stream_logs(missing).await.unwrap_err().code(), Code::NotFound);
    running.stop().await;
}

#[tokio::test]
async fn trials_come_in_pages() {
    let (_folder, running, client, id) = with_sweep(5, 1).await;
    let mut numbers = Vec::new();
    let mut page_token = String::new();
    loop {
        let request = ListTrialsRequest { sweep: id.clone(), page_size: 2, page_token };
        let page = client.sweeps().list_trials(request).await.unwrap().into_inner();
        numbers.push(page.trials.iter().map(|trial| trial.number).collect::<Vec<_>>());
        page_token = page.next_page_token;
        if page_token.is_empty() {
            break;
        }
    }
    assert_eq!(numbers, [vec![0, 1], vec![2, 3], vec![4]]);
    let wrong = ListTrialsRequest { sweep: id, page_size: 2, page_token: "x".into() };
    assert_eq!(client.sweeps().list_trials(wrong).await.unwrap_err().code(), Code::InvalidArgument);
    running.stop().await;
}
