//! A coordinator in a scratch directory, and workers that do what a test tells them.

use std::{collections::VecDeque, path::Path, time::Duration};

use sha2::{Digest, Sha256};
use tempfile::TempDir;
use tinysweep_coordinator::server::{Coordinator, Settings};
use tinysweep_proto::{
    PROTOCOL_VERSION,
    address::Address,
    connect::{Connection, connect},
    hex,
    v1::{
        AttemptRef, Completed, ControlSweepRequest, CoordinatorCommand, DataFile, Dataset, ExplainTrialRequest, Failed, FailureKind,
        GetLeaderboardRequest, GetSweepRequest, GetTrialRequest, GetTrialResponse, Goodbye, Heartbeat, Hello, Leaderboard, Lease,
        ListWorkersRequest, MetricPoint, Progress, PutArtifactRequest, Series, Stop, SubmitSweepRequest, Sweep, SweepVerb,
        Worker as WorkerMessage, WorkerEvent, artifact_service_client::ArtifactServiceClient, coordinator_command::Command,
        sweep_service_client::SweepServiceClient, worker_event::Event, worker_service_client::WorkerServiceClient,
    },
};
use tokio::{
    sync::{mpsc, oneshot},
    task::JoinHandle,
    time::timeout,
};
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Code, Status, Streaming};

/// Longer than anything here takes; a test that waits so long has failed.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// Silence after which workers count as lost, in tests about that. In others no worker may be lost, however slow the machine.
pub const SHORT_LEASE: Duration = Duration::from_secs(1);

pub const METRIC: &str = "test/exact_accuracy";

/// A coordinator that never takes a silent worker for lost.
pub fn settings(data_dir: &Path) -> Settings {
    Settings { listen: ([127, 0, 0, 1], 0).into(), lease_secs: 300, heartbeat_secs: 1, ..Settings::new(data_dir.into()) }
}

/// A coordinator that soon does.
pub fn impatient(data_dir: &Path) -> Settings {
    Settings { lease_secs: SHORT_LEASE.as_secs() as u32, ..settings(data_dir) }
}

/// A running coordinator.
pub struct Running {
    pub address: Address,
    stop: oneshot::Sender<()>,
    served: JoinHandle<()>,
}

impl Running {
    pub async fn start(settings: Settings) -> Self {
        let token = settings.token.clone();
        let coordinator = Coordinator::bind(settings).await.unwrap();
        let local = coordinator.local_addr();
        let (stop, stopped) = oneshot::channel();
        let served = tokio::spawn(async move { coordinator.run(async { stopped.await.unwrap() }).await.unwrap() });
        Self { address: Address { host: local.ip().to_string(), port: local.port(), token }, stop, served }
    }

    pub async fn stop(self) {
        self.stop.send(()).unwrap();
        timeout(PATIENCE, self.served).await.unwrap().unwrap();
    }

    pub async fn client(&self) -> Client {
        Client(connect(&self.address).await.unwrap())
    }

    pub async fn worker(&self, id: &str, slots: u32) -> Worker {
        Worker::join(self, id, slots, vec![]).await.unwrap()
    }
}

/// A coordinator in a scratch directory, with a sweep of `trials` trials and `replicates` replicates each.
pub async fn with_sweep(trials: u32, replicates: u32) -> (TempDir, Running, Client, String) {
    with_sweep_under(settings, trials, replicates).await
}

/// The same with a replicate each, and further lines of YAML.
pub async fn with_lines(trials: u32, lines: &str) -> (TempDir, Running, Client, String) {
    let folder = tempfile::tempdir().unwrap();
    let running = Running::start(settings(folder.path())).await;
    let client = running.client().await;
    let id = client.submit_with(trials, lines).await;
    (folder, running, client, id)
}

/// The same under other settings.
pub async fn with_sweep_under(settings: fn(&Path) -> Settings, trials: u32, replicates: u32) -> (TempDir, Running, Client, String) {
    let folder = tempfile::tempdir().unwrap();
    let running = Running::start(settings(folder.path())).await;
    let client = running.client().await;
    let sweep = client.submit(trials, replicates).await;
    (folder, running, client, sweep.id)
}

/// What a user asks.
#[derive(Clone)]
pub struct Client(pub Connection);

impl Client {
    pub fn sweeps(&self) -> SweepServiceClient<Connection> {
        SweepServiceClient::new(self.0.clone())
    }

    pub fn artifacts(&self) -> ArtifactServiceClient<Connection> {
        ArtifactServiceClient::new(self.0.clone())
    }

    pub async fn put(&self, content: &[u8]) -> String {
        let sha256 = hex(&Sha256::digest(content));
        let message = PutArtifactRequest { sha256: sha256.clone(), bytes: content.len() as u64, chunk: content.to_vec() };
        self.artifacts().put_artifact(tokio_stream::iter([message])).await.unwrap();
        sha256
    }

