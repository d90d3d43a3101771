//! The one typed definition of every hyper-parameter of a trial.
//!
//! The coordinator validates with it what a worker will run, the worker runs it, and the command line names its fields.
//! * [`TrialConfig`] is the configuration; its defaults are the published run of TRM-MLP on Sudoku-Extreme.
//! * [`names`] maps what a user may write (`lr`, `recursion_depth`, `train.lr`) to the one path of a field.
//! * [`check`] says what is out of range, by path.
//! * [`size`] counts parameters and operations.

mod check;
mod names;
mod size;

pub use check::{ConfigError, check};
pub use names::{HYPER_PARAMETERS, HyperParameter, UnknownName, assign, canonical_path, nearest, parse};
pub use size::{Size, inner_size, size};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// How a block mixes positions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Variant {
    /// A SwiGLU over the sequence axis (`mlp_t` in the reference).
    Mlp,
    /// Full bidirectional multi-head self-attention.
    Att,
}

/// How positions are told apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PosEncodings {
    /// Not at all; the MLP mixer needs none.
    None,
    /// Rotary embedding of queries and keys.
    Rope,
    /// A learned vector per position, added to the input.
    Learned,
}

/// The loss over answer tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Loss {
    /// Cross entropy of `s(x)/Σs`, `s(x) = x+1` for `x ≥ 0`, else `1/(1−x)`; in f64.
    Stablemax,
    /// The usual cross entropy; in f32.
    Softmax,
}

/// Symmetries drawn anew for every training example that is taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Augment {
    /// The examples as they are.
    None,
    /// Permute the digits; blank cells stay blank.
    Digits,
    /// Permute digits, rows within bands, bands, columns within stacks, stacks, and transpose where boxes are square.
    Full,
}

/// Everything that decides what one trial does, except its seed and its data.
///
/// Symbols of the paper (arXiv 2510.04871): T = `h_cycles`, n = `l_cycles`, N_sup = `halt_max_steps`, D = `hidden_size`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct TrialConfig {
    /// How a block mixes positions.
    pub variant: Variant,
    /// D, the width of every token.
    pub hidden_size: usize,
    /// Attention heads; each is `hidden_size / num_heads` wide.
    pub num_heads: usize,
    /// Blocks in the one network.
    pub layers: usize,
    /// T: how often the answer is improved in one supervision step; only the last time carries gradient.
    pub h_cycles: usize,
    /// n: how often the latent is updated before each improvement of the answer.
    pub l_cycles: usize,
    /// N_sup: supervision steps an example gets at the most.
    pub halt_max_steps: usize,
    /// How often a slot draws a random minimum of supervision steps before it may halt early.
    pub halt_exploration_prob: f64,
    /// Inner width of a SwiGLU over its outer width, times 3/2.
    pub expansion: f64,
    /// The inner width is rounded up to a multiple of this; 256 is published, 1 rounds not at all.
    pub inner_multiple: usize,
    /// Positions put before the puzzle; 0 takes as many as the puzzle vector needs.
    pub puzzle_emb_len: usize,
    /// Width of the vector that each puzzle has; null is `hidden_size`, 0 is no vector and no prefix.
    pub puzzle_emb_ndim: Option<usize>,
    /// How positions are told apart; null is `rope` for `att` and `none` for `mlp`.
    pub pos_encodings: Option<PosEncodings>,
    /// Base of the rotary frequencies.
    pub rope_theta: f64,
    /// Added to the mean square in RMS norms.
    pub rms_norm_eps: f64,
    /// The loss over answer tokens.
    pub loss: Loss,
    /// Symmetries drawn for training examples.
    pub augment: Augment,
    /// Optimisation.
    pub train: TrainConfig,
    /// Measurement.
    pub evaluation: EvaluationConfig,
}

