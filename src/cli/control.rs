//! `tinysweep pause`, `resume`, `stop`, `cancel`, `retry` and `set`: what users do to sweeps that exist.

use clap::Args;
use tinysweep_proto::v1::{ControlSweepRequest, Sweep, SweepVerb, UpdateSweepRequest, update_sweep_request::Parallel};

use crate::{
    client::{Client, CoordinatorArgs, refused, request},
    failure::Failure,
    output,
    progress::state_name,
};

/// Arguments of `pause`, `resume` and `retry`, which can be undone.
#[derive(Args, Debug)]
pub struct SweepArgs {
    /// The sweep's id, or the beginning of it [default: the newest sweep]
    #[arg(default_value = "")]
    sweep: String,
    #[command(flatten)]
    coordinator: CoordinatorArgs,
}

/// Arguments of `stop` and `cancel`.
#[derive(Args, Debug)]
pub struct EndArgs {
    /// The sweep's id, or the beginning of it; no default, since there is no way back
    #[arg(value_parser = clap::builder::NonEmptyStringValueParser::new())]
    sweep: String,
    #[command(flatten)]
    coordinator: CoordinatorArgs,
}

impl From<EndArgs> for SweepArgs {
    fn from(EndArgs { sweep, coordinator }: EndArgs) -> Self {
        Self { sweep, coordinator }
    }
}

/// Arguments of `set`.
#[derive(Args, Debug)]
#[group(id = "changes", required = true, multiple = true, args = ["priority", "share", "max_parallel"])]
pub struct SetArgs {
    /// The sweep's id, or the beginning of it [default: the newest sweep]
    #[arg(default_value = "")]
    sweep: String,
    /// Sweeps of higher priority go first
    #[arg(long, allow_negative_numbers = true)]
    priority: Option<i32>,
    /// Sweeps of one priority have slots in proportion to their shares
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..))]
    share: Option<u32>,
    /// The most replicates that run at once, or `none`
    #[arg(long, value_parser = parallel)]
    max_parallel: Option<Parallel>,
    #[command(flatten)]
    coordinator: CoordinatorArgs,
}

fn parallel(text: &str) -> Result<Parallel, String> {
    match (text, text.parse()) {
        ("none", _) => Ok(Parallel::NoMaxParallel(true)),
        (_, Ok(most)) if most > 0 => Ok(Parallel::MaxParallel(most)),
        _ => Err("must be a whole number from 1 on, or none".into()),
    }
}

/// Does what `verb` says, and prints how the sweep stands then.
pub async fn execute(args: SweepArgs, verb: SweepVerb) -> Result<(), Failure> {
    let client = Client::connect(&args.coordinator.coordinator).await?;
    let wanted = ControlSweepRequest { sweep: args.sweep, verb: verb.into() };
    let sweep = client.sweeps().control_sweep(request(wanted)).await.map_err(refused)?.into_inner().sweep.unwrap_or_default();
    output::write(&standing(&sweep))
}

/// Changes how the sweep competes for slots.
pub async fn set(args: SetArgs) -> Result<(), Failure> {
    let SetArgs { sweep, priority, share, max_parallel: parallel, coordinator } = args;
    let client = Client::connect(&coordinator.coordinator).await?;
    let wanted = UpdateSweepRequest { sweep, priority, share, parallel };
    let sweep = client.sweeps().update_sweep(request(wanted)).await.map_err(refused)?.into_inner().sweep.unwrap_or_default();
    let most = sweep.max_parallel.map_or_else(|| "none".to_owned(), |most| most.to_string());
    output::write(&format!("sweep {}: priority {}, share {}, max_parallel {most}\n", sweep.id, sweep.priority, sweep.share))
}

fn standing(sweep: &Sweep) -> String {
    let Sweep { id, queued, running, completed, failed, cancelled, .. } = sweep;
    let state = state_name(sweep.state());
    format!("sweep {id} is {state}: {completed} completed, {running} running, {queued} queued, {failed} failed, {cancelled} cancelled\n")
}
