//! `tinysweep eval`: measures a checkpoint on a file of puzzles.

use std::{collections::BTreeMap, num::NonZeroUsize, path::PathBuf};

use clap::Args;
use serde_json::json;
use tinysweep_worker::{checkpoint, data::load, eval::evaluate};

use super::device::DeviceArgs;
use crate::{
    failure::Failure,
    output::{self, Format, Table},
};

/// Arguments of `eval`.
#[derive(Args, Debug)]
pub struct EvalArgs {
    /// Folder of the checkpoint
    #[arg(long)]
    checkpoint: PathBuf,
    /// Puzzles: CSV with the columns question and answer, plain or .gz
    #[arg(long)]
    data: PathBuf,
    /// Supervision steps [default: as many as in training]; more shows what more thinking at test time buys
    #[arg(long)]
    steps: Option<NonZeroUsize>,
    #[command(flatten)]
    device: DeviceArgs,
    /// How the result is printed
    #[arg(long, value_enum, env = "TINYSWEEP_OUTPUT", default_value = "table")]
    output: Format,
}

/// Prints accuracy after each supervision step.
pub fn execute(args: &EvalArgs) -> Result<(), Failure> {
    let device = args.device.open()?;
    let loaded = checkpoint::load(&args.checkpoint).map_err(Failure::bad_input)?;
    let examples = load(&args.data, loaded.task).map_err(Failure::bad_input)?;
    let model = loaded.model.to_device(&device)?;
    let config = model.config();
    let steps = args.steps.map_or(config.halt_max_steps, NonZeroUsize::get);
    let items: Vec<_> = examples.items().collect();
    let result = evaluate(&model, &examples, &items, config.evaluation.batch_size, steps)?;
    let rows = result.by_step.iter().enumerate().map(|(index, score)| {
        vec![(index + 1).to_string(), format!("{:.6}", score.exact_accuracy), format!("{:.6}", score.token_accuracy)]
    });
    let table = Table { headers: vec![">supervision step", ">exact accuracy", ">token accuracy"], rows: rows.collect() };
    let last = result.last();
    let value = json!({
        "examples": examples.len(),
        "supervision_steps": steps,
        "metrics": BTreeMap::from_iter(result.metrics()),
        "exact_accuracy_by_step": result.by_step.iter().map(|score| score.exact_accuracy).collect::<Vec<_>>(),
        "token_accuracy_by_step": result.by_step.iter().map(|score| score.token_accuracy).collect::<Vec<_>>(),
    });
    output::print(args.output, &table, &value)?;
    if args.output == Format::Table {
        output::write(&format!(
            "{} puzzles, {steps} supervision steps: exact accuracy {:.4}, token accuracy {:.4}\n",
            examples.len(),
            last.exact_accuracy,
            last.token_accuracy
        ))?;
    }
    Ok(())
}
