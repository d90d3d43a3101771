//! `tinysweep workers`: workers that are, or have been, connected.

use std::collections::BTreeMap;

use clap::Args;
use serde::Serialize;
use serde_json::json;
use tinysweep_proto::v1::{ListWorkersRequest, Worker};

use crate::{
    client::{Client, CoordinatorArgs, refused, request},
    failure::Failure,
    output::{self, Format, Table},
};

/// Arguments of `workers`.
#[derive(Args, Debug)]
pub struct WorkersArgs {
    #[command(flatten)]
    coordinator: CoordinatorArgs,
    /// How workers are printed
    #[arg(long, value_enum, env = "TINYSWEEP_OUTPUT", default_value = "table")]
    output: Format,
}

/// Prints the workers.
pub async fn execute(args: WorkersArgs) -> Result<(), Failure> {
    let client = Client::connect(&args.coordinator.coordinator).await?;
    let workers = client.sweeps().list_workers(request(ListWorkersRequest {})).await.map_err(refused)?.into_inner().workers;
    let views: Vec<_> = workers.iter().map(WorkerView::from).collect();
    let headers = vec!["worker", "name", "state", ">slots", ">running", "version", "commands", "withheld"];
    let rows = views.iter().map(WorkerView::cells).collect();
    output::print(args.output, &Table { headers, rows }, &json!({ "workers": views }))
}

/// A worker's JSON form. Stable: fields are added, never changed.
#[derive(Serialize)]
struct WorkerView<'a> {
    worker: &'a str,
    name: &'a str,
    state: &'a str,
    slots: u32,
    running: u32,
    version: &'a str,
    last_seen_ms: i64,
    device: &'a str,
    memory_mib: u64,
    labels: BTreeMap<&'a str, &'a str>,
    /// Whether its owner lets sweeps run programs on it.
    commands: bool,
    /// Why it gets no work now.
    withheld: &'a str,
}

impl<'a> From<&'a Worker> for WorkerView<'a> {
    fn from(worker: &'a Worker) -> Self {
        let Worker { id, name, state, slots, running, version, last_seen_ms, withheld, labels, device, memory_mib, commands } = worker;
        Self {
            worker: id,
            name,
            state,
            slots: *slots,
            running: *running,
            version,
            last_seen_ms: *last_seen_ms,
            device,
            memory_mib: *memory_mib,
            commands: *commands,
            labels: labels.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect(),
            withheld,
        }
    }
}

impl WorkerView<'_> {
    fn cells(&self) -> Vec<String> {
        let (slots, running) = (self.slots.to_string(), self.running.to_string());
        let commands = if self.commands { "allowed" } else { "" };
        [self.worker, self.name, self.state, &slots, &running, self.version, commands, self.withheld].map(ToOwned::to_owned).into()
    }
}
