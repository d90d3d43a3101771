//! `tinysweep bench dispatch`: what handing out a trial costs.
//!
//! The coordinator is `tinysweep serve` in a process of its own, on a scratch folder; the workers are processes that speak the worker
//! protocol and have every result at once, so that what is measured is orchestration alone. A trial goes through all that a real one does:
//! queue, plan, lease, result, one durable acknowledgement.

use std::{
    fs,
    path::Path,
    process::Stdio,
    time::{Duration, Instant},
};

use clap::Args;
use serde::Serialize;
use tinysweep_coordinator::rehearsal;
use tinysweep_proto::{
    address::Address,
    v1::{GetLeaderboardRequest, GetSweepRequest, ListTrialsRequest, ListWorkersRequest, Sweep, SweepState},
};
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, BufReader},
    process::{Child, Command},
    time::sleep,
};

use super::{figures, process};
use crate::{
    client::{Client, refused, request},
    failure::Failure,
    output::{self, Format},
    sweep_file::SweepFile,
};

/// Processes that the simulated workers are spread over.
const PROCESSES: u32 = 4;
/// Metric points of a stored trial.
const STORED_POINTS: u32 = 100;
/// How often leases are asked for where their time is measured: a rate at which none waits for another.
const LEASES_PER_S: u32 = 200;
/// For how long that is measured.
const LEASE_SECONDS: u32 = 10;
/// Workers, messages and points of the measurement of metrics.
const METRICS: (u32, u64, u64) = (8, 100, 500);
/// Calls of which each view's time is the median.
const CALLS: usize = 7;
/// Nothing takes longer, but for the filling of the store.
const PATIENCE: Duration = Duration::from_secs(600);

/// Arguments of `bench dispatch`.
#[derive(Args, Debug)]
pub struct DispatchArgs {
    /// Simulated workers, of one slot each
    #[arg(long, env = "TINYSWEEP_BENCH_WORKERS", default_value_t = 8, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    workers: u32,
    /// Trials to hand out
    #[arg(long, env = "TINYSWEEP_BENCH_TRIALS", default_value_t = 5000, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    trials: u32,
    /// Trials that the store has already, with 100 metric points each
    #[arg(long, env = "TINYSWEEP_BENCH_STORED", default_value_t = 0, value_parser = clap::value_parser!(u32).range(..=1_000_000))]
    stored: u32,
    /// How the figures are printed
    #[arg(long, value_enum, env = "TINYSWEEP_OUTPUT", default_value = "table")]
    output: Format,
}

/// What was measured. Stable: fields are added, never changed.
#[derive(Debug, Serialize)]
struct Figures {
    workers: u32,
    trials: u32,
    stored: u32,
    /// From submission to the end of the sweep, by the coordinator's clock.
    trials_per_s: f64,
    /// From sending a result to receiving the next lease, on the worker, while 200 leases a second are asked for.
    lease_ms_p50: f64,
    lease_ms_p99: f64,
    /// Points of 8 workers, in messages of 500, sent to stored.
    metric_points_per_s: f64,
    /// The most memory that the coordinator ever had (`VmHWM`).
    coordinator_rss_mib: f64,
    /// Medians of the answers that `leaderboard`, `show` and the first page of `trials` wait for; of the stored sweep, if there is one.
    leaderboard_ms: f64,
    sweep_view_ms: f64,
    trials_page_ms: f64,
}

