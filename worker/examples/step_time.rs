//! Milliseconds per training step of small models, to choose the sizes of the quick start.
//!
//! `RAYON_NUM_THREADS=1 CANDLE_NUM_THREADS=1 cargo run --release -p tinysweep-worker --example step_time`
//!
//! Width 64, two layers, T = 2, n = 2, batch 64, on the shape of 6×6 Sudoku; both variants, with a prefix and without. The steps run on
//! random tokens: they cost the same as real ones. Prints the median and the least of the steps.

use std::time::Instant;

use rand::RngExt;
use tinysweep_proto::{
    config::{TrainConfig, TrialConfig, Variant},
    dataset::Task,
};
use tinysweep_worker::{
    carry::Row,
    model::Model,
    random::{Stream, generator},
    trainer::Trainer,
};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Steps before the clock runs.
const WARM_UP: usize = 5;
/// Steps that are timed.
const TIMED: usize = 40;

fn main() -> candle_core::Result<()> {
    for variant in [Variant::Mlp, Variant::Att] {
        for prefix in [0, 16] {
            let config = TrialConfig {
                variant,
                hidden_size: 64,
                num_heads: 4,
                h_cycles: 2,
                l_cycles: 2,
                puzzle_emb_len: prefix,
                puzzle_emb_ndim: if prefix == 0 { Some(0) } else { None },
                train: TrainConfig { batch_size: 64, ..TrainConfig::default() },
                ..TrialConfig::default()
            };
            let mut times = times(&config)?;
            times.sort_by(f64::total_cmp);
            println!("{variant:?}, prefix {prefix:2}: median {:6.1} ms, least {:6.1} ms", times[times.len() / 2], times[0]);
        }
    }
    Ok(())
}

/// Milliseconds of each timed step.
fn times(config: &TrialConfig) -> candle_core::Result<Vec<f64>> {
    let shape = Task::Sudoku6x6.shape(1);
    let model = Model::init(config, shape, &mut generator(0, Stream::Weights))?;
    let mut trainer = Trainer::new(model, generator(0, Stream::Halting))?;
    let mut rng = generator(0, Stream::Data);
    let mut row = |_| {
        let tokens: Vec<u32> = (0..shape.seq_len).map(|_| rng.random_range(1..shape.vocab_size as u32)).collect();
        Row { labels: tokens.iter().map(|&token| Some(token)).collect(), tokens, identifier: 0 }
    };
    let mut times = Vec::new();
    for _ in 0..WARM_UP + TIMED {
        let start = Instant::now();
        trainer.step(&mut row)?;
        times.push(start.elapsed().as_secs_f64() * 1e3);
    }
    Ok(times.split_off(WARM_UP))
}
