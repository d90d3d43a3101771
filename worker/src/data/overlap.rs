//! Test puzzles that are trained on.

use std::collections::HashMap;

use tinysweep_proto::dataset::{Rules, Sudoku};

use super::sudoku::symmetry::{are_alike, fingerprint};
use super::{Examples, parallel};

/// A test puzzle and the first training puzzle that it repeats: rows, from 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Overlap {
    /// The row of the test puzzle.
    pub test: usize,
    /// The row of the training puzzle.
    pub train: usize,
}

/// Test puzzles whose question is asked in training, too.
pub fn exact(train: &Examples, test: &Examples) -> Vec<Overlap> {
    let mut rows = HashMap::new();
    for row in 0..train.rows() {
        rows.entry(train.question(row)).or_insert(row);
    }
    (0..test.rows()).filter_map(|row| Some(Overlap { test: row, train: *rows.get(test.question(row))? })).collect()
}

/// Original test puzzles that a symmetry turns into an original of the training puzzles; none for tasks other than Sudoku, where a symmetry changes the task.
pub fn up_to_symmetry(train: &Examples, test: &Examples) -> Vec<Overlap> {
    let Rules::Sudoku(size) = train.task.rules() else { return Vec::new() };
    let mut rows: HashMap<u64, Vec<usize>> = HashMap::new();
    for (row, print) in fingerprints(size, train) {
        rows.entry(print).or_default().push(row);
    }
    let repeats = |test_row: usize, print: u64| {
        rows.get(&print)?
            .iter()
            .copied()
            .find(|row| are_alike(size, (train.question(*row), train.answer(*row)), (test.question(test_row), test.answer(test_row))))
    };
    let found = |(row, print)| Some(Overlap { test: row, train: repeats(row, print)? });
    fingerprints(size, test).into_iter().filter_map(found).collect()
}

/// The fingerprint of each original.
fn fingerprints(size: Sudoku, examples: &Examples) -> Vec<(usize, u64)> {
    let rows: Vec<usize> = examples.originals().collect();
    parallel::map(&rows, |row| (*row, fingerprint(size, examples.question(*row), examples.answer(*row))))
}

#[cfg(test)]
mod tests {
    use tinysweep_proto::dataset::Task;

    use super::super::copies::augmented;
    use super::super::sudoku::{Givens, generate};
    use super::*;

    #[test]
    fn repeated_and_turned_puzzles_are_found() {
        let (train, test) = generate(Sudoku::Grid9x9, 6, 3, Givens::aim(35), 1).unwrap();
        assert_eq!((exact(&train, &test), up_to_symmetry(&train, &test)), (vec![], vec![]));
        // Copies of the training puzzles, each a puzzle of its own: rows 0, 2, 4, … are the originals.
        let copies = augmented(&train, 1, 9);
        let copies = Examples::plain(Task::Sudoku9x9, copies.inputs, copies.labels);
        assert_eq!(exact(&train, &copies).iter().map(|overlap| overlap.test).collect::<Vec<_>>(), [0, 2, 4, 6, 8, 10]);
        let alike = up_to_symmetry(&train, &copies);
        assert_eq!(
            alike.iter().map(|overlap| (overlap.test, overlap.train)).collect::<Vec<_>>(),
            (0..12).map(|row| (row, row / 2)).collect::<Vec<_>>()
        );
    }
}
