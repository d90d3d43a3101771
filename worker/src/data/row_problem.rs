//! What can be wrong with one row of a puzzle file.

use tinysweep_proto::dataset::{Rules, Task};

use super::cell::Cell;
use super::sudoku::grid::Repeat;

/// What is wrong with one row. Characters count from 1.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RowProblem {
    /// It has not one field per column.
    #[error("{found} fields, but the header has {expected}")]
    Ragged {
        /// Fields of the header.
        expected: usize,
        /// Fields of the row.
        found: usize,
    },
    /// A field is too short or too long.
    #[error("{field} has {found} characters, but {} needs {}{}", task.name(), task.seq_len(), fitting(*found))]
    Length {
        /// `question` or `answer`.
        field: &'static str,
        /// The kind of puzzle.
        task: Task,
        /// Characters of the field.
        found: usize,
    },
    /// A character stands for nothing.
    #[error("{field} has {found:?} at character {position} ({cell}); {}", alphabet(*task))]
    Character {
        /// `question` or `answer`.
        field: &'static str,
        /// The kind of puzzle.
        task: Task,
        /// The character.
        found: char,
        /// Which one it is.
        position: usize,
        /// Its cell.
        cell: Cell,
    },
    /// An answer leaves a cell open.
    #[error("answer is blank at character {position} ({cell}); an answer has a digit in every cell")]
    Blank {
        /// Which character.
        position: usize,
        /// Its cell.
        cell: Cell,
    },
    /// The question cannot be solved at all.
    #[error("question contradicts itself: {0}")]
    Contradiction(Repeat),
    /// The answer breaks the rules.
    #[error("answer is no solution: {0}")]
    NoSolution(Repeat),
    /// The answer solves another question.
    #[error("{cell} is {given} in the question, but {answer} in the answer")]
    Mismatch {
        /// The cell.
        cell: Cell,
        /// Its digit in the question.
        given: u8,
        /// Its digit in the answer.
        answer: u8,
    },
    /// A maze with no start or goal, or with several.
    #[error("question has {found} {name}; a maze has exactly one S and one G")]
    Ends {
        /// `S` or `G`.
        name: char,
        /// How many there are.
        found: usize,
    },
    /// A maze that cannot be solved.
    #[error("there is no way from S to G; a puzzle needs one")]
    Walled,
    /// The answer shows another maze.
    #[error("{cell} is {asked:?} in the question, but {answered:?} in the answer; only free cells change, from ' ' to 'o'")]
    Moved {
        /// The cell.
        cell: Cell,
        /// What the question has there.
        asked: char,
        /// What the answer has there.
        answered: char,
    },
    /// The answer marks no shortest path.
    #[error("answer marks {marked} cells that are no shortest path; shortest paths from S to G have {shortest} between them")]
    NotShortest {
        /// Marked cells.
        marked: usize,
        /// Cells between start and goal on a shortest path.
        shortest: usize,
    },
    /// The rating cannot be understood.
    #[error("rating `{found}` is no number; write one such as 12 or 0.5")]
    Rating {
        /// What is there.
        found: String,
    },
    /// A Sudoku that several grids solve.
    #[error("question has several solutions; a puzzle has one")]
    SeveralSolutions,
}

/// The characters that puzzles are written in.
fn alphabet(task: Task) -> String {
    match task.rules() {
        Rules::Sudoku(size) => {
            format!("{} has digits 1 to {}, and . or 0 for a blank cell of the question", task.name(), size.side())
        }
        Rules::Maze(_) => format!("{} has # for a wall, a space for a free cell, S, G, and o for the path of the answer", task.name()),
        Rules::Arc => format!("{} is not written in characters", task.name()),
    }
}

/// The hint for a length that other tasks would accept.
fn fitting(length: usize) -> String {
    let names: Vec<_> =
        Task::ALL.into_iter().filter(|task| task.seq_len() == length && task.rules() != Rules::Arc).map(Task::name).collect();
    if names.is_empty() { String::new() } else { format!("; {length} characters are a puzzle of {}", names.join(" or ")) }
}
