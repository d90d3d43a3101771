//! Puzzles: files, generators, symmetries, batches.

pub mod arc;
pub mod arrays;
pub mod augment;
pub mod cell;
pub mod checks;
pub mod copies;
pub mod csv;
mod error;
mod examples;
mod file;
pub mod maze;
pub mod overlap;
mod parallel;
pub mod reference_format;
mod row_problem;
pub mod rules;
pub mod sampler;
mod source;
pub mod sudoku;
pub mod survey;

pub use error::DataError;
pub use examples::{Examples, Item, Puzzle, Split, Tags};
pub use file::{decompress, load, read_text};
pub use row_problem::RowProblem;
pub use source::{ArcRequest, DataRequest, Part, PreparedData, decode, prepare, sha256};
