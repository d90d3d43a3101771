//! What a trial is trained and measured on: tasks, benchmarks, and the data set of a sweep.

use serde::{Deserialize, Serialize};

/// A kind of puzzle: decides the alphabet, the length and the symmetries.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Task {
    /// 4×4 cells, boxes of 2×2.
    #[serde(rename = "sudoku-4x4")]
    Sudoku4x4,
    /// 6×6 cells, boxes of 2 rows × 3 columns.
    #[serde(rename = "sudoku-6x6")]
    Sudoku6x6,
    /// 9×9 cells, boxes of 3×3.
    #[serde(rename = "sudoku-9x9")]
    Sudoku9x9,
}

/// What a model must know of its data.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DataShape {
    /// Tokens of a puzzle.
    pub seq_len: usize,
    /// Distinct tokens, the padding token 0 included.
    pub vocab_size: usize,
    /// Rows of the puzzle table.
    pub puzzle_identifiers: usize,
}

impl Task {
    /// Every task.
    pub const ALL: [Self; 3] = [Self::Sudoku4x4, Self::Sudoku6x6, Self::Sudoku9x9];

    /// Cells along a side, which is also the number of digits.
    pub const fn side(self) -> usize {
        match self {
            Self::Sudoku4x4 => 4,
            Self::Sudoku6x6 => 6,
            Self::Sudoku9x9 => 9,
        }
    }

    /// Rows and columns of a box.
    pub const fn box_size(self) -> (usize, usize) {
        match self {
            Self::Sudoku4x4 => (2, 2),
            Self::Sudoku6x6 => (2, 3),
            Self::Sudoku9x9 => (3, 3),
        }
    }

    /// Tokens: 0 is padding, 1 a blank cell, digit d is d+1. All puzzles share one row of the puzzle table.
    pub const fn shape(self) -> DataShape {
        DataShape { seq_len: self.side() * self.side(), vocab_size: self.side() + 2, puzzle_identifiers: 1 }
    }

    /// The name, as in files and messages.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Sudoku4x4 => "sudoku-4x4",
            Self::Sudoku6x6 => "sudoku-6x6",
            Self::Sudoku9x9 => "sudoku-9x9",
        }
    }

    /// The task of that name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|task| task.name() == name)
    }
}

/// A named question: a task, where its puzzles come from, and whom its results stand beside.
#[derive(Debug, PartialEq, Eq)]
pub struct Benchmark {
    /// What a sweep file calls it.
    pub name: &'static str,
    /// The kind of puzzle.
    pub task: Task,
    /// Benchmarks of one family show each other's published results, each labelled with its own benchmark.
    pub family: &'static str,
    /// Where puzzles come from when the sweep names no files.
    pub source: Source,
}

/// Where a benchmark's puzzles come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// Generated from the sweep's data seed: this many examples unless the sweep says otherwise.
    Generated {
        /// Training puzzles.
        train: usize,
        /// Test puzzles, of solution grids that no training puzzle has (also not with its digits renamed).
        test: usize,
    },
    /// Files that the sweep must name.
    Files,
}

/// Every benchmark.
pub const BENCHMARKS: &[Benchmark] = &[
    Benchmark { name: "sudoku-4x4", task: Task::Sudoku4x4, family: "sudoku", source: Source::Generated { train: 1000, test: 500 } },
    Benchmark { name: "sudoku-6x6", task: Task::Sudoku6x6, family: "sudoku", source: Source::Generated { train: 4000, test: 500 } },
    Benchmark { name: "sudoku-extreme", task: Task::Sudoku9x9, family: "sudoku", source: Source::Files },
];

/// The benchmark of that name.
pub fn benchmark(name: &str) -> Option<&'static Benchmark> {
    BENCHMARKS.iter().find(|known| known.name == name)
}

/// One content-addressed file of puzzles: CSV text with the columns `question` and `answer`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DataFile {
    /// Where it came from, for people: a path, or what generated it.
    pub origin: String,
    /// SHA-256 of the uncompressed text, in hex: the name under which the coordinator keeps it.
    pub sha256: String,
    /// Bytes of the uncompressed text.
    pub bytes: u64,
    /// Puzzles in it.
    pub examples: u64,
}

/// What the trials of one sweep are trained and measured on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Dataset {
    /// Name of the benchmark.
    pub benchmark: String,
    /// The kind of puzzle.
    pub task: Task,
    /// True where the puzzles stand in for the benchmark's own: results are then labelled *proxy*.
    pub proxy: bool,
    /// Training puzzles.
    pub train: DataFile,
    /// Test puzzles.
    pub test: DataFile,
}
