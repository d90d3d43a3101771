//! `tinysweep drain`: sends a worker home without losing what it does.

use clap::Args;
use tinysweep_proto::v1::DrainWorkerRequest;

use crate::{
    client::{Client, CoordinatorArgs, refused, request},
    failure::Failure,
    output,
};

/// Arguments of `drain`.
#[derive(Args, Debug)]
pub struct DrainArgs {
    /// Name or id of the worker, or a unique beginning of either
    #[arg(value_parser = clap::builder::NonEmptyStringValueParser::new())]
    worker: String,
    #[command(flatten)]
    coordinator: CoordinatorArgs,
}

/// Tells the worker to checkpoint what it runs, hand it back and leave.
pub async fn execute(args: DrainArgs) -> Result<(), Failure> {
    let client = Client::connect(&args.coordinator.coordinator).await?;
    let wanted = DrainWorkerRequest { worker: args.worker };
    let worker = client.sweeps().drain_worker(request(wanted)).await.map_err(refused)?.into_inner().worker.unwrap_or_default();
    output::write(&format!("worker {} takes no more leases; what it runs is checkpointed and handed back\n", worker.name))
}