/// Measures, and prints the figures.
pub async fn execute(args: DispatchArgs) -> Result<(), Failure> {
    let folder = tempfile::tempdir()?;
    let data_dir = folder.path().join("data");
    if args.stored > 0 {
        fill(&args, &data_dir, folder.path()).await?;
    }
    let coordinator = Coordinator::start(&data_dir).await?;
    let client = Client::connect(&coordinator.address).await?;
    let crew = Crew::start(&coordinator.address, "worker", args.workers, &[]).await?;
    crew.wait_until_here(&client).await?;
    let sweep = finish(&client, &sweep_file(folder.path(), args.trials)?).await?;
    crew.times().await?;
    let mut times = measure_leases(&client, &coordinator.address, folder.path(), args.workers).await?;
    let points = measure_points(&client, &coordinator.address, folder.path()).await?;
    let shown = if args.stored > 0 { oldest(&client).await? } else { sweep.id.clone() };
    let figures = Figures {
        workers: args.workers,
        trials: args.trials,
        stored: args.stored,
        trials_per_s: f64::from(args.trials) / seconds(&sweep),
        lease_ms_p50: figures::percentile(&mut times, 0.5),
        lease_ms_p99: figures::percentile(&mut times, 0.99),
        metric_points_per_s: points,
        coordinator_rss_mib: process::peak_mib(coordinator.process.id()),
        leaderboard_ms: time(|| async {
            let wanted = GetLeaderboardRequest { sweep: shown.clone(), limit: 100, ..GetLeaderboardRequest::default() };
            client.sweeps().get_leaderboard(request(wanted)).await.map(drop)
        })
        .await?,
        sweep_view_ms: time(|| async { client.sweeps().get_sweep(request(GetSweepRequest { sweep: shown.clone() })).await.map(drop) })
            .await?,
        trials_page_ms: time(|| async {
            let wanted = ListTrialsRequest { sweep: shown.clone(), ..ListTrialsRequest::default() };
            client.sweeps().list_trials(request(wanted)).await.map(drop)
        })
        .await?,
    };
    output::print(args.output, &figures::table(&figures)?, &figures)
}

/// A random sweep of `trials` trials over puzzles that nobody will look at.
fn sweep_file(folder: &Path, trials: u32) -> Result<SweepFile, Failure> {
    let path = folder.join("bench.yaml");
    let yaml = format!(
        "name: bench\nbenchmark: sudoku-4x4\ndata: {{train: 4, test: 2}}\nmethod: random\nrun_cap: {trials}\n\
         metric: {{name: test/exact_accuracy}}\ncheckpoint_secs: 0\nparameters:\n  train.lr: {{min: 0.0001, max: 0.01}}\n"
    );
    fs::write(&path, yaml)?;
    SweepFile::load(&path)
}

/// Submits the sweep, and waits for its end.
async fn finish(client: &Client, file: &SweepFile) -> Result<Sweep, Failure> {
    let (submitted, _) = file.submit(client).await?;
    let deadline = Instant::now() + PATIENCE;
    loop {
        let wanted = GetSweepRequest { sweep: submitted.id.clone() };
        let sweep = client.sweeps().get_sweep(request(wanted)).await.map_err(refused)?.into_inner().sweep.unwrap_or_default();
        if sweep.state() == SweepState::Completed {
            return Ok(sweep);
        }
        if Instant::now() > deadline {
            return Err(anyhow::anyhow!("after {PATIENCE:?} only {} of {} trials were done", sweep.completed, sweep.trials).into());
        }
        sleep(Duration::from_millis(50)).await;
    }
}

fn seconds(sweep: &Sweep) -> f64 {
    (sweep.ended_ms.unwrap_or(sweep.created_ms) - sweep.created_ms).max(1) as f64 / 1000.0
}

/// Times from a result to the next lease where workers ask [`LEASES_PER_S`] times a second together, in ms.
async fn measure_leases(client: &Client, address: &Address, folder: &Path, workers: u32) -> Result<Vec<f64>, Failure> {
    let trial_ms = (workers * 1000 / LEASES_PER_S).max(1).to_string();
    let crew = Crew::start(address, "asker", workers, &["--trial-ms", &trial_ms]).await?;
    crew.wait_until_here(client).await?;
    finish(client, &sweep_file(folder, LEASES_PER_S * LEASE_SECONDS + workers)?).await?;
    Ok(crew.times().await?.into_iter().map(|micros| micros as f64 / 1e3).collect())
}

async fn measure_points(client: &Client, address: &Address, folder: &Path) -> Result<f64, Failure> {
    let (workers, messages, points) = METRICS;
    let arguments = ["--messages", &messages.to_string(), "--points", &points.to_string()];
    let crew = Crew::start(address, "reporter", workers, &arguments).await?;
    crew.wait_until_here(client).await?;
    let sweep = finish(client, &sweep_file(folder, workers)?).await?;
    crew.times().await?;
    Ok((u64::from(workers) * messages * points) as f64 / seconds(&sweep))
}

async fn oldest(client: &Client) -> Result<String, Failure> {
    let sweeps = client.sweeps().list_sweeps(request(Default::default())).await.map_err(refused)?.into_inner().sweeps;
    Ok(sweeps.into_iter().next_back().unwrap_or_default().id)
}

