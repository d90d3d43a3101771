//! The words that a configuration chooses between.

use serde::{Deserialize, Serialize};

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
    #[serde(alias = "stablemax_cross_entropy")]
    Stablemax,
    /// The usual cross entropy; in f32.
    #[serde(alias = "softmax_cross_entropy")]
    Softmax,
}

/// Symmetries drawn anew for every training example that is taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Augment {
    /// The examples as they are.
    None,
    /// Sudoku only: permute the digits; blank cells stay blank.
    Digits,
    /// All that the task has. Sudoku: permute digits, rows within bands, bands, columns within stacks, stacks, and transpose where boxes
    /// are square. Mazes: turn and reflect. ARC: move the grids on the canvas; colours and turns come with its puzzle identifiers.
    Full,
}

/// What a model carries and improves: x is the embedded puzzle, z_H the answer, z_L a latent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum States {
    /// An answer and latents: n times `z_L = net(z_L + z_H + x)`, then `z_H = net(z_H + z_L)`.
    Pair,
    /// One state for both: n times `z = net(z + x)`, then `z = net(z)`, from which the answer is read.
    Single,
    /// The answer alone: `z_H = net(z_H + x)`. With one cycle it is the transformer baseline.
    Direct,
}

/// Which weights improve the latent and the answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Networks {
    /// The same: TRM's one network.
    Shared,
    /// Each its own: HRM's two.
    Separate,
}

/// How far back in one supervision step the gradient goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum GradientSpan {
    /// Through all n+1 calls of the last cycle.
    LastCycle,
    /// Through its last latent call and its answer call alone: HRM's 1-step approximation.
    LastCalls,
}

/// When a slot may be done with its example before `halt_max_steps`, in training; evaluation always takes all steps.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum HaltRule {
    /// When `q_halt > 0`: TRM.
    Positive,
    /// When `q_halt > q_continue`: HRM, and the transformer baseline, which never trains `q_continue`.
    OverContinue,
    /// Never.
    Never,
}

/// What moves the weights. The puzzle table always has sign-SGD.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Optimizer {
    /// Adam with `atan2(m, √v)` for `m/√v`, as the reference's code has it.
    AdamAtan2,
    /// Adam with decoupled decay and `m/(√v + 1e-8)`, as the paper's text has it.
    #[serde(rename = "adamw", alias = "adam_w")]
    AdamW,
}

/// What products by the blocks' weights are computed from, in training and in answering. Sums, everything between the products, weights and
/// optimiser are in f32 in any case.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Precision {
    /// What is known to learn as well as f32: so far that is f32 itself, on every machine.
    Auto,
    /// 32 bits, 24 of them of mantissa.
    F32,
    /// bf16, with its 8 bits of mantissa, where nothing is learned from a product; f32 in the calls with gradient.
    Mixed,
    /// bf16 in all blocks.
    Bf16,
}

/// What the learning rates do after warm-up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LrSchedule {
    /// Half a cosine down to `lr_min_ratio`.
    Cosine,
    /// A straight line down to `lr_min_ratio`.
    Linear,
    /// They stay.
    Constant,
}