    pub async fn dataset(&self) -> Dataset {
        let content = b"question,answer\n".as_slice();
        let file = DataFile {
            origin: "test".into(),
            format: "csv".into(),
            sha256: self.put(content).await,
            bytes: content.len() as u64,
            examples: 20,
        };
        Dataset {
            benchmark: "sudoku-4x4".into(),
            task: "sudoku-4x4".into(),
            proxy: false,
            puzzle_identifiers: 1,
            train: Some(file.clone()),
            test: Some(file),
        }
    }

    pub async fn try_submit(&self, yaml: String, dataset: Dataset) -> Result<Sweep, Status> {
        let request = SubmitSweepRequest { yaml, file_name: "sweep.yaml".into(), dataset: Some(dataset) };
        Ok(self.sweeps().submit_sweep(request).await?.into_inner().sweep.unwrap())
    }

    pub async fn submit(&self, trials: u32, replicates: u32) -> Sweep {
        let dataset = self.dataset().await;
        self.try_submit(yaml(trials, replicates), dataset).await.unwrap()
    }

    pub async fn sweep(&self, id: &str) -> Sweep {
        self.sweeps().get_sweep(GetSweepRequest { sweep: id.into() }).await.unwrap().into_inner().sweep.unwrap()
    }

    pub async fn trial(&self, sweep: &str, trial: u32) -> GetTrialResponse {
        self.sweeps().get_trial(GetTrialRequest { sweep: sweep.into(), trial }).await.unwrap().into_inner()
    }

    /// Submits a sweep of `trials` trials with further lines of YAML.
    pub async fn submit_with(&self, trials: u32, lines: &str) -> String {
        let dataset = self.dataset().await;
        self.try_submit(yaml(trials, 1) + lines, dataset).await.unwrap().id
    }

    /// What is said of the first replicate of a trial.
    pub async fn explain(&self, sweep: &str, trial: u32) -> Vec<String> {
        let request = ExplainTrialRequest { sweep: sweep.into(), trial };
        self.sweeps().explain_trial(request).await.unwrap().into_inner().replicates.remove(0).sentences
    }

    pub async fn cancel(&self, sweep: &str) -> Result<Sweep, Status> {
        self.control(sweep, SweepVerb::Cancel).await
    }

    pub async fn control(&self, sweep: &str, verb: SweepVerb) -> Result<Sweep, Status> {
        let request = ControlSweepRequest { sweep: sweep.into(), verb: verb.into() };
        Ok(self.sweeps().control_sweep(request).await?.into_inner().sweep.unwrap())
    }

    pub async fn leaderboard(&self, sweep: &str) -> Leaderboard {
        let request = GetLeaderboardRequest { sweep: sweep.into(), benchmark: String::new(), ..Default::default() };
        self.sweeps().get_leaderboard(request).await.unwrap().into_inner()
    }

    pub async fn workers(&self) -> Vec<WorkerMessage> {
        self.sweeps().list_workers(ListWorkersRequest {}).await.unwrap().into_inner().workers
    }

