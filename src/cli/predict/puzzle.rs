//! Puzzles as a user gives them: text, a file, standard input.

use std::{io::Read, path::Path};

use tinysweep_proto::dataset::{Rules, Task};
use tinysweep_worker::data::{Examples, arc::canvas, csv, read_text, rules};

use super::{tasks, text::from_text};
use crate::failure::Failure;

/// The most bytes of text that one puzzle may have, decoration included.
const TEXT_LIMIT: u64 = 1 << 16;

/// A puzzle to answer.
pub struct Puzzle {
    /// Where it came from, for people.
    pub origin: String,
    /// The question, `[seq_len]`.
    pub tokens: Vec<u32>,
    /// The answer, where it is known.
    pub answer: Option<Vec<u32>>,
    /// Its row of the puzzle table, where the file tells.
    pub identifier: Option<u32>,
}

impl Puzzle {
    /// A puzzle that says nothing of the puzzle table.
    pub fn new(origin: String, question: &[u8], answer: Option<&[u8]>) -> Self {
        Self { origin, tokens: wide(question), answer: answer.map(wide), identifier: None }
    }

    /// Whether `tokens` are the known answer, where one is known.
    pub fn is_solved_by(&self, tokens: &[u32]) -> Option<bool> {
        self.answer.as_ref().map(|answer| answer == tokens)
    }
}

/// Reads every puzzle of `task` that `arguments` mean, at most `limit` of each file.
pub fn read_all(arguments: &[String], task: Task, limit: usize) -> Result<Vec<Puzzle>, Failure> {
    let mut puzzles = Vec::new();
    for (argument, number) in arguments.iter().zip(1..) {
        if argument == "-" {
            puzzles.extend(from_bytes(read_input(std::io::stdin().lock(), "standard input")?, "standard input", task, limit)?);
        } else if Path::new(argument).exists() {
            puzzles.extend(from_bytes(read_text(Path::new(argument)).map_err(Failure::bad_input)?, argument, task, limit)?);
        } else if task.rules() == Rules::Arc {
            let name = format!("`{}` is no file, and as ARC tasks", shortened(argument));
            puzzles.extend(tasks::read(argument.as_bytes(), &name, limit)?);
        } else {
            puzzles.push(from_text(argument, &format!("puzzle {number}"), task).map_err(|problem| {
                Failure::bad_input(format!("`{}` is no file, and as a puzzle of {}: {problem}", shortened(argument), task.name()))
            })?);
        }
    }
    Ok(puzzles)
}

fn read_input(input: impl Read, name: &str) -> Result<Vec<u8>, Failure> {
    let mut bytes = Vec::new();
    // One byte more than a puzzle may have, so that a longer one is refused and not cut.
    input.take(TEXT_LIMIT + 1).read_to_end(&mut bytes).map_err(|error| Failure::bad_input(format!("{name}: cannot be read: {error}")))?;
    Ok(bytes)
}

/// Tasks of ARC, or CSV where the first line names a column `question`, else one puzzle as text.
fn from_bytes(bytes: Vec<u8>, name: &str, task: Task, limit: usize) -> Result<Vec<Puzzle>, Failure> {
    if task.rules() == Rules::Arc {
        return tasks::read(&bytes, name, limit);
    }
    let first = bytes.split(|byte| *byte == b'\n').next().unwrap_or_default();
    if String::from_utf8_lossy(first).contains("question") {
        let examples = csv::read(&bytes, name, task).map_err(Failure::bad_input)?;
        return Ok((0..examples.len().min(limit)).map(|row| of_row(&examples, row, name)).collect());
    }
    let refused = |problem: String| Failure::bad_input(format!("{name}: as a puzzle of {}: {problem}", task.name()));
    if bytes.len() as u64 > TEXT_LIMIT {
        return Err(refused(format!(
            "has more than {TEXT_LIMIT} bytes; a file of many puzzles is CSV with the columns question and answer"
        )));
    }
    let text = String::from_utf8(bytes).map_err(|_| refused("is not UTF-8 text".into()))?;
    Ok(vec![from_text(&text, name, task).map_err(refused)?])
}

fn of_row(examples: &Examples, row: usize, name: &str) -> Puzzle {
    Puzzle::new(format!("{name}, row {}", row + 1), examples.question(row), Some(examples.answer(row)))
}

/// The answer as one line: a character for each cell, `?` for what no cell can be; of ARC the grid's rows between slashes.
pub fn characters(task: Task, tokens: &[u32]) -> String {
    if task.rules() != Rules::Arc {
        return tokens.iter().map(|token| character(task, *token)).collect();
    }
    let grid = canvas::crop(&narrow(tokens));
    let digits = |row: &[u8]| row.iter().map(|color| char::from(b'0' + color)).collect::<String>();
    grid.cells().chunks(grid.columns().max(1)).map(digits).collect::<Vec<_>>().join("/")
}

/// The character of one token, `?` for what no cell can be. A colour of ARC is its number.
pub fn character(task: Task, token: u32) -> char {
    /// The token of ARC's colour 0.
    const FIRST_COLOR: u8 = 2;
    match (task.rules(), u8::try_from(token)) {
        (_, Ok(token)) if usize::from(token) >= task.vocab_size() => '?',
        (Rules::Arc, Ok(token @ FIRST_COLOR..)) => char::from(b'0' + token - FIRST_COLOR),
        (Rules::Sudoku(_) | Rules::Maze(_), Ok(token @ 1..)) => rules::character(task, token),
        _ => '?',
    }
}

/// Tokens as data has them: bytes. What is none stays none.
pub fn narrow(tokens: &[u32]) -> Vec<u8> {
    tokens.iter().map(|token| u8::try_from(*token).unwrap_or(u8::MAX)).collect()
}

fn wide(tokens: &[u8]) -> Vec<u32> {
    tokens.iter().map(|token| u32::from(*token)).collect()
}

fn shortened(text: &str) -> String {
    const LIMIT: usize = 60;
    let clean: String = text.chars().take(LIMIT).map(|c| if c.is_control() { ' ' } else { c }).collect();
    if text.chars().count() > LIMIT { clean + "…" } else { clean }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_that_no_cell_has_are_shown_as_such() {
        assert_eq!(characters(Task::Sudoku4x4, &[0, 1, 2, 5, 6, 300]), "?.14??");
        assert_eq!(characters(Task::Maze10, &[0, 1, 2, 3, 4, 5, 6]), "?# SGo?");
        let mut canvas = vec![0; canvas::CELLS];
        canvas[..4].copy_from_slice(&[2, 3, 4, 1]);
        canvas[30..34].copy_from_slice(&[5, 6, 7, 1]);
        assert_eq!(characters(Task::Arc, &canvas), "012/345");
        assert_eq!((character(Task::Arc, 1), character(Task::Arc, 11), character(Task::Arc, 12)), ('?', '9', '?'));
    }
}
