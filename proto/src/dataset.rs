//! What a trial is trained and measured on: tasks, benchmarks, and the data set of a sweep.

use serde::{Deserialize, Serialize};

/// A kind of puzzle: decides the alphabet, the length and the symmetries.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
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
    /// The shortest path through a maze of 10×10 cells.
    #[serde(rename = "maze-10")]
    Maze10,
    /// The shortest path through a maze of 15×15 cells.
    #[serde(rename = "maze-15")]
    Maze15,
    /// The shortest path through a maze of 30×30 cells.
    #[serde(rename = "maze-30")]
    Maze30,
    /// Grids of up to 30×30 colours, on a canvas of 30×30.
    #[serde(rename = "arc")]
    Arc,
}

/// The rules that a task's puzzles follow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rules {
    /// Fill the grid.
    Sudoku(Sudoku),
    /// Mark the path, in a maze of that many cells along a side.
    Maze(usize),
    /// Do as the task's demonstrations do.
    Arc,
}

/// A size of Sudoku.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sudoku {
    /// Boxes of 2×2.
    Grid4x4,
    /// Boxes of 2 rows × 3 columns.
    Grid6x6,
    /// Boxes of 3×3.
    Grid9x9,
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

impl Sudoku {
    /// Every size.
    pub const ALL: [Self; 3] = [Self::Grid4x4, Self::Grid6x6, Self::Grid9x9];

    /// Cells along a side, which is also the number of digits.
    pub const fn side(self) -> usize {
        match self {
            Self::Grid4x4 => 4,
            Self::Grid6x6 => 6,
            Self::Grid9x9 => 9,
        }
    }

    /// Cells of the grid.
    pub const fn cells(self) -> usize {
        self.side() * self.side()
    }

    /// Rows and columns of a box.
    pub const fn box_size(self) -> (usize, usize) {
        match self {
            Self::Grid4x4 => (2, 2),
            Self::Grid6x6 => (2, 3),
            Self::Grid9x9 => (3, 3),
        }
    }

    /// The task of this size.
    pub const fn task(self) -> Task {
        match self {
            Self::Grid4x4 => Task::Sudoku4x4,
            Self::Grid6x6 => Task::Sudoku6x6,
            Self::Grid9x9 => Task::Sudoku9x9,
        }
    }
}

impl Task {
    /// Every task.
    pub const ALL: [Self; 7] = [Self::Sudoku4x4, Self::Sudoku6x6, Self::Sudoku9x9, Self::Maze10, Self::Maze15, Self::Maze30, Self::Arc];

    /// The rules of its puzzles.
    pub const fn rules(self) -> Rules {
        match self {
            Self::Sudoku4x4 => Rules::Sudoku(Sudoku::Grid4x4),
            Self::Sudoku6x6 => Rules::Sudoku(Sudoku::Grid6x6),
            Self::Sudoku9x9 => Rules::Sudoku(Sudoku::Grid9x9),
            Self::Maze10 => Rules::Maze(10),
            Self::Maze15 => Rules::Maze(15),
            Self::Maze30 => Rules::Maze(30),
            Self::Arc => Rules::Arc,
        }
    }

    /// Cells along a side.
    pub const fn side(self) -> usize {
        match self.rules() {
            Rules::Sudoku(size) => size.side(),
            Rules::Maze(side) => side,
            Rules::Arc => 30,
        }
    }

    /// Tokens of a puzzle, a cell each, row by row.
    pub const fn seq_len(self) -> usize {
        self.side() * self.side()
    }

    /// Distinct tokens. 0 is padding everywhere. Sudoku: 1 is a blank cell, digit d is d+1. Mazes: 1 `#`, 2 a free cell, 3 `S`, 4 `G`,
    /// 5 `o`. ARC: 1 ends a row or the grid, colour c is c+2.
    pub const fn vocab_size(self) -> usize {
        match self.rules() {
            Rules::Sudoku(size) => size.side() + 2,
            Rules::Maze(_) => 6,
            Rules::Arc => 12,
        }
    }

