//! ARC's grids of colours.

use serde::ser::{Serialize, Serializer};

/// The most rows, and the most columns, of a grid.
pub const MAX_SIDE: usize = 30;
/// Colours are numbers below this; 0 is the background.
pub const COLORS: u8 = 10;

/// A grid of colours, row by row. Tasks have at least one cell; a prediction may be empty.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Grid {
    columns: u8,
    cells: Box<[u8]>,
}

/// Why rows of numbers are no grid. Rows and columns count from 1.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum GridProblem {
    /// Something else than a list.
    #[error("a grid is a list of rows of colours, not {found}")]
    NotRows {
        /// What it is.
        found: String,
    },
    /// A row that is something else than a list.
    #[error("row {row} is {found}; a row is a list of colours")]
    NotRow {
        /// Which one.
        row: usize,
        /// What it is.
        found: String,
    },
    /// No cell at all.
    #[error("no cells; a grid has 1 to {MAX_SIDE} rows and columns")]
    Empty,
    /// Too many rows.
    #[error("{found} rows; a grid has 1 to {MAX_SIDE}")]
    Rows {
        /// How many there are.
        found: usize,
    },
    /// Too many columns.
    #[error("row {row} has {found} cells; a grid has 1 to {MAX_SIDE} columns")]
    Columns {
        /// The row.
        row: usize,
        /// How many it has.
        found: usize,
    },
    /// A row as long as none above it.
    #[error("row {row} has {found} cells, but row 1 has {expected}; all rows are of one length")]
    Ragged {
        /// The row.
        row: usize,
        /// Its cells.
        found: usize,
        /// Those of the first row.
        expected: usize,
    },
    /// A cell that is no colour.
    #[error("row {row}, column {column} is {found}; a colour is a number from 0 to 9")]
    Color {
        /// The row.
        row: usize,
        /// The column.
        column: usize,
        /// What is there.
        found: String,
    },
}

impl Grid {
    /// The grid whose cell at a row and a column, from 0, has the colour that `color` gives. Without rows or columns it has neither.
    pub(super) fn from_fn(rows: usize, columns: usize, mut color: impl FnMut(usize, usize) -> u8) -> Self {
        if rows == 0 {
            return Self::default();
        }
        let cells = (0..rows * columns).map(|cell| color(cell / columns, cell % columns)).collect();
        Self { columns: columns as u8, cells }
    }

    /// How many rows it has.
    pub fn rows(&self) -> usize {
        self.cells.len() / usize::from(self.columns).max(1)
    }

    /// How many columns it has.
    pub fn columns(&self) -> usize {
        self.columns.into()
    }

    /// Its colours, row by row.
    pub fn cells(&self) -> &[u8] {
        &self.cells
    }

    /// The colour at a row and a column, from 0.
    pub(super) fn cell(&self, row: usize, column: usize) -> u8 {
        self.cells[row * self.columns() + column]
    }
}

impl Serialize for Grid {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.cells.chunks(self.columns().max(1)))
    }
}
