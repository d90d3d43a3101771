//! Peers that mean no good, or are badly broken: the coordinator stays up, answers others, and counts nothing that should not count.

use std::{
    path::Path,
    time::{Duration, Instant},
};

use tinysweep_coordinator::server::Settings;
use tinysweep_proto::{
    MESSAGE_LIMIT_BYTES,
    v1::{
        AttemptRef, Checkpoint, Checkpointed, Completed, GetSweepRequest, HandedBack, LogLines, MetricPoint, Progress, SweepState,
        WatchSweepRequest, worker_event::Event,
    },
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};
use tonic::Code;

use crate::harness::{Client, METRIC, Worker, completed, hello, impatient, name, settings, with_sweep, with_sweep_under};

/// A user's question is answered in a time that nobody would notice; ten times that, for slow machines.
async fn expect_an_answer(client: &Client, sweep: &str) {
    let start = Instant::now();
    client.sweeps().get_sweep(GetSweepRequest { sweep: sweep.into() }).await.unwrap();
    assert!(start.elapsed() < Duration::from_secs(5), "{:?}", start.elapsed());
}

/// What ends the session of a worker that runs `lease` and says this.
async fn says(event: impl Fn(Option<AttemptRef>) -> Event) -> Code {
    let (_folder, running, client, id) = with_sweep(1, 1).await;
    let mut worker = running.worker("w", 1).await;
    let lease = worker.lease().await;
    worker.send(event(lease.attempt.clone())).await;
    let code = worker.ended().await.code();
    let sweep = client.sweep(&id).await;
    assert_eq!((sweep.running, sweep.completed), (1, 0), "the attempt is still this worker's");
    let mut back = Worker::join(&running, "w", 1, vec![name(&lease)]).await.unwrap();
    back.send(completed(&lease, 0.5)).await;
    client.until(&id, |sweep| sweep.state() == SweepState::Completed).await;
    running.stop().await;
    code
}

#[tokio::test]
async fn floods_end_the_session_and_not_the_attempt() {
    let points = |attempt| {
        let points = vec![MetricPoint { name: "x".into(), step: 1, value: 1.0 }; 10_001];
        Event::Progress(Progress { attempt, points, ..Progress::default() })
    };
    assert_eq!(says(points).await, Code::InvalidArgument);
    let lines = |attempt| Event::LogLines(LogLines { attempt, lines: vec!["line".into(); 1001] });
    assert_eq!(says(lines).await, Code::InvalidArgument);
    let huge = |attempt| Event::LogLines(LogLines { attempt, lines: vec!["x".repeat(MESSAGE_LIMIT_BYTES)] });
    assert_eq!(says(huge).await, Code::InvalidArgument);
    let chunks = |attempt| {
        let checkpoint = Checkpoint { step: 1, bytes: u64::MAX, chunks: vec!["../../etc/passwd".into()] };
        Event::Checkpointed(Checkpointed { attempt, checkpoint: Some(checkpoint) })
    };
    assert_eq!(says(chunks).await, Code::InvalidArgument);
}

