//! From examples to a folder.

use std::path::Path;
use std::{fs, io};

use super::npy::{self, Kind};
use super::{FIELDS, METADATA, Metadata, SET, file_name};
use crate::data::Examples;
use crate::data::arrays::Arrays;

/// Writes `examples` into `folder`, which is made, as one of a data set's two parts: tokens as bytes, everything else as signed numbers
/// of four bytes.
///
/// # Errors
/// The folder or a file in it cannot be written.
pub fn write_split(folder: &Path, examples: &Examples) -> io::Result<()> {
    fs::create_dir_all(folder)?;
    let seq_len = examples.task.seq_len();
    let shape = examples.shape();
    let arrays = Arrays::of(examples);
    let rows = arrays.inputs.len() / seq_len;
    let write = |field: &str, content: Vec<u8>| fs::write(folder.join(file_name(field)), content);
    let [inputs, labels, identifiers, puzzles, groups] = FIELDS;
    write(inputs, npy::write(Kind::U8, &[rows, seq_len], &arrays.inputs))?;
    write(labels, npy::write(Kind::U8, &[rows, seq_len], &arrays.labels))?;
    for (field, numbers) in [(identifiers, &arrays.identifiers), (puzzles, &arrays.puzzle_indices), (groups, &arrays.group_indices)] {
        let data: Vec<u8> = numbers.iter().flat_map(|number| number.to_le_bytes()).collect();
        write(field, npy::write(Kind::I32, &[numbers.len()], &data))?;
    }
    let metadata = Metadata {
        pad_id: 0,
        ignore_label_id: Some(0),
        blank_identifier_id: 0,
        vocab_size: shape.vocab_size as u64,
        seq_len: shape.seq_len as u64,
        num_puzzle_identifiers: shape.puzzle_identifiers as u64,
        total_groups: examples.group_count() as u64,
        mean_puzzle_examples: rows as f64 / arrays.identifiers.len().max(1) as f64,
        total_puzzles: arrays.identifiers.len() as u64,
        sets: vec![SET.into()],
    };
    fs::write(folder.join(METADATA), serde_json::to_vec(&metadata)?)
}

/// Writes `identifiers.json` into the folder above the parts: the name of each row of the puzzle table, the first one `<blank>`.
///
/// # Errors
/// The file cannot be written.
pub fn write_identifiers(folder: &Path, names: &[String]) -> io::Result<()> {
    fs::create_dir_all(folder)?;
    fs::write(folder.join("identifiers.json"), serde_json::to_vec(names)?)
}
