//! Counts that follow from a configuration alone: parameters and floating-point operations.

use serde::Serialize;

use super::{GradientSpan, Networks, PosEncodings, TrialConfig, Variant};
use crate::dataset::DataShape;

/// How large a model is and what it costs, by count.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Size {
    /// Trainable parameters; the puzzle table, which has an optimiser of its own, is not among them (as published).
    pub parameters: u64,
    /// T·(n+1)·layers: the blocks that the answer of one supervision step has come through.
    pub effective_depth: u64,
    /// Operations (two per multiply-add) of the blocks in one training step of the whole batch: the forward pass,
    /// twice the part of it that carries gradient, and the further forward pass of the continue loss. Heads, norms and the optimiser are
    /// left out, as is usual.
    pub train_flops_per_step: u64,
    /// Operations of the blocks to answer one puzzle with all supervision steps.
    pub inference_flops: u64,
}

/// The inner width of a SwiGLU around width `outer`: `expansion·outer·2/3`, rounded, then up to `inner_multiple`.
pub fn inner_size(config: &TrialConfig, outer: usize) -> usize {
    let wanted = (config.expansion * outer as f64 * 2.0 / 3.0).round_ties_even() as usize;
    wanted.max(1).next_multiple_of(config.inner_multiple)
}

/// Counts what a model of `config` has and does on data of `shape`. A count beyond 64 bits is given as the largest there is.
pub fn size(config: &TrialConfig, shape: &DataShape) -> Size {
    let block = Block::of(config, shape);
    let width = wide(config.hidden_size);
    let positions = wide(config.prefix_len() + shape.seq_len);
    let heads = 2 * wide(shape.vocab_size) * width + 2 * width + 2;
    let learned_positions = if config.positions() == PosEncodings::Learned { positions * width } else { 0 };
    let own_layers = if config.networks == Networks::Separate { wide(config.answer_layers()) } else { 0 };
    let forward = forward_blocks(config) * block.operations;
    let further = if config.trains_continue() { forward } else { 0 };
    let step = forward + further + 2 * gradient_blocks(config) * block.operations;
    Size {
        parameters: narrow((wide(config.layers) + own_layers) * block.parameters + heads + learned_positions),
        effective_depth: config.effective_depth() as u64,
        train_flops_per_step: narrow(wide(config.train.batch_size) * step),
        inference_flops: narrow(forward * wide(config.halt_max_steps)),
    }
}

/// Blocks that a supervision step runs.
fn forward_blocks(config: &TrialConfig) -> u128 {
    wide(config.effective_depth())
}

/// Blocks of a supervision step that carry gradient.
fn gradient_blocks(config: &TrialConfig) -> u128 {
    let latent_calls = match config.gradient {
        GradientSpan::LastCycle => config.latent_calls(),
        GradientSpan::LastCalls => config.latent_calls().min(1),
    };
    wide(latent_calls * config.layers + config.answer_layers())
}

/// One block of a network.
struct Block {
    parameters: u128,
    /// Of the forward pass on one example.
    operations: u128,
}

impl Block {
    fn of(config: &TrialConfig, shape: &DataShape) -> Self {
        let width = wide(config.hidden_size);
        let positions = wide(config.prefix_len() + shape.seq_len);
        let swiglu = |outer: u128| 3 * outer * wide(inner_size(config, outer as usize));
        let (mixer_parameters, mixer_operations) = match config.variant {
            Variant::Mlp => (swiglu(positions), 2 * width * swiglu(positions)),
            Variant::Att => {
                let attention = wide(config.num_heads) * wide(config.head_width());
                let parameters = 4 * width * attention;
                (parameters, 2 * positions * parameters + 4 * positions * positions * attention)
            }
        };
        Self { parameters: mixer_parameters + swiglu(width), operations: mixer_operations + 2 * positions * swiglu(width) }
    }
}

fn wide(count: usize) -> u128 {
    count as u128
}

fn narrow(count: u128) -> u64 {
    count.try_into().unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shape(seq_len: usize, vocab_size: usize) -> DataShape {
        DataShape { seq_len, vocab_size, puzzle_identifiers: 1 }
    }

    #[test]
    fn published_parameter_counts() {
        let mlp = TrialConfig::default();
        let att = TrialConfig { variant: Variant::Att, ..TrialConfig::default() };
        for (task, att_parameters, mlp_parameters) in
            [(shape(81, 11), 6_828_034, 5_028_866), (shape(900, 6), 6_822_914, 18_795_522), (shape(900, 12), 6_829_058, 18_801_666)]
        {
            assert_eq!(size(&att, &task).parameters, att_parameters);
            assert_eq!(size(&mlp, &task).parameters, mlp_parameters);
        }
    }

    #[test]
    fn published_operation_counts() {
        let mlp = size(&TrialConfig::default(), &shape(81, 11));
        let att = size(&TrialConfig { variant: Variant::Att, ..TrialConfig::default() }, &shape(81, 11));
        assert_eq!((mlp.train_flops_per_step as f64 / 1e11).round() / 10.0, 32.8);
        assert_eq!((att.train_flops_per_step as f64 / 1e11).round() / 10.0, 36.6);
        assert_eq!(mlp.effective_depth, 42);
    }
}
