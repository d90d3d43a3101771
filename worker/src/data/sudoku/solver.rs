//! Search with propagation: counts solutions, and the guesses that a solution takes.

use std::sync::LazyLock;

use tinysweep_proto::dataset::Sudoku;

use super::grid::{BLANK, MAX_CELLS, Unit, digit};
use crate::data::cell::Cell;

/// How many solutions the question `tokens` has, counted up to `limit`. A question that contradicts itself has none.
pub fn count_solutions(size: Sudoku, tokens: &[u8], limit: usize) -> usize {
    let mut search = Search { layout: Layout::of(size), guesses: 0 };
    State::of(search.layout, tokens).map_or(0, |state| search.count(state, limit))
}

/// How hard the question `tokens` is: the guesses that a search takes to the first solution, 0 where naked and hidden singles suffice.
///
/// The search takes the first open cell with the fewest candidates and tries them in ascending order; a candidate is a guess as long as
/// the cell has others left. It is the same measure as the ratings of Sudoku-Extreme (guesses of the solver tdoku up to the first
/// solution), but not the same numbers: tdoku infers more between its guesses, and takes other cells.
pub fn guesses(size: Sudoku, tokens: &[u8]) -> u32 {
    let mut search = Search { layout: Layout::of(size), guesses: 0 };
    if let Some(state) = State::of(search.layout, tokens) {
        search.count(state, 1);
    }
    search.guesses
}

/// Which cells share a unit, in a grid of one size.
struct Layout {
    cells: usize,
    /// Every digit; digit d is bit d-1.
    all: u16,
    /// The cells of each row, column and box.
    units: Vec<Vec<u8>>,
    /// The other cells of the units of each cell.
    peers: Vec<Vec<u8>>,
    /// The units of each cell, as bits.
    units_of: Vec<u32>,
}

impl Layout {
    fn of(size: Sudoku) -> &'static Self {
        static LAYOUTS: [LazyLock<Layout>; 3] = [
            LazyLock::new(|| Layout::new(Sudoku::Grid4x4)),
            LazyLock::new(|| Layout::new(Sudoku::Grid6x6)),
            LazyLock::new(|| Layout::new(Sudoku::Grid9x9)),
        ];
        match size {
            Sudoku::Grid4x4 => &LAYOUTS[0],
            Sudoku::Grid6x6 => &LAYOUTS[1],
            Sudoku::Grid9x9 => &LAYOUTS[2],
        }
    }

    fn new(size: Sudoku) -> Self {
        let side = size.side();
        let mut units = vec![Vec::new(); 3 * side];
        for cell in 0..size.cells() {
            for unit in Unit::around(size, Cell::of(side, cell)) {
                let index = match unit {
                    Unit::Row(index) => index,
                    Unit::Column(index) => side + index,
                    Unit::Box(index) => 2 * side + index,
                };
                units[index].push(cell as u8);
            }
        }
        let peers_of = |cell: u8| {
            let mut peers: Vec<u8> =
                units.iter().filter(|unit| unit.contains(&cell)).flatten().copied().filter(|peer| *peer != cell).collect();
            peers.sort_unstable();
            peers.dedup();
            peers
        };
        let bit_if_in = |(index, unit): (usize, &Vec<u8>), cell: u8| u32::from(unit.contains(&cell)) << index;
        let units_of = (0..size.cells() as u8).map(|cell| units.iter().enumerate().map(|unit| bit_if_in(unit, cell)).sum()).collect();
        Self { units_of, cells: size.cells(), all: (1 << side) - 1, peers: (0..size.cells() as u8).map(peers_of).collect(), units }
    }
}

/// The digits that each cell may still have. What follows from a cell with one candidate has been drawn.
#[derive(Clone)]
struct State {
    candidates: [u16; MAX_CELLS],
    /// Units that have lost candidates since they were last looked through, a bit each.
    changed: u32,
}

impl State {
    /// The givens and what follows from them; nothing if they contradict each other.
    fn of(layout: &Layout, tokens: &[u8]) -> Option<Self> {
        let mut state = Self { candidates: [layout.all; MAX_CELLS], changed: (1 << layout.units.len()) - 1 };
        for (cell, token) in tokens.iter().enumerate().filter(|(_, token)| **token != BLANK) {
            state.place(layout, cell, 1 << (digit(*token) - 1))?;
        }
        state.place_hidden_singles(layout)?;
        Some(state)
    }

    /// Puts a digit into a cell and follows the cells that have one candidate left; nothing on a contradiction.
    fn place(&mut self, layout: &Layout, cell: usize, bit: u16) -> Option<()> {
        if self.candidates[cell] == bit {
            return Some(());
        }
        if self.candidates[cell] & bit == 0 {
            return None;
        }
        self.candidates[cell] = bit;
        self.changed |= layout.units_of[cell];
        let mut waiting = [cell as u8; MAX_CELLS];
        let mut count = 1;
        while count > 0 {
            count -= 1;
            let placed = usize::from(waiting[count]);
            let bit = self.candidates[placed];
            for peer in layout.peers[placed].iter().map(|peer| usize::from(*peer)) {
                let before = self.candidates[peer];
                if before & bit == 0 {
                    continue;
                }
                let left = before ^ bit;
                self.candidates[peer] = left;
                self.changed |= layout.units_of[peer];
                if left & left.wrapping_sub(1) == 0 {
                    if left == 0 {
                        return None;
                    }
                    waiting[count] = peer as u8;
                    count += 1;
                }
            }
        }
        Some(())
    }

