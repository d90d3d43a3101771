//! What a task's rules say about characters, questions and answers.

use tinysweep_proto::dataset::{Rules, Task};

use super::RowProblem;
use super::maze::grid as maze;
use super::sudoku::grid as sudoku;

/// A half of a puzzle.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Field {
    /// What is asked.
    Question,
    /// What is right.
    Answer,
}

impl Field {
    /// The name of its column.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Question => "question",
            Self::Answer => "answer",
        }
    }
}

/// The token that `character` stands for; nothing if it stands for none. ARC's puzzles are not written in characters.
pub fn token(task: Task, field: Field, character: char) -> Option<u8> {
    match (task.rules(), field) {
        (Rules::Sudoku(size), _) => sudoku::token(size, character),
        (Rules::Maze(_), Field::Question) => maze::question_token(character),
        (Rules::Maze(_), Field::Answer) => maze::answer_token(character),
        (Rules::Arc, _) => None,
    }
}

/// The character that stands for `token`.
pub const fn character(task: Task, token: u8) -> char {
    match task.rules() {
        Rules::Sudoku(_) => sudoku::character(token),
        Rules::Maze(_) => maze::character(token),
        Rules::Arc => '?',
    }
}

/// Checks one puzzle's tokens, as many as the task has cells. ARC has rules of its own for each puzzle, which nobody can check.
///
/// # Errors
/// Says what is wrong, and where.
pub fn check(task: Task, question: &[u8], answer: &[u8]) -> Result<(), RowProblem> {
    match task.rules() {
        Rules::Sudoku(size) => sudoku::check(size, question, answer),
        Rules::Maze(side) => maze::check(side, question, answer),
        Rules::Arc => Ok(()),
    }
}
