//! Puzzles that differ in no more than the names of digits and the order of lines.
//!
//! The symmetries of Sudoku: rename digits; permute rows within bands, bands, columns within stacks, stacks; transpose where boxes are
//! square. For 9×9 cells they are 2·6⁸·9!, too many to try, so puzzles are told apart by a fingerprint first.

use std::sync::LazyLock;

use tinysweep_proto::dataset::Sudoku;

use super::grid::{BLANK, MAX_SIDE, digit};
use crate::data::cell::Cell;

/// Rounds after which a cell's colour has seen the whole grid twice.
const ROUNDS: usize = 3;
/// Minirows of the largest grid: the cells that a row and a box share.
const MAX_MINILINES: usize = 27;

/// A number that no symmetry changes: puzzles whose numbers differ are not alike. `answer` is the full grid.
///
/// Each cell gets a colour from whether it is given, then again and again from the colours of the cells with which it shares a unit, a
/// digit, or a line of a box.
pub fn fingerprint(size: Sudoku, question: &[u8], answer: &[u8]) -> u64 {
    let mut colours: Vec<u64> = question.iter().map(|token| if *token == BLANK { 1 } else { 2 }).collect();
    for _ in 0..ROUNDS {
        let sums = Sums::of(size, answer, &colours);
        for (cell, colour) in colours.iter_mut().enumerate() {
            *colour = sums.recolour(size, cell, answer[cell], *colour);
        }
    }
    mix(colours.into_iter().map(mix).fold(0, u64::wrapping_add))
}

/// Sums of mixed colours, which do not depend on the order of cells.
struct Sums {
    lines: [[u64; MAX_SIDE]; 2],
    minilines: [[u64; MAX_MINILINES]; 2],
    boxes: [u64; MAX_SIDE],
    digits: [u64; MAX_SIDE + 1],
}

/// Where a cell is: its row and column, its minirow and minicolumn, its box.
fn place(size: Sudoku, cell: usize) -> ([usize; 2], [usize; 2], usize) {
    let (rows, columns) = size.box_size();
    let Cell { row, column } = Cell::of(size.side(), cell);
    let (bands, stacks) = (size.side() / rows, size.side() / columns);
    ([row, column], [row * stacks + column / columns, column * bands + row / rows], row / rows * stacks + column / columns)
}

impl Sums {
    fn of(size: Sudoku, answer: &[u8], colours: &[u64]) -> Self {
        let mut sums =
            Self { lines: [[0; MAX_SIDE]; 2], minilines: [[0; MAX_MINILINES]; 2], boxes: [0; MAX_SIDE], digits: [0; MAX_SIDE + 1] };
        let add = |sum: &mut u64, colour| *sum = sum.wrapping_add(colour);
        for (cell, colour) in colours.iter().map(|colour| mix(*colour)).enumerate() {
            let (lines, minilines, block) = place(size, cell);
            for axis in 0..2 {
                add(&mut sums.lines[axis][lines[axis]], colour);
                add(&mut sums.minilines[axis][minilines[axis]], colour);
            }
            add(&mut sums.boxes[block], colour);
            add(&mut sums.digits[usize::from(digit(answer[cell]))], colour);
        }
        sums
    }

    fn recolour(&self, size: Sudoku, cell: usize, token: u8, colour: u64) -> u64 {
        let (lines, minilines, block) = place(size, cell);
        // Both axes count alike, because a transposition exchanges them.
        let axis = |axis: usize| mix(mix(self.lines[axis][lines[axis]]) ^ self.minilines[axis][minilines[axis]]);
        let around = axis(0).wrapping_add(axis(1));
        let digit = mix(self.digits[usize::from(digit(token))] ^ 0x5eed);
        mix(colour ^ mix(around.wrapping_add(mix(self.boxes[block])).wrapping_add(digit)))
    }
}

/// Spreads every bit over all of them: the end of the generator SplitMix64.
const fn mix(value: u64) -> u64 {
    let value = value.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let value = (value ^ value >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let value = (value ^ value >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    value ^ value >> 31
}

/// Whether a symmetry turns one puzzle into the other. Each is a question and its answer.
pub fn are_alike(size: Sudoku, one: (&[u8], &[u8]), other: (&[u8], &[u8])) -> bool {
    let (box_rows, box_columns) = size.box_size();
    let side = size.side();
    let turned: Vec<_> = [one.0, one.1].iter().map(|tokens| transposed(side, tokens)).collect();
    let sources = [one, (turned[0].as_slice(), turned[1].as_slice())];
    let usable = if box_rows == box_columns { 2 } else { 1 };
    sources[..usable].iter().any(|one| {
        let matching = Matching { size, one: *one, other };
        (0..side).any(|row| column_orders(size).iter().any(|columns| matching.is_found(row, columns)))
    })
}

fn transposed(side: usize, tokens: &[u8]) -> Vec<u8> {
    (0..tokens.len()).map(|cell| tokens[cell % side * side + cell / side]).collect()
}

/// An attempt to turn one puzzle into the other.
struct Matching<'a> {
    size: Sudoku,
    one: (&'a [u8], &'a [u8]),
    other: (&'a [u8], &'a [u8]),
}

impl Matching<'_> {
    /// Whether `row` can become the first row with its columns in that order: that decides the digits, and they the other rows.
    fn is_found(&self, row: usize, columns: &[u8]) -> bool {
        let side = self.size.side();
        if !self.same_givens(row, 0, columns) {
            return false;
        }
        let mut names = [0; MAX_SIDE + 1 + BLANK as usize];
        for (target, column) in columns.iter().enumerate() {
            names[usize::from(self.one.1[row * side + usize::from(*column)])] = self.other.1[target];
        }
        let mut bands = [None; MAX_SIDE];
        (0..side).all(|target| {
            let starts_alike =
                |source: &usize| names[usize::from(self.one.1[source * side + usize::from(columns[0])])] == self.other.1[target * side];
            let Some(source) = (0..side).find(starts_alike) else { return false };
            let (source_band, target_band) = (source / self.size.box_size().0, target / self.size.box_size().0);
            *bands[target_band].get_or_insert(source_band) == source_band
                && self.same_givens(source, target, columns)
                && columns.iter().enumerate().all(|(place, column)| {
                    names[usize::from(self.one.1[source * side + usize::from(*column)])] == self.other.1[target * side + place]
                })
        })
    }

    fn same_givens(&self, source: usize, target: usize, columns: &[u8]) -> bool {
        let side = self.size.side();
        columns.iter().enumerate().all(|(place, column)| {
            (self.one.0[source * side + usize::from(*column)] == BLANK) == (self.other.0[target * side + place] == BLANK)
        })
    }
}