    /// Places digits that have one cell left in a unit, until there are none.
    fn place_hidden_singles(&mut self, layout: &Layout) -> Option<()> {
        while self.changed != 0 {
            let unit = &layout.units[self.changed.trailing_zeros() as usize];
            self.changed &= self.changed - 1;
            let (mut once, mut twice, mut placed) = (0, 0, 0);
            for cell in unit {
                let candidates = self.candidates[usize::from(*cell)];
                twice |= once & candidates;
                once |= candidates;
                placed |= if candidates & candidates.wrapping_sub(1) == 0 { candidates } else { 0 };
            }
            if once != layout.all {
                return None;
            }
            let mut hidden = once & !twice & !placed;
            while hidden != 0 {
                let bit = hidden & hidden.wrapping_neg();
                hidden ^= bit;
                // The cell may have been given to another digit just now: then this one has none.
                let cell = unit.iter().map(|cell| usize::from(*cell)).find(|cell| self.candidates[*cell] & bit != 0)?;
                self.place(layout, cell, bit)?;
            }
        }
        Some(())
    }

    /// The first of the open cells with the fewest candidates; nothing if the grid is full.
    fn tightest(&self, layout: &Layout) -> Option<usize> {
        let mut fewest = (u32::MAX, None);
        for (cell, candidates) in self.candidates[..layout.cells].iter().enumerate() {
            match candidates.count_ones() {
                1 => {}
                2 => return Some(cell),
                count if count < fewest.0 => fewest = (count, Some(cell)),
                _ => {}
            }
        }
        fewest.1
    }
}

/// A search under way.
struct Search {
    layout: &'static Layout,
    guesses: u32,
}

impl Search {
    fn count(&mut self, state: State, limit: usize) -> usize {
        let Some(cell) = state.tightest(self.layout) else { return 1 };
        let mut candidates = state.candidates[cell];
        let mut found = 0;
        while candidates != 0 && found < limit {
            let bit = candidates & candidates.wrapping_neg();
            candidates ^= bit;
            self.guesses += u32::from(candidates != 0);
            let mut next = state.clone();
            if next.place(self.layout, cell, bit).and_then(|()| next.place_hidden_singles(self.layout)).is_some() {
                found += self.count(next, limit - found);
            }
        }
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tokens(text: &str) -> Vec<u8> {
        text.bytes().map(|byte| if byte == b'.' { BLANK } else { byte - b'0' + BLANK }).collect()
    }

    #[test]
    fn the_empty_grid_of_4x4_has_288_solutions() {
        assert_eq!(count_solutions(Sudoku::Grid4x4, &[BLANK; 16], usize::MAX), 288);
    }

    /// The known number of grids is 28,200,960; each first row begins 1 in 720 of them.
    #[test]
    fn the_grids_of_6x6_are_as_many_as_known() {
        let mut first_row = [BLANK; 36];
        first_row[..6].copy_from_slice(&tokens("123456"));
        assert_eq!(count_solutions(Sudoku::Grid6x6, &first_row, usize::MAX), 28_200_960 / 720);
    }

    #[test]
    fn solutions_are_counted_up_to_the_limit() {
        let cases = [
            (Sudoku::Grid4x4, "..34..1.214..32.", 1),
            (Sudoku::Grid4x4, "1...............", 2),
            (Sudoku::Grid4x4, "11..............", 0),
            (Sudoku::Grid4x4, "123.......4.....", 2),
            (Sudoku::Grid4x4, "123....4........", 0),
            (Sudoku::Grid4x4, "1234341221434321", 1),
            // A puzzle of Gordon Royle's list: 17 givens, the fewest that any has.
            (Sudoku::Grid9x9, "000000010400000000020000000000050407008000300001090000300400200050100000000806000", 1),
        ];
        for (size, text, expected) in cases {
            assert_eq!(count_solutions(size, &tokens(&text.replace('0', ".")), 2), expected, "{text}");
        }
    }

    #[test]
    fn singles_take_no_guess_and_hard_puzzles_many() {
        let cases = [
            (Sudoku::Grid4x4, "..34..1.214..32.", 0..=0),
            (Sudoku::Grid9x9, "000000010400000000020000000000050407008000300001090000300400200050100000000806000", 0..=0),
            // Arto Inkala's of 2010, published as the hardest.
            (Sudoku::Grid9x9, "005300000800000020070010500400005300010070006003200080060500009004000030000009700", 10..=500),
        ];
        for (size, text, expected) in cases {
            let found = guesses(size, &tokens(&text.replace('0', ".")));
            assert!(expected.contains(&found), "{text}: {found}");
        }
    }
}
