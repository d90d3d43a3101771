//! `tinysweep bench train`: what a training step costs.
//!
//! The step is embedding, 21 calls of the network of two blocks (14 without gradient, 7 with), cross entropy, backpropagation, AdamW, on
//! random tokens, by the model, the kernels and the optimiser that trials use. The same work is quickly written in PyTorch, which makes it
//! the step to compare.

use std::time::Instant;

use clap::{Args, ValueEnum};
use rand::RngExt;
use serde::Serialize;
use tinysweep_proto::{
    config::{self, Loss, Optimizer, TrainConfig, TrialConfig, Variant, inner_size},
    dataset::DataShape,
};
use tinysweep_worker::{
    carry::Row,
    device::Device,
    kernels::{Bf16Unit, peak::fma_gflop_per_s},
    model::Model,
    random::{Stream, generator},
    trainer::Trainer,
};

use super::{figures, process};
use crate::{
    cli::device::DeviceArgs,
    environment,
    failure::Failure,
    output::{self, Format},
};

/// Steps before the clock runs.
const WARM_UP: usize = 2;

/// Arguments of `bench train`.
#[derive(Args, Debug)]
pub struct TrainArgs {
    /// The model and its batch
    #[arg(long, value_enum, env = "TINYSWEEP_BENCH_SHAPE", default_value = "small_mlp")]
    shape: Shape,
    /// Features, in place of the shape's
    #[arg(long, env = "TINYSWEEP_BENCH_WIDTH", value_parser = clap::value_parser!(u32).range(8..=8192))]
    width: Option<u32>,
    /// Examples in a batch, in place of the shape's
    #[arg(long, env = "TINYSWEEP_BENCH_BATCH", value_parser = clap::value_parser!(u32).range(1..=65536))]
    batch: Option<u32>,
    /// Compute threads
    #[arg(long, env = "TINYSWEEP_BENCH_THREADS", default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=1024))]
    threads: u16,
    /// What products by the blocks' weights are computed in
    #[arg(long, value_enum, env = "TINYSWEEP_BENCH_PRECISION", default_value = "f32")]
    precision: Precision,
    #[command(flatten)]
    device: DeviceArgs,
    /// Steps that are timed, after two that are not
    #[arg(long, env = "TINYSWEEP_BENCH_STEPS", default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    steps: u32,
    /// How the figures are printed
    #[arg(long, value_enum, env = "TINYSWEEP_OUTPUT", default_value = "table")]
    output: Format,
}

#[derive(Clone, Copy, Debug, Serialize, ValueEnum)]
#[serde(rename_all = "snake_case")]
#[value(rename_all = "snake_case")]
pub enum Shape {
    /// Width 128, 81 positions, batch 64, positions mixed by an MLP
    SmallMlp,
    /// The same, mixed by attention with 4 heads
    SmallAtt,
    /// Width 512, 97 positions, batch 16, positions mixed by an MLP
    BigMlp,
    /// The same, mixed by attention with 8 heads
    BigAtt,
}

#[derive(Clone, Copy, Debug, Serialize, ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Precision {
    /// 32-bit floats
    F32,
    /// bf16 in the calls without gradient, f32 in those with it
    Mixed,
    /// bf16
    Bf16,
}

/// What was measured. Stable: fields are added, never changed.
#[derive(Debug, Serialize)]
struct Figures {
    shape: Shape,
    width: usize,
    batch: usize,
    precision: Precision,
    device: String,
    /// What computes products in bf16, where the CPU does.
    unit: Option<&'static str>,
    threads: u16,
    /// Median over the steps, by the clock.
    ms_per_step: f64,
    /// Median over the steps of the time that all threads of the process together computed: what other programs on the machine disturb
    /// least.
    cpu_ms_per_step: f64,
    samples_per_s: f64,
    /// Of matrix products alone, as the formulas have them.
    gflop_per_s: f64,
    /// Of the fused multiply-adds that as many threads do in registers, measured before the steps; none on a GPU.
    fraction_of_peak: Option<f64>,
    /// The most of the machine's memory that the process ever had (`VmHWM`).
    peak_rss_mib: f64,
}

