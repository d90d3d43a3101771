//! The order in which training takes its examples.

use rand::seq::SliceRandom;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use tinysweep_proto::config::Augment;
use tinysweep_proto::dataset::Task;

use super::augment::Symmetry;
use super::{Examples, Item};
use crate::state::{StateError, TrainingState, array};

/// Walks the groups epoch after epoch, each time in a new random order; of a group it draws one puzzle, whose examples it takes in
/// random order, every one under a symmetry drawn for it.
///
/// The same examples, augmentation and seed give the same walk on every machine.
#[derive(Clone, Debug)]
pub struct Sampler<'a> {
    examples: &'a Examples,
    augment: Augment,
    rng: ChaCha8Rng,
    /// The groups in the order of this epoch.
    order: Vec<u32>,
    /// Groups of this epoch that were begun.
    begun: usize,
    /// Examples of the puzzle that was drawn last which were not taken yet.
    waiting: Vec<Item>,
    epoch: usize,
    /// The example that was taken last, before its symmetry.
    question: Vec<u8>,
    answer: Vec<u8>,
}

impl<'a> Sampler<'a> {
    /// Starts at the first epoch. There must be at least one example.
    pub fn new(examples: &'a Examples, augment: Augment, seed: u64) -> Self {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let mut order: Vec<u32> = (0..).take(examples.group_count()).collect();
        order.shuffle(&mut rng);
        let blank = vec![0; examples.task.seq_len()];
        Self { examples, augment, rng, order, begun: 0, waiting: Vec::new(), epoch: 0, question: blank.clone(), answer: blank }
    }

    /// Takes the next example: writes its question and its answer, `seq_len` tokens each, and gives its row in the puzzle table. An
    /// answer token of 0 asks for nothing.
    pub fn next(&mut self, input: &mut [u8], label: &mut [u8]) -> u32 {
        let item = loop {
            match self.waiting.pop() {
                Some(item) => break item,
                None => self.begin_group(),
            }
        };
        self.examples.read(item, &mut self.question, &mut self.answer);
        // As in the reference, one example of each ARC puzzle stays where it is.
        let stays = self.examples.task == Task::Arc && self.waiting.is_empty();
        let augment = if stays { Augment::None } else { self.augment };
        let symmetry = Symmetry::draw(self.examples.task, augment, &self.question, &self.answer, &mut self.rng);
        symmetry.apply(&self.question, input);
        symmetry.apply(&self.answer, label);
        self.examples.identifier(item)
    }

    fn begin_group(&mut self) {
        if self.begun == self.order.len() {
            self.order.shuffle(&mut self.rng);
            self.begun = 0;
            self.epoch += 1;
        }
        let puzzles = self.examples.group(self.order[self.begun] as usize);
        self.begun += 1;
        if puzzles.is_empty() {
            return;
        }
        // Most groups are one puzzle, and most puzzles one example; those draw nothing.
        let puzzle = if puzzles.len() == 1 { puzzles.start } else { self.rng.random_range(puzzles) };
        self.waiting.extend(self.examples.items_of(puzzle));
        if self.waiting.len() > 1 {
            self.waiting.shuffle(&mut self.rng);
        }
    }

    /// Writes its place into `state`.
    pub fn save(&self, state: &mut TrainingState) {
        state.facts.sampler_rng = self.rng.clone();
        (state.facts.sampler_begun, state.facts.sampler_epoch) = (self.begun, self.epoch);
        state.put_integers("sampler.order", self.order.clone());
        state.put_integers("sampler.waiting", self.waiting.iter().flat_map(|item| [item.puzzle, item.row]).collect());
    }

    /// Takes it from `state`.
    ///
    /// # Errors
    /// When it is a place in other examples.
    pub fn restore(&mut self, state: &TrainingState) -> Result<(), StateError> {
        let groups = self.order.len();
        let order = state.integers("sampler.order", Some(groups), groups)?;
        let begun = state.facts.sampler_begun;
        if begun > groups {
            return Err(array("sampler.order", format!("is of {groups} groups, of which {begun} cannot have begun")));
        }
        let waiting = state.integers("sampler.waiting", None, u32::MAX as usize)?;
        let items: Vec<Item> =
            waiting.chunks(2).map(|pair| Item { puzzle: pair[0], row: pair.get(1).copied().unwrap_or(u32::MAX) }).collect();
        if items.iter().any(|item| item.puzzle as usize >= self.examples.puzzles.len() || item.row as usize >= self.examples.rows()) {
            return Err(array("sampler.waiting", "has examples that are not among the data".into()));
        }
        (self.order, self.waiting, self.rng) = (order.to_vec(), items, state.facts.sampler_rng.clone());
        (self.begun, self.epoch) = (begun, state.facts.sampler_epoch);
        Ok(())
    }

    /// Whole walks over the groups that came before the one that the last example belongs to.
    pub fn epoch(&self) -> usize {
        self.epoch
    }
}

#[cfg(test)]
mod tests {
    use tinysweep_proto::dataset::Sudoku;

    use super::super::sudoku::{Givens, generate};
    use super::*;

    const COUNT: usize = 7;

    fn examples() -> Examples {
        generate(Sudoku::Grid4x4, COUNT, 1, Givens::standard(Sudoku::Grid4x4), 3).unwrap().0
    }

    /// Question and answer of the next `count` examples.
    fn walk(sampler: &mut Sampler, count: usize) -> Vec<([u8; 16], [u8; 16])> {
        let next = |_| {
            let (mut input, mut label) = ([0; 16], [0; 16]);
            sampler.next(&mut input, &mut label);
            (input, label)
        };
        (0..count).map(next).collect()
    }

    #[test]
    fn every_epoch_takes_every_example_once_in_another_order() {
        let examples = examples();
        let mut sampler = Sampler::new(&examples, Augment::None, 1);
        let mut expected: Vec<_> = (0..COUNT).map(|index| (examples.question(index).to_vec(), examples.answer(index).to_vec())).collect();
        expected.sort();
        let epochs: Vec<_> = (0..3)
            .map(|epoch| {
                let taken = walk(&mut sampler, COUNT);
                assert_eq!(sampler.epoch(), epoch);
                let mut sorted: Vec<_> = taken.iter().map(|(input, label)| (input.to_vec(), label.to_vec())).collect();
                sorted.sort();
                assert_eq!(sorted, expected);
                taken
            })
            .collect();
        assert_ne!(epochs[0], epochs[1]);
        assert_ne!(epochs[1], epochs[2]);
    }

    #[test]
    fn the_seed_decides_the_walk() {
        let examples = examples();
        let walk_of = |seed| walk(&mut Sampler::new(&examples, Augment::Full, seed), 3 * COUNT);
        assert_eq!(walk_of(1), walk_of(1));
        assert_ne!(walk_of(1), walk_of(2));
    }

    #[test]
    fn question_and_answer_change_alike_and_anew_each_time() {
        let examples = examples();
        let taken = walk(&mut Sampler::new(&examples, Augment::Full, 1), 10 * COUNT);
        for (input, label) in &taken {
            assert!(input.iter().zip(label).all(|(given, answer)| *given == 1 || given == answer));
        }
        let distinct: std::collections::HashSet<_> = taken.iter().collect();
        assert!(distinct.len() > 8 * COUNT, "{}", distinct.len());
    }
}
