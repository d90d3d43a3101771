//! `tinysweep bench inference`: what an answer costs.
//!
//! An answer is all supervision steps of a batch of random puzzles, none halting early, from the tokens to the most likely ones: what
//! `predict` does for one puzzle and an evaluation for many. The same forward passes are quickly written in PyTorch.

use std::time::Instant;

use clap::Args;
use rand::RngExt;
use serde::Serialize;
use tinysweep_proto::config::TrialConfig;
use tinysweep_worker::{
    kernels::slices,
    loss::most_likely,
    model::{Gradient, Model},
    random::{Stream, generator},
};

use super::{
    figures, process,
    train::{Precision, Shape},
};
use crate::{
    cli::device::DeviceArgs,
    environment,
    failure::Failure,
    output::{self, Format},
};

/// Arguments of `bench inference`.
#[derive(Args, Debug)]
pub struct InferenceArgs {
    /// The model
    #[arg(long, value_enum, env = "TINYSWEEP_BENCH_SHAPE", default_value = "small_mlp")]
    shape: Shape,
    /// Puzzles that are answered at once
    #[arg(long, env = "TINYSWEEP_BENCH_BATCH", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=65_536))]
    batch: u32,
    /// Supervision steps of an answer
    #[arg(long, env = "TINYSWEEP_BENCH_SUPERVISION_STEPS", default_value_t = 16, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    supervision_steps: u32,
    /// What products by the blocks' weights are computed in; `mixed` is as `bf16` where nothing is learned
    #[arg(long, value_enum, env = "TINYSWEEP_BENCH_PRECISION", default_value = "f32")]
    precision: Precision,
    #[command(flatten)]
    device: DeviceArgs,
    /// Compute threads
    #[arg(long, env = "TINYSWEEP_BENCH_THREADS", default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=1024))]
    threads: u16,
    /// Answers that are timed, after one that is not
    #[arg(long, env = "TINYSWEEP_BENCH_STEPS", default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    steps: u32,
    /// How the figures are printed
    #[arg(long, value_enum, env = "TINYSWEEP_OUTPUT", default_value = "table")]
    output: Format,
}

/// What was measured. Stable: fields are added, never changed.
#[derive(Debug, Serialize)]
struct Figures {
    shape: Shape,
    batch: u32,
    supervision_steps: u32,
    precision: Precision,
    device: String,
    /// What computes products in bf16, where the CPU does.
    unit: Option<&'static str>,
    threads: u16,
    /// Of the whole batch, from its tokens to its answer, by the clock: at a batch of 1 the latency of a puzzle.
    answer_ms_p50: f64,
    answer_ms_p99: f64,
    /// Median of the time that all threads of the process together computed for an answer: what other programs on the machine disturb least.
    cpu_ms_per_answer: f64,
    /// By the median.
    puzzles_per_s: f64,
    /// The most of the machine's memory that the process ever had (`VmHWM`).
    peak_rss_mib: f64,
}

/// Measures, and prints the figures.
pub fn execute(args: &InferenceArgs) -> Result<(), Failure> {
    environment::ensure_threads(args.threads.into())?;
    let (config, shape) = args.shape.model();
    let device = args.device.open()?;
    let config = TrialConfig { precision: args.precision.into(), ..config };
    let model = Model::init(&config, shape, &mut generator(0, Stream::Weights))?.to_device(&device)?;
    let mut rng = generator(0, Stream::Data);
    let (batch, steps) = (args.batch as usize, args.supervision_steps as usize);
    let (mut wall, mut cpu) = (Vec::new(), Vec::new());
    for index in 0..=args.steps {
        let tokens: Vec<u32> = (0..batch * shape.seq_len).map(|_| rng.random_range(0..shape.vocab_size as u32)).collect();
        let (start, cpu_start) = (Instant::now(), process::cpu_ms());
        answer(&model, &tokens, batch, steps)?;
        if index > 0 {
            wall.push(start.elapsed().as_secs_f64() * 1e3);
            cpu.push(process::cpu_ms() - cpu_start);
        }
    }
    let median = figures::percentile(&mut wall, 0.5);
    let figures = Figures {
        shape: args.shape,
        batch: args.batch,
        supervision_steps: args.supervision_steps,
        precision: args.precision,
        device: args.device.name.to_string(),
        unit: args.precision.unit(&device),
        threads: args.threads,
        answer_ms_p50: median,
        answer_ms_p99: figures::percentile(&mut wall, 0.99),
        cpu_ms_per_answer: figures::percentile(&mut cpu, 0.5),
        puzzles_per_s: f64::from(args.batch) / median * 1e3,
        peak_rss_mib: process::peak_mib(Some(std::process::id())),
    };
    output::print(args.output, &figures::table(&figures)?, &figures)
}

/// The most likely tokens after `steps` supervision steps, `[batch · seq_len]`.
fn answer(model: &Model, tokens: &[u32], batch: usize, steps: usize) -> Result<Vec<usize>, Failure> {
    let input = model.input(tokens, &vec![0; batch])?;
    let mut output = model.forward(&input, &model.initial_latents(batch)?, Gradient::None)?;
    for _ in 1..steps {
        output = model.forward(&input, &output.latents, Gradient::None)?;
    }
    Ok(slices::read(&output.logits, |logits| logits.chunks_exact(model.shape().vocab_size).map(most_likely).collect())?)
}
