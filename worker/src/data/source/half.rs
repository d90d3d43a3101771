//! Training or test puzzles: read, drawn from a file, or generated.

use std::collections::HashSet;
use std::path::Path;

use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use tinysweep_proto::dataset::{DataFile, Format, Rules, Source, Task};

use super::{DataRequest, Part, sha256};
use crate::data::sudoku::{Givens, Ratings};
use crate::data::{DataError, Examples, arrays, checks, csv, file, maze, reference_format, sudoku};

/// Training or test puzzles.
pub struct Half {
    /// What trials know of them.
    pub file: DataFile,
    /// The content of the file.
    pub content: Vec<u8>,
    /// The puzzles in it.
    pub examples: Examples,
    /// Whether they are the benchmark's own.
    pub is_own: bool,
}

impl Half {
    /// Reads `part`, which is not generated.
    ///
    /// # Errors
    /// A file is wrong.
    pub fn read(request: &DataRequest, part: &Part) -> Result<Self, DataError> {
        let task = request.benchmark.task;
        match part {
            Part::File(folder) if folder.is_dir() => Self::from_folder(folder, task),
            Part::File(file) => Self::from_file(file, request),
            Part::Draw { file, rows } => Self::drawn(file, *rows, request),
            Part::Generate(_) => Err(DataError::NoGenerator { task }),
        }
    }

    fn from_file(path: &Path, request: &DataRequest) -> Result<Self, DataError> {
        let origin = path.display().to_string();
        let text = file::read_text(path)?;
        let examples = csv::read(&text, &origin, request.benchmark.task)?;
        let mut half = Self::new(origin, Format::Csv, text, examples);
        half.is_own = request.official.contains(&half.file.sha256);
        if !half.is_own {
            checks::check_uniqueness(&half.examples, &half.file.origin)?;
        }
        Ok(half)
    }

    fn from_folder(path: &Path, task: Task) -> Result<Self, DataError> {
        let origin = path.display().to_string();
        let examples = reference_format::read(path, task)?;
        checks::check_rules(&examples, &origin)?;
        checks::check_uniqueness(&examples, &origin)?;
        Ok(Self::new(origin, Format::Arrays, arrays::encode(&examples), examples))
    }

    fn drawn(path: &Path, rows: usize, request: &DataRequest) -> Result<Self, DataError> {
        let name = path.display().to_string();
        let text = file::read_text(path)?;
        let found = csv::count_rows(&text);
        if found < rows {
            return Err(DataError::TooFewRows { file: name, wanted: rows, found });
        }
        let mut rng = ChaCha8Rng::seed_from_u64(request.seed);
        let drawn: HashSet<usize> = rand::seq::index::sample(&mut rng, found, rows).into_iter().collect();
        let examples = csv::read_some(&text, &name, request.benchmark.task, |row| drawn.contains(&row))?;
        let origin = format!("{rows} rows of {name}, drawn by seed {}", request.seed);
        let mut half = Self::new(origin, Format::Csv, csv::write(&examples), examples);
        half.is_own = request.official.contains(&sha256(&text));
        Ok(half)
    }

    fn new(origin: String, format: Format, content: Vec<u8>, examples: Examples) -> Self {
        let file = DataFile { origin, format, sha256: sha256(&content), bytes: content.len() as u64, examples: examples.len() as u64 };
        Self { file, content, examples, is_own: false }
    }
}

/// Generates training and test puzzles.
///
/// # Errors
/// They cannot be had.
pub fn generate_halves(request: &DataRequest, train: usize, test: usize) -> Result<[Half; 2], DataError> {
    let task = request.benchmark.task;
    let (train, test, how) = match task.rules() {
        Rules::Sudoku(size) => {
            let givens = request.givens.map_or(Givens::standard(size), Givens::aim);
            let (train, test) = sudoku::generate_rated(size, train, test, givens, request.ratings, request.seed)?;
            let ratings = if request.ratings == Ratings::ANY { String::new() } else { format!(", rating {}", request.ratings) };
            (train, test, format!(", givens {givens}{ratings}"))
        }
        Rules::Maze(_) => {
            let (train, test) = maze::generate(task, train, test, request.seed)?;
            (train, test, String::new())
        }
        Rules::Arc => return Err(DataError::NoGenerator { task }),
    };
    let half = |part: &str, examples: Examples| {
        let origin = format!("generated {} {part} puzzles, seed {}{how}", task.name(), request.seed);
        let mut half = Half::new(origin, Format::Csv, csv::write(&examples), examples);
        half.is_own = matches!(request.benchmark.source, Source::Generated { .. });
        half
    };
    Ok([half("training", train), half("test", test)])
}
