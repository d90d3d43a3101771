//! Symmetries: what turns one valid puzzle into another of the same task.

use rand::seq::SliceRandom;
use rand::{Rng, RngExt};
use tinysweep_proto::config::Augment;
use tinysweep_proto::dataset::{Rules, Sudoku, Task};

use super::arc::canvas;
use super::sudoku::grid::{BLANK, MAX_SIDE};

/// The token of the digit 1.
const FIRST_DIGIT: usize = BLANK as usize + 1;
/// Tokens of the largest alphabet.
const MAX_TOKENS: usize = 12;
/// The source of a cell that nothing moves to; it becomes padding.
const NOWHERE: u16 = u16::MAX;

/// One symmetry: a renaming of tokens and a move of cells, for question and answer alike.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Symmetry {
    /// What each token becomes; padding stays.
    tokens: [u8; MAX_TOKENS],
    /// For each cell, the cell that its token comes from.
    sources: Vec<u16>,
}

impl Symmetry {
    /// The symmetry that changes nothing.
    pub fn identity(task: Task) -> Self {
        Self { tokens: std::array::from_fn(|token| token as u8), sources: (0..task.seq_len() as u16).collect() }
    }

    /// Draws uniformly among the symmetries that `augment` allows for this puzzle: for Sudoku digits and cells, for mazes turns and
    /// reflections, for ARC the place of the grids on their canvas.
    pub fn draw(task: Task, augment: Augment, question: &[u8], answer: &[u8], rng: &mut impl Rng) -> Self {
        let mut symmetry = Self::identity(task);
        match (task.rules(), augment) {
            (_, Augment::None) => {}
            (Rules::Sudoku(size), _) => {
                symmetry.tokens[FIRST_DIGIT..FIRST_DIGIT + size.side()].shuffle(rng);
                if augment == Augment::Full {
                    symmetry.draw_sudoku_cells(size, rng);
                }
            }
            (Rules::Maze(side), _) => symmetry.turn(side, rng.random_range(0..8)),
            (Rules::Arc, _) => {
                let (rows, columns) = canvas::room(question, answer);
                symmetry.shift(task.side(), rng.random_range(0..=rows), rng.random_range(0..=columns));
            }
        }
        symmetry
    }

    /// Transposes half of the time, then permutes rows and columns, as the builder of the TRM release does. Boxes that are not square
    /// would be torn apart by the transposition, so those grids do without.
    fn draw_sudoku_cells(&mut self, size: Sudoku, rng: &mut impl Rng) {
        let side = size.side();
        let (box_rows, box_columns) = size.box_size();
        let transposed = box_rows == box_columns && rng.random::<bool>();
        let rows = draw_lines(side, box_rows, rng);
        let columns = draw_lines(side, box_columns, rng);
        let places = rows[..side].iter().flat_map(|row| columns[..side].iter().map(move |column| (*row, *column)));
        for (source, (row, column)) in self.sources.iter_mut().zip(places) {
            let (row, column) = if transposed { (column, row) } else { (row, column) };
            *source = u16::from(row) * side as u16 + u16::from(column);
        }
    }

    /// One of the 8 turns and reflections of a square, by number.
    fn turn(&mut self, side: usize, number: u8) {
        let flip = |index: usize, flips: bool| if flips { side - 1 - index } else { index };
        for (cell, source) in self.sources.iter_mut().enumerate() {
            let (row, column) = (flip(cell / side, number & 1 != 0), flip(cell % side, number & 2 != 0));
            *source = if number & 4 != 0 { column * side + row } else { row * side + column } as u16;
        }
    }

    /// Moves everything down and to the right; what is left free becomes padding.
    fn shift(&mut self, side: usize, rows: usize, columns: usize) {
        for (cell, source) in self.sources.iter_mut().enumerate() {
            *source = match ((cell / side).checked_sub(rows), (cell % side).checked_sub(columns)) {
                (Some(row), Some(column)) => (row * side + column) as u16,
                _ => NOWHERE,
            };
        }
    }

