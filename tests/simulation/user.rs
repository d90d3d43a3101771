//! The host of a user: submits sweeps, changes their mind, and waits for the end.

use std::{sync::Arc, time::Duration};

use sha2::{Digest, Sha256};
use tinysweep_proto::{
    connect::Connection,
    hex,
    v1::{
        ControlSweepRequest, DataFile, Dataset, ExtendSweepRequest, ListSweepsRequest, PutArtifactRequest, SubmitSweepRequest, Sweep,
        SweepState, SweepVerb, TrialNumbers, artifact_service_client::ArtifactServiceClient, extend_sweep_request::Which,
        sweep_service_client::SweepServiceClient,
    },
};
use tokio::time::{sleep, timeout};
use tonic::Status;

use crate::{
    network,
    scene::{Scene, Weather},
    trainer::METRIC,
};

/// Puzzles of every sweep.
const PUZZLES: &[u8] = b"question,answer\n12.4341.2.4343.1,1234341221434321\n1.3434..21.3.321,1234341221434321\n";
/// Steps of trials that are extended, of twelve.
const EXTENDED_STEPS: u64 = 18;
/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(5);

/// Works until all sweeps have ended.
pub async fn work(scene: Arc<Scene>) -> turmoil::Result {
    let mut user = User { scene, connection: None };
    let dataset = user.dataset().await;
    user.submit(&dataset).await;
    while !user.sweeps().await.iter().any(|sweep| sweep.state() == SweepState::Completed) {
        sleep(Duration::from_millis(500)).await;
    }
    let first = user.sweeps().await.remove(0).id;
    while !user.extend(first.clone()).await {
        user.idle(50, 500).await;
    }
    while user.sweeps().await.iter().any(|sweep| sweep.state() != SweepState::Completed) {
        sleep(Duration::from_millis(500)).await;
    }
    // What was said last is acknowledged too, and on the disk.
    sleep(Duration::from_secs(2)).await;
    user.scene.turns(Weather::Storm);
    for _ in 0..user.scene.plan.sweeps {
        user.submit(&dataset).await;
        user.idle(100, 3000).await;
    }
    while user.scene.weather() == Weather::Storm {
        user.interfere().await;
        user.idle(200, 4000).await;
    }
    while !user.has_all_ended().await {
        sleep(Duration::from_millis(500)).await;
    }
    Ok(())
}

struct User {
    scene: Arc<Scene>,
    connection: Option<Connection>,
}

impl User {
    async fn idle(&self, least_ms: u64, most_ms: u64) {
        sleep(self.scene.ms(least_ms, most_ms)).await;
    }

    /// Calls once; none where no answer came.
    async fn call<T>(&mut self, call: impl AsyncFnOnce(Connection) -> Result<T, Status>) -> Option<T> {
        let connection = match self.connection.take() {
            Some(connection) => connection,
            None => network::connect(network::address()).await.ok()?,
        };
        match timeout(PATIENCE, call(connection.clone())).await {
            Ok(Ok(answer)) => {
                self.connection = Some(connection);
                Some(answer)
            }
            Ok(Err(_)) | Err(_) => None,
        }
    }

    /// Calls until an answer comes.
    async fn insist<T>(&mut self, call: impl AsyncFn(Connection) -> Result<T, Status>) -> T {
        loop {
            match self.call(&call).await {
                Some(answer) => return answer,
                None => self.idle(50, 1000).await,
            }
        }
    }

    async fn dataset(&mut self) -> Dataset {
        let (sha256, bytes) = (hex(&Sha256::digest(PUZZLES)), PUZZLES.len() as u64);
        let message = PutArtifactRequest { sha256: sha256.clone(), bytes, chunk: PUZZLES.to_vec() };
        self.insist(async |connection| {
            ArtifactServiceClient::new(connection).put_artifact(tokio_stream::iter([message.clone()])).await.map(drop)
        })
        .await;
        let file = DataFile { origin: "here".into(), format: "csv".into(), sha256, bytes, examples: 2 };
        Dataset {
            benchmark: "sudoku-4x4".into(),
            task: "sudoku-4x4".into(),
            proxy: false,
            puzzle_identifiers: 1,
            train: Some(file.clone()),
            test: Some(file),
        }
    }

