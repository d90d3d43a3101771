//! `tinysweep data build`: a benchmark's puzzles in files.

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use serde_json::json;
use tinysweep_proto::dataset::{Benchmark, Rules, Source};
use tinysweep_worker::data::{ArcRequest, DataRequest, Part, arc, prepare, sudoku::Ratings};

use super::files;
use crate::{
    failure::Failure,
    hub,
    output::{self, Format, Table},
};

/// Arguments of `data build`.
#[derive(Args, Debug)]
pub struct BuildArgs {
    /// Benchmark whose puzzles are built
    #[arg(value_parser = super::benchmark_parser())]
    benchmark: &'static Benchmark,
    /// Folder that the files go to; made if it is not there
    #[arg(long)]
    out: PathBuf,
    /// Training puzzles: how many to generate, a file of CSV, or a folder in the reference's format; for ARC, files of tasks that are
    /// trained on with all their pairs [default: the benchmark's own]
    #[arg(long, num_args = 1..)]
    train: Vec<String>,
    /// Test puzzles, likewise; for ARC the file of tasks whose test inputs are measured [default: the benchmark's own]
    #[arg(long)]
    test: Option<String>,
    /// Seed of puzzles that are generated or drawn, and of copies [default: 0, for ARC 42]
    #[arg(long, env = "TINYSWEEP_DATA_SEED")]
    seed: Option<u64>,
    /// Givens that generated Sudoku puzzles aim at
    #[arg(long)]
    givens: Option<usize>,
    /// How hard generated Sudoku puzzles are: the least and the largest number of guesses
    #[arg(long, num_args = 2, value_names = ["LEAST", "MOST"])]
    rating: Option<Vec<u32>>,
    /// Augmented copies: of each ARC task [default: 1000]; in the reference's format also of each other training puzzle [default: 0]
    #[arg(long)]
    copies: Option<u32>,
    /// Let ARC's test inputs be trained on
    #[arg(long)]
    allow_overlap: bool,
    /// What is written
    #[arg(long, value_enum, default_value = "text")]
    format: FileFormat,
    /// How the list of what was written is printed
    #[arg(long, value_enum, env = "TINYSWEEP_OUTPUT", default_value = "table")]
    output: Format,
}

/// What is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum FileFormat {
    /// train.csv and test.csv; for ARC tasks.json, with both parts
    Text,
    /// The folders that the reference's trainer reads: train/all__inputs.npy, …, identifiers.json
    Reference,
}

/// Builds the puzzles, writes the files, prints what they are.
pub fn execute(args: &BuildArgs) -> Result<(), Failure> {
    let request = hub::complete(request(args)?).map_err(Failure::bad_input)?;
    let data = prepare(&request).map_err(Failure::bad_input)?;
    let copies = if request.arc.is_some() { 0 } else { args.copies.unwrap_or(0) as usize };
    let written = match args.format {
        FileFormat::Text => files::write_text(&args.out, &data)?,
        FileFormat::Reference => files::write_reference(&args.out, &data, copies, request.seed)?,
    };
    let rows = written
        .iter()
        .map(|one| vec![one.part.into(), one.path.display().to_string(), one.examples.to_string(), one.sha256.clone(), one.origin.clone()]);
    let table = Table { headers: vec!["part", "written to", ">puzzles", "sha256", "origin"], rows: rows.collect() };
    let parts = written
        .iter()
        .map(|one| json!({"part": one.part, "path": one.path, "examples": one.examples, "sha256": one.sha256, "origin": one.origin}));
    let set = &data.dataset;
    let value = json!({
        "benchmark": set.benchmark,
        "task": set.task.name(),
        "proxy": set.proxy,
        "puzzle_identifiers": set.puzzle_identifiers,
        "parts": parts.collect::<Vec<_>>(),
    });
    output::print(args.output, &table, &value)
}

/// What the arguments mean; what would have no effect is refused.
fn request(args: &BuildArgs) -> Result<DataRequest, Failure> {
    let mut request = DataRequest {
        benchmark: args.benchmark,
        train: None,
        test: None,
        seed: args.seed.unwrap_or(0),
        givens: args.givens,
        ratings: ratings(args)?,
        official: Vec::new(),
        arc: None,
    };
    if args.benchmark.source == Source::Arc {
        refuse(args.givens.is_some() || args.rating.is_some(), "--givens and --rating are for generated Sudoku puzzles")?;
        request.arc = Some(arc_request(args)?);
        return Ok(request);
    }
    refuse(args.allow_overlap, "--allow-overlap is for benchmarks of ARC")?;
    let has_copies = args.copies.is_some();
    refuse(has_copies && args.format == FileFormat::Text, "--copies needs --format reference: training on CSV draws its own copies")?;
    refuse(args.train.len() > 1, "--train takes one file or number; several files are for benchmarks of ARC")?;
    request.train = args.train.first().map(|text| part(text)).transpose()?;
    request.test = args.test.as_deref().map(part).transpose()?;
    let is_generated = |asked: &Option<Part>| match asked {
        Some(part) => matches!(part, Part::Generate(_)),
        None => matches!(args.benchmark.source, Source::Generated { .. }),
    };
    let any_generated = is_generated(&request.train) || is_generated(&request.test);
    let is_sudoku = matches!(args.benchmark.task.rules(), Rules::Sudoku(_));
    let shapes = args.givens.is_some() || args.rating.is_some();
    refuse(shapes && !(any_generated && is_sudoku), "--givens and --rating are for generated Sudoku puzzles")?;
    let are_files = request.train.is_some() && request.test.is_some() && !any_generated;
    refuse(args.seed.is_some() && are_files && !has_copies, "--seed has no effect on files; leave it out")?;
    Ok(request)
}

fn arc_request(args: &BuildArgs) -> Result<ArcRequest, Failure> {
    let name = args.benchmark.name;
    let evaluation = args.test.as_ref().map(PathBuf::from).ok_or_else(|| {
        Failure::bad_input(format!("{name} has no tasks of its own: name files, as in --train training.json --test evaluation.json"))
    })?;
    Ok(ArcRequest {
        training: args.train.iter().map(PathBuf::from).collect(),
        evaluation,
        augmentations: args.copies.unwrap_or(arc::DEFAULT_AUGMENTATIONS),
        seed: args.seed.unwrap_or(arc::DEFAULT_SEED),
        allow_overlap: args.allow_overlap,
    })
}

fn part(text: &str) -> Result<Part, Failure> {
    if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
        return text.parse().map(Part::Generate).map_err(|_| Failure::bad_input(format!("{text} puzzles are too many")));
    }
    Ok(Part::File(text.into()))
}

fn ratings(args: &BuildArgs) -> Result<Ratings, Failure> {
    match args.rating.as_deref() {
        Some(&[least, most]) if least <= most => Ok(Ratings { least, most }),
        Some(given) => Err(Failure::bad_input(format!("--rating {given:?}: give the least number of guesses, then the largest"))),
        None => Ok(Ratings::ANY),
    }
}

fn refuse(is_wrong: bool, message: &str) -> Result<(), Failure> {
    if is_wrong { Err(Failure::bad_input(message)) } else { Ok(()) }
}
