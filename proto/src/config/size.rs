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
    use crate::config::{States, preset};

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

    const SUDOKU: DataShape = DataShape { seq_len: 81, vocab_size: 11, puzzle_identifiers: 1 };
    const MAZE: DataShape = DataShape { seq_len: 900, vocab_size: 6, puzzle_identifiers: 1 };

    fn mlp() -> TrialConfig {
        TrialConfig::default()
    }

    fn att() -> TrialConfig {
        TrialConfig { variant: Variant::Att, ..mlp() }
    }

    /// That `value` is `published` to the figures that are given: half a unit of the last one.
    fn assert_published(value: f64, published: f64, unit: f64) {
        assert!((value - published).abs() <= 0.5 * unit, "{value}, not {published}");
    }

    #[test]
    fn baselines_have_the_parameters_that_the_reference_counts() {
        let parameters = |name, shape| size(&preset(name).unwrap().config(), shape).parameters;
        assert_eq!(parameters("hrm-27m", &SUDOKU), 27_275_266);
        assert_eq!(parameters("hrm-27m", &MAZE), 27_270_146);
        // 8 layers of 4·512·504 + 3·512·1536, and heads of 2·11·512 + 2·512 + 2.
        assert_eq!(parameters("transformer-27m", &SUDOKU), 27_144_194);
        assert_eq!(parameters("transformer-27m-1", &SUDOKU), 27_144_194);
    }

    #[test]
    fn trunks_by_width() {
        let trunk = |config: &TrialConfig| {
            let heads = 2 * 11 * config.hidden_size + 2 * config.hidden_size + 2;
            (size(config, &SUDOKU).parameters - heads as u64) as f64 / 1e6
        };
        for (width, millions) in [(128, 0.524), (192, 0.885), (256, 1.704), (384, 3.539), (512, 6.816), (768, 14.156), (1024, 25.690)] {
            assert_published(trunk(&TrialConfig { hidden_size: width, num_heads: width / 64, ..att() }), millions, 1e-3);
        }
        for (width, millions) in [(128, 0.691), (256, 1.478), (384, 2.657), (512, 5.017), (768, 9.735), (1024, 17.599)] {
            assert_published(trunk(&TrialConfig { hidden_size: width, ..mlp() }), millions, 1e-3);
        }
    }

    #[test]
    fn separating_the_networks_doubles_the_blocks_and_not_the_operations() {
        let separate = TrialConfig { networks: Networks::Separate, ..mlp() };
        let (one, two) = (size(&mlp(), &SUDOKU), size(&separate, &SUDOKU));
        assert_eq!(two.parameters - one.parameters, 5_016_576);
        assert_eq!((two.train_flops_per_step, two.inference_flops), (one.train_flops_per_step, one.inference_flops));
        let deeper = size(&TrialConfig { h_layers: Some(3), ..separate }, &SUDOKU);
        assert_eq!(deeper.parameters - two.parameters, 5_016_576 / 2);
        assert_eq!(deeper.effective_depth, 3 * (6 * 2 + 3));
    }

    #[test]
    fn published_operation_counts() {
        let per_layer = |config: &TrialConfig, shape| Block::of(config, shape).operations as f64 / 1e9;
        assert_published(per_layer(&mlp(), &SUDOKU), 0.610, 1e-3);
        assert_published(per_layer(&att(), &SUDOKU), 0.680, 1e-3);
        assert_published(per_layer(&att(), &MAZE), 7.96, 1e-2);

        let step = |config: &TrialConfig, shape: &DataShape| size(config, shape).train_flops_per_step as f64;
        let four = TrialConfig { l_cycles: 4, ..att() };
        for (config, shape, tera, unit) in [
            (mlp(), SUDOKU, 32.8, 0.1),
            (att(), SUDOKU, 36.6, 0.1),
            (four.clone(), MAZE, 306.0, 1.0),
            (att(), MAZE, 428.0, 1.0),
            (TrialConfig { hidden_size: 128, ..mlp() }, SUDOKU, 4.1, 0.1),
            (TrialConfig { hidden_size: 256, ..mlp() }, SUDOKU, 10.3, 0.1),
            (TrialConfig { hidden_size: 384, ..mlp() }, SUDOKU, 18.5, 0.1),
        ] {
            assert_published(step(&config, &shape) / 1e12, tera, unit);
        }
        assert_published(step(&mlp(), &SUDOKU) * 65_104.0 / 1e18, 2.1, 0.1);
        assert_published(step(&four, &MAZE) * 65_104.0 / 1e19, 2.0, 0.1);
        assert_published(step(&four, &MAZE) * 518_226.0 / 1e20, 1.6, 0.1);
        assert_published(size(&mlp(), &SUDOKU).inference_flops as f64 * 422_786.0 / 1e17, 1.7, 0.1);
        assert_eq!(size(&mlp(), &SUDOKU).effective_depth, 42);
    }

    #[test]
    fn the_cost_of_depth() {
        let cost = |cycles, calls| {
            let config = TrialConfig { h_cycles: cycles, l_cycles: calls, ..mlp() };
            size(&config, &SUDOKU).train_flops_per_step as f64 / size(&mlp(), &SUDOKU).train_flops_per_step as f64
        };
        for (cycles, calls, relative) in
            [(1, 2, 0.26), (2, 2, 0.34), (2, 4, 0.57), (3, 3, 0.57), (3, 6, 1.0), (4, 8, 1.54), (6, 6, 1.6), (3, 12, 1.86)]
        {
            assert_published(cost(cycles, calls), relative, 0.01);
        }
    }

    /// In units of one block on one example: forward, twice what carries gradient, and the further pass of the continue loss.
    #[test]
    fn operations_of_every_variant_by_hand() {
        let blocks = |config: &TrialConfig| {
            let size = size(config, &SUDOKU);
            let block = Block::of(config, &SUDOKU).operations as u64;
            (size.train_flops_per_step / block / config.train.batch_size as u64, size.inference_flops / block)
        };
        assert_eq!(blocks(&mlp()), (42 + 2 * 14, 42 * 16));
        assert_eq!(blocks(&TrialConfig { states: States::Single, ..mlp() }), (42 + 2 * 14, 42 * 16));
        assert_eq!(blocks(&TrialConfig { latents: 6, ..mlp() }), (42 + 2 * 14, 42 * 16));
        assert_eq!(blocks(&TrialConfig { gradient: GradientSpan::LastCalls, ..mlp() }), (42 + 2 * 4, 42 * 16));
        assert_eq!(blocks(&TrialConfig { continue_loss: true, ..mlp() }), (2 * 42 + 2 * 14, 42 * 16));
        assert_eq!(blocks(&TrialConfig { continue_loss: true, halt_max_steps: 1, ..mlp() }), (42 + 2 * 14, 42));
        assert_eq!(blocks(&preset("hrm-27m").unwrap().config()), (2 * 24 + 2 * 8, 24 * 16));
        assert_eq!(blocks(&preset("transformer-27m").unwrap().config()), (8 + 2 * 8, 8 * 16));
        assert_eq!(blocks(&preset("transformer-27m-1").unwrap().config()), (8 + 2 * 8, 8));
    }

    #[test]
    fn the_largest_sizes_do_not_overflow() {
        let huge = 1 << 20;
        let mut config = TrialConfig { hidden_size: huge, layers: 1000, h_cycles: 1000, l_cycles: 1000, ..mlp() };
        config.train.batch_size = huge;
        assert_eq!(size(&config, &MAZE).train_flops_per_step, u64::MAX);
    }
}
