//! `tinysweep bench`: what things cost here, measured.

mod crew;
mod dispatch;
mod figures;
mod inference;
mod process;
mod train;

use clap::{Args, Subcommand};

use crate::failure::Failure;

/// Arguments of `bench`.
#[derive(Args, Debug)]
pub struct BenchArgs {
    #[command(subcommand)]
    bench: Bench,
}

#[derive(Subcommand, Debug)]
enum Bench {
    /// What handing out a trial costs: a coordinator and simulated workers, each a process, over loopback
    Dispatch(dispatch::DispatchArgs),
    /// What a training step costs, at the shapes that are compared with PyTorch
    Train(train::TrainArgs),
    /// What answers cost at the same shapes: latency of one puzzle, throughput of many at once
    Inference(inference::InferenceArgs),
    /// Simulated workers of `bench dispatch`
    #[command(hide = true)]
    Crew(crew::CrewArgs),
}

/// Runs the benchmark.
pub async fn execute(args: BenchArgs) -> Result<(), Failure> {
    match args.bench {
        Bench::Dispatch(args) => dispatch::execute(args).await,
        Bench::Train(args) => train::execute(&args),
        Bench::Inference(args) => inference::execute(&args),
        Bench::Crew(args) => crew::execute(args).await,
    }
}
