//! Counts that follow from a configuration alone: parameters and floating-point operations.

use serde::Serialize;

use super::{PosEncodings, TrialConfig, Variant};
use crate::dataset::DataShape;

/// How large a model is and what it costs, by count.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Size {
    /// Trainable parameters; the puzzle table, which has an optimiser of its own, is not among them (as published).
    pub parameters: u64,
    /// T·(n+1)·layers.
    pub effective_depth: u64,
    /// Operations (two per multiply-add) of the blocks in one training step of the whole batch: the forward pass,
    /// and twice the part of it that carries gradient. Heads, norms and the optimiser are left out, as is usual.
    pub train_flops_per_step: u64,
    /// Operations of the blocks to answer one puzzle with all supervision steps.
    pub inference_flops: u64,
}

/// The inner width of a SwiGLU around width `outer`: `expansion·outer·2/3`, rounded, then up to `inner_multiple`.
pub fn inner_size(config: &TrialConfig, outer: usize) -> usize {
    let wanted = (config.expansion * outer as f64 * 2.0 / 3.0).round_ties_even() as usize;
    wanted.max(1).next_multiple_of(config.inner_multiple)
}

/// Counts what a model of `config` has and does on data of `shape`.
pub fn size(config: &TrialConfig, shape: &DataShape) -> Size {
    let width = config.hidden_size as u64;
    let positions = (config.prefix_len() + shape.seq_len) as u64;
    let swiglu = |outer: u64| 3 * outer * inner_size(config, outer as usize) as u64;
    let (mixer_parameters, mixer_flops) = match config.variant {
        Variant::Mlp => (swiglu(positions), 2 * width * swiglu(positions)),
        Variant::Att => (4 * width * width, 2 * positions * 4 * width * width + 4 * positions * positions * width),
    };
    let learned_positions = if config.positions() == PosEncodings::Learned { positions * width } else { 0 };
    let heads = 2 * shape.vocab_size as u64 * width + 2 * width + 2;
    let network_flops = config.layers as u64 * (mixer_flops + 2 * positions * swiglu(width));
    let calls = config.l_cycles as u64 + 1;
    let cycles = config.h_cycles as u64;
    Size {
        parameters: config.layers as u64 * (mixer_parameters + swiglu(width)) + heads + learned_positions,
        effective_depth: config.effective_depth() as u64,
        train_flops_per_step: config.train.batch_size as u64 * network_flops * (cycles * calls + 2 * calls),
        inference_flops: network_flops * cycles * calls * config.halt_max_steps as u64,
    }
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
