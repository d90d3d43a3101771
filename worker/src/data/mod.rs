//! Puzzles: files, generators, symmetries, batches.

pub mod arc;
pub mod augment;
pub mod csv;
mod error;
mod examples;
mod file;
pub mod sampler;
mod source;
pub mod sudoku;

pub use error::{DataError, RowProblem};
pub use examples::{Examples, Item, Puzzle, Split, Tags};
pub use file::{decompress, load, read_text};
pub use source::{ArcRequest, DataRequest, Part, PreparedData, decode, prepare};
