//! `tinysweep sweeps`: all sweeps, the newest first.

use clap::Args;
use serde::Serialize;
use serde_json::json;
use tinysweep_proto::v1::{ListSweepsRequest, Sweep};

use crate::{
    client::{Client, CoordinatorArgs, refused, request},
    failure::Failure,
    output::{self, Format, Table},
    progress::state_name,
};

/// Arguments of `sweeps`.
#[derive(Args, Debug)]
pub struct SweepsArgs {
    #[command(flatten)]
    coordinator: CoordinatorArgs,
    /// How sweeps are printed
    #[arg(long, value_enum, env = "TINYSWEEP_OUTPUT", default_value = "table")]
    output: Format,
}

/// Prints the sweeps.
pub async fn execute(args: SweepsArgs) -> Result<(), Failure> {
    let client = Client::connect(&args.coordinator.coordinator).await?;
    let sweeps = client.sweeps().list_sweeps(request(ListSweepsRequest {})).await.map_err(refused)?.into_inner().sweeps;
    let views: Vec<_> = sweeps.iter().map(SweepView::from).collect();
    let headers = vec!["sweep", "name", "benchmark", "state", ">trials", ">queued", ">running", ">completed", ">failed", ">cancelled"];
    let rows = views.iter().map(SweepView::cells).collect();
    output::print(args.output, &Table { headers, rows }, &json!({ "sweeps": views }))
}

/// A sweep's JSON form. Counts are of replicates. Stable: fields are added, never changed.
#[derive(Serialize)]
pub struct SweepView<'a> {
    sweep: &'a str,
    name: &'a str,
    benchmark: &'a str,
    state: &'static str,
    method: &'a str,
    metric: &'a str,
    goal: &'a str,
    trials: u32,
    queued: u32,
    running: u32,
    completed: u32,
    failed: u32,
    cancelled: u32,
    created_ms: i64,
    ended_ms: Option<i64>,
    priority: i32,
    share: u32,
    max_parallel: Option<u32>,
    /// What its trials run; none for the built-in models.
    program: Option<ProgramView<'a>>,
}

/// A program's JSON form.
#[derive(Serialize)]
struct ProgramView<'a> {
    /// What `${program}` stands for.
    program: &'a str,
    /// Its macros are not expanded.
    command: &'a [String],
}

impl<'a> From<&'a Sweep> for SweepView<'a> {
    fn from(sweep: &'a Sweep) -> Self {
        Self {
            sweep: &sweep.id,
            name: &sweep.name,
            benchmark: &sweep.benchmark,
            state: state_name(sweep.state()),
            method: &sweep.method,
            metric: &sweep.metric,
            goal: &sweep.goal,
            trials: sweep.trials,
            queued: sweep.queued,
            running: sweep.running,
            completed: sweep.completed,
            failed: sweep.failed,
            cancelled: sweep.cancelled,
            priority: sweep.priority,
            share: sweep.share,
            max_parallel: sweep.max_parallel,
            program: sweep.program.as_ref().map(|program| ProgramView { program: &program.program, command: &program.command }),
            created_ms: sweep.created_ms,
            ended_ms: sweep.ended_ms,
        }
    }
}

impl SweepView<'_> {
    fn cells(&self) -> Vec<String> {
        let names = [self.sweep, self.name, self.benchmark, self.state].map(ToOwned::to_owned);
        let counts = [self.trials, self.queued, self.running, self.completed, self.failed, self.cancelled].map(|count| count.to_string());
        names.into_iter().chain(counts).collect()
    }
}
