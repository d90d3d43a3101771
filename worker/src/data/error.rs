//! What can be wrong with puzzles.

use std::io;
use std::path::PathBuf;

use tinysweep_proto::ARTIFACT_LIMIT_BYTES;
use tinysweep_proto::dataset::Task;

use super::arrays::ArraysProblem;
use super::csv::MAX_ROWS;
use super::reference_format::npy::NpyProblem;
use super::row_problem::RowProblem;
use super::sudoku::{Givens, Ratings};

/// Why puzzles cannot be had. Rows count from 1 after the header, lines and bytes from 1.
#[derive(Debug, thiserror::Error)]
pub enum DataError {
    /// The file cannot be opened or read.
    #[error("cannot read {}: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// It begins like a gzip file and goes on otherwise.
    #[error("{file}: not a whole gzip file: {source}")]
    Gzip {
        /// The file.
        file: String,
        /// What the decoder said.
        source: io::Error,
    },
    /// The uncompressed text is beyond the limit of an artifact.
    #[error("{file}: more than {ARTIFACT_LIMIT_BYTES} bytes of uncompressed text; use fewer rows")]
    TooLarge {
        /// The file.
        file: String,
    },
    /// The task's puzzles are not written as CSV text.
    #[error("{file}: puzzles of {} are not read from CSV text", task.name())]
    NotCsv {
        /// The file.
        file: String,
        /// The kind of puzzle.
        task: Task,
    },
    /// Some bytes are no text.
    #[error("{file}: line {line}: not UTF-8 text at byte {byte} of the file; a puzzle file is CSV text, plain or in gzip")]
    NotUtf8 {
        /// The file.
        file: String,
        /// Where.
        line: u64,
        /// Where in the file.
        byte: u64,
    },
    /// The header lacks a column.
    #[error("{file}: no column `{missing}` in the header, which has {found}; the header must name `question` and `answer`")]
    MissingColumn {
        /// The file.
        file: String,
        /// The column that is not there.
        missing: &'static str,
        /// The columns that are.
        found: String,
    },
    /// The header names a column twice.
    #[error("{file}: the header has column `{column}` more than once; keep one")]
    RepeatedColumn {
        /// The file.
        file: String,
        /// The column.
        column: &'static str,
    },
    /// There is nothing below the header.
    #[error("{file}: no rows below the header; at least one puzzle is needed")]
    NoRows {
        /// The file.
        file: String,
    },
    /// More rows than are reasonable.
    #[error("{file}: more than {MAX_ROWS} rows; use fewer")]
    TooManyRows {
        /// The file.
        file: String,
    },
    /// One row is wrong.
    #[error("{file}: row {row} (line {line}): {problem}")]
    Row {
        /// The file.
        file: String,
        /// Which row.
        row: u64,
        /// The line on which it begins.
        line: u64,
        /// What is wrong with it.
        problem: RowProblem,
    },
    /// An array file is wrong.
    #[error("{file}: {problem}")]
    Npy {
        /// The file.
        file: String,
        /// What is wrong with it.
        problem: NpyProblem,
    },
    /// Arrays contradict each other.
    #[error("{file}: {problem}")]
    Arrays {
        /// The file or the folder.
        file: String,
        /// What is wrong with them.
        problem: ArraysProblem,
    },
    /// The file cannot be read as tensors.
    #[error("{file}: not a safetensors file: {problem}")]
    Safetensors {
        /// The file.
        file: String,
        /// What the reader said.
        problem: String,
    },
    /// The file cannot be read as JSON.
    #[error("{file}: not the JSON that is expected: {problem}")]
    Json {
        /// The file.
        file: String,
        /// What the reader said, with line and column.
        problem: String,
    },
    /// A folder's description does not fit.
    #[error("{file}: `{field}` must be {expected}, not {found}")]
    Metadata {
        /// The file.
        file: String,
        /// The field.
        field: &'static str,
        /// What it must be.
        expected: String,
        /// What it is.
        found: String,
    },
    /// One example is wrong.
    #[error("{file}: row {row}: {problem}")]
    Example {
        /// The file or the folder.
        file: String,
        /// Which row.
        row: u64,
        /// What is wrong with it.
        problem: RowProblem,
    },
    /// More rows are to be drawn than there are.
    #[error("{file}: {wanted} rows are to be drawn, but there are {found}")]
    TooFewRows {
        /// The file.
        file: String,
        /// How many are wanted.
        wanted: usize,
        /// How many there are.
        found: usize,
    },
    /// The text is not the one that was announced.
    #[error("{file}: SHA-256 is {found}, but {expected} was announced; the data were damaged or exchanged")]
    OtherContent {
        /// Where the data came from.
        file: String,
        /// The announced hash.
        expected: String,
        /// The hash of what is here.
        found: String,
    },
    /// The text has not the announced number of puzzles.
    #[error("{file}: {found} puzzles, but {expected} were announced")]
    OtherCount {
        /// Where the data came from.
        file: String,
        /// The announced number.
        expected: u64,
        /// The number in the text.
        found: u64,
    },
    /// A test puzzle was trained on.
    #[error("row {test_row} of {test} asks the same question as row {train_row} of {train}; a test puzzle must not be trained on")]
    Leak {
        /// The training file.
        train: String,
        /// Its row.
        train_row: u64,
        /// The test file.
        test: String,
        /// Its row.
        test_row: u64,
    },
    /// ARC tasks are wrong.
    #[error(transparent)]
    Arc(#[from] super::arc::ArcError),
    /// Test inputs of ARC tasks are trained on.
    #[error(
        "{count} of the {inputs} test inputs are, perhaps turned or in other colours, trained on with their answers, such as test input {} of \
         task {} in task {}; leave those tasks out, or set `allow_overlap: true` if that is what you want to measure",
        first.pair, first.evaluation, first.training
    )]
    Overlap {
        /// How many.
        count: usize,
        /// Of how many.
        inputs: usize,
        /// The first of them.
        first: super::arc::Overlap,
    },
    /// A benchmark of ARC was given no tasks.
    #[error(
        "benchmark {benchmark} has no tasks of its own: `arc` must name files of them, as in \
         `arc: {{training: [training.json], evaluation: evaluation.json}}`"
    )]
    NoArc {
        /// The benchmark.
        benchmark: &'static str,
    },
    /// A test puzzle was trained on in another guise.
    #[error(
        "row {test_row} of {test} is row {train_row} of {train} with digits renamed and lines permuted; \
         a test puzzle must not be trained on"
    )]
    SymmetricLeak {
        /// The training file.
        train: String,
        /// Its row.
        train_row: u64,
        /// The test file.
        test: String,
        /// Its row.
        test_row: u64,
    },
    /// A benchmark without puzzles of its own was given none.
    #[error(
        "benchmark {benchmark} has no puzzles of its own: `{part}` must name a file, or a number of puzzles to generate in their place"
    )]
    Unspecified {
        /// The benchmark.
        benchmark: &'static str,
        /// `train` or `test`.
        part: &'static str,
    },
    /// One part is a file, the other generated.
    #[error("`{file_part}` is a file, but the other part is generated and could share its solutions; name files for both or for neither")]
    Mixed {
        /// `train` or `test`.
        file_part: &'static str,
    },
    /// There is no generator.
    #[error("puzzles of {} cannot be generated; name files", task.name())]
    NoGenerator {
        /// The kind of puzzle.
        task: Task,
    },
    /// A number of puzzles that cannot be asked for.
    #[error("`{part}` asks for {count} puzzles; ask for 1 to {MAX_ROWS}")]
    Count {
        /// `train` or `test`.
        part: &'static str,
        /// What was asked for.
        count: usize,
    },
    /// A number of givens that cannot be asked for.
    #[error("{asked} givens cannot be asked of {}, which has {} cells; leave out at least one", task.name(), task.seq_len())]
    Givens {
        /// The kind of puzzle.
        task: Task,
        /// What was asked for.
        asked: Givens,
    },
    /// Fewer puzzles were found than were asked for.
    #[error(
        "`{part}` asks for {wanted} puzzles, but only {found} distinct ones of {} with {givens} givens and rating {ratings} were found \
         for it; ask for fewer puzzles, fewer givens or other ratings",
        task.name()
    )]
    Exhausted {
        /// `train` or `test`.
        part: &'static str,
        /// The kind of puzzle.
        task: Task,
        /// The givens that were asked for.
        givens: Givens,
        /// How hard they were to be.
        ratings: Ratings,
        /// Puzzles that were asked for.
        wanted: usize,
        /// Puzzles that were found.
        found: usize,
    },
}
