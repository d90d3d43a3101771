//! Symmetries of Sudoku: what turns one valid puzzle into another.

use rand::seq::SliceRandom;
use rand::{Rng, RngExt};
use tinysweep_proto::config::Augment;
use tinysweep_proto::dataset::Task;

use super::sudoku::grid::{BLANK, MAX_CELLS, MAX_SIDE};

/// The token of the digit 1.
const FIRST_DIGIT: usize = BLANK as usize + 1;

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
        let places = rows[..side].iter().flat_map(|row| columns[..side].iter().map(move |column| (row, column)));
        let side = side as u8;
        for (source, (row, column)) in self.sources.iter_mut().zip(places) {
            *source = if transposed { column * side + row } else { row * side + column };
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

    fn applied(symmetry: &Symmetry, tokens: &[u8]) -> Vec<u8> {
        let mut out = vec![0; tokens.len()];
        symmetry.apply(tokens, &mut out);
        out
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn puzzles_stay_puzzles_with_one_solution(task in prop::sample::select(&Task::ALL), augment in prop::sample::select(&AUGMENTS), seed: u64) {
            let (puzzle, _) = generate(task, 1, 1, Givens::aim(task.shape().seq_len / 2), seed).unwrap();
            let symmetry = Symmetry::draw(task, augment, &mut ChaCha8Rng::seed_from_u64(seed));
            let (question, answer) = (applied(&symmetry, &puzzle.inputs), applied(&symmetry, &puzzle.labels));
            prop_assert_eq!(find_repeat(task, &answer), None);
            prop_assert!(question.iter().zip(&answer).all(|(given, answer)| *given == BLANK || given == answer));
            prop_assert_eq!(count_solutions(task, &question, 2), 1);
            let givens = |tokens: &[u8]| tokens.iter().filter(|token| **token != BLANK).count();
            prop_assert_eq!(givens(&question), givens(&puzzle.inputs));
        }

        #[test]
        fn every_cell_goes_somewhere_and_every_digit_becomes_another(task in prop::sample::select(&Task::ALL), augment in prop::sample::select(&AUGMENTS), seed: u64) {
            let symmetry = Symmetry::draw(task, augment, &mut ChaCha8Rng::seed_from_u64(seed));
            let cells = task.shape().seq_len;
            let sources: HashSet<u8> = symmetry.sources[..cells].iter().copied().collect();
            prop_assert_eq!(sources, (0..cells as u8).collect());
            let tokens: HashSet<u8> = symmetry.tokens[..task.shape().vocab_size].iter().copied().collect();
            prop_assert_eq!(tokens, (0..task.shape().vocab_size as u8).collect());
            prop_assert_eq!(&symmetry.tokens[..FIRST_DIGIT], &[0, BLANK]);
        }
    }

    /// How many distinct cell permutations `draws` draws give.
    fn cell_permutations(task: Task, augment: Augment, draws: usize) -> usize {
        let mut rng = ChaCha8Rng::seed_from_u64(5);
        (0..draws).map(|_| Symmetry::draw(task, augment, &mut rng).sources).collect::<HashSet<_>>().len()
    }

    #[test]
    fn each_task_has_all_of_its_cell_symmetries() {
        // 4×4: 2 · (2!·2!²)². 6×6, without transposition: (3!·2!³) · (2!·3!²).
        assert_eq!(cell_permutations(Task::Sudoku4x4, Augment::Full, 4_000), 128);
        assert_eq!(cell_permutations(Task::Sudoku6x6, Augment::Full, 60_000), 48 * 72);
        assert_eq!(cell_permutations(Task::Sudoku9x9, Augment::Digits, 100), 1);
    }

    #[test]
    fn no_augmentation_changes_nothing() {
        let symmetry = Symmetry::draw(Task::Sudoku9x9, Augment::None, &mut ChaCha8Rng::seed_from_u64(1));
        let tokens: Vec<u8> = (0..81).map(|cell| cell % 11).collect();
        assert_eq!(applied(&symmetry, &tokens), tokens);
    }
}
