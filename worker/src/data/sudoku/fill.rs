//! Backtracking that fills grids at random.

use rand::Rng;
use rand::seq::SliceRandom;
use tinysweep_proto::dataset::Sudoku;

use super::grid::{BLANK, MAX_CELLS, MAX_SIDE, Unit};
use crate::data::cell::Cell;

/// A random full grid, as tokens. Every grid can come up, though not all with quite the same probability.
pub fn random_grid(size: Sudoku, rng: &mut impl Rng) -> Vec<u8> {
    let mut tokens = vec![BLANK; size.cells()];
    Search::empty(size).fill(&mut tokens, rng);
    tokens
}

/// A grid being filled. Digit d is bit d-1 of a mask.
struct Search {
    cells: usize,
    /// The units of each cell, as indices into `used`.
    units: [[u8; 3]; MAX_CELLS],
    /// The digits that stand in each unit: rows, then columns, then boxes.
    used: [u16; 3 * MAX_SIDE],
    /// Cells without a digit.
    open: [bool; MAX_CELLS],
    /// Every digit.
    all: u16,
}

impl Search {
    fn empty(size: Sudoku) -> Self {
        Self {
            cells: size.cells(),
            units: std::array::from_fn(|cell| unit_indices(size, cell)),
            used: [0; 3 * MAX_SIDE],
            open: [true; MAX_CELLS],
            all: (1 << size.side()) - 1,
        }
    }

    /// The digits that break no rule in `cell`.
    fn candidates(&self, cell: usize) -> u16 {
        let [row, column, block] = self.units[cell].map(|unit| self.used[usize::from(unit)]);
        self.all & !(row | column | block)
    }

    fn place(&mut self, cell: usize, bit: u16) {
        for unit in self.units[cell] {
            self.used[usize::from(unit)] |= bit;
        }
        self.open[cell] = false;
    }

    fn take_back(&mut self, cell: usize, bit: u16) {
        for unit in self.units[cell] {
            self.used[usize::from(unit)] &= !bit;
        }
        self.open[cell] = true;
    }

    /// The open cell with the fewest candidates, and those; nothing if the grid is full.
    fn tightest(&self) -> Option<(usize, u16)> {
        let mut best = None;
        let mut fewest = u32::MAX;
        for cell in (0..self.cells).filter(|cell| self.open[*cell]) {
            let candidates = self.candidates(cell);
            if candidates.count_ones() < fewest {
                fewest = candidates.count_ones();
                best = Some((cell, candidates));
                if fewest <= 1 {
                    break;
                }
            }
        }
        best
    }

    /// Fills the open cells at random and writes them to `tokens`; false if that is impossible.
    fn fill(&mut self, tokens: &mut [u8], rng: &mut impl Rng) -> bool {
        let Some((cell, candidates)) = self.tightest() else { return true };
        let mut digits: [u8; MAX_SIDE] = std::array::from_fn(|index| index as u8);
        digits.shuffle(rng);
        for digit in digits.into_iter().filter(|digit| candidates >> digit & 1 == 1) {
            let bit = 1 << digit;
            self.place(cell, bit);
            tokens[cell] = digit + 1 + BLANK;
            if self.fill(tokens, rng) {
                return true;
            }
            self.take_back(cell, bit);
        }
        false
    }
}

/// The units of `cell` as indices into [`Search::used`]; of no meaning beyond the grid.
fn unit_indices(size: Sudoku, cell: usize) -> [u8; 3] {
    if cell >= size.cells() {
        return [0; 3];
    }
    Unit::around(size, Cell::of(size.side(), cell)).map(|unit| match unit {
        Unit::Row(index) => index as u8,
        Unit::Column(index) => (MAX_SIDE + index) as u8,
        Unit::Box(index) => (2 * MAX_SIDE + index) as u8,
    })
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;
    use rand_chacha::ChaCha8Rng;

    use super::super::grid::find_repeat;
    use super::*;

    #[test]
    fn random_grids_are_full_and_valid() {
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        for size in Sudoku::ALL {
            for _ in 0..20 {
                let grid = random_grid(size, &mut rng);
                assert!(grid.iter().all(|token| *token > BLANK));
                assert_eq!(find_repeat(size, &grid), None);
            }
        }
    }
}
