//! The rules of Sudoku: which cells belong together, which digit breaks a rule, and how puzzles are written.

use std::fmt;

use tinysweep_proto::dataset::Sudoku;

use crate::data::RowProblem;
use crate::data::cell::Cell;

/// Cells of the largest grid.
pub const MAX_CELLS: usize = 81;
/// Digits of the largest grid.
pub const MAX_SIDE: usize = 9;

/// The token of a blank cell.
pub const BLANK: u8 = 1;

/// The digit that a token stands for, from 1; 0 for a blank cell and for padding.
pub const fn digit(token: u8) -> u8 {
    token.saturating_sub(BLANK)
}

/// Cells of which each holds another digit; numbered from 0, boxes row by row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    /// A row.
    Row(usize),
    /// A column.
    Column(usize),
    /// A box.
    Box(usize),
}

impl Unit {
    /// The units that hold `cell`.
    pub const fn around(size: Sudoku, cell: Cell) -> [Self; 3] {
        let (rows, columns) = size.box_size();
        let boxes_per_band = size.side() / columns;
        [Self::Row(cell.row), Self::Column(cell.column), Self::Box(cell.row / rows * boxes_per_band + cell.column / columns)]
    }
}

impl fmt::Display for Unit {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match self {
            Self::Row(index) => write!(f, "row {}", index + 1),
            Self::Column(index) => write!(f, "column {}", index + 1),
            Self::Box(index) => write!(f, "box {}", index + 1),
        }
    }
}

/// A digit that stands twice where it may stand once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Repeat {
    /// The digit.
    pub digit: u8,
    /// Where it may stand once.
    pub unit: Unit,
    /// Where it stands.
    pub first: Cell,
    /// Where it stands again.
    pub second: Cell,
}

impl fmt::Display for Repeat {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        write!(f, "{} stands twice in {}, at {} and {}", self.digit, self.unit, self.first, self.second)
    }
}

/// The first digit of `tokens` (one grid of `size`) that repeats one before it; blank cells break no rule.
pub fn find_repeat(size: Sudoku, tokens: &[u8]) -> Option<Repeat> {
    // Where each digit was seen in each unit: index + 1 of the cell, 0 for nowhere.
    let mut seen = [[[0; MAX_SIDE + 1]; MAX_SIDE]; 3];
    for (index, token) in tokens.iter().enumerate().filter(|(_, token)| digit(**token) > 0) {
        let cell = Cell::of(size.side(), index);
        for (kind, unit) in Unit::around(size, cell).into_iter().enumerate() {
            let (Unit::Row(number) | Unit::Column(number) | Unit::Box(number)) = unit;
            let place: &mut usize = &mut seen[kind][number][usize::from(digit(*token))];
            if *place > 0 {
                return Some(Repeat { digit: digit(*token), unit, first: Cell::of(size.side(), *place - 1), second: cell });
            }
            *place = index + 1;
        }
    }
    None
}

/// The token that `character` stands for: `.` and `0` are blank.
pub fn token(size: Sudoku, character: char) -> Option<u8> {
    match character {
        '.' | '0' => Some(BLANK),
        '1'..='9' => Some(character as u8 - b'0' + BLANK).filter(|token| usize::from(digit(*token)) <= size.side()),
        _ => None,
    }
}

/// The character of `token`; `.` for a blank cell.
pub const fn character(token: u8) -> char {
    match digit(token) {
        0 => '.',
        digit => (b'0' + digit) as char,
    }
}

/// Checks that `answer` solves `question`. That nothing else does is for [`count_solutions`](super::count_solutions) to say.
///
/// # Errors
/// Says what is wrong, and where.
pub fn check(size: Sudoku, question: &[u8], answer: &[u8]) -> Result<(), RowProblem> {
    if let Some(index) = answer.iter().position(|token| *token == BLANK) {
        return Err(RowProblem::Blank { position: index + 1, cell: Cell::of(size.side(), index) });
    }
    if let Some(repeat) = find_repeat(size, question) {
        return Err(RowProblem::Contradiction(repeat));
    }
    if let Some(repeat) = find_repeat(size, answer) {
        return Err(RowProblem::NoSolution(repeat));
    }
    match question.iter().zip(answer).position(|(given, answer)| *given != BLANK && given != answer) {
        Some(index) => {
            let (given, answer) = (digit(question[index]), digit(answer[index]));
            Err(RowProblem::Mismatch { cell: Cell::of(size.side(), index), given, answer })
        }
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tokens(text: &str) -> Vec<u8> {
        text.bytes().map(|byte| if byte == b'.' { BLANK } else { byte - b'0' + BLANK }).collect()
    }

    #[test]
    fn the_first_repeat_is_named_with_its_unit() {
        let cases = [
            (Sudoku::Grid4x4, "1..1............", Some("1 stands twice in row 1, at r1c1 and r1c4")),
            (Sudoku::Grid4x4, ".2..........2.2.", Some("2 stands twice in row 4, at r4c1 and r4c3")),
            (Sudoku::Grid4x4, ".3...........3..", Some("3 stands twice in column 2, at r1c2 and r4c2")),
            (Sudoku::Grid4x4, "..........4....4", Some("4 stands twice in box 4, at r3c3 and r4c4")),
            (Sudoku::Grid4x4, "1234341221434321", None),
            // Boxes of 2 rows and 3 columns: box 4 is at rows 3 and 4, columns 4 to 6.
            (Sudoku::Grid6x6, "...............5.....5..............", Some("5 stands twice in column 4, at r3c4 and r4c4")),
            (Sudoku::Grid6x6, "...............5.......5............", Some("5 stands twice in box 4, at r3c4 and r4c6")),
            (Sudoku::Grid6x6, "..............5......5..............", None),
        ];
        for (size, text, expected) in cases {
            assert_eq!(find_repeat(size, &tokens(text)).map(|repeat| repeat.to_string()).as_deref(), expected, "{text}");
        }
    }
}