    /// Writes the transformed `tokens` to `out`, of the same length.
    pub fn apply(&self, tokens: &[u8], out: &mut [u8]) {
        for (target, source) in out.iter_mut().zip(&self.sources) {
            *target = tokens.get(usize::from(*source)).map_or(0, |token| self.tokens[usize::from(*token)]);
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

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use proptest::prelude::*;
    use rand::SeedableRng;
    use rand_chacha::ChaCha8Rng;

    use super::super::sudoku::grid::find_repeat;
    use super::super::sudoku::{Givens, count_solutions, generate};
    use super::*;

    const AUGMENTS: [Augment; 3] = [Augment::None, Augment::Digits, Augment::Full];

    fn draw(size: Sudoku, augment: Augment, rng: &mut ChaCha8Rng) -> Symmetry {
        Symmetry::draw(size.task(), augment, &[], &[], rng)
    }

    fn applied(symmetry: &Symmetry, tokens: &[u8]) -> Vec<u8> {
        let mut out = vec![0; tokens.len()];
        symmetry.apply(tokens, &mut out);
        out
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn puzzles_stay_puzzles_with_one_solution(size in prop::sample::select(&Sudoku::ALL), augment in prop::sample::select(&AUGMENTS), seed: u64) {
            let (puzzle, _) = generate(size, 1, 1, Givens::aim(size.cells() / 2), seed).unwrap();
            let symmetry = draw(size, augment, &mut ChaCha8Rng::seed_from_u64(seed));
            let (question, answer) = (applied(&symmetry, &puzzle.inputs), applied(&symmetry, &puzzle.labels));
            prop_assert_eq!(find_repeat(size, &answer), None);
            prop_assert!(question.iter().zip(&answer).all(|(given, answer)| *given == BLANK || given == answer));
            prop_assert_eq!(count_solutions(size, &question, 2), 1);
            let givens = |tokens: &[u8]| tokens.iter().filter(|token| **token != BLANK).count();
            prop_assert_eq!(givens(&question), givens(&puzzle.inputs));
        }

        #[test]
        fn every_cell_goes_somewhere_and_every_digit_becomes_another(size in prop::sample::select(&Sudoku::ALL), augment in prop::sample::select(&AUGMENTS), seed: u64) {
            let symmetry = draw(size, augment, &mut ChaCha8Rng::seed_from_u64(seed));
            let cells = size.cells();
            let sources: HashSet<u16> = symmetry.sources[..cells].iter().copied().collect();
            prop_assert_eq!(sources, (0..cells as u16).collect());
            let tokens: HashSet<u8> = symmetry.tokens[..size.task().vocab_size()].iter().copied().collect();
            prop_assert_eq!(tokens, (0..size.task().vocab_size() as u8).collect());
            prop_assert_eq!(&symmetry.tokens[..FIRST_DIGIT], &[0, BLANK]);
        }
    }

    /// How many distinct cell permutations `draws` draws give.
    fn cell_permutations(size: Sudoku, augment: Augment, draws: usize) -> usize {
        let mut rng = ChaCha8Rng::seed_from_u64(5);
        (0..draws).map(|_| draw(size, augment, &mut rng).sources).collect::<HashSet<_>>().len()
    }

    #[test]
    fn each_task_has_all_of_its_cell_symmetries() {
        // 4×4: 2 · (2!·2!²)². 6×6, without transposition: (3!·2!³) · (2!·3!²).
        assert_eq!(cell_permutations(Sudoku::Grid4x4, Augment::Full, 4_000), 128);
        assert_eq!(cell_permutations(Sudoku::Grid6x6, Augment::Full, 60_000), 48 * 72);
        assert_eq!(cell_permutations(Sudoku::Grid9x9, Augment::Digits, 100), 1);
    }

    #[test]
    fn a_maze_has_eight_turns_and_keeps_its_cells() {
        let turns: HashSet<Vec<u16>> = (0..8)
            .map(|number| {
                let mut symmetry = Symmetry::identity(Task::Maze10);
                symmetry.turn(10, number);
                symmetry.sources
            })
            .collect();
        assert_eq!(turns.len(), 8);
        for turn in turns {
            assert_eq!(turn.into_iter().collect::<HashSet<_>>().len(), 100);
        }
    }

    #[test]
    fn a_shift_moves_grids_and_pads() {
        let mut symmetry = Symmetry::identity(Task::Arc);
        symmetry.shift(30, 2, 1);
        let mut canvas = vec![0; 900];
        (canvas[0], canvas[1], canvas[30]) = (5, 1, 1);
        let moved = applied(&symmetry, &canvas);
        assert_eq!((moved[61], moved[62], moved[91]), (5, 1, 1));
        assert_eq!(moved.iter().filter(|token| **token != 0).count(), 3);
    }

    #[test]
    fn no_augmentation_changes_nothing() {
        let symmetry = draw(Sudoku::Grid9x9, Augment::None, &mut ChaCha8Rng::seed_from_u64(1));
        let tokens: Vec<u8> = (0..81).map(|cell| cell % 11).collect();
        assert_eq!(applied(&symmetry, &tokens), tokens);
    }
}
