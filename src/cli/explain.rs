//! `tinysweep explain`: why a trial waits, where it ran, why it ended.

use clap::Args;
use serde_json::json;
use tinysweep_proto::v1::{ExplainTrialRequest, ExplainTrialResponse};

use crate::{
    cli::trial_name::TrialName,
    client::{Client, CoordinatorArgs, refused, request},
    failure::Failure,
    output::{self, Format, Table},
    progress::trial_state_name,
};

/// Arguments of `explain`.
#[derive(Args, Debug)]
pub struct ExplainArgs {
    /// SWEEP/TRIAL, or /TRIAL of the newest sweep
    trial: TrialName,
    #[command(flatten)]
    coordinator: CoordinatorArgs,
    /// How it is printed
    #[arg(long, value_enum, env = "TINYSWEEP_OUTPUT", default_value = "table")]
    output: Format,
}

/// Prints the story of every replicate.
pub async fn execute(args: ExplainArgs) -> Result<(), Failure> {
    let TrialName { sweep, trial } = args.trial;
    let client = Client::connect(&args.coordinator.coordinator).await?;
    let wanted = ExplainTrialRequest { sweep, trial };
    let answer = client.sweeps().explain_trial(request(wanted)).await.map_err(refused)?.into_inner();
    if args.output == Format::Table { output::write(&story(&answer)) } else { output::print(args.output, &table(&answer), &view(&answer)) }
}

fn story(answer: &ExplainTrialResponse) -> String {
    let trial = answer.trial.clone().unwrap_or_default();
    let mut text = format!("trial {}/{}: {}\n", trial.sweep, trial.number, trial.name);
    for replicate in &answer.replicates {
        text += &format!("replicate {}: {}\n", replicate.replicate, trial_state_name(replicate.state()));
        text.extend(replicate.sentences.iter().map(|sentence| format!("  {sentence}\n")));
    }
    text
}

fn table(answer: &ExplainTrialResponse) -> Table {
    let rows = answer.replicates.iter().flat_map(|replicate| {
        let row =
            |sentence: &String| vec![replicate.replicate.to_string(), trial_state_name(replicate.state()).to_owned(), sentence.clone()];
        replicate.sentences.iter().map(row)
    });
    Table { headers: vec![">replicate", "state", "why"], rows: rows.collect() }
}

fn view(answer: &ExplainTrialResponse) -> serde_json::Value {
    let trial = answer.trial.clone().unwrap_or_default();
    let replicates: Vec<_> = answer
        .replicates
        .iter()
        .map(
            |replicate| json!({"replicate": replicate.replicate, "state": trial_state_name(replicate.state()), "why": replicate.sentences}),
        )
        .collect();
    json!({"sweep": trial.sweep, "trial": trial.number, "name": trial.name, "replicates": replicates})
}
