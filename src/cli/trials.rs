//! `tinysweep trials`: the trials of a sweep.

use clap::Args;
use serde::Serialize;
use serde_json::{json, value::RawValue};
use tinysweep_proto::v1::{ListTrialsRequest, Trial};

use crate::{
    client::{Client, CoordinatorArgs, refused, request},
    failure::Failure,
    output::{self, Format, Table},
    progress::{number, trial_state_name},
};

/// Arguments of `trials`.
#[derive(Args, Debug)]
pub struct TrialsArgs {
    /// The sweep's id, or the beginning of it [default: the newest sweep]
    #[arg(default_value = "")]
    sweep: String,
    #[command(flatten)]
    coordinator: CoordinatorArgs,
    /// How trials are printed
    #[arg(long, value_enum, env = "TINYSWEEP_OUTPUT", default_value = "table")]
    output: Format,
}

/// Prints the trials.
pub async fn execute(args: TrialsArgs) -> Result<(), Failure> {
    let client = Client::connect(&args.coordinator.coordinator).await?;
    let trials = all(&client, &args.sweep).await?;
    let views = trials.iter().map(TrialView::try_from).collect::<Result<Vec<_>, _>>()?;
    let headers = vec![">trial", "parameters", "state", ">replicates", ">metric", "reason"];
    let rows = views.iter().map(TrialView::cells).collect();
    output::print(args.output, &Table { headers, rows }, &json!({ "trials": views }))
}

/// Every trial of a sweep, page by page.
async fn all(client: &Client, sweep: &str) -> Result<Vec<Trial>, Failure> {
    let mut trials: Vec<Trial> = Vec::new();
    let mut page_token = String::new();
    loop {
        // Of the newest sweep the later pages must be of the same one, whatever is submitted meanwhile.
        let sweep = trials.first().map_or(sweep, |trial| &trial.sweep).to_owned();
        let wanted = ListTrialsRequest { sweep, page_size: 0, page_token };
        let answer = client.sweeps().list_trials(request(wanted)).await.map_err(refused)?.into_inner();
        trials.extend(answer.trials);
        page_token = answer.next_page_token;
        if page_token.is_empty() {
            return Ok(trials);
        }
    }
}

/// A trial's JSON form. Stable: fields are added, never changed.
#[derive(Serialize)]
pub struct TrialView<'a> {
    sweep: &'a str,
    trial: u32,
    name: &'a str,
    state: &'static str,
    replicates: u32,
    completed: u32,
    metric: Option<f64>,
    /// Trained beside the sweep's own trials, which are compared with it.
    baseline: bool,
    /// The trial that it extends.
    extends: Option<u32>,
    reason: &'a str,
    config_hash: &'a str,
    config: Box<RawValue>,
}

impl<'a> TryFrom<&'a Trial> for TrialView<'a> {
    type Error = serde_json::Error;

    fn try_from(trial: &'a Trial) -> Result<Self, serde_json::Error> {
        Ok(Self {
            sweep: &trial.sweep,
            trial: trial.number,
            name: &trial.name,
            state: trial_state_name(trial.state()),
            replicates: trial.replicates,
            completed: trial.completed,
            metric: trial.metric,
            baseline: trial.baseline,
            extends: trial.extends,
            reason: &trial.reason,
            config_hash: &trial.config_hash,
            config: RawValue::from_string(trial.config_json.clone())?,
        })
    }
}

impl TrialView<'_> {
    fn cells(&self) -> Vec<String> {
        vec![
            self.trial.to_string(),
            if self.baseline { format!("{} (baseline)", self.name) } else { self.name.to_owned() },
            self.state.to_owned(),
            format!("{}/{}", self.completed, self.replicates),
            self.metric.map_or(String::new(), number),
            self.reason.to_owned(),
        ]
    }
}
