//! `tinysweep cancel`: ends a sweep now.

use clap::Args;
use tinysweep_proto::v1::CancelSweepRequest;

use crate::{
    client::{Client, CoordinatorArgs, refused, request},
    failure::Failure,
    output,
};

/// Arguments of `cancel`.
#[derive(Args, Debug)]
pub struct CancelArgs {
    /// The sweep's id, or the beginning of it; no default, since there is no way back
    #[arg(value_parser = clap::builder::NonEmptyStringValueParser::new())]
    sweep: String,
    #[command(flatten)]
    coordinator: CoordinatorArgs,
}

/// Cancels the sweep and says what remains of it.
pub async fn execute(args: CancelArgs) -> Result<(), Failure> {
    let client = Client::connect(&args.coordinator.coordinator).await?;
    let wanted = CancelSweepRequest { sweep: args.sweep };
    let sweep = client.sweeps().cancel_sweep(request(wanted)).await.map_err(refused)?.into_inner().sweep.unwrap_or_default();
    output::write(&format!("cancelled sweep {}: {} completed trials stay, {} were cancelled\n", sweep.id, sweep.completed, sweep.cancelled))
}
