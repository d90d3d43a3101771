//! `tinysweep extend`: more steps for the best trials of a sweep, from the end of their training.

use clap::Args;
use serde_json::json;
use tinysweep_proto::v1::{ExtendSweepRequest, ExtendSweepResponse, TrialNumbers, extend_sweep_request::Which};

use crate::{
    client::{Client, CoordinatorArgs, refused, request},
    failure::Failure,
    output::{self, Format, Table},
    progress::state_name,
};

/// Arguments of `extend`.
#[derive(Args, Debug)]
#[group(id = "which", required = true, multiple = false, args = ["top", "trials"])]
pub struct ExtendArgs {
    /// The sweep's id, or the beginning of it [default: the newest sweep]
    #[arg(default_value = "")]
    sweep: String,
    /// So many of the best trials, by the sweep's metric, baselines aside
    #[arg(long, value_name = "K", value_parser = clap::value_parser!(u32).range(1..))]
    top: Option<u32>,
    /// These trials, by number, as in 3,7
    #[arg(long, value_name = "NUMBERS", value_delimiter = ',')]
    trials: Vec<u32>,
    /// Training steps that they are to have in all; those that they have are not done again
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    steps: u64,
    #[command(flatten)]
    coordinator: CoordinatorArgs,
    /// How it is printed
    #[arg(long, value_enum, env = "TINYSWEEP_OUTPUT", default_value = "table")]
    output: Format,
}

/// Extends the trials, and prints what extends what.
pub async fn execute(args: ExtendArgs) -> Result<(), Failure> {
    let ExtendArgs { sweep, top, trials, steps, coordinator, output } = args;
    let which = top.map_or(Which::Trials(TrialNumbers { numbers: trials }), Which::Top);
    let client = Client::connect(&coordinator.coordinator).await?;
    let wanted = ExtendSweepRequest { sweep, steps, which: Some(which) };
    let answer = client.sweeps().extend_sweep(request(wanted)).await.map_err(refused)?.into_inner();
    if output == Format::Table {
        return output::write(&sentences(&answer, steps));
    }
    let rows = answer.extensions.iter().map(|one| vec![one.trial.to_string(), one.extends.to_string(), one.is_new.to_string()]);
    let table = Table { headers: vec![">trial", ">extends", "new"], rows: rows.collect() };
    let extensions: Vec<_> =
        answer.extensions.iter().map(|one| json!({"trial": one.trial, "extends": one.extends, "new": one.is_new})).collect();
    let sweep = answer.sweep.unwrap_or_default();
    let view =
        json!({"sweep": sweep.id, "state": state_name(sweep.state()), "steps": steps, "extensions": extensions, "note": answer.note});
    output::print(output, &table, &view)
}

fn sentences(answer: &ExtendSweepResponse, steps: u64) -> String {
    let sweep = answer.sweep.clone().unwrap_or_default();
    let mut text = String::new();
    for one in &answer.extensions {
        let already = if one.is_new { "" } else { " already" };
        text += &format!("trial {}/{} extends trial {} to {steps} steps{already}\n", sweep.id, one.trial, one.extends);
    }
    if !answer.note.is_empty() {
        text += &format!("note: {}\n", answer.note);
    }
    text + &format!("sweep {} is {}\n", sweep.id, state_name(sweep.state()))
}
