//! A worker's session with coordinators that mean no good.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::{sync::Arc, time::Duration};

use tinysweep_proto::v1::{
    AttemptRef, CoordinatorCommand, Lease, Welcome, WorkerEvent,
    coordinator_command::Command,
    worker_service_server::{WorkerService, WorkerServiceServer},
};
use tinysweep_worker::{
    agent::{self, Settings},
    assignment::{Assignment, Trainers},
    device::DeviceName,
    folders::Folders,
    leave::Leave,
};
use tokio::{
    net::TcpListener,
    sync::{mpsc, watch},
    time::timeout,
};
use tokio_stream::wrappers::{ReceiverStream, TcpListenerStream};
use tonic::{Request, Response, Status, Streaming, transport::Server};

/// Leases whose answers fill every buffer on the way to who does not read.
const LEASES: u32 = 20_000;

/// Gives out many leases and reads nothing. What it does not read it hands over, so that the stream stays open.
struct Deaf(mpsc::UnboundedSender<Streaming<WorkerEvent>>);

#[tonic::async_trait]
impl WorkerService for Deaf {
    type SessionStream = ReceiverStream<Result<CoordinatorCommand, Status>>;

    async fn session(&self, request: Request<Streaming<WorkerEvent>>) -> Result<Response<Self::SessionStream>, Status> {
        self.0.send(request.into_inner()).unwrap();
        let (says, said) = mpsc::channel(1);
        tokio::spawn(async move {
            let lease = |trial| {
                let attempt = AttemptRef { sweep: "s".into(), trial, replicate: 0, attempt: 1, token: 1 };
                Command::Lease(Lease { attempt: Some(attempt), ..Lease::default() })
            };
            let welcome = Command::Welcome(Welcome { heartbeat_secs: 60, lease_secs: 3600 });
            for command in std::iter::once(welcome).chain((0..LEASES).map(lease)) {
                if says.send(Ok(CoordinatorCommand { command: Some(command) })).await.is_err() {
                    return;
                }
            }
            std::future::pending().await
        });
        Ok(Response::new(ReceiverStream::new(said)))
    }
}

struct Nobody;

impl Trainers for Nobody {
    fn take(&self, _: Assignment) {
        unreachable!("a worker without slots takes nothing");
    }
}

#[tokio::test]
async fn a_coordinator_that_does_not_read_keeps_no_worker_from_leaving() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let (hands_over, mut unread) = mpsc::unbounded_channel();
    let server = Server::builder().add_service(WorkerServiceServer::new(Deaf(hands_over)));
    tokio::spawn(server.serve_with_incoming(TcpListenerStream::new(listener)));

    let folder = tempfile::tempdir().unwrap();
    let settings = Settings {
        coordinator: address.parse().unwrap(),
        name: "w".into(),
        host: "h".into(),
        slots: 0,
        device: DeviceName::Cpu,
        folders: Folders::below(folder.path().to_owned()),
        labels: Default::default(),
        memory_mib: 0,
        count: None,
        programs: None,
    };
    let (wish, leave) = watch::channel(Leave::Stay);
    let mut working = tokio::spawn(agent::run(settings, Arc::new(Nobody), leave));
    let _unread = unread.recv().await.unwrap();
    assert!(timeout(Duration::from_secs(2), &mut working).await.is_err(), "it works on");
    wish.send(Leave::Now).unwrap();
    timeout(Duration::from_secs(20), working).await.expect("it leaves").unwrap().unwrap();
}
