//! Messages that cannot be read, and peers that do not read.

use prost::Message;
use tinysweep_proto::{
    connect::connect,
    v1::{AttemptRef, CoordinatorCommand, GetSweepRequest},
};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Code, Request, Status, client::Grpc, codegen::http::uri::PathAndQuery};
use tonic_prost::ProstCodec;

use crate::harness::{PATIENCE, Running, completed, name, progress, with_sweep};

/// `WorkerEvent` with bytes in place of texts.
#[derive(Clone, PartialEq, Message)]
struct Event {
    #[prost(uint64, tag = "1")]
    seq: u64,
    #[prost(message, optional, tag = "2")]
    hello: Option<Hello>,
    #[prost(message, optional, tag = "10")]
    log_lines: Option<LogLines>,
}

/// `Hello` likewise.
#[derive(Clone, PartialEq, Message)]
struct Hello {
    #[prost(uint32, tag = "1")]
    protocol_version: u32,
    #[prost(bytes = "vec", tag = "2")]
    worker_id: Vec<u8>,
    #[prost(uint32, tag = "4")]
    slots: u32,
    #[prost(message, repeated, tag = "6")]
    running: Vec<AttemptRef>,
}

/// `LogLines` likewise.
#[derive(Clone, PartialEq, Message)]
struct LogLines {
    #[prost(message, optional, tag = "1")]
    attempt: Option<AttemptRef>,
    #[prost(bytes = "vec", repeated, tag = "2")]
    lines: Vec<Vec<u8>>,
}

fn hello(worker_id: &[u8], running: Vec<AttemptRef>) -> Event {
    let protocol_version = tinysweep_proto::PROTOCOL_VERSION;
    Event { hello: Some(Hello { protocol_version, worker_id: worker_id.to_vec(), slots: 1, running }), ..Event::default() }
}

/// What ends the session of a worker that says this.
async fn ended(running: &Running, events: Vec<Event>) -> Status {
    let mut client = Grpc::new(connect(&running.address).await.unwrap());
    client.ready().await.unwrap();
    let (sender, requests) = mpsc::channel(events.len());
    for event in events {
        sender.send(event).await.unwrap();
    }
    let path = PathAndQuery::from_static("/tinysweep.v1.WorkerService/Session");
    let codec = ProstCodec::<Event, CoordinatorCommand>::default();
    let mut commands = match client.streaming(Request::new(ReceiverStream::new(requests)), path, codec).await {
        Ok(answer) => answer.into_inner(),
        Err(status) => return status,
    };
    let end = async {
        loop {
            match commands.message().await {
                Ok(Some(_)) => {}
                Ok(None) => return Status::ok("closed"),
                Err(status) => return status,
            }
        }
    };
    tokio::time::timeout(PATIENCE, end).await.unwrap()
}

#[tokio::test]
async fn texts_that_are_no_utf_8_are_refused_with_their_place() {
    let (_folder, running, client, id) = with_sweep(1, 1).await;
    let nameless = ended(&running, vec![hello(b"w\xff", vec![])]).await;
    assert!(nameless.message().contains("worker_id") && nameless.message().contains("UTF-8"), "{nameless:?}");

    let mut worker = running.worker("w", 1).await;
    let lease = worker.lease().await;
    let lines = LogLines { attempt: lease.attempt.clone(), lines: vec![b"fine".to_vec(), b"\xc3\x28".to_vec()] };
    let garbled = Event { seq: 1, log_lines: Some(lines), ..Event::default() };
    let refused = ended(&running, vec![hello(b"w", vec![name(&lease)]), garbled]).await;
    assert_eq!(refused.code(), Code::InvalidArgument);
    assert!(refused.message().contains("lines") && refused.message().contains("UTF-8"), "{refused:?}");

    assert_eq!(client.sweep(&id).await.running, 1, "the attempt is still this worker's");
    running.stop().await;
}

#[tokio::test]
async fn who_says_much_and_reads_nothing_is_told_all_when_it_reads() {
    const EVENTS: u64 = 3000;
    let (_folder, running, client, id) = with_sweep(1, 1).await;
    let mut worker = running.worker("w", 1).await;
    let lease = worker.lease().await;
    for step in 1..=EVENTS {
        worker.send(progress(&lease, step, &[("train/lm_loss", 1.0)])).await;
    }
    client.sweeps().get_sweep(GetSweepRequest { sweep: id.clone() }).await.unwrap();
    worker.send(completed(&lease, 0.5)).await;
    worker.acknowledged().await;
    let trial = client.trial(&id, 0).await;
    assert_eq!(trial.replicates[0].attempts[0].step, EVENTS);
    running.stop().await;
}

#[tokio::test]
async fn numbers_that_go_back_or_leap_count_nothing_twice() {
    let (_folder, running, client, id) = with_sweep(1, 1).await;
    let mut worker = running.worker("w", 1).await;
    let lease = worker.lease().await;
    worker.send_numbered(7, progress(&lease, 3, &[])).await;
    worker.send_numbered(5, completed(&lease, 1.0)).await;
    worker.send_numbered(7, completed(&lease, 1.0)).await;
    worker.seq = 7;
    worker.acknowledged().await;
    let sweep = client.sweep(&id).await;
    assert_eq!((sweep.running, sweep.completed), (1, 0), "what was numbered as taken is not taken again");
    worker.send_numbered(i64::MAX as u64, completed(&lease, 0.5)).await;
    worker.seq = i64::MAX as u64;
    worker.acknowledged().await;
    assert_eq!(client.sweep(&id).await.completed, 1);
    running.stop().await;
}
