//! From what a sweep asks for to the data set of its trials, and back on the workers.

mod arc;
mod half;
#[cfg(test)]
mod tests;

use std::path::PathBuf;

use sha2::{Digest, Sha256};
use tinysweep_proto::dataset::{Benchmark, DataFile, Dataset, Format, Source, Task};

use super::arc::Collection;
use super::sudoku::Ratings;
use super::{DataError, Examples, Split, arrays, checks, csv};
use half::{Half, generate_halves};

/// The data that a sweep asks for.
#[derive(Clone, Debug)]
pub struct DataRequest {
    /// What is measured.
    pub benchmark: &'static Benchmark,
    /// Training puzzles; nothing for the benchmark's own.
    pub train: Option<Part>,
    /// Test puzzles; nothing for the benchmark's own.
    pub test: Option<Part>,
    /// Seed of generated puzzles, and of rows that are drawn.
    pub seed: u64,
    /// Givens that generated Sudoku puzzles aim at; 0 for as few as possible, nothing for `Givens::standard`.
    pub givens: Option<usize>,
    /// How hard generated Sudoku puzzles are.
    pub ratings: Ratings,
    /// SHA-256 of the uncompressed files that are known to be the benchmark's own, in hex.
    pub official: Vec<String>,
    /// Tasks for a benchmark of ARC, in place of all the above.
    pub arc: Option<ArcRequest>,
}

/// The ARC tasks that a sweep asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ArcRequest {
    /// Files of tasks that are trained on with all their pairs.
    pub training: Vec<PathBuf>,
    /// The file of tasks whose demonstrations are trained on and whose test inputs are measured.
    pub evaluation: PathBuf,
    /// Copies of each task.
    pub augmentations: u32,
    /// Seed of the copies.
    pub seed: u64,
    /// Whether test inputs may be trained on.
    pub allow_overlap: bool,
}

/// Where one half of the data comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Part {
    /// A file of puzzles, plain or in gzip, or a folder in the reference's format.
    File(PathBuf),
    /// So many rows of a file, drawn by the seed.
    Draw {
        /// The file.
        file: PathBuf,
        /// How many.
        rows: usize,
    },
    /// So many generated puzzles.
    Generate(usize),
}

/// A data set and its contents.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PreparedData {
    /// What trials know of it.
    pub dataset: Dataset,
    /// The uncompressed training file.
    pub train: Vec<u8>,
    /// The uncompressed test file.
    pub test: Vec<u8>,
}

/// Reads or generates the puzzles that `request` asks for, and checks that each Sudoku has one solution and that no test puzzle is
/// among the training puzzles.
///
/// Results are *proxy* unless the puzzles are the benchmark's own: generated ones where it is a generated benchmark, else files whose
/// hashes are among the official ones.
///
/// # Errors
/// A file is wrong, a part is missing, or the puzzles cannot be generated.
pub fn prepare(request: &DataRequest) -> Result<PreparedData, DataError> {
    if request.benchmark.source == Source::Arc {
        let arc = request.arc.as_ref().ok_or(DataError::NoArc { benchmark: request.benchmark.name })?;
        return arc::prepare(request.benchmark, arc);
    }
    let [own_train, own_test] = match request.benchmark.source {
        Source::Generated { train, test } => [Some(Part::Generate(train)), Some(Part::Generate(test))],
        Source::Hub { .. } | Source::Arc => [None, None],
    };
    let train = resolve(request, "train", &request.train, own_train)?;
    let test = resolve(request, "test", &request.test, own_test)?;
    let [train, test] = match (train, test) {
        (Part::Generate(train), Part::Generate(test)) => generate_halves(request, train, test)?,
        (Part::Generate(_), _) => return Err(DataError::Mixed { file_part: "test" }),
        (_, Part::Generate(_)) => return Err(DataError::Mixed { file_part: "train" }),
        (train, test) => [Half::read(request, &train)?, Half::read(request, &test)?],
    };
    let are_own = train.is_own && test.is_own;
    if !are_own {
        checks::check_overlap((&train.examples, &train.file.origin), (&test.examples, &test.file.origin))?;
    }
    let dataset = Dataset {
        benchmark: request.benchmark.name.into(),
        task: request.benchmark.task,
        proxy: !are_own,
        puzzle_identifiers: train.examples.puzzle_identifiers.max(test.examples.puzzle_identifiers),
        train: train.file,
        test: test.file,
    };
    Ok(PreparedData { dataset, train: train.content, test: test.content })
}

/// The puzzles of `split` in `content`, which must be that of `file`. Formats that have a file for each split ignore which one it is.
///
/// # Errors
/// The content is another one, or does not hold puzzles of `task`.
pub fn decode(content: &[u8], file: &DataFile, task: Task, split: Split) -> Result<Examples, DataError> {
    let found = sha256(content);
    if found != file.sha256 {
        return Err(DataError::OtherContent { file: file.origin.clone(), expected: file.sha256.clone(), found });
    }
    let examples = match (file.format, task) {
        (Format::Arc, Task::Arc) => Collection::read(content, &file.origin)?.examples(split),
        (Format::Arrays, _) => arrays::decode(content, &file.origin, task)?,
        _ => csv::read(content, &file.origin, task)?,
    };
    if examples.len() as u64 != file.examples {
        return Err(DataError::OtherCount { file: file.origin.clone(), expected: file.examples, found: examples.len() as u64 });
    }
    Ok(examples)
}

fn resolve(request: &DataRequest, part: &'static str, asked: &Option<Part>, own: Option<Part>) -> Result<Part, DataError> {
    asked.clone().or(own).ok_or(DataError::Unspecified { benchmark: request.benchmark.name, part })
}

/// The SHA-256 of some content, in hex.
pub fn sha256(content: &[u8]) -> String {
    tinysweep_proto::hex(&Sha256::digest(content))
}
