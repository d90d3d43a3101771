//! Mazes as tokens, and what makes a question and an answer right.

use super::path;
use crate::data::RowProblem;
use crate::data::cell::Cell;

/// A wall, `#`.
pub const WALL: u8 = 1;
/// A free cell, a space.
pub const FREE: u8 = 2;
/// Where the path begins, `S`.
pub const START: u8 = 3;
/// Where it ends, `G`.
pub const GOAL: u8 = 4;
/// A cell between them that the path takes, `o`; in answers only.
pub const PATH: u8 = 5;

/// The characters of the tokens from 1 on.
const CHARACTERS: [char; 5] = ['#', ' ', 'S', 'G', 'o'];

/// The token that `character` stands for in a question.
pub fn question_token(character: char) -> Option<u8> {
    answer_token(character).filter(|token| *token != PATH)
}

/// The token that `character` stands for in an answer.
pub fn answer_token(character: char) -> Option<u8> {
    CHARACTERS.iter().position(|known| *known == character).map(|index| index as u8 + WALL)
}

/// The character of `token`; `.` for padding, which no maze has.
pub const fn character(token: u8) -> char {
    if token < WALL || token > PATH { '.' } else { CHARACTERS[(token - WALL) as usize] }
}

/// Checks a maze of `side` × `side` cells and its answer: one start, one goal, a way between them, and a shortest one marked.
/// Which of several shortest paths is marked does not matter here.
///
/// # Errors
/// Says what is wrong, and where.
pub fn check(side: usize, question: &[u8], answer: &[u8]) -> Result<(), RowProblem> {
    for (token, name) in [(START, 'S'), (GOAL, 'G')] {
        let found = question.iter().filter(|cell| **cell == token).count();
        if found != 1 {
            return Err(RowProblem::Ends { name, found });
        }
    }
    let steps = path::shortest(side, question).ok_or(RowProblem::Walled)?.len() - 1;
    if let Some(index) = question.iter().zip(answer).position(|(asked, answered)| !may_become(*asked, *answered)) {
        let (asked, answered) = (character(question[index]), character(answer[index]));
        return Err(RowProblem::Moved { cell: Cell::of(side, index), asked, answered });
    }
    let marked = answer.iter().filter(|token| **token == PATH).count();
    match path::is_optimal(side, question, answer) {
        true => Ok(()),
        false => Err(RowProblem::NotShortest { marked, shortest: steps - 1 }),
    }
}

/// Whether a cell of the question may be `answered` in the answer: free cells may be on the path, all others stay.
pub const fn may_become(asked: u8, answered: u8) -> bool {
    asked == answered || (asked == FREE && answered == PATH)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problem(question: &str, answer: &str) -> String {
        let tokens = |text: &str| text.chars().map(|character| answer_token(character).unwrap()).collect::<Vec<_>>();
        check(3, &tokens(question), &tokens(answer)).unwrap_err().to_string()
    }

    #[test]
    fn a_wrong_maze_is_named_with_what_would_be_right() {
        let ends = "a maze has exactly one S and one G";
        let cases = [
            ("        G", "        G", format!("question has 0 S; {ends}")),
            ("S  S    G", "S  S    G", format!("question has 2 S; {ends}")),
            ("S        ", "S        ", format!("question has 0 G; {ends}")),
            ("S# # #  G", "S# # #  G", "there is no way from S to G; a puzzle needs one".into()),
            (
                "S  #    G",
                "S       G",
                "r2c1 is '#' in the question, but ' ' in the answer; only free cells change, from ' ' to 'o'".into(),
            ),
            (
                "S       G",
                "Soo oo  G",
                "answer marks 4 cells that are no shortest path; shortest paths from S to G have 3 between them".into(),
            ),
        ];
        for (question, answer, message) in cases {
            assert_eq!(problem(question, answer), message);
        }
    }

    #[test]
    fn characters_and_tokens_are_each_others_inverse() {
        for token in WALL..=PATH {
            assert_eq!(answer_token(character(token)), Some(token));
        }
        assert_eq!((question_token('o'), question_token('S'), answer_token('x')), (None, Some(START), None));
    }
}
