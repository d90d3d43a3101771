//! Puzzle files: CSV text with the columns `question` and `answer`, one character per cell, and perhaps `source` and `rating`.
//!
//! Every row is checked by the rules of the task, so that training never meets an answer that cannot be reached.

mod columns;
#[cfg(test)]
mod tests;
mod write;

use std::collections::HashMap;

use ::csv::{ByteRecord, ReaderBuilder};
use tinysweep_proto::dataset::{Rules, Task};

pub use write::write;

use super::cell::Cell;
use super::rules::{self, Field};
use super::{DataError, Examples, RowProblem};
use columns::Columns;

/// The most rows that a file may have.
pub const MAX_ROWS: usize = 5_000_000;

/// Reads puzzles of `task` from `text`. The header names the columns `question` and `answer`, and perhaps `source` and `rating`, in any
/// order; others are ignored. `file_name` is for messages.
///
/// # Errors
/// Says in which file, row and line what is wrong, and what would be right.
pub fn read(text: &[u8], file_name: &str, task: Task) -> Result<Examples, DataError> {
    read_some(text, file_name, task, |_| true)
}

/// As [`read`], but only of the rows that `wants` says yes to; they count from 0. The others are not looked at.
///
/// # Errors
/// As [`read`].
pub fn read_some(text: &[u8], file_name: &str, task: Task, wants: impl Fn(usize) -> bool) -> Result<Examples, DataError> {
    check_utf8(text, file_name)?;
    if task.rules() == Rules::Arc {
        return Err(DataError::NotCsv { file: file_name.into(), task });
    }
    // Ragged rows are let through here because their message is ours.
    let mut reader = ReaderBuilder::new().has_headers(false).flexible(true).from_reader(text);
    let mut record = ByteRecord::new();
    // A reader over memory that yields bytes has no error: what it cannot read counts as the end.
    let mut read_record = |record: &mut ByteRecord| reader.read_byte_record(record).unwrap_or(false);

    read_record(&mut record);
    let columns = Columns::find(&record, file_name)?;
    let mut rows = Rows::new(task, columns);
    let mut count = 0;
    while read_record(&mut record) {
        count += 1;
        if count > MAX_ROWS {
            return Err(DataError::TooManyRows { file: file_name.into() });
        }
        if wants(count - 1) {
            rows.push(&record).map_err(|problem| {
                let start = record.position().map_or(0, |position| position.byte() as usize);
                DataError::Row { file: file_name.into(), row: count as u64, line: line_at(text, start), problem }
            })?;
        }
    }
    if rows.examples.inputs.is_empty() {
        return Err(DataError::NoRows { file: file_name.into() });
    }
    Ok(rows.finish())
}

/// How many rows are below the header of `text`, whatever is in them.
pub fn count_rows(text: &[u8]) -> usize {
    let mut reader = ReaderBuilder::new().has_headers(true).flexible(true).from_reader(text);
    let mut record = ByteRecord::new();
    std::iter::from_fn(|| reader.read_byte_record(&mut record).unwrap_or(false).then_some(())).count()
}

fn check_utf8(text: &[u8], file_name: &str) -> Result<(), DataError> {
    std::str::from_utf8(text).map(drop).map_err(|error| {
        let at = error.valid_up_to();
        DataError::NotUtf8 { file: file_name.into(), line: line_at(text, at), byte: at as u64 + 1 }
    })
}

/// The line, from 1, of the first byte at or after `byte` that ends no line. The reader counts lines otherwise after blank lines and
/// carriage returns.
fn line_at(text: &[u8], byte: usize) -> u64 {
    let rest = &text[byte.min(text.len())..];
    let skipped = rest.iter().take_while(|byte| matches!(byte, b'\r' | b'\n')).count();
    let before = &text[..text.len() - rest.len() + skipped];
    let line_feeds = before.iter().filter(|byte| **byte == b'\n').count();
    let lone_returns = before.iter().zip(before.iter().skip(1).chain(&[0])).filter(|(byte, next)| **byte == b'\r' && **next != b'\n');
    (line_feeds + lone_returns.count()) as u64 + 1
}

/// The rows that were read so far.
struct Rows {
    columns: Columns,
    /// Without puzzles and groups until the end.
    examples: Examples,
    /// Indices of the names of sources.
    sources: HashMap<Vec<u8>, u32>,
}

impl Rows {
    fn new(task: Task, columns: Columns) -> Self {
        Self { columns, examples: Examples::plain(task, Vec::new(), Vec::new()), sources: HashMap::new() }
    }

    fn push(&mut self, record: &ByteRecord) -> Result<(), RowProblem> {
        if record.len() != self.columns.count {
            return Err(RowProblem::Ragged { expected: self.columns.count, found: record.len() });
        }
        let Examples { task, inputs, labels, tags, .. } = &mut self.examples;
        let start = inputs.len();
        push_tokens(inputs, &record[self.columns.question], Field::Question, *task)?;
        push_tokens(labels, &record[self.columns.answer], Field::Answer, *task)?;
        rules::check(*task, &inputs[start..], &labels[start..])?;
        if let Some(column) = self.columns.rating {
            tags.ratings.push(rating(&record[column])?);
        }
        if let Some(column) = self.columns.source {
            let name = &record[column];
            let index = self.sources.get(name).copied().unwrap_or_else(|| {
                let index = tags.source_names.len() as u32;
                tags.source_names.push(String::from_utf8_lossy(name).into_owned());
                self.sources.insert(name.to_vec(), index);
                index
            });
            tags.sources.push(index);
        }
        Ok(())
    }

    fn finish(self) -> Examples {
        let Examples { task, inputs, labels, tags, .. } = self.examples;
        Examples { tags, ..Examples::plain(task, inputs, labels) }
    }
}

fn push_tokens(tokens: &mut Vec<u8>, field: &[u8], which: Field, task: Task) -> Result<(), RowProblem> {
    // Nothing is lost: fields are cut from checked text at ASCII bytes.
    let text = String::from_utf8_lossy(field);
    let found = text.chars().count();
    if found != task.seq_len() {
        return Err(RowProblem::Length { field: which.name(), task, found });
    }
    for (index, found) in text.chars().enumerate() {
        let token = rules::token(task, which, found).ok_or_else(|| RowProblem::Character {
            field: which.name(),
            task,
            found,
            position: index + 1,
            cell: Cell::of(task.side(), index),
        })?;
        tokens.push(token);
    }
    Ok(())
}

fn rating(field: &[u8]) -> Result<f32, RowProblem> {
    /// Characters of a wrong rating that a message shows.
    const SHOWN: usize = 32;
    let text = String::from_utf8_lossy(field);
    let rating = text.trim().parse().ok().filter(|rating: &f32| rating.is_finite());
    rating.ok_or_else(|| RowProblem::Rating { found: text.chars().take(SHOWN).collect::<String>().escape_debug().to_string() })
}
