//! Puzzles as a user gives them: text, a file, standard input.

use std::{io::Read, path::Path};

use tinysweep_proto::dataset::{Rules, Task};
use tinysweep_worker::data::{
    Examples,
    cell::Cell,
    csv, read_text,
    sudoku::grid::{BLANK, digit, find_repeat},
};

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
}

impl Puzzle {
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

/// CSV where the first line names a column `question`, else one puzzle as text.
fn from_bytes(bytes: Vec<u8>, name: &str, task: Task, limit: usize) -> Result<Vec<Puzzle>, Failure> {
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
    let wide = |tokens: &[u8]| tokens.iter().map(|token| u32::from(*token)).collect();
    Puzzle { origin: format!("{name}, row {}", row + 1), tokens: wide(examples.question(row)), answer: Some(wide(examples.answer(row))) }
}

/// A sudoku as text: a character a cell; space, line breaks and frames do not count.
fn from_text(text: &str, origin: &str, task: Task) -> Result<Puzzle, String> {
    let cells: Vec<char> = text.chars().filter(|c| !c.is_whitespace() && !matches!(c, '|' | '-' | '+')).collect();
    let Rules::Sudoku(size) = task.rules() else { return Err(format!("puzzles of {} cannot be read from text yet", task.name())) };
    let needed = size.cells();
    if cells.len() != needed {
        return Err(format!("has {} cells, but the checkpoint's task needs {needed}", cells.len()));
    }
    let token = |(index, cell): (usize, &char)| match cell {
        '.' | '0' | '_' => Ok(BLANK),
        '1'..='9' if (*cell as usize - '0' as usize) <= task.side() => Ok(*cell as u8 - b'0' + BLANK),
        _ => Err(format!(
            "has {cell:?} at {}; it has digits 1 to {}, and . or 0 for a blank cell",
            Cell::of(size.side(), index),
            task.side()
        )),
    };
    let tokens = cells.iter().enumerate().map(token).collect::<Result<Vec<_>, _>>()?;
    if let Some(repeat) = find_repeat(size, &tokens) {
        return Err(format!("contradicts itself: {repeat}"));
    }
    Ok(Puzzle { origin: origin.to_owned(), tokens: tokens.into_iter().map(u32::from).collect(), answer: None })
}

/// A character for each token: `.` is blank, `?` what no cell can be.
pub fn characters(task: Task, tokens: &[u32]) -> String {
    tokens.iter().map(|token| character(task, *token)).collect()
}

/// The character of one token.
pub fn character(task: Task, token: u32) -> char {
    match u8::try_from(token).map(|token| (token, digit(token))) {
        Ok((BLANK, _)) => '.',
        Ok((_, digit @ 1..)) if usize::from(digit) <= task.side() => char::from(b'0' + digit),
        _ => '?',
    }
}

fn shortened(text: &str) -> String {
    const LIMIT: usize = 60;
    let clean: String = text.chars().take(LIMIT).map(|c| if c.is_control() { ' ' } else { c }).collect();
    if text.chars().count() > LIMIT { clean + "…" } else { clean }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<String, String> {
        from_text(text, "p", Task::Sudoku4x4).map(|puzzle| characters(Task::Sudoku4x4, &puzzle.tokens))
    }

    #[test]
    fn text_may_have_lines_and_frames() {
        let plain = "..34..1.214..32.";
        for text in [plain, "..34\n..1.\n214.\n.32.\n", "0034001021400320", ". . | 3 4\n. . | 1 .\n----+----\n2 1 | 4 .\n. 3 | 2 ."] {
            assert_eq!(read(text).unwrap(), plain);
        }
    }

    #[test]
    fn what_is_no_puzzle_says_why() {
        for (text, message) in [
            ("1234", "has 4 cells, but the checkpoint's task needs 16"),
            ("..34..1.214..39.", "has '9' at r4c3; it has digits 1 to 4, and . or 0 for a blank cell"),
            ("..34..1.214..3x.", "has 'x' at r4c3; it has digits 1 to 4, and . or 0 for a blank cell"),
            ("11..............", "contradicts itself: 1 stands twice in row 1, at r1c1 and r1c2"),
        ] {
            assert_eq!(read(text).unwrap_err(), message);
        }
    }

    #[test]
    fn tokens_that_no_cell_has_are_shown_as_such() {
        assert_eq!(characters(Task::Sudoku4x4, &[0, 1, 2, 5, 6, 300]), "?.14??");
    }
}
