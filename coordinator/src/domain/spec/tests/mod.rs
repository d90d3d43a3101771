//! Whole sweep files.
//!
//! * `files`: what is read from right ones.
//! * `proposals`: which trials they propose, in which order.
//! * `mistakes`: the exact message for each wrong one.

mod files;
mod mistakes;
mod proposals;

use tinysweep_proto::config::TrialConfig;

use super::*;

/// A file that says much.
const FULL: &str = "\
name: depth-supervision-width
description: Which depth?
benchmark: sudoku-extreme
data: {train: train.csv, test: 500, seed: 3}
method: grid
metric: {name: test/lm_loss}
config:
  variant: mlp
  train: {steps: 100, batch_size: 768, lr: 1e-4}
  weight_decay: 1
parameters:
  l_cycles: {values: [2, 4, 6, 8]}
  T: {values: [1, 2]}
  width: {values: [128, 256]}
  evaluation: {parameters: {examples: {value: 64}}}
constraints: [\"h_cycles * (l_cycles + 1) <= 9\", 'l_cycles != 8']
replicates: 3
seed: 11
";

pub(super) fn spec(yaml: &str) -> SweepSpec {
    SweepSpec::parse(yaml, "s.yaml").unwrap_or_else(|errors| panic!("{yaml}\n{errors}"))
}

fn model(trial: &Proposal) -> &TrialConfig {
    trial.config.model().unwrap()
}

fn names(yaml: &str) -> Vec<String> {
    spec(yaml).proposals().unwrap().into_iter().map(|trial| trial.name).collect()
}

/// The errors of a file, wherever they are found.
pub(super) fn errors(yaml: &str) -> String {
    match SweepSpec::parse(yaml, "s.yaml") {
        Err(errors) => errors.to_string(),
        Ok(spec) => spec.proposals().map(|trials| format!("{} trials", trials.len())).unwrap_or_else(|errors| errors.to_string()),
    }
}

/// A file with `parameters:` as given, on line 3.
fn parameters(parameters: &str) -> String {
    format!("benchmark: sudoku-4x4\nparameters:\n  {parameters}")
}