    /// Submits a sweep; where answers are lost it may be stored more than once.
    async fn submit(&mut self, dataset: &Dataset) {
        let yaml = yaml(&self.scene);
        let request = SubmitSweepRequest { yaml, file_name: "simulated.yaml".into(), dataset: Some(dataset.clone()) };
        self.insist(async |connection| SweepServiceClient::new(connection).submit_sweep(request.clone()).await.map(drop)).await;
    }

    async fn sweeps(&mut self) -> Vec<Sweep> {
        self.insist(async |connection| Ok(SweepServiceClient::new(connection).list_sweeps(ListSweepsRequest {}).await?.into_inner().sweeps))
            .await
    }

    /// Does anything to any sweep but the first; whether that arrives is the coordinator's affair.
    async fn interfere(&mut self) {
        let sweeps = self.sweeps().await;
        let verbs = [SweepVerb::Pause, SweepVerb::Resume, SweepVerb::Resume, SweepVerb::Retry, SweepVerb::Stop, SweepVerb::Cancel];
        let verb = verbs[self.scene.below(verbs.len() as u64) as usize];
        // The newest are the first.
        let choices = (sweeps.len() as u64).saturating_sub(1);
        if choices > 0 && self.scene.below(2) == 0 {
            let sweep = sweeps[self.scene.below(choices) as usize].id.clone();
            if self.scene.below(3) == 0 {
                self.extend(sweep).await;
            } else {
                self.control(sweep, verb).await;
            }
        }
    }

    async fn control(&mut self, sweep: String, verb: SweepVerb) {
        let request = ControlSweepRequest { sweep, verb: verb.into() };
        self.call(async |connection| SweepServiceClient::new(connection).control_sweep(request).await.map(drop)).await;
    }

    /// Extends both trials of a sweep at once, so that extensions have the same numbers in every sweep. Refused until both have results.
    async fn extend(&mut self, sweep: String) -> bool {
        let which = Some(Which::Trials(TrialNumbers { numbers: vec![0, 1] }));
        let request = ExtendSweepRequest { sweep, steps: EXTENDED_STEPS, which };
        self.call(async |connection| SweepServiceClient::new(connection).extend_sweep(request).await.map(drop)).await.is_some()
    }

    async fn has_all_ended(&mut self) -> bool {
        let mut all = true;
        for sweep in self.sweeps().await {
            match sweep.state() {
                SweepState::Paused => self.control(sweep.id, SweepVerb::Resume).await,
                SweepState::Running | SweepState::Stopping => {}
                _ => continue,
            }
            all = false;
        }
        all
    }
}

fn yaml(scene: &Scene) -> String {
    let plan = &scene.plan;
    let timeout = if plan.timeout_secs > 0 { format!("timeout_secs: {}\n", plan.timeout_secs) } else { String::new() };
    format!(
        "name: simulated\nbenchmark: sudoku-4x4\nmethod: grid\nmetric: {{name: {METRIC}, goal: maximize}}\n\
         replicates: {}\ncheckpoint_secs: {}\n{timeout}\
         retry: {{backoff_secs: 1, max_backoff_secs: 4, on: {{timeout: anywhere, other: anywhere}}}}\n\
         config: {{hidden_size: 16, num_heads: 2, h_cycles: 1, l_cycles: 1, puzzle_emb_len: 0, puzzle_emb_ndim: 0, inner_multiple: 16, \
         train: {{steps: 12, batch_size: 8, lr: 1e-3, warmup_steps: 5, ema_rate: 0.9}}}}\n\
         parameters:\n  halt_max_steps: {{values: [1, 2]}}\n",
        plan.replicates, plan.checkpoint_secs
    )
}