/// Optimisation. One step is one supervision step of the whole batch.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct TrainConfig {
    /// Optimiser steps.
    pub steps: usize,
    /// Slots that are trained at once.
    pub batch_size: usize,
    /// Learning rate of the weights after warm-up.
    pub lr: f64,
    /// Decoupled weight decay of the weights.
    pub weight_decay: f64,
    /// Decay of the first moment.
    pub beta1: f64,
    /// Decay of the second moment.
    pub beta2: f64,
    /// Learning rate of the puzzle table (sign-SGD).
    pub puzzle_emb_lr: f64,
    /// Decoupled weight decay of the puzzle table.
    pub puzzle_emb_weight_decay: f64,
    /// Steps over which both learning rates rise linearly from 0.
    pub warmup_steps: usize,
    /// Share of the learning rate that is left at the last step of the cosine; 1 keeps it constant.
    pub lr_min_ratio: f64,
    /// Rate of the moving average of the weights that evaluation uses; 0 evaluates the weights themselves.
    pub ema_rate: f64,
}

/// Measurement on the test set.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct EvaluationConfig {
    /// Steps between evaluations on a subset during training; 0 evaluates at the end alone.
    pub every: usize,
    /// Test examples in that subset (the same ones each time). The final evaluation uses the whole test set.
    pub examples: usize,
    /// Examples that are evaluated at once.
    pub batch_size: usize,
}

impl Default for TrialConfig {
    fn default() -> Self {
        Self {
            variant: Variant::Mlp,
            hidden_size: 512,
            num_heads: 8,
            layers: 2,
            h_cycles: 3,
            l_cycles: 6,
            halt_max_steps: 16,
            halt_exploration_prob: 0.1,
            expansion: 4.0,
            inner_multiple: 256,
            puzzle_emb_len: 16,
            puzzle_emb_ndim: None,
            pos_encodings: None,
            rope_theta: 10_000.0,
            rms_norm_eps: 1e-5,
            loss: Loss::Stablemax,
            augment: Augment::Full,
            train: TrainConfig::default(),
            evaluation: EvaluationConfig::default(),
        }
    }
}

impl Default for TrainConfig {
    fn default() -> Self {
        Self {
            steps: 65_104,
            batch_size: 768,
            lr: 1e-4,
            weight_decay: 1.0,
            beta1: 0.9,
            beta2: 0.95,
            puzzle_emb_lr: 1e-4,
            puzzle_emb_weight_decay: 1.0,
            warmup_steps: 2000,
            lr_min_ratio: 1.0,
            ema_rate: 0.999,
        }
    }
}

impl Default for EvaluationConfig {
    fn default() -> Self {
        Self { every: 0, examples: 256, batch_size: 128 }
    }
}

impl TrialConfig {
    /// Width of a puzzle's vector: what is set, else `hidden_size`.
    pub fn puzzle_width(&self) -> usize {
        self.puzzle_emb_ndim.unwrap_or(self.hidden_size)
    }

    /// P, the positions before the puzzle's own: none without a puzzle vector, else what is set, else as many as the vector needs.
    pub fn prefix_len(&self) -> usize {
        match (self.puzzle_width(), self.puzzle_emb_len) {
            (0, _) => 0,
            (width, 0) => width.div_ceil(self.hidden_size.max(1)),
            (_, len) => len,
        }
    }

    /// What tells positions apart: what is set, else what the variant was published with.
    pub fn positions(&self) -> PosEncodings {
        self.pos_encodings.unwrap_or(match self.variant {
            Variant::Att => PosEncodings::Rope,
            Variant::Mlp => PosEncodings::None,
        })
    }

    /// T·(n+1)·layers, the paper's effective depth of one supervision step.
    pub fn effective_depth(&self) -> usize {
        self.h_cycles * (self.l_cycles + 1) * self.layers
    }

    /// The same configuration always gives the same text: fields in the order of their definition, nothing left out.
    pub fn canonical_json(&self) -> String {
        serde_json::to_string(self).expect("a struct of numbers and enums has a JSON form")
    }

    /// SHA-256 of [`canonical_json`](Self::canonical_json), in hex: the identity of a configuration.
    pub fn hash(&self) -> String {
        crate::hex(&Sha256::digest(self.canonical_json()))
    }
}
