//! `tinysweep data verify`: files of puzzles, looked at from end to end.

mod puzzles;
mod tasks;

use std::path::PathBuf;

use clap::Args;
use serde_json::{Map, Value, json};
use tinysweep_proto::dataset::{Benchmark, Source};

use crate::{
    failure::Failure,
    output::{self, Format, Table},
};

/// Arguments of `data verify`.
#[derive(Args, Debug)]
pub struct VerifyArgs {
    /// Benchmark whose rules the puzzles must follow
    #[arg(value_parser = super::benchmark_parser())]
    benchmark: &'static Benchmark,
    /// Training puzzles: a file of CSV, or a folder in the reference's format; for ARC files of tasks [default: the benchmark's own, where
    /// they have been downloaded]
    #[arg(long, num_args = 1..)]
    train: Vec<PathBuf>,
    /// Test puzzles, likewise
    #[arg(long)]
    test: Option<PathBuf>,
    /// How the findings are printed
    #[arg(long, value_enum, env = "TINYSWEEP_OUTPUT", default_value = "table")]
    output: Format,
}

/// What is found: facts about each part, facts about both, and what is wrong.
#[derive(Default)]
struct Findings {
    parts: Vec<(&'static str, Map<String, Value>)>,
    both: Map<String, Value>,
    problems: Vec<String>,
}

/// Checks the files and prints what is in them; fails if something is wrong with them.
pub fn execute(args: &VerifyArgs) -> Result<(), Failure> {
    let mut findings = Findings::default();
    if args.benchmark.source == Source::Arc {
        tasks::verify(args, &mut findings)?;
    } else {
        puzzles::verify(args, &mut findings)?;
    }
    print(args, &findings)?;
    match findings.problems.len() {
        0 => Ok(()),
        _ => Err(Failure::bad_input(findings.problems.join("\nerror: "))),
    }
}

fn print(args: &VerifyArgs, findings: &Findings) -> Result<(), Failure> {
    let Findings { parts, both, problems } = findings;
    let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    let facts = parts.iter().map(|(part, facts)| (*part, facts)).chain([("both", both)]);
    let rows =
        facts.flat_map(|(part, facts)| facts.iter().map(move |(name, value)| vec![part.into(), name.replace('_', " "), text(value)]));
    let table = Table { headers: vec!["part", "what", "found"], rows: rows.collect() };
    let parts: Vec<_> = parts.iter().map(|(part, facts)| json!({"part": part, "found": facts})).collect();
    let value = json!({
        "benchmark": args.benchmark.name,
        "task": args.benchmark.task.name(),
        "parts": parts,
        "both": both,
        "problems": problems,
        "ok": problems.is_empty(),
    });
    output::print(args.output, &table, &value)
}