/// Every order of columns that keeps stacks together.
fn column_orders(size: Sudoku) -> &'static [Vec<u8>] {
    static ORDERS: [LazyLock<Vec<Vec<u8>>>; 3] = [
        LazyLock::new(|| make_column_orders(Sudoku::Grid4x4)),
        LazyLock::new(|| make_column_orders(Sudoku::Grid6x6)),
        LazyLock::new(|| make_column_orders(Sudoku::Grid9x9)),
    ];
    match size {
        Sudoku::Grid4x4 => &ORDERS[0],
        Sudoku::Grid6x6 => &ORDERS[1],
        Sudoku::Grid9x9 => &ORDERS[2],
    }
}

fn make_column_orders(size: Sudoku) -> Vec<Vec<u8>> {
    let width = size.box_size().1;
    let within = permutations(width);
    let mut orders = Vec::new();
    for stacks in permutations(size.side() / width) {
        let mut begun = vec![Vec::new()];
        for stack in stacks {
            let extended = |order: &Vec<u8>| {
                let order = order.clone();
                within.iter().map(move |columns| {
                    order.iter().copied().chain(columns.iter().map(|column| (stack * width + column) as u8)).collect::<Vec<u8>>()
                })
            };
            begun = begun.iter().flat_map(extended).collect();
        }
        orders.extend(begun);
    }
    orders
}

/// Every order of the numbers below `count`.
fn permutations(count: usize) -> Vec<Vec<usize>> {
    if count == 0 {
        return vec![Vec::new()];
    }
    let insert = |shorter: Vec<usize>| {
        (0..count).map(move |place| {
            let mut order = shorter.clone();
            order.insert(place, count - 1);
            order
        })
    };
    permutations(count - 1).into_iter().flat_map(insert).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rand::SeedableRng;
    use rand_chacha::ChaCha8Rng;
    use tinysweep_proto::config::Augment;

    use super::super::{Givens, generate};
    use super::*;
    use crate::data::augment::Symmetry;

    #[test]
    fn orders_of_columns_are_as_many_as_known() {
        let counts = Sudoku::ALL.map(|size| column_orders(size).iter().collect::<std::collections::HashSet<_>>().len());
        assert_eq!(counts, [8, 72, 1296]);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]

        #[test]
        fn symmetries_are_seen_through(size in prop::sample::select(&Sudoku::ALL), seed: u64) {
            let (train, _) = generate(size, 2, 1, Givens::standard(size), seed).unwrap();
            let (question, answer) = (train.question(0), train.answer(0));
            let mut rng = ChaCha8Rng::seed_from_u64(seed);
            let symmetry = Symmetry::draw(size.task(), Augment::Full, question, answer, &mut rng);
            let (mut other_question, mut other_answer) = (question.to_vec(), answer.to_vec());
            symmetry.apply(question, &mut other_question);
            symmetry.apply(answer, &mut other_answer);
            prop_assert_eq!(fingerprint(size, question, answer), fingerprint(size, &other_question, &other_answer));
            prop_assert!(are_alike(size, (question, answer), (&other_question, &other_answer)));
            // One given less is another puzzle.
            let given = other_question.iter().position(|token| *token != BLANK).unwrap();
            other_question[given] = BLANK;
            prop_assert_ne!(fingerprint(size, question, answer), fingerprint(size, &other_question, &other_answer));
            prop_assert!(!are_alike(size, (question, answer), (&other_question, &other_answer)));
        }

        #[test]
        fn the_fingerprint_never_hides_what_is_alike(seed: u64) {
            // Of 4×4 puzzles many are alike by chance.
            let (train, _) = generate(Sudoku::Grid4x4, 40, 1, Givens::aim(4), seed).unwrap();
            let puzzle = |row| (train.question(row), train.answer(row));
            for (one, other) in (0..40).flat_map(|one| (0..one).map(move |other| (one, other))) {
                let print = |row| fingerprint(Sudoku::Grid4x4, train.question(row), train.answer(row));
                prop_assert!(!are_alike(Sudoku::Grid4x4, puzzle(one), puzzle(other)) || print(one) == print(other));
            }
        }
    }
}
