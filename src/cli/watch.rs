//! `tinysweep watch`: follows a sweep until it ends.

use clap::Args;
use tinysweep_proto::v1::{SweepState, WatchSweepRequest};

use crate::{
    client::{Client, CoordinatorArgs, refused},
    failure::Failure,
    progress::View,
};

/// Arguments of `watch`.
#[derive(Args, Debug)]
pub struct WatchArgs {
    /// The sweep's id, or the beginning of it [default: the newest sweep]
    #[arg(default_value = "")]
    sweep: String,
    #[command(flatten)]
    coordinator: CoordinatorArgs,
}

/// Shows live progress on standard error; ends well when the sweep completes.
pub async fn execute(args: WatchArgs) -> Result<(), Failure> {
    let client = Client::connect(&args.coordinator.coordinator).await?;
    match follow(&client, &args.sweep).await? {
        SweepState::Completed => Ok(()),
        state => Err(anyhow::anyhow!("the sweep ended {}", crate::progress::state_name(state)).into()),
    }
}

/// Shows the sweep until it has ended, and says how.
pub async fn follow(client: &Client, sweep: &str) -> Result<SweepState, Failure> {
    let mut view = View::new();
    let message = WatchSweepRequest { sweep: sweep.into() };
    let mut updates = client.sweeps().watch_sweep(message).await.map_err(refused)?.into_inner();
    let mut state = SweepState::Unspecified;
    while let Some(update) = updates.message().await.map_err(refused)? {
        state = update.sweep.as_ref().map_or(state, |sweep| sweep.state());
        view.update(&update);
    }
    view.finish();
    if state == SweepState::Running || state == SweepState::Unspecified {
        return Err(anyhow::anyhow!("the coordinator stopped; the sweep goes on when it is started again").into());
    }
    Ok(state)
}
