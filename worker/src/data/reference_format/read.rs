//! From a folder to examples.

use std::path::Path;

use tinysweep_proto::dataset::Task;

use super::npy::{Array, NpyProblem};
use super::{FIELDS, METADATA, Metadata, SET, file_name};
use crate::data::arrays::Arrays;
use crate::data::{DataError, Examples, file};

/// Characters of wrong names of sets that a message shows.
const SETS_SHOWN: usize = 100;

/// Reads the data set of `task` in `folder`, one of the two that a builder writes, `train` or `test`.
///
/// # Errors
/// Names the file and the field that is wrong.
pub fn read(folder: &Path, task: Task) -> Result<Examples, DataError> {
    let path = folder.join(METADATA);
    let described = path.display().to_string();
    let metadata = parse_metadata(&file::read_text(&path)?, &described, task)?;
    let [inputs, labels, identifiers, puzzles, groups] = FIELDS;
    let arrays = Arrays {
        inputs: read_tokens(folder, inputs, task)?,
        labels: read_tokens(folder, labels, task)?,
        identifiers: read_list(folder, identifiers)?,
        puzzle_indices: read_list(folder, puzzles)?,
        group_indices: read_list(folder, groups)?,
    };
    let count = arrays.group_indices.len().saturating_sub(1) as u64;
    if metadata.total_groups != count {
        return Err(wrong_field(described, "total_groups", count, metadata.total_groups));
    }
    let identifiers = metadata.num_puzzle_identifiers as u32;
    arrays.examples(task, identifiers).map_err(|problem| DataError::Arrays { file: folder.display().to_string(), problem })
}

fn wrong_field(file: String, field: &'static str, expected: impl ToString, found: impl ToString) -> DataError {
    DataError::Metadata { file, field, expected: expected.to_string(), found: found.to_string() }
}

/// Checks `text`, the content of a `dataset.json`, against what `task` needs.
///
/// # Errors
/// Names the field that is wrong.
pub fn check_metadata(text: &[u8], file: &str, task: Task) -> Result<(), DataError> {
    parse_metadata(text, file, task).map(drop)
}

fn parse_metadata(text: &[u8], file: &str, task: Task) -> Result<Metadata, DataError> {
    let metadata: Metadata =
        serde_json::from_slice(text).map_err(|problem| DataError::Json { file: file.into(), problem: problem.to_string() })?;
    let shape = task.shape(1);
    let zeros = [("pad_id", metadata.pad_id), ("ignore_label_id", metadata.ignore_label_id.unwrap_or(0))];
    for (field, found) in zeros.into_iter().chain([("blank_identifier_id", metadata.blank_identifier_id)]) {
        if found != 0 {
            return Err(wrong_field(file.into(), field, 0, found));
        }
    }
    for (field, expected, found) in [("vocab_size", shape.vocab_size, metadata.vocab_size), ("seq_len", shape.seq_len, metadata.seq_len)] {
        if expected as u64 != found {
            return Err(wrong_field(file.into(), field, format!("{expected}, as {} has", task.name()), found));
        }
    }
    if metadata.sets != [SET] {
        let found: String = format!("{:?}", metadata.sets).chars().take(SETS_SHOWN).collect();
        return Err(wrong_field(file.into(), "sets", "[\"all\"]", found));
    }
    let identifiers = metadata.num_puzzle_identifiers;
    if !(1..=u64::from(u32::MAX)).contains(&identifiers) {
        return Err(wrong_field(file.into(), "num_puzzle_identifiers", "1 or more", identifiers));
    }
    Ok(metadata)
}

/// Reads the file of an array and hands it to `convert`.
fn read_array<T>(folder: &Path, field: &str, convert: impl FnOnce(Array) -> Result<T, NpyProblem>) -> Result<T, DataError> {
    let path = folder.join(file_name(field));
    let content = file::read_text(&path)?;
    Array::parse(&content).and_then(convert).map_err(|problem| DataError::Npy { file: path.display().to_string(), problem })
}

fn read_tokens(folder: &Path, field: &'static str, task: Task) -> Result<Vec<u8>, DataError> {
    read_array(folder, field, |array| {
        check_shape(&array, array.shape.len() == 2 && array.shape[1] == task.seq_len(), format!("[rows, {}]", task.seq_len()))?;
        array.bytes((task.vocab_size() - 1) as u8)
    })
}

fn read_list(folder: &Path, field: &'static str) -> Result<Vec<u32>, DataError> {
    read_array(folder, field, |array| {
        check_shape(&array, array.shape.len() == 1, "[count]".into())?;
        array.numbers(u32::MAX)
    })
}

fn check_shape(array: &Array, is_right: bool, expected: String) -> Result<(), NpyProblem> {
    if is_right { Ok(()) } else { Err(NpyProblem::Shape { expected, found: array.shape.clone() }) }
}
