//! `tinysweep data`: which puzzles the benchmarks have, and files of them, written and checked.

mod build;
mod files;
mod list;
mod verify;

use clap::{
    Args, Subcommand,
    builder::{PossibleValuesParser, TypedValueParser},
};
use tinysweep_proto::dataset::{BENCHMARKS, Benchmark, benchmark};

use crate::failure::Failure;

/// Arguments of `data`.
#[derive(Args, Debug)]
pub struct DataArgs {
    #[command(subcommand)]
    command: DataCommand,
}

#[derive(Subcommand, Debug)]
enum DataCommand {
    /// The benchmarks: where their puzzles come from, whether those are here, how many published results stand beside
    List(list::ListArgs),
    /// Write a benchmark's puzzles into files: generated, downloaded, or converted from other files
    Build(build::BuildArgs),
    /// Check files of puzzles: rules, unique solutions, repeats, overlap of training and test, hashes
    Verify(verify::VerifyArgs),
}

/// Runs the command.
pub fn execute(args: &DataArgs) -> Result<(), Failure> {
    match &args.command {
        DataCommand::List(args) => list::execute(args),
        DataCommand::Build(args) => build::execute(args),
        DataCommand::Verify(args) => verify::execute(args),
    }
}

/// Reads the name of a benchmark.
fn benchmark_parser() -> impl TypedValueParser<Value = &'static Benchmark> {
    let names = PossibleValuesParser::new(BENCHMARKS.iter().map(|known| known.name));
    names.map(|name| benchmark(&name).expect("no name but those of benchmarks comes through"))
}
