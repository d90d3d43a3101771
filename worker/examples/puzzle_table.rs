//! What a puzzle table of 10^6 rows costs: memory and time of a few training steps, with `cargo run --release --example puzzle_table ROWS`.

use std::time::Instant;

use candle_core::{Result, Tensor};
use rand::RngExt;
use tinysweep_proto::{
    config::{TrainConfig, TrialConfig},
    dataset::DataShape,
};
use tinysweep_worker::{
    carry::Row,
    model::Model,
    optim::sign_sgd,
    random::{Stream, generator},
    trainer::Trainer,
};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Rows of ARC-AGI-1's table, unless others are asked for.
const ROWS: usize = 876_406;
/// Puzzles of a published batch.
const BATCH: usize = 768;

fn main() -> Result<()> {
    let rows = std::env::args().nth(1).and_then(|rows| rows.parse().ok()).unwrap_or(ROWS);
    let width = TrialConfig::default().hidden_size;
    println!("{rows} rows of {width}: {:.2} GB", (rows * width * 4) as f64 / 1e9);
    let config = TrialConfig {
        layers: 1,
        h_cycles: 1,
        l_cycles: 1,
        puzzle_emb_len: 1,
        train: TrainConfig { batch_size: 4, warmup_steps: 0, ..TrainConfig::default() },
        ..TrialConfig::default()
    };
    let shape = DataShape { seq_len: 16, vocab_size: 6, puzzle_identifiers: rows };
    let model = Model::init(&config, shape, &mut generator(0, Stream::Weights))?;
    report("a fresh model");

    let identifiers: Vec<u32> = (0..rows as u32).collect();
    if let Some(table) = model.parameters().puzzle_table() {
        for some in identifiers.chunks(BATCH * 16) {
            sign_sgd(table, some, &Tensor::ones((some.len(), width), candle_core::DType::F32, table.device())?, 1e-2, 0.1)?;
        }
    }
    report("after every row has been trained once");
    time_rows(&model, rows)?;

    let mut trainer = Trainer::new(model, generator(0, Stream::Halting))?;
    let mut rng = generator(0, Stream::Data);
    for _ in 0..5 {
        let step =
            trainer.compute(|_| Row { tokens: vec![1; 16], labels: vec![Some(2); 16], identifier: rng.random_range(0..rows as u32) })?;
        trainer.apply(&step)?;
    }
    report("after 5 training steps");
    let averaged = trainer.averaged_model()?;
    averaged.input(&[1; 16], &[0])?;
    report("with the averaged model beside it");
    Ok(())
}

/// Times reading and moving the rows of one batch.
fn time_rows(model: &Model, rows: usize) -> Result<()> {
    let Some(table) = model.parameters().puzzle_table() else { return Ok(()) };
    let mut rng = generator(1, Stream::Data);
    let gradient = Tensor::randn(0f32, 1.0, (BATCH, table.dim(1)?), table.device())?;
    let tokens = vec![1; BATCH * 16];
    let (mut reads, mut moves) = (Vec::new(), Vec::new());
    for _ in 0..20 {
        let identifiers: Vec<u32> = (0..BATCH).map(|_| rng.random_range(0..rows as u32)).collect();
        let start = Instant::now();
        model.input(&tokens, &identifiers)?;
        reads.push(start.elapsed().as_secs_f64() * 1e3);
        let start = Instant::now();
        sign_sgd(table, &identifiers, &gradient, 1e-2, 0.1)?;
        moves.push(start.elapsed().as_secs_f64() * 1e3);
    }
    let median = |times: &mut Vec<f64>| {
        times.sort_by(f64::total_cmp);
        times[times.len() / 2]
    };
    println!("a batch of {BATCH}: rows read in {:.2} ms, moved in {:.2} ms", median(&mut reads), median(&mut moves));
    Ok(())
}

/// Prints the resident memory of this process, where the system says it.
fn report(when: &str) {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let value = |key: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(key));
        line.map_or("unknown".to_owned(), |line| line.trim().to_owned())
    };
    println!("{when}: resident {}, at most {}", value("VmRSS:"), value("VmHWM:"));
}
