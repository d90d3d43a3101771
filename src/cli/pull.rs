//! `tinysweep pull`: the model of a trial, from the state of training that the coordinator keeps.

use std::path::PathBuf;

use clap::Args;
use serde_json::json;
use tinysweep_proto::{
    config,
    dataset::Dataset,
    v1::{GetStateRequest, GetStateResponse},
};
use tinysweep_worker::{checkpoint, handoff, state::TrainingState, train};

use crate::{
    cli::trial_name::TrialName,
    client::{Client, CoordinatorArgs, refused, request},
    failure::Failure,
    output::{self, Format, Table},
};

/// Arguments of `pull`.
#[derive(Args, Debug)]
pub struct PullArgs {
    /// SWEEP/TRIAL, or /TRIAL of the newest sweep
    trial: TrialName,
    /// Which of its replicates
    #[arg(long, default_value_t = 0)]
    replicate: u32,
    /// The state after this step, of those that `show` lists [default: the last of them]
    #[arg(long)]
    step: Option<u64>,
    /// The folder for model.safetensors, with averaged weights, and config.json
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    #[command(flatten)]
    coordinator: CoordinatorArgs,
    /// How it is printed
    #[arg(long, value_enum, env = "TINYSWEEP_OUTPUT", default_value = "table")]
    output: Format,
}

/// Fetches the state and writes its model.
pub async fn execute(args: PullArgs) -> Result<(), Failure> {
    let PullArgs { trial: TrialName { sweep, trial }, replicate, step, out, coordinator, output } = args;
    let client = Client::connect(&coordinator.coordinator).await?;
    let wanted = GetStateRequest { sweep, trial, replicate, step };
    let GetStateResponse { checkpoint, config_json, dataset } =
        client.sweeps().get_state(request(wanted)).await.map_err(refused)?.into_inner();
    let (Some(kept), Some(dataset)) = (checkpoint, dataset) else {
        return Err(anyhow::anyhow!("the coordinator's answer has no state").into());
    };
    let dataset = Dataset::try_from(dataset).map_err(anyhow::Error::from)?;
    let config = config::parse(&config_json).map_err(|problem| anyhow::anyhow!("the trial's configuration is wrong: {problem}"))?;
    let state = TrainingState::from_bytes(&handoff::get(&client.connection(), &kept).await?)?;
    let model = train::averaged_model(&config, dataset.shape(), &state)?;
    checkpoint::save(&out, &model, &config, dataset.task)?;
    let parameters = model.parameters().trained_count();
    let rows = vec![
        vec!["checkpoint".into(), out.display().to_string()],
        vec!["steps".into(), kept.step.to_string()],
        vec!["parameters".into(), parameters.to_string()],
    ];
    let view = json!({"checkpoint": out, "steps": kept.step, "parameters": parameters});
    output::print(output, &Table { headers: vec!["", ">value"], rows }, &view)
}