    /// What a model must know of data with so many rows in the puzzle table.
    pub const fn shape(self, puzzle_identifiers: usize) -> DataShape {
        DataShape { seq_len: self.seq_len(), vocab_size: self.vocab_size(), puzzle_identifiers }
    }

    /// The name, as in files and messages.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Sudoku4x4 => "sudoku-4x4",
            Self::Sudoku6x6 => "sudoku-6x6",
            Self::Sudoku9x9 => "sudoku-9x9",
            Self::Maze10 => "maze-10",
            Self::Maze15 => "maze-15",
            Self::Maze30 => "maze-30",
            Self::Arc => "arc",
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
    /// A data set on the hub, unless the sweep names files of its own.
    Hub {
        /// `owner/name` of the data set.
        repository: &'static str,
        /// Training puzzles that are drawn from it by the sweep's data seed; 0 for all.
        train: usize,
        /// Test puzzles, likewise.
        test: usize,
    },
    /// ARC tasks that the sweep must name files of.
    Arc,
}

/// Every benchmark.
pub const BENCHMARKS: &[Benchmark] = &[
    Benchmark { name: "sudoku-4x4", task: Task::Sudoku4x4, family: "sudoku", source: Source::Generated { train: 1000, test: 500 } },
    Benchmark { name: "sudoku-6x6", task: Task::Sudoku6x6, family: "sudoku", source: Source::Generated { train: 4000, test: 500 } },
    Benchmark {
        name: "sudoku-extreme",
        task: Task::Sudoku9x9,
        family: "sudoku",
        source: Source::Hub { repository: "sapientinc/sudoku-extreme", train: 1000, test: 0 },
    },
    Benchmark { name: "maze-10", task: Task::Maze10, family: "maze", source: Source::Generated { train: 1000, test: 500 } },
    Benchmark { name: "maze-15", task: Task::Maze15, family: "maze", source: Source::Generated { train: 1000, test: 500 } },
    Benchmark {
        name: "maze-hard",
        task: Task::Maze30,
        family: "maze",
        source: Source::Hub { repository: "sapientinc/maze-30x30-hard-1k", train: 0, test: 0 },
    },
    Benchmark { name: "arc-agi-1", task: Task::Arc, family: "arc-agi-1", source: Source::Arc },
    Benchmark { name: "arc-agi-2", task: Task::Arc, family: "arc-agi-2", source: Source::Arc },
];

/// The benchmark of that name.
pub fn benchmark(name: &str) -> Option<&'static Benchmark> {
    BENCHMARKS.iter().find(|known| known.name == name)
}

/// How the puzzles of a file are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Format {
    /// CSV text with the columns `question` and `answer`, and perhaps `source` and `rating`.
    Csv,
    /// JSON text of ARC tasks, with how they are to be augmented. Both parts of a data set are in the same file.
    Arc,
    /// The reference's arrays (inputs, labels, identifiers, where puzzles and groups begin) in one safetensors file.
    Arrays,
}

/// One content-addressed file of puzzles.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DataFile {
    /// Where it came from, for people: a path, or what generated it.
    pub origin: String,
    /// How the puzzles are written.
    pub format: Format,
    /// SHA-256 of the uncompressed content, in hex: the name under which the coordinator keeps it.
    pub sha256: String,
    /// Bytes of the uncompressed content.
    pub bytes: u64,
    /// Questions in it, every augmented copy counted.
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
    /// Rows of the puzzle table that the puzzles share; 1 where all are of one kind.
    pub puzzle_identifiers: u32,
    /// Training puzzles.
    pub train: DataFile,
    /// Test puzzles.
    pub test: DataFile,
}

impl Format {
    /// Every format.
    pub const ALL: [Self; 3] = [Self::Csv, Self::Arc, Self::Arrays];

    /// The name, as in messages.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Csv => "csv",
            Self::Arc => "arc",
            Self::Arrays => "arrays",
        }
    }
}

impl Dataset {
    /// What a model must know of it.
    pub const fn shape(&self) -> DataShape {
        self.task.shape(self.puzzle_identifiers as usize)
    }
}