/// Measures, and prints the figures.
pub fn execute(args: &TrainArgs) -> Result<(), Failure> {
    environment::ensure_threads(args.threads.into())?;
    let device = args.device.open()?;
    let peak = device.is_cpu().then(|| fma_gflop_per_s(args.threads.into()));
    let (config, shape) = args.model()?;
    let (wall, cpu) = times(&config, shape, &device, args.steps as usize)?;
    let gflop_per_s = gflop(&config, shape.seq_len) / wall * 1e3;
    let figures = Figures {
        shape: args.shape,
        width: config.hidden_size,
        batch: config.train.batch_size,
        precision: args.precision,
        device: args.device.name.to_string(),
        unit: args.precision.unit(&device),
        threads: args.threads,
        ms_per_step: wall,
        cpu_ms_per_step: cpu,
        samples_per_s: config.train.batch_size as f64 / wall * 1e3,
        gflop_per_s,
        fraction_of_peak: peak.map(|peak| gflop_per_s / peak),
        peak_rss_mib: process::peak_mib(Some(std::process::id())),
    };
    output::print(args.output, &figures::table(&figures)?, &figures)
}

impl TrainArgs {
    /// The model and what it knows of its data.
    fn model(&self) -> Result<(TrialConfig, DataShape), Failure> {
        let (mut config, shape) = self.shape.model();
        config.precision = self.precision.into();
        config.hidden_size = self.width.map_or(config.hidden_size, |width| width as usize);
        config.train.batch_size = self.batch.map_or(config.train.batch_size, |batch| batch as usize);
        match config::check(&config).into_iter().next() {
            Some(error) => Err(Failure::bad_input(error)),
            None => Ok((config, shape)),
        }
    }
}

impl From<Precision> for config::Precision {
    fn from(precision: Precision) -> Self {
        match precision {
            Precision::F32 => Self::F32,
            Precision::Mixed => Self::Mixed,
            Precision::Bf16 => Self::Bf16,
        }
    }
}

impl Precision {
    /// What computes products in bf16, where the CPU does.
    pub fn unit(self, device: &Device) -> Option<&'static str> {
        match self {
            Self::Mixed | Self::Bf16 if device.is_cpu() => Some(Bf16Unit::in_use().name()),
            _ => None,
        }
    }
}

impl Shape {
    /// The model and what it knows of its data.
    pub fn model(self) -> (TrialConfig, DataShape) {
        let (hidden_size, num_heads, seq_len, batch_size) = match self {
            Self::SmallMlp | Self::SmallAtt => (128, 4, 81, 64),
            Self::BigMlp | Self::BigAtt => (512, 8, 97, 16),
        };
        let variant = match self {
            Self::SmallMlp | Self::BigMlp => Variant::Mlp,
            Self::SmallAtt | Self::BigAtt => Variant::Att,
        };
        let train = TrainConfig { batch_size, optimizer: Optimizer::AdamW, ema_rate: 0.0, ..TrainConfig::default() };
        let config =
            TrialConfig { variant, hidden_size, num_heads, puzzle_emb_ndim: Some(0), loss: Loss::Softmax, train, ..TrialConfig::default() };
        (config, DataShape { seq_len, vocab_size: 11, puzzle_identifiers: 1 })
    }
}

/// Medians of the milliseconds per step by the clock, and of what all threads together computed.
fn times(config: &TrialConfig, shape: DataShape, device: &Device, steps: usize) -> Result<(f64, f64), Failure> {
    let model = Model::init(config, shape, &mut generator(0, Stream::Weights))?.to_device(device)?;
    let mut trainer = Trainer::new(model, generator(0, Stream::Halting))?;
    let mut rng = generator(0, Stream::Data);
    let mut row = |_| {
        let mut tokens = || (0..shape.seq_len).map(|_| rng.random_range(0..shape.vocab_size as u32)).collect::<Vec<_>>();
        Row { tokens: tokens(), labels: tokens().into_iter().map(Some).collect(), identifier: 0 }
    };
    let (mut wall, mut cpu) = (Vec::new(), Vec::new());
    for index in 0..WARM_UP + steps {
        let (start, cpu_start) = (Instant::now(), process::cpu_ms());
        trainer.step(&mut row)?;
        device.synchronize()?;
        if index >= WARM_UP {
            wall.push(start.elapsed().as_secs_f64() * 1e3);
            cpu.push(process::cpu_ms() - cpu_start);
        }
    }
    Ok((figures::percentile(&mut wall, 0.5), figures::percentile(&mut cpu, 0.5)))
}

/// 10⁹ floating-point operations of the matrix products in one step's networks; backpropagation takes twice those of the forward pass.
fn gflop(config: &TrialConfig, positions: usize) -> f64 {
    let width = config.hidden_size;
    let mixer = match config.variant {
        Variant::Mlp => 3 * width * positions * inner_size(config, positions),
        Variant::Att => 4 * positions * width * width + 2 * positions * positions * width,
    };
    let features = 3 * positions * width * inner_size(config, width);
    let per_call = 2 * config.train.batch_size * config.layers * (mixer + features);
    let calls = config.h_cycles * (config.l_cycles + 1) + 2 * (config.l_cycles + 1);
    (per_call * calls) as f64 / 1e9
}
