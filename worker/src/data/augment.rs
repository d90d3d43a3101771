//! Symmetries of Sudoku: what turns one valid puzzle into another.

use rand::seq::SliceRandom;
use rand::{Rng, RngExt};
use tinysweep_proto::config::Augment;
use tinysweep_proto::dataset::Task;

/// Cells of the largest grid.
const MAX_CELLS: usize = 81;
/// Digits along the side of the largest grid.
const MAX_SIDE: usize = 9;
/// Tokens that stand for no digit: padding and blank.
const FIRST_DIGIT: usize = 2;

/// One symmetry: a permutation of the digits and one of the cells. Applied to question and answer alike, it keeps a puzzle valid
/// and its solution unique.
#[derive(Clone, Debug)]
pub struct Symmetry {
    /// What each token becomes; padding and blank stay.
    tokens: [u8; MAX_SIDE + FIRST_DIGIT],
    /// For each cell, the cell that its token comes from.
    sources: [u8; MAX_CELLS],
}

impl Symmetry {
    /// The symmetry that changes nothing.
    pub fn identity() -> Self {
        Self { tokens: std::array::from_fn(|token| token as u8), sources: std::array::from_fn(|cell| cell as u8) }
    }

    /// Draws uniformly among the symmetries that `augment` allows.
    pub fn draw(task: Task, augment: Augment, rng: &mut impl Rng) -> Self {
        let mut symmetry = Self::identity();
        if augment != Augment::None {
            symmetry.tokens[FIRST_DIGIT..FIRST_DIGIT + task.side()].shuffle(rng);
        }
        if augment == Augment::Full {
            symmetry.draw_cells(task, rng);
        }
        symmetry
    }

    /// Transposes half of the time, then permutes rows and columns, as the builder of the TRM release does. Boxes that are not square
    /// would be torn apart by the transposition, so those grids do without.
    fn draw_cells(&mut self, task: Task, rng: &mut impl Rng) {
        let side = task.side();
        let (box_rows, box_columns) = task.box_size();
        let transposed = box_rows == box_columns && rng.random::<bool>();
        let rows = draw_lines(side, box_rows, rng);
        let columns = draw_lines(side, box_columns, rng);
        for row in 0..side {
            for column in 0..side {
                let (from_row, from_column) = (usize::from(rows[row]), usize::from(columns[column]));
                let source = if transposed { from_column * side + from_row } else { from_row * side + from_column };
                self.sources[row * side + column] = source as u8;
            }
        }
    }

    /// Writes the transformed `tokens` to `out`, of the same length.
    pub fn apply(&self, tokens: &[u8], out: &mut [u8]) {
        for (target, source) in out.iter_mut().zip(&self.sources) {
            *target = self.tokens[usize::from(tokens[usize::from(*source)])];
        }
    }
}

/// Draws an order of `side` rows that keeps bands of `band` rows together (or of columns, with stacks).
fn draw_lines(side: usize, band: usize, rng: &mut impl Rng) -> [u8; MAX_SIDE] {
    let mut bands: [u8; MAX_SIDE] = std::array::from_fn(|index| index as u8);
    let mut lines = [0; MAX_SIDE];
    bands[..side / band].shuffle(rng);
    for (chunk, from) in lines[..side].chunks_exact_mut(band).zip(bands) {
        for (line, offset) in chunk.iter_mut().zip(0..) {
            *line = from * band as u8 + offset;
        }
        chunk.shuffle(rng);
    }
    lines
}
