//! Grids for the terminal.

use tinysweep_proto::dataset::{Rules, Sudoku, Task};
use tinysweep_worker::data::arc::{MAX_SIDE, canvas};

use super::{
    puzzle::{character, narrow},
    show::Mark,
};

const PLAIN: &str = "\x1b[0m";
pub const DIM: &str = "\x1b[2m";
pub const BOLD: &str = "\x1b[1m";
pub const RED: &str = "\x1b[31m";
pub const GREEN: &str = "\x1b[32m";
const UNDERLINED: &str = "\x1b[4m";
/// Behind and in front of each colour's number, of the terminal's 256 colours.
const PALETTE: [(u8, u8); 10] =
    [(16, 231), (33, 231), (196, 231), (40, 16), (226, 16), (248, 16), (201, 16), (208, 16), (117, 16), (88, 231)];

/// The cells of an answer, a line a row.
pub fn grid(task: Task, tokens: &[u32], marks: &[Mark], color: bool) -> String {
    match task.rules() {
        Rules::Sudoku(size) => sudoku(size, tokens, marks, color),
        Rules::Maze(_) => maze(task, tokens, marks, color),
        Rules::Arc => arc(tokens, marks, color),
    }
}

fn sudoku(size: Sudoku, tokens: &[u32], marks: &[Mark], color: bool) -> String {
    let (task, side) = (size.task(), size.side());
    let (rows, columns) = size.box_size();
    let mut out = String::new();
    for (index, (token, mark)) in tokens.iter().zip(marks).enumerate() {
        let (row, column) = (index / side, index % side);
        if column == 0 {
            if row > 0 && row % rows == 0 {
                let bar: Vec<_> = (0..side / columns).map(|_| "-".repeat(2 * columns)).collect();
                out += &format!("  {}\n", bar.join("+-"));
            }
            out += "  ";
        } else if column % columns == 0 {
            out += "| ";
        }
        push_cell(&mut out, character(task, *token), *mark, color);
        out += if column + 1 == side { "\n" } else { " " };
    }
    out
}

/// Mazes have no space between cells: a space is a cell.
fn maze(task: Task, tokens: &[u32], marks: &[Mark], color: bool) -> String {
    let side = task.side();
    let mut out = String::new();
    for (tokens, marks) in tokens.chunks(side).zip(marks.chunks(side)) {
        out += "  ";
        tokens.iter().zip(marks).for_each(|(token, mark)| push_cell(&mut out, character(task, *token), *mark, color));
        out.push('\n');
    }
    out
}

/// The grid on a canvas of ARC: numbers of colours, on the colours that ARC's own pages give them. Wrong ones are underlined.
fn arc(tokens: &[u32], marks: &[Mark], color: bool) -> String {
    let grid = canvas::crop(&narrow(tokens));
    if grid.cells().is_empty() {
        return "  no grid\n".into();
    }
    let mut out = String::new();
    for (row, cells) in grid.cells().chunks(grid.columns()).enumerate() {
        out += "  ";
        for (column, cell) in cells.iter().enumerate() {
            if color {
                let (back, front) = PALETTE[usize::from(*cell)];
                let line = if marks[row * MAX_SIDE + column].right == Some(false) { UNDERLINED } else { "" };
                out += &format!("\x1b[48;5;{back};38;5;{front}m{line}{cell} {PLAIN}");
            } else {
                out += &format!("{cell}{}", if column + 1 == cells.len() { "" } else { " " });
            }
        }
        out.push('\n');
    }
    out
}

fn push_cell(out: &mut String, cell: char, mark: Mark, color: bool) {
    match style(mark) {
        Some(style) if color => *out += &format!("{style}{cell}{PLAIN}"),
        _ => out.push(cell),
    }
}

/// The escape sequences of a cell, if it has any.
pub fn style(mark: Mark) -> Option<String> {
    let weight = if mark.given {
        DIM
    } else if mark.changed {
        BOLD
    } else {
        ""
    };
    let hue = match (mark.right, mark.broken) {
        (Some(false), _) | (None, true) => RED,
        (Some(true), _) if !mark.given => GREEN,
        _ => "",
    };
    let style = format!("{weight}{hue}");
    (!style.is_empty()).then_some(style)
}
