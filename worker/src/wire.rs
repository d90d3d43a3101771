//! One connection of a worker to its coordinator: what goes out, and who has been silent for how long.

use std::time::Duration;

use tinysweep_proto::{
    MESSAGE_LIMIT_BYTES,
    connect::Connection,
    v1::{
        CoordinatorCommand, Draining, Heartbeat, Hello, Welcome, WorkerEvent, worker_event::Event,
        worker_service_client::WorkerServiceClient,
    },
};
use tokio::{
    sync::mpsc,
    time::{Instant, Interval, interval, timeout},
};
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Status, Streaming};

use crate::outbox::Outbox;

/// The sending half of a connection, and both sides' clocks.
pub struct Wire {
    events: mpsc::Sender<WorkerEvent>,
    /// When this side is to say that it lives.
    pub heartbeat: Interval,
    /// A coordinator that says nothing for as long is gone.
    patience: Duration,
    last_heard: Instant,
}

impl Wire {
    /// Says hello over `connection`. With it comes what the coordinator says.
    ///
    /// # Errors
    /// The coordinator refuses, or does not answer.
    pub async fn open(connection: &Connection, hello: Hello) -> Result<(Self, Streaming<CoordinatorCommand>), Status> {
        let (events, requests) = mpsc::channel(64);
        let patience = Duration::from_secs(15);
        let greeting = WorkerEvent { seq: 0, event: Some(Event::Hello(hello)) };
        events.try_send(greeting).expect("a new channel has room");
        let mut client = WorkerServiceClient::new(connection.clone()).max_decoding_message_size(MESSAGE_LIMIT_BYTES);
        let commands = timeout(patience, client.session(ReceiverStream::new(requests)))
            .await
            .map_err(|_| Status::deadline_exceeded("the coordinator did not answer hello"))??
            .into_inner();
        let wire = Self { events, heartbeat: interval(Duration::from_secs(3)), patience, last_heard: Instant::now() };
        Ok((wire, commands))
    }

    /// Keeps to the times that the coordinator asks for.
    pub fn welcomed(&mut self, welcome: &Welcome) {
        self.heartbeat = interval(Duration::from_secs(welcome.heartbeat_secs.clamp(1, 60).into()));
        self.patience = Duration::from_secs(welcome.lease_secs.clamp(2, 3600).into());
    }

    /// The coordinator has spoken.
    pub fn heard(&mut self) {
        self.last_heard = Instant::now();
    }

    /// Whether the coordinator has said nothing for too long.
    pub fn is_silent(&self) -> bool {
        self.last_heard.elapsed() > self.patience
    }

    /// Waits until there is room for an event.
    ///
    /// # Errors
    /// Nobody takes events any more.
    pub fn room(&self) -> impl Future<Output = Result<mpsc::OwnedPermit<WorkerEvent>, mpsc::error::SendError<()>>> + use<> {
        self.events.clone().reserve_owned()
    }

    /// Sends what waits.
    ///
    /// # Errors
    /// Nobody takes events any more.
    pub async fn flush(&mut self, outbox: &mut Outbox) -> Result<(), mpsc::error::SendError<WorkerEvent>> {
        while let Some(event) = outbox.next_unsent() {
            self.events.send(event).await?;
        }
        Ok(())
    }

    /// Says that no more leases are taken. Should it find no room, leases that come are handed back one by one.
    pub fn say_draining(&mut self) {
        let _ = self.events.try_send(WorkerEvent { seq: 0, event: Some(Event::Draining(Draining {})) });
    }

    /// Says that this side lives. A heartbeat that finds no room is not needed: the events before it say as much.
    pub fn beat(&mut self) {
        let _ = self.events.try_send(WorkerEvent { seq: 0, event: Some(Event::Heartbeat(Heartbeat {})) });
    }
}
