//! `tinysweep eval`: measures a checkpoint on a file of puzzles.

use std::{num::NonZeroUsize, path::PathBuf};

use clap::Args;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde_json::json;
use tinysweep_worker::{
    checkpoint,
    data::load,
    eval::{Settings, evaluate},
};

use super::{device::DeviceArgs, steps};
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
    let settings = Settings { batch_size: config.evaluation.batch_size, steps, result_step: steps };
    let bar = progress_bar(items.len());
    let result = evaluate(&model, &examples, &items, settings, |done| {
        bar.set_position(done as u64);
        true
    })?;
    bar.finish_and_clear();
    let result = result.ok_or_else(|| anyhow::anyhow!("the evaluation ended early"))?;
    let (metrics, by_step) = (result.metrics(), result.metrics_by_step());
    let value = json!({
        "examples": examples.len(),
        "supervision_steps": steps,
        "metrics": metrics,
        "exact_accuracy_by_step": by_step.get("test/exact_accuracy"),
        "token_accuracy_by_step": by_step.get("test/token_accuracy"),
        "metrics_by_step": by_step,
    });
    output::print(args.output, &steps::table(&by_step), &value)?;
    if args.output == Format::Table {
        output::write(&format!("\n{} puzzles, after {steps} supervision steps:\n", examples.len()))?;
        let rows = metrics.iter().map(|(name, value)| vec![name.clone(), format!("{value:.6}")]);
        output::print(args.output, &Table { headers: vec!["metric", ">value"], rows: rows.collect() }, &value)?;
    }
    Ok(())
}

/// How many of `total` puzzles are answered, on standard error.
fn progress_bar(total: usize) -> ProgressBar {
    let style =
        ProgressStyle::with_template("{bar:30.green} {pos}/{len} puzzles  {eta} left").expect("the template is right: drawn each time");
    ProgressBar::with_draw_target(Some(total as u64), ProgressDrawTarget::stderr()).with_style(style)
}
