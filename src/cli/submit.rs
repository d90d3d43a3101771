//! `tinysweep submit`: hands a sweep to a coordinator.

use std::path::PathBuf;

use clap::Args;
use serde_json::json;

use crate::{
    client::{Client, CoordinatorArgs},
    failure::Failure,
    output::{self, Format},
    sweep_file::SweepFile,
};

/// Arguments of `submit`.
#[derive(Args, Debug)]
pub struct SubmitArgs {
    /// The sweep file
    file: PathBuf,
    #[command(flatten)]
    coordinator: CoordinatorArgs,
    /// How the new sweep is printed
    #[arg(long, value_enum, env = "TINYSWEEP_OUTPUT", default_value = "table")]
    output: Format,
}

/// Checks the file, sends its data, and prints the new sweep's id.
pub async fn execute(args: SubmitArgs) -> Result<(), Failure> {
    let file = SweepFile::load(&args.file)?;
    let client = Client::connect(&args.coordinator.coordinator).await?;
    let (sweep, waits) = file.submit(&client).await?;
    if !waits.is_empty() {
        eprintln!("note: {waits}");
    }
    match args.output {
        Format::Json => {
            output::write(&(serde_json::to_string_pretty(&json!({"sweep": sweep.id, "name": sweep.name, "trials": sweep.trials}))? + "\n"))
        }
        _ => output::write(&format!(
            "submitted sweep {} ({}): {} trials\nfollow it with:  tinysweep watch {}\n",
            sweep.id, sweep.name, sweep.trials, sweep.id
        )),
    }
}
