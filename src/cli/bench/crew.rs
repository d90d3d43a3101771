//! Simulated workers: they speak the protocol of real ones, and have the result of every trial at once.

use std::time::Instant;

use clap::Args;
use tinysweep_proto::{
    PROTOCOL_VERSION,
    address::Address,
    config,
    connect::{Connection, connect},
    dataset::Dataset,
    v1::{
        Completed, CoordinatorCommand, Heartbeat, Hello, Lease, MetricPoint, Progress, WorkerEvent, coordinator_command::Command,
        worker_event::Event, worker_service_client::WorkerServiceClient,
    },
};
use tinysweep_worker::leave::Leave;
use tokio::{
    sync::mpsc,
    task::JoinSet,
    time::{Duration, interval, sleep},
};
use tokio_stream::wrappers::ReceiverStream;
use tonic::Streaming;

use crate::{cli::leave, failure::Failure, output};

/// The most sessions over one connection; a coordinator allows 256 calls.
const SESSIONS_PER_CONNECTION: u32 = 200;
/// Messages of metrics on their way at once.
const MESSAGES_AHEAD: u64 = 16;
/// The metric of the benchmark's sweep.
const METRIC: &str = "test/exact_accuracy";

/// Arguments of `bench crew`.
#[derive(Args, Debug)]
pub struct CrewArgs {
    /// The coordinator
    #[arg(long)]
    join: Address,
    /// Begins the ids of the workers
    #[arg(long)]
    name: String,
    /// Workers, of one slot each
    #[arg(long)]
    sessions: u32,
    /// Messages of metrics that a trial sends before its result
    #[arg(long, default_value_t = 0)]
    messages: u64,
    /// Points in each
    #[arg(long, default_value_t = 0)]
    points: u64,
    /// How long a trial lasts on average
    #[arg(long, default_value_t = 0)]
    trial_ms: u64,
}

/// Works until standard input ends, then prints the times from each result to the next lease, in µs.
pub async fn execute(args: CrewArgs) -> Result<(), Failure> {
    let mut sessions = JoinSet::new();
    let (times, mut measured) = mpsc::unbounded_channel();
    let mut connection = None;
    for index in 0..args.sessions {
        if index % SESSIONS_PER_CONNECTION == 0 {
            connection = Some(connect(&args.join).await.map_err(Failure::bad_input)?);
        }
        let Some(connection) = connection.clone() else { continue };
        let member = Member {
            id: format!("{}-{index}", args.name),
            messages: args.messages,
            points: args.points,
            trial_ms: args.trial_ms,
            seq: 0,
            acked: 0,
            freed: None,
            times: times.clone(),
        };
        sessions.spawn(member.work(connection));
    }
    drop(times);
    // Whatever ends it, the times that were measured are printed.
    _ = leave::wishes(true).wait_for(|wish| *wish == Leave::Now).await;
    sessions.shutdown().await;
    let mut micros = Vec::new();
    while let Ok(time) = measured.try_recv() {
        micros.push(time);
    }
    output::write(&(serde_json::to_string(&micros)? + "\n"))
}

struct Member {
    id: String,
    messages: u64,
    points: u64,
    /// Mean duration of a trial, in ms.
    trial_ms: u64,
    seq: u64,
    acked: u64,
    /// When the last result was sent.
    freed: Option<Instant>,
    times: mpsc::UnboundedSender<u64>,
}

impl Member {
    async fn work(mut self, connection: Connection) -> Result<(), Failure> {
        let (events, requests) = mpsc::channel(64);
        let hello = Hello {
            protocol_version: PROTOCOL_VERSION,
            worker_id: self.id.clone(),
            name: self.id.clone(),
            slots: 1,
            version: env!("CARGO_PKG_VERSION").into(),
            device: "cpu".into(),
            ..Hello::default()
        };
        send(&events, 0, Event::Hello(hello)).await?;
        let mut commands = WorkerServiceClient::new(connection).session(ReceiverStream::new(requests)).await?.into_inner();
        let mut heartbeat = interval(Duration::from_secs(3));
        loop {
            tokio::select! {
                command = commands.message() => match command?.and_then(|command| command.command) {
                    Some(Command::Lease(lease)) => self.run(lease, &events, &mut commands).await?,
                    Some(Command::Ack(ack)) => self.acked = ack.seq,
                    Some(_) => {}
                    None => return Ok(()),
                },
                _ = heartbeat.tick() => send(&events, 0, Event::Heartbeat(Heartbeat {})).await?,
            }
        }
    }

    async fn run(
        &mut self,
        lease: Lease,
        events: &mpsc::Sender<WorkerEvent>,
        commands: &mut Streaming<CoordinatorCommand>,
    ) -> Result<(), Failure> {
        if let Some(freed) = self.freed.take() {
            // Nobody listens any more where the process is about to end.
            _ = self.times.send(freed.elapsed().as_micros() as u64);
        }
        if self.trial_ms > 0 {
            // By up to half longer or shorter, so that workers do not fall into step.
            let trial = lease.attempt.as_ref().map_or(0, |attempt| attempt.trial);
            let spread = f64::from(trial.wrapping_mul(0x9E37_79B9)) / f64::from(u32::MAX);
            sleep(Duration::from_secs_f64(self.trial_ms as f64 / 1000.0 * (0.5 + spread))).await;
        }
        for message in 0..self.messages {
            let point = |index| MetricPoint { name: "train/lm_loss".into(), step: message * self.points + index, value: 0.5 };
            let step = (message + 1) * self.points;
            let points = (0..self.points).map(point).collect();
            let report = Progress { attempt: lease.attempt.clone(), step, total_steps: step, points, ..Progress::default() };
            self.seq += 1;
            send(events, self.seq, Event::Progress(report)).await?;
            while self.seq - self.acked >= MESSAGES_AHEAD {
                match commands.message().await?.and_then(|command| command.command) {
                    Some(Command::Ack(ack)) => self.acked = ack.seq,
                    Some(_) => {}
                    None => return Ok(()),
                }
            }
        }
        let result = Completed {
            metrics: [(METRIC.to_owned(), 0.5)].into(),
            parameters: parameters(&lease),
            attempt: lease.attempt,
            ..Completed::default()
        };
        self.seq += 1;
        send(events, self.seq, Event::Completed(result)).await?;
        self.freed = Some(Instant::now());
        Ok(())
    }
}

/// What a real worker would count on the model.
fn parameters(lease: &Lease) -> u64 {
    let shape = lease.dataset.clone().and_then(|dataset| Dataset::try_from(dataset).ok()).map(|dataset| dataset.shape());
    let config = config::parse(&lease.config_json).ok();
    config.zip(shape).map_or(0, |(config, shape)| config::size(&config, &shape).parameters)
}

async fn send(events: &mpsc::Sender<WorkerEvent>, seq: u64, event: Event) -> Result<(), Failure> {
    Ok(events.send(WorkerEvent { seq, event: Some(event) }).await?)
}
