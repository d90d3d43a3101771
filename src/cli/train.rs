//! `tinysweep train`: one configuration here, without a coordinator.

use std::path::PathBuf;

use clap::Args;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde_json::json;
use tinysweep_worker::{
    checkpoint,
    data::{Split, decode},
    report::{Directive, Evaluated, Report, Reporter},
    train::{Outcome, Task, train},
};

use super::{device::DeviceArgs, steps};
use crate::{
    failure::Failure,
    output::{self, Format, Table},
    progress::duration,
    sweep_file::SweepFile,
};

/// Arguments of `train`.
#[derive(Args, Debug)]
pub struct TrainArgs {
    /// A sweep file whose parameters leave one configuration
    file: PathBuf,
    /// Folder for the checkpoint
    #[arg(long, default_value = "checkpoint")]
    out: PathBuf,
    /// Seed of initial weights, data order and augmentation
    #[arg(long, env = "TINYSWEEP_SEED", default_value_t = 0)]
    seed: u64,
    #[command(flatten)]
    device: DeviceArgs,
    /// How the result is printed
    #[arg(long, value_enum, env = "TINYSWEEP_OUTPUT", default_value = "table")]
    output: Format,
}

/// Trains, writes the checkpoint, prints the metrics.
pub fn execute(args: &TrainArgs) -> Result<(), Failure> {
    let device = args.device.open()?;
    let file = SweepFile::load(&args.file)?;
    let Some(data) = &file.data else {
        return Err(Failure::bad_input(format!(
            "{}: runs a program; `train` trains one of the built-in models, and `tinysweep run --allow-commands` runs programs",
            file.file_name
        )));
    };
    let proposals = file.spec.proposals().map_err(Failure::bad_input)?;
    let [proposal] = proposals.as_slice() else {
        return Err(Failure::bad_input(format!(
            "{}: has {} trials; `train` runs one, so give every parameter one value, or use `tinysweep run`",
            file.file_name,
            proposals.len()
        )));
    };
    let config = proposal.config.model().expect("a sweep that has puzzles is one of models");
    let dataset = &data.dataset;
    let train_set = decode(&data.train, &dataset.train, dataset.task, Split::Train).map_err(Failure::bad_input)?;
    let test_set = decode(&data.test, &dataset.test, dataset.task, Split::Test).map_err(Failure::bad_input)?;
    let mut bar = Bar::new(config.train.steps as u64);
    let task = Task { config, seed: args.seed, train: &train_set, test: &test_set, device: &device };
    let outcome = train(task, None, &mut bar)?;
    bar.0.finish();
    checkpoint::save(&args.out, &outcome.model, config, dataset.task)?;
    if let Some(votes) = &outcome.votes {
        votes.save(&args.out)?;
    }
    print(args, &outcome)
}

fn print(args: &TrainArgs, outcome: &Outcome) -> Result<(), Failure> {
    let mut rows: Vec<_> = outcome.metrics.iter().map(|(name, value)| vec![name.clone(), format!("{value:.6}")]).collect();
    rows.push(vec!["parameters".into(), outcome.parameters.to_string()]);
    rows.push(vec!["time".into(), duration(outcome.wall_seconds)]);
    rows.push(vec!["checkpoint".into(), args.out.display().to_string()]);
    let value = json!({
        "metrics": outcome.metrics,
        "exact_accuracy_by_step": outcome.metrics_by_step.get("test/exact_accuracy"),
        "token_accuracy_by_step": outcome.metrics_by_step.get("test/token_accuracy"),
        "metrics_by_step": outcome.metrics_by_step,
        "parameters": outcome.parameters,
        "wall_seconds": outcome.wall_seconds,
        "checkpoint": args.out,
    });
    output::print(args.output, &Table { headers: vec!["", ">value"], rows }, &value)?;
    if args.output == Format::Table { output::print(args.output, &steps::table(&outcome.metrics_by_step), &value) } else { Ok(()) }
}

/// Progress of the one trial, on standard error.
struct Bar(ProgressBar);

impl Bar {
    fn new(steps: u64) -> Self {
        let style =
            ProgressStyle::with_template("{bar:30.green} {pos}/{len} {msg}").expect("the template is right: drawn at every training");
        Self(ProgressBar::with_draw_target(Some(steps), ProgressDrawTarget::stderr()).with_style(style))
    }
}

impl Reporter for Bar {
    fn report(&mut self, report: &Report) -> Directive {
        self.0.set_position(report.step as u64);
        let shown: Vec<_> = report
            .points
            .iter()
            .filter(|(name, _)| matches!(name.as_str(), "train/lm_loss" | "train/exact_accuracy" | "subset/exact_accuracy"))
            .map(|(name, value)| format!("{name} {value:.3}"))
            .chain(report.seconds_left.map(|seconds| format!("{} left", duration(seconds))))
            .collect();
        if let Some(Evaluated { done, total }) = report.evaluation {
            self.0.set_message(format!("evaluating {done}/{total}"));
        } else if !report.points.is_empty() {
            self.0.set_message(shown.join("  "));
        }
        Directive::Continue
    }
}
