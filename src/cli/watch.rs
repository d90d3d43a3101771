//! `tinysweep watch`: follows a sweep until it ends.

use std::time::Duration;

use clap::Args;
use tinysweep_proto::v1::{SweepState, WatchSweepRequest};
use tokio::time::sleep;
use tonic::{Code, Status};

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
    let mut sweep = sweep.to_owned();
    let mut state = SweepState::Unspecified;
    let mut lost = None;
    loop {
        let seen = watch_once(client, &mut sweep, &mut state, &mut view).await;
        match (seen, is_open(state)) {
            (Ok(()), false) => break,
            // It was seen before, so the coordinator is restarting, or the network is away for a while.
            (Err(status), true) if status.code() != Code::NotFound => {
                if lost.replace(()).is_none() {
                    eprintln!("note: the coordinator cannot be reached ({}); workers go on, waiting for it", status.message());
                }
            }
            (Ok(()), true) => lost = None,
            (Err(status), _) => return Err(refused(status)),
        }
        sleep(Duration::from_secs(1)).await;
    }
    view.finish();
    Ok(state)
}

/// Shows the sweep until the stream ends; notes the sweep's whole id and its last state.
async fn watch_once(client: &Client, sweep: &mut String, state: &mut SweepState, view: &mut View) -> Result<(), Status> {
    let message = WatchSweepRequest { sweep: sweep.clone() };
    let mut updates = client.sweeps().watch_sweep(message).await?.into_inner();
    while let Some(update) = updates.message().await? {
        if let Some(seen) = &update.sweep {
            (*sweep, *state) = (seen.id.clone(), seen.state());
        }
        view.update(&update);
    }
    Ok(())
}

fn is_open(state: SweepState) -> bool {
    matches!(state, SweepState::Running | SweepState::Paused | SweepState::Stopping)
}