    /// Asks for the sweep until `done`.
    pub async fn until(&self, id: &str, done: impl Fn(&Sweep) -> bool) -> Sweep {
        let asked = async {
            loop {
                let sweep = self.sweep(id).await;
                if done(&sweep) {
                    return sweep;
                }
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        timeout(PATIENCE, asked).await.expect("the sweep gets there")
    }
}

pub fn yaml(trials: u32, replicates: u32) -> String {
    let steps: Vec<_> = (1..=trials).map(|steps| steps.to_string()).collect();
    format!(
        "name: test\nbenchmark: sudoku-4x4\nmethod: grid\nmetric: {{name: {METRIC}, goal: maximize}}\nreplicates: {replicates}\n\
         parameters:\n  halt_max_steps: {{values: [{}]}}\n",
        steps.join(", ")
    )
}

/// A worker that does what a test tells it.
pub struct Worker {
    pub seq: u64,
    events: mpsc::Sender<WorkerEvent>,
    commands: Streaming<CoordinatorCommand>,
    /// The last acknowledgement; it may come before or after the commands that follow from the event.
    acked: u64,
    /// Commands that came while an acknowledgement was awaited.
    held: VecDeque<Command>,
}

pub fn hello(id: &str, slots: u32, running: Vec<AttemptRef>) -> Hello {
    Hello {
        protocol_version: PROTOCOL_VERSION,
        worker_id: id.into(),
        name: format!("name of {id}"),
        slots,
        version: "0".into(),
        running,
        ..Hello::default()
    }
}

impl Worker {
    /// Opens a stream with `first` and waits for no answer.
    pub async fn open(running: &Running, first: Event) -> Result<Self, Status> {
        let connection = connect(&running.address).await.unwrap();
        let (events, requests) = mpsc::channel(64);
        events.send(WorkerEvent { seq: 0, event: Some(first) }).await.unwrap();
        let commands = WorkerServiceClient::new(connection).session(ReceiverStream::new(requests)).await?.into_inner();
        Ok(Self { seq: 0, events, commands, acked: 0, held: VecDeque::new() })
    }

    /// Says hello and waits for the welcome.
    pub async fn join(running: &Running, id: &str, slots: u32, claimed: Vec<AttemptRef>) -> Result<Self, Status> {
        let mut worker = Self::open(running, Event::Hello(hello(id, slots, claimed))).await?;
        match worker.command().await? {
            Some(Command::Welcome(welcome)) => {
                assert_eq!(welcome.heartbeat_secs, 1);
                Ok(worker)
            }
            other => panic!("no welcome but {other:?}"),
        }
    }

    /// The next command that is neither a ping nor an acknowledgement, which is noted.
    pub async fn command(&mut self) -> Result<Option<Command>, Status> {
        if let Some(held) = self.held.pop_front() {
            return Ok(Some(held));
        }
        loop {
            match self.message().await? {
                Some(Command::Ping(_)) => {}
                Some(Command::Ack(ack)) => self.acked = ack.seq,
                other => return Ok(other),
            }
        }
    }

    async fn message(&mut self) -> Result<Option<Command>, Status> {
        let message = timeout(PATIENCE, self.commands.message()).await.expect("a command comes")?;
        Ok(message.map(|message| message.command.unwrap()))
    }

    pub async fn lease(&mut self) -> Lease {
        match self.command().await.unwrap() {
            Some(Command::Lease(lease)) => lease,
            other => panic!("no lease but {other:?}"),
        }
    }

    pub async fn stop(&mut self) -> Stop {
        match self.command().await.unwrap() {
            Some(Command::Stop(stop)) => stop,
            other => panic!("no stop but {other:?}"),
        }
    }

    /// Waits until the coordinator has all events.
    pub async fn acknowledged(&mut self) {
        while self.acked < self.seq {
            match self.message().await.unwrap().expect("an acknowledgement comes") {
                Command::Ack(ack) => self.acked = ack.seq,
                Command::Ping(_) => {}
                other => self.held.push_back(other),
            }
        }
        assert_eq!(self.acked, self.seq);
    }

    /// The status with which the coordinator ends the stream.
    pub async fn ended(&mut self) -> Status {
        loop {
            match self.command().await {
                Ok(Some(_)) => {}
                Ok(None) => return Status::ok("closed"),
                Err(status) => return status,
            }
        }
    }

    /// No command but pings comes for a while.
    pub async fn expect_nothing(&mut self) {
        let command = timeout(Duration::from_millis(150), self.command()).await;
        assert!(command.is_err(), "nothing should come, not {command:?}");
    }

    pub async fn send_numbered(&mut self, seq: u64, event: Event) {
        self.events.send(WorkerEvent { seq, event: Some(event) }).await.unwrap();
    }

    pub async fn send(&mut self, event: Event) {
        self.seq += 1;
        self.send_numbered(self.seq, event).await;
    }

    pub async fn heartbeat(&mut self) {
        self.send_numbered(0, Event::Heartbeat(Heartbeat {})).await;
    }

    pub async fn goodbye(&mut self) {
        self.send(Event::Goodbye(Goodbye {})).await;
    }
}

pub fn name(lease: &Lease) -> AttemptRef {
    lease.attempt.clone().unwrap()
}

pub fn progress(lease: &Lease, step: u64, points: &[(&str, f64)]) -> Event {
    let points = points.iter().map(|(name, value)| MetricPoint { name: (*name).into(), step, value: *value }).collect();
    Event::Progress(Progress {
        attempt: lease.attempt.clone(),
        step,
        total_steps: 100,
        points,
        seconds_left: Some(2.5),
        ..Progress::default()
    })
}

pub fn completed(lease: &Lease, value: f64) -> Event {
    Event::Completed(Completed {
        attempt: lease.attempt.clone(),
        metrics: [(METRIC.to_owned(), value)].into(),
        metrics_by_step: vec![Series { name: METRIC.into(), values: vec![value / 2.0, value] }],
        wall_seconds: 3.0,
        checkpoint: "host:/checkpoint".into(),
        parameters: 1,
        cost: None,
    })
}

pub fn failed(lease: &Lease, kind: FailureKind, message: &str) -> Event {
    Event::Failed(Failed { attempt: lease.attempt.clone(), kind: kind.into(), message: message.into(), cost: None })
}

pub fn code_of<T: std::fmt::Debug>(result: Result<T, Status>) -> Code {
    result.unwrap_err().code()
}
