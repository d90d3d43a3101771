//! `trace.json`: what a recorded run was, and what it logged.

use serde::Deserialize;
use tinysweep_proto::config::Loss;

use super::reference::{ReferenceConfig, ReferenceOptim};

/// `trace.json`.
#[derive(Debug, Deserialize)]
pub struct Trace {
    /// The model's name.
    pub model: String,
    /// The model's configuration.
    pub config: ReferenceConfig,
    /// The optimisers'.
    pub optim: ReferenceOptim,
    /// The loss over answer tokens.
    pub loss_type: Loss,
    /// How many numbers the main optimiser trains.
    pub trainable_parameters: usize,
    /// One row per training step.
    pub trace: Vec<StepRow>,
    /// One row per supervision step of evaluation.
    #[serde(default)]
    pub eval_steps: Vec<Logged>,
}

/// One training step, as logged.
#[derive(Debug, Deserialize)]
pub struct StepRow {
    /// Learning rate of the weights.
    pub lr: f64,
    /// Learning rate of the puzzle table.
    pub puzzle_emb_lr: Option<f64>,
    /// Which slots halted.
    pub halted: Vec<bool>,
    /// Supervision steps of each slot's example.
    pub carry_steps: Vec<usize>,
    /// Losses and scores.
    #[serde(flatten)]
    pub logged: Logged,
}

/// Losses, summed over the batch, and scores, summed over the examples that ended.
#[derive(Clone, Copy, Debug, Deserialize)]
pub struct Logged {
    /// What was minimised, before it was divided by the batch size.
    pub loss_sum: f64,
    /// The part of the answer's tokens.
    pub lm_loss: f64,
    /// The part of the halting head, before it is halved.
    pub q_halt_loss: f64,
    /// The part of `q_continue`, likewise, where it was trained.
    pub q_continue_loss: Option<f64>,
    /// Examples that ended.
    pub count: f64,
    /// Their token accuracies.
    pub accuracy: f64,
    /// How many of them are right.
    pub exact_accuracy: f64,
    /// How many of them the halting head has judged rightly.
    pub q_halt_accuracy: f64,
    /// The supervision steps that they had.
    pub steps: f64,
}