#[tokio::test]
async fn words_about_attempts_of_others_and_of_nobody_count_nothing() {
    let (_folder, running, client, id) = with_sweep(1, 1).await;
    let mut owner = running.worker("owner", 1).await;
    let lease = owner.lease().await;
    let mut thief = running.worker("thief", 1).await;
    let right = name(&lease);
    let forged = [
        right.clone(),
        AttemptRef { attempt: 2, ..right.clone() },
        AttemptRef { token: right.token ^ 1, ..right.clone() },
        AttemptRef { attempt: u32::MAX, ..right.clone() },
        AttemptRef { trial: 9, ..right.clone() },
        AttemptRef { sweep: "nosweep".into(), ..right.clone() },
    ];
    for attempt in forged {
        let result = Completed { attempt: Some(attempt.clone()), metrics: [(METRIC.to_owned(), 1.0)].into(), ..Completed::default() };
        thief.send(Event::Completed(result)).await;
        assert_eq!(thief.stop().await.attempt, Some(attempt.clone()));
        thief.send(Event::HandedBack(HandedBack { attempt: Some(attempt.clone()), reason: String::new(), cost: None })).await;
        assert_eq!(thief.stop().await.attempt, Some(attempt));
    }
    // As of a lease that a power cut has taken, whose number was given again.
    let forgotten = Some(AttemptRef { token: right.token ^ 1, ..right });
    owner.send(Event::Completed(Completed { attempt: forgotten.clone(), ..Completed::default() })).await;
    let stop = owner.stop().await;
    assert_eq!(stop.attempt, forgotten);
    assert!(stop.reason.contains("not the one that runs under this number"), "{}", stop.reason);
    let sweep = client.sweep(&id).await;
    assert_eq!((sweep.running, sweep.completed), (1, 0));
    owner.send(completed(&lease, 0.5)).await;
    client.until(&id, |sweep| sweep.completed == 1).await;
    running.stop().await;
}

#[tokio::test]
async fn streams_and_connections_that_nobody_uses_hold_nobody_up() {
    let (_folder, running, client, id) = with_sweep(1, 1).await;
    let mut idle = Vec::new();
    for _ in 0..500 {
        let mut connection = TcpStream::connect((running.address.host.as_str(), running.address.port)).await.unwrap();
        connection.write_all(b"GET / HTTP/1.1\r\n").await.unwrap();
        idle.push(connection);
    }
    let mut unread = Vec::new();
    for _ in 0..200 {
        unread.push(running.client().await.sweeps().watch_sweep(WatchSweepRequest { sweep: id.clone() }).await.unwrap());
    }
    expect_an_answer(&client, &id).await;
    let mut worker = running.worker("w", 1).await;
    let lease = worker.lease().await;
    worker.send(completed(&lease, 0.5)).await;
    client.until(&id, |sweep| sweep.completed == 1).await;
    running.stop().await;
}

#[tokio::test]
async fn connections_beyond_the_limit_are_closed_and_those_within_work_on() {
    let few = |data_dir: &Path| Settings { max_connections: 8, ..settings(data_dir) };
    let (_folder, running, client, id) = with_sweep_under(few, 1, 1).await;
    let mut worker = running.worker("w", 1).await;
    let mut turned_away = 0;
    let mut held = Vec::new();
    for _ in 0..50 {
        let mut connection = TcpStream::connect((running.address.host.as_str(), running.address.port)).await.unwrap();
        // A server that lets someone in speaks first.
        match connection.read(&mut [0; 8]).await {
            Ok(0) | Err(_) => turned_away += 1,
            Ok(_) => held.push(connection),
        }
    }
    assert_eq!((held.len(), turned_away), (6, 44), "the client and the worker have two of eight");
    expect_an_answer(&client, &id).await;
    let lease = worker.lease().await;
    worker.send(completed(&lease, 0.5)).await;
    client.until(&id, |sweep| sweep.completed == 1).await;
    running.stop().await;
}

#[tokio::test]
async fn a_worker_that_promises_more_than_it_keeps_loses_it_all_again() {
    let (_folder, running, client, id) = with_sweep_under(impatient, 20, 1).await;
    let mut liar = Worker::open(&running, Event::Hello(hello("liar", 1024, vec![]))).await.unwrap();
    client.until(&id, |sweep| sweep.running == 20).await;
    assert_eq!(liar.ended().await.code(), Code::DeadlineExceeded);
    client.until(&id, |sweep| sweep.queued == 20).await;
    let mut honest = running.worker("honest", 1).await;
    let lease = honest.lease().await;
    assert_eq!(name(&lease).attempt, 2);
    honest.send(completed(&lease, 0.5)).await;
    client.until(&id, |sweep| sweep.completed == 1).await;
    running.stop().await;
}
