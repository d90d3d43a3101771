//! Puzzles as tokens, in the order in which training and evaluation take them.

use tinysweep_proto::dataset::{DataShape, Task};

use super::arc::View;

/// Puzzles of one task: groups of puzzles, and each puzzle's examples.
///
/// A group is an original puzzle, and its puzzles are that one and its augmented copies, as in the reference's data sets. Copies that a
/// [`View`] can derive share the tokens of the original, so ARC's millions of examples take the memory of thousands.
#[derive(Clone, Debug, PartialEq)]
pub struct Examples {
    /// The kind of puzzle.
    pub task: Task,
    /// Rows of the puzzle table that identifiers point into.
    pub puzzle_identifiers: u32,
    /// Questions, `[rows, seq_len]`.
    pub inputs: Vec<u8>,
    /// Answers, of the same shape. 0 asks for nothing.
    pub labels: Vec<u8>,
    /// Every puzzle, group by group.
    pub puzzles: Vec<Puzzle>,
    /// Where each group begins in `puzzles`, and where the last one ends.
    pub groups: Vec<u32>,
    /// What files say about each row, beside the puzzle.
    pub tags: Tags,
}

/// Examples with one identifier and one view: a run of rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Puzzle {
    /// Its row in the puzzle table.
    pub identifier: u32,
    /// Its first row.
    pub first: u32,
    /// How many rows it has.
    pub count: u32,
    /// How it shows them.
    pub view: View,
}

/// One question and its answer: a puzzle and one of its rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Item {
    /// Index of the puzzle.
    pub puzzle: u32,
    /// Index of the row.
    pub row: u32,
}

/// What files say about rows. Each list is empty, or has one entry per row.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Tags {
    /// How hard a row is, in the file's own measure.
    pub ratings: Vec<f32>,
    /// Where a row comes from, as an index into `source_names`.
    pub sources: Vec<u32>,
    /// Names of the sources.
    pub source_names: Vec<String>,
}

/// One half of a data set.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Split {
    /// What is trained on.
    Train,
    /// What is measured.
    Test,
}

impl Examples {
    /// Rows that are a group of one puzzle each, all with the identifier 0. Inputs and labels have the same whole number of rows.
    pub fn plain(task: Task, inputs: Vec<u8>, labels: Vec<u8>) -> Self {
        let rows = (inputs.len() / task.seq_len()) as u32;
        let puzzles = (0..rows).map(|row| Puzzle { identifier: 0, first: row, count: 1, view: View::IDENTITY }).collect();
        Self { task, puzzle_identifiers: 1, inputs, labels, puzzles, groups: (0..=rows).collect(), tags: Tags::default() }
    }

    /// What a model must know of them.
    pub fn shape(&self) -> DataShape {
        self.task.shape(self.puzzle_identifiers as usize)
    }

    /// How many rows there are, before any view.
    pub fn rows(&self) -> usize {
        self.inputs.len() / self.task.seq_len()
    }

    /// How many examples there are, each augmented copy counted.
    pub fn len(&self) -> usize {
        self.puzzles.iter().map(|puzzle| puzzle.count as usize).sum()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.puzzles.iter().all(|puzzle| puzzle.count == 0)
    }

    /// How many groups there are.
    pub fn group_count(&self) -> usize {
        self.groups.len().saturating_sub(1)
    }

    /// The indices of the puzzles of `group`.
    pub fn group(&self, group: usize) -> std::ops::Range<u32> {
        self.groups[group]..self.groups[group + 1]
    }

    /// The row of each group that the others of its group are copies of: the first.
    pub fn originals(&self) -> impl Iterator<Item = usize> + '_ {
        let puzzles_of = |group| self.group(group).map(|puzzle| self.puzzles[puzzle as usize]);
        (0..self.group_count()).filter_map(move |group| Some(puzzles_of(group).find(|puzzle| puzzle.count > 0)?.first as usize))
    }

    /// The examples of the puzzle at an index.
    pub fn items_of(&self, puzzle: u32) -> impl Iterator<Item = Item> + use<> {
        let Puzzle { first, count, .. } = self.puzzles[puzzle as usize];
        (first..first + count).map(move |row| Item { puzzle, row })
    }

    /// Every example, puzzle by puzzle.
    pub fn items(&self) -> impl Iterator<Item = Item> + '_ {
        (0..self.puzzles.len() as u32).flat_map(|puzzle| self.items_of(puzzle))
    }

    /// The row in the puzzle table that `item` reads.
    pub fn identifier(&self, item: Item) -> u32 {
        self.puzzles[item.puzzle as usize].identifier
    }

    /// Writes the question and the answer of `item`, `seq_len` tokens each, under its puzzle's view.
    pub fn read(&self, item: Item, input: &mut [u8], label: &mut [u8]) {
        let view = self.puzzles[item.puzzle as usize].view;
        view.apply(self.question(item.row as usize), input);
        view.apply(self.answer(item.row as usize), label);
    }

    /// The question of a row, before any view, `[seq_len]`.
    pub fn question(&self, row: usize) -> &[u8] {
        self.row(&self.inputs, row)
    }

    /// The answer of a row, before any view, `[seq_len]`.
    pub fn answer(&self, row: usize) -> &[u8] {
        self.row(&self.labels, row)
    }

    fn row<'a>(&self, tokens: &'a [u8], row: usize) -> &'a [u8] {
        let seq_len = self.task.seq_len();
        &tokens[row * seq_len..][..seq_len]
    }
}
