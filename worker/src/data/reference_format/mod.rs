//! The folders that the reference's builders write and its trainer reads: `all__inputs.npy`, …, `dataset.json`.

pub mod npy;
mod read;
mod write;

pub use read::{check_metadata, read};
pub use write::{write_identifiers, write_split};

use serde::{Deserialize, Serialize};

/// The set that every builder writes.
const SET: &str = "all";
/// What describes the arrays.
const METADATA: &str = "dataset.json";

/// The arrays of a set, in the order of [`Arrays`](super::arrays::Arrays).
const FIELDS: [&str; 5] = ["inputs", "labels", "puzzle_identifiers", "puzzle_indices", "group_indices"];

/// `dataset.json`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Metadata {
    pad_id: i64,
    ignore_label_id: Option<i64>,
    blank_identifier_id: i64,
    vocab_size: u64,
    seq_len: u64,
    num_puzzle_identifiers: u64,
    total_groups: u64,
    mean_puzzle_examples: f64,
    /// Builders disagree on whether it counts groups or puzzles, and the trainer does not read it.
    #[serde(default)]
    total_puzzles: u64,
    sets: Vec<String>,
}

/// The name of the file of an array.
fn file_name(field: &str) -> String {
    format!("{SET}__{field}.npy")
}

#[cfg(test)]
mod tests;
