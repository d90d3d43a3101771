//! A place in a grid.

use std::fmt;

/// A cell, printed as `r1c1` at the top left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cell {
    /// From 0 at the top.
    pub row: usize,
    /// From 0 at the left.
    pub column: usize,
}

impl Cell {
    /// The cell at `index`, row by row, of a grid of `side` cells along a side.
    pub const fn of(side: usize, index: usize) -> Self {
        Self { row: index / side, column: index % side }
    }
}

impl fmt::Display for Cell {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        write!(f, "r{}c{}", self.row + 1, self.column + 1)
    }
}
