//! What the coordinator will not have, and what it says to it.

use tinysweep_proto::{
    address::Address,
    connect::connect,
    v1::{
        AttemptRef, GetLeaderboardRequest, GetSweepRequest, GetTrialRequest, Heartbeat, Hello, ListSweepsRequest, Progress,
        sweep_service_client::SweepServiceClient, worker_event::Event,
    },
};
use tonic::Code;

use crate::harness::{Running, Worker, code_of, hello, progress, settings, with_sweep, yaml};

#[tokio::test]
async fn a_wrong_sweep_file_stores_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let running = Running::start(settings(folder.path())).await;
    let client = running.client().await;
    let dataset = client.dataset().await;
    let wrong = client.try_submit(yaml(2, 1).replace("halt_max_steps", "halt_max_stepz"), dataset.clone()).await.unwrap_err();
    assert_eq!(wrong.code(), Code::InvalidArgument);
    assert!(wrong.message().starts_with("sweep.yaml:7:3: "), "{}", wrong.message());
    assert!(wrong.message().contains("halt_max_steps"), "{}", wrong.message());
    let long = client.try_submit(yaml(1, 1) + &"#".repeat(1 << 20), dataset.clone()).await;
    assert_eq!(code_of(long), Code::InvalidArgument);

    let mut absent = dataset.clone();
    absent.test.as_mut().unwrap().sha256 = "0".repeat(64);
    let absent = client.try_submit(yaml(1, 1), absent).await.unwrap_err();
    assert_eq!(absent.code(), Code::FailedPrecondition);
    assert!(absent.message().contains("test data"), "{}", absent.message());

    let mut other = dataset;
    (other.benchmark, other.task) = ("sudoku-6x6".into(), "sudoku-6x6".into());
    assert_eq!(code_of(client.try_submit(yaml(1, 1), other).await), Code::InvalidArgument);
    assert_eq!(client.sweeps().list_sweeps(ListSweepsRequest {}).await.unwrap().into_inner().sweeps, []);
    running.stop().await;
}

#[tokio::test]
async fn what_does_not_exist_is_not_found() {
    let (_folder, running, client, id) = with_sweep(1, 1).await;
    let mut sweeps = client.sweeps();
    let sweep = |sweep: &str| GetSweepRequest { sweep: sweep.into() };
    assert_eq!(sweeps.get_sweep(sweep(&id[..3])).await.unwrap().into_inner().sweep.unwrap().id, id);
    assert_eq!(sweeps.get_sweep(sweep("")).await.unwrap().into_inner().sweep.unwrap().id, id);
    for wrong in ["zzzzzzzz", "%", "_______"] {
        assert_eq!(code_of(sweeps.get_sweep(sweep(wrong)).await), Code::NotFound, "{wrong}");
    }
    assert_eq!(code_of(sweeps.get_trial(GetTrialRequest { sweep: id, trial: 1 }).await), Code::NotFound);
    let unknown = GetLeaderboardRequest { sweep: String::new(), benchmark: "chess".into(), ..Default::default() };
    assert_eq!(code_of(sweeps.get_leaderboard(unknown).await), Code::InvalidArgument);
    // With 24 letters to begin with, 25 sweeps cannot all begin differently.
    let mut first_letters = std::collections::HashSet::from([client.sweep("").await.id[..1].to_owned()]);
    let shared = loop {
        let letter = client.submit(1, 1).await.id[..1].to_owned();
        if !first_letters.insert(letter.clone()) {
            break letter;
        }
    };
    let ambiguous = sweeps.get_sweep(sweep(&shared)).await.unwrap_err();
    assert_eq!(ambiguous.code(), Code::InvalidArgument);
    assert!(ambiguous.message().contains("several sweeps"), "{}", ambiguous.message());
    running.stop().await;
}

#[tokio::test]
async fn only_the_token_lets_in() {
    let folder = tempfile::tempdir().unwrap();
    let running = Running::start(tinysweep_coordinator::server::Settings { token: Some("secret".into()), ..settings(folder.path()) }).await;
    running.client().await.sweeps().list_sweeps(ListSweepsRequest {}).await.unwrap();
    running.worker("w", 1).await;
    for token in [None, Some("secres".to_owned())] {
        let connection = connect(&Address { token, ..running.address.clone() }).await.unwrap();
        let answer = SweepServiceClient::new(connection).list_sweeps(ListSweepsRequest {}).await;
        assert_eq!(code_of(answer), Code::Unauthenticated);
    }
    running.stop().await;
}

async fn refused(running: &Running, first: Event) -> tonic::Status {
    match Worker::open(running, first).await {
        Ok(mut worker) => worker.ended().await,
        Err(status) => status,
    }
}

#[tokio::test]
async fn sessions_begin_with_a_proper_hello() {
    let (_folder, running, _client, _id) = with_sweep(1, 1).await;
    let other = refused(&running, Event::Hello(Hello { protocol_version: 99, ..hello("w", 1, vec![]) })).await;
    assert_eq!(other.code(), Code::FailedPrecondition);
    let ours = format!("version {}", tinysweep_proto::PROTOCOL_VERSION);
    assert!(other.message().contains(&ours) && other.message().contains("99"), "{}", other.message());
    let labels = (0..65).map(|label| (label.to_string(), String::new())).collect();
    let wrong = [
        hello("", 1, vec![]),
        hello("w", 0, vec![]),
        hello("w", u32::MAX, vec![]),
        hello("w", 1, vec![AttemptRef::default(); 1001]),
        Hello { labels, ..hello("w", 1, vec![]) },
    ];
    for first in wrong.map(Event::Hello).into_iter().chain([Event::Heartbeat(Heartbeat {})]) {
        assert_eq!(refused(&running, first).await.code(), Code::InvalidArgument);
    }
    running.stop().await;
}

#[tokio::test]
async fn events_that_make_no_sense_end_the_session() {
    let (_folder, running, client, id) = with_sweep(1, 1).await;
    let nameless = Event::Progress(Progress::default());
    let mut worker = running.worker("w", 1).await;
    let lease = worker.lease().await;
    let astronomic = progress(&lease, u64::MAX, &[]);
    worker.send_numbered(0, progress(&lease, 1, &[])).await;
    assert_eq!(worker.ended().await.code(), Code::InvalidArgument);
    for event in [nameless, Event::Hello(hello("w", 1, vec![])), astronomic] {
        let mut worker = Worker::join(&running, "w", 1, vec![lease.attempt.clone().unwrap()]).await.unwrap();
        worker.send_numbered(1, event).await;
        assert_eq!(worker.ended().await.code(), Code::InvalidArgument);
    }
    assert_eq!(client.sweep(&id).await.running, 1);
    running.stop().await;
}
