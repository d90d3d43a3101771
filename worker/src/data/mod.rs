//! Puzzles: files, generators, symmetries, batches.

pub mod arc;
pub mod augment;
pub mod csv;
mod error;
mod file;
pub mod sampler;
mod source;
pub mod sudoku;

pub use error::{DataError, RowProblem};
pub use file::{decompress, load, read_text};
pub use source::{DataRequest, Part, PreparedData, decode, prepare};

use tinysweep_proto::dataset::Task;

/// Puzzles of one task as tokens: 0 padding, 1 blank, digit d is d+1.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Examples {
    /// The kind of puzzle.
    pub task: Task,
    /// Questions, `[len, seq_len]` row by row.
    pub inputs: Vec<u8>,
    /// Answers, of the same shape.
    pub labels: Vec<u8>,
}

impl Examples {
    /// How many puzzles there are.
    pub fn len(&self) -> usize {
        self.inputs.len() / self.task.shape().seq_len
    }

    /// The question of puzzle `index`, `[seq_len]`.
    pub fn question(&self, index: usize) -> &[u8] {
        row(&self.inputs, self.task, index)
    }

    /// The answer of puzzle `index`, `[seq_len]`.
    pub fn answer(&self, index: usize) -> &[u8] {
        row(&self.labels, self.task, index)
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.inputs.is_empty()
    }
}

/// Row `index` of `tokens`, `[len, seq_len]`.
fn row(tokens: &[u8], task: Task, index: usize) -> &[u8] {
    let seq_len = task.shape().seq_len;
    &tokens[index * seq_len..][..seq_len]
}
