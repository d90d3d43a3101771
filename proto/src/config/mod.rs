//! The one typed definition of every hyper-parameter of a trial.
//!
//! The coordinator validates with it what a worker will run, the worker runs it, and the command line names its fields.
//! * [`TrialConfig`] is the configuration; its defaults are the published run of TRM-MLP on Sudoku-Extreme.
//! * `names` maps what a user may write (`lr`, `recursion_depth`, `train.lr`) to the one path of a field.
//! * [`check`](fn@check) says what is out of range, by path.
//! * [`preset`] names the published models and the baselines.
//! * `size` counts parameters and operations.

mod check;
mod choices;
mod names;
mod presets;
mod size;

pub use check::{ConfigError, check, check_ranges};
pub use choices::{Augment, GradientSpan, HaltRule, Loss, LrSchedule, Networks, Optimizer, PosEncodings, Precision, States, Variant};
pub use names::{HYPER_PARAMETERS, HyperParameter, UnknownName, assign, canonical_path, nearest, parse};
pub use presets::{PRESETS, Preset, UnknownPreset, preset};
pub use size::{Size, inner_size, size};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::dataset::{Rules, Task};

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
    /// Attention heads; the MLP mixer has none.
    pub num_heads: usize,
    /// Width of an attention head; null is `hidden_size / num_heads`, which must then divide.
    pub head_width: Option<usize>,
    /// Blocks in the network; in the latent's network where the answer has one of its own.
    pub layers: usize,
    /// Blocks in the answer's own network; null is `layers`.
    pub h_layers: Option<usize>,
    /// Which weights improve the latent and the answer.
    pub networks: Networks,
    /// What is carried and improved.
    pub states: States,
    /// k, how many latents take turns: call i improves `z_{i mod k} = net(Σ z_j + z_H + x)`, and the answer is `net(z_H + Σ z_j)`.
    pub latents: usize,
    /// T: how often the answer is improved in one supervision step; only the last time carries gradient.
    pub h_cycles: usize,
    /// n: how often the latent is updated before each improvement of the answer.
    pub l_cycles: usize,
    /// How far back in the last cycle the gradient goes.
    pub gradient: GradientSpan,
    /// N_sup: supervision steps an example gets at the most.
    pub halt_max_steps: usize,
    /// When a slot may be done before that, in training.
    pub halt_rule: HaltRule,
    /// Whether `q_continue` is trained too, towards what one more supervision step (a second forward pass) expects. It needs more than
    /// one supervision step: with `halt_max_steps` 1 there is nothing to continue to, and no such loss.
    pub continue_loss: bool,
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
    /// Symmetries drawn for training examples; null is `full` for Sudoku and ARC and `none` for mazes, as published.
    pub augment: Option<Augment>,
    /// What products by the blocks' weights are computed in.
    pub precision: Precision,
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
    /// What moves the weights.
    pub optimizer: Optimizer,
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
    /// The most that the norm of all weights' gradients together may be before they are scaled down to it; 0 lets them be.
    pub grad_clip: f64,
    /// What both learning rates do after warm-up.
    pub schedule: LrSchedule,
    /// Steps over which both learning rates rise linearly from 0.
    pub warmup_steps: usize,
    /// Share of the learning rates that is left at the last step; 1 keeps them as they are.
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
    /// Test examples in that subset. The final evaluation uses the whole test set.
    pub examples: usize,
    /// Draws the subset: the same examples each time, and in every trial that has the same seed here, whatever its own.
    pub subset_seed: u64,
    /// Supervision steps of an evaluation, `halt_max_steps` at least; none for just as many. The result is read after `halt_max_steps` in any
    /// case; the steps beyond tell what more thinking at test time would give.
    pub steps: Option<usize>,
    /// Examples that are evaluated at once.
    pub batch_size: usize,
    /// ARC: count the votes of all evaluations of the run together, as the reference does, in place of each checkpoint's own. That measures
    /// an ensemble of checkpoints; votes from before an interruption are not counted again.
    pub arc_accumulate_votes: bool,
}

impl Default for TrialConfig {
    fn default() -> Self {
        Self {
            variant: Variant::Mlp,
            hidden_size: 512,
            num_heads: 8,
            head_width: None,
            layers: 2,
            h_layers: None,
            networks: Networks::Shared,
            states: States::Pair,
            latents: 1,
            h_cycles: 3,
            l_cycles: 6,
            gradient: GradientSpan::LastCycle,
            halt_max_steps: 16,
            halt_rule: HaltRule::Positive,
            continue_loss: false,
            halt_exploration_prob: 0.1,
            expansion: 4.0,
            inner_multiple: 256,
            puzzle_emb_len: 16,
            puzzle_emb_ndim: None,
            pos_encodings: None,
            rope_theta: 10_000.0,
            rms_norm_eps: 1e-5,
            loss: Loss::Stablemax,
            augment: None,
            precision: Precision::Auto,
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
            optimizer: Optimizer::AdamAtan2,
            lr: 1e-4,
            weight_decay: 1.0,
            beta1: 0.9,
            beta2: 0.95,
            puzzle_emb_lr: 1e-4,
            puzzle_emb_weight_decay: 1.0,
            grad_clip: 0.0,
            schedule: LrSchedule::Cosine,
            warmup_steps: 2000,
            lr_min_ratio: 1.0,
            ema_rate: 0.999,
        }
    }
}

impl Default for EvaluationConfig {
    fn default() -> Self {
        Self { every: 0, examples: 256, subset_seed: 0, steps: None, batch_size: 128, arc_accumulate_votes: false }
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

    /// Width of an attention head: what is set, else an even share of `hidden_size`.
    pub fn head_width(&self) -> usize {
        self.head_width.unwrap_or(self.hidden_size / self.num_heads.max(1))
    }

    /// Blocks in the network that improves the answer.
    pub fn answer_layers(&self) -> usize {
        self.h_layers.unwrap_or(self.layers)
    }

    /// Whether `q_continue` is trained: there must be a further supervision step to continue to.
    pub fn trains_continue(&self) -> bool {
        self.continue_loss && self.halt_max_steps > 1
    }

    /// How often a latent is improved in each cycle: n, or not at all where there is none.
    pub fn latent_calls(&self) -> usize {
        if self.states == States::Direct { 0 } else { self.l_cycles }
    }

    /// The symmetries for training examples of `task`: what is set, else what its published runs drew. Those of mazes drew none: labels
    /// are one of many shortest paths, chosen by an order of directions that does not turn with the maze.
    pub fn augmentation(&self, task: Task) -> Augment {
        self.augment.unwrap_or(match task.rules() {
            Rules::Maze(_) => Augment::None,
            Rules::Sudoku(_) | Rules::Arc => Augment::Full,
        })
    }

    /// What products are computed in: what is set, else f32, which depends on no machine.
    pub fn products(&self) -> Precision {
        if self.precision == Precision::Auto { Precision::F32 } else { self.precision }
    }

    /// T·(n+1)·layers, the paper's effective depth of one supervision step: how many blocks the answer has come through.
    pub fn effective_depth(&self) -> usize {
        self.h_cycles * (self.latent_calls() * self.layers + self.answer_layers())
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