/// Median time of a call, in ms.
async fn time<F: Future<Output = Result<(), tonic::Status>>>(call: impl Fn() -> F) -> Result<f64, Failure> {
    let mut times = Vec::new();
    for _ in 0..CALLS {
        let start = Instant::now();
        call().await.map_err(refused)?;
        times.push(start.elapsed().as_secs_f64() * 1e3);
    }
    Ok(figures::percentile(&mut times, 0.5))
}

/// Lets the coordinator take the sweep and its data as usual, and then makes all of it done.
async fn fill(args: &DispatchArgs, data_dir: &Path, folder: &Path) -> Result<(), Failure> {
    let start = Instant::now();
    let mut coordinator = Coordinator::start(data_dir).await?;
    let client = Client::connect(&coordinator.address).await?;
    sweep_file(folder, args.stored)?.submit(&client).await?;
    coordinator.stop().await?;
    rehearsal::complete_everything(data_dir, STORED_POINTS).await?;
    eprintln!(
        "the store has {} trials and {} metric points after {:.0} s",
        args.stored,
        args.stored * STORED_POINTS,
        start.elapsed().as_secs_f64()
    );
    Ok(())
}

struct Coordinator {
    process: Child,
    address: Address,
}

impl Coordinator {
    async fn start(data_dir: &Path) -> Result<Self, Failure> {
        let mut process = Command::new(std::env::current_exe()?)
            .args(["--log", "error", "serve", "--listen", "127.0.0.1:0", "--data-dir"])
            .arg(data_dir)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()?;
        let stdout = process.stdout.take().ok_or_else(|| anyhow::anyhow!("the coordinator has no output"))?;
        let mut greeting = String::new();
        BufReader::new(stdout).read_line(&mut greeting).await?;
        let address = greeting.trim().strip_prefix("coordinator on ").map(|address| format!("http://{address}").parse());
        match address {
            Some(Ok(address)) => Ok(Self { process, address }),
            _ => Err(anyhow::anyhow!("the coordinator did not start; it said {greeting:?}").into()),
        }
    }

    /// What it has committed survives this.
    async fn stop(&mut self) -> Result<(), Failure> {
        Ok(self.process.kill().await?)
    }
}

/// Processes of simulated workers.
struct Crew {
    processes: Vec<Child>,
    workers: u32,
    name: String,
}

impl Crew {
    async fn start(address: &Address, name: &str, workers: u32, arguments: &[&str]) -> Result<Self, Failure> {
        let count = PROCESSES.min(workers);
        let mut processes = Vec::new();
        for index in 0..count {
            let sessions = workers / count + u32::from(index < workers % count);
            let process = Command::new(std::env::current_exe()?)
                .args(["--log", "error", "bench", "crew", "--join", &address.to_string(), "--name", &format!("{name}-{index}")])
                .args(["--sessions", &sessions.to_string()])
                .args(arguments)
                .stdin(Stdio::piped())
                .stdout(Stdio::piped())
                .kill_on_drop(true)
                .spawn()?;
            processes.push(process);
        }
        Ok(Self { processes, workers, name: name.to_owned() })
    }

    async fn wait_until_here(&self, client: &Client) -> Result<(), Failure> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let workers = client.sweeps().list_workers(request(ListWorkersRequest {})).await.map_err(refused)?.into_inner().workers;
            let here = workers.iter().filter(|worker| worker.state == "connected" && worker.name.starts_with(&self.name)).count();
            if here == self.workers as usize {
                return Ok(());
            }
            if Instant::now() > deadline {
                return Err(anyhow::anyhow!("only {here} of {} workers came", self.workers).into());
            }
            sleep(Duration::from_millis(50)).await;
        }
    }

    /// Sends the workers home, and gives the times that they have measured, in µs.
    async fn times(self) -> Result<Vec<u64>, Failure> {
        let mut times = Vec::new();
        for mut process in self.processes {
            drop(process.stdin.take());
            let mut printed = String::new();
            if let Some(mut stdout) = process.stdout.take() {
                stdout.read_to_string(&mut printed).await?;
            }
            process.wait().await?;
            times.extend(serde_json::from_str::<Vec<u64>>(&printed)?);
        }
        Ok(times)
    }
}
