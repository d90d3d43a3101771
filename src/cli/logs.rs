//! `tinysweep logs`: what the attempts at a trial have said.

use clap::Args;
use tinysweep_proto::v1::{LogLine, StreamLogsRequest};

use crate::{
    cli::trial_name::TrialName,
    client::{Client, CoordinatorArgs, refused},
    failure::Failure,
    output,
};

/// Arguments of `logs`.
#[derive(Args, Debug)]
pub struct LogsArgs {
    /// SWEEP/TRIAL, or /TRIAL of the newest sweep
    trial: TrialName,
    /// Go on until the trial has ended
    #[arg(long, short)]
    follow: bool,
    #[command(flatten)]
    coordinator: CoordinatorArgs,
}

/// Prints the lines, each with its replicate and attempt.
pub async fn execute(args: LogsArgs) -> Result<(), Failure> {
    let TrialName { sweep, trial } = args.trial;
    let client = Client::connect(&args.coordinator.coordinator).await?;
    let wanted = StreamLogsRequest { sweep, trial, follow: args.follow };
    let mut batches = client.sweeps().stream_logs(wanted).await.map_err(refused)?.into_inner();
    while let Some(batch) = batches.message().await.map_err(refused)? {
        output::write(&batch.lines.iter().map(line).collect::<String>())?;
    }
    Ok(())
}

fn line(line: &LogLine) -> String {
    // What a trial says is shown, not obeyed: control characters could move the cursor over other lines.
    let text: String = line.text.chars().map(|c| if c.is_control() && c != '\t' { ' ' } else { c }).collect();
    format!("{}#{} {text}\n", line.replicate, line.attempt)
}
