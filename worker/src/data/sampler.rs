//! The order in which training takes its examples.

use rand::SeedableRng;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;
use tinysweep_proto::config::Augment;

use super::Examples;
use super::augment::Symmetry;

/// Walks the examples epoch after epoch, each in a new random order, every example under a symmetry drawn for it.
///
/// The same examples, augmentation and seed give the same walk on every machine.
#[derive(Clone, Debug)]
pub struct Sampler<'a> {
    examples: &'a Examples,
    augment: Augment,
    rng: ChaCha8Rng,
    /// The order of this epoch.
    order: Vec<u32>,
    /// Examples of this epoch that were taken.
    taken: usize,
    epoch: usize,
}

impl<'a> Sampler<'a> {
    /// Starts at the first epoch. There must be at least one example, and fewer than 2^32.
    pub fn new(examples: &'a Examples, augment: Augment, seed: u64) -> Self {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let mut order: Vec<u32> = (0..).take(examples.len()).collect();
        order.shuffle(&mut rng);
        Self { examples, augment, rng, order, taken: 0, epoch: 0 }
    }

    /// Takes the next example: writes its question and its answer, `seq_len` tokens each. An answer token of 0 asks for nothing.
    pub fn next(&mut self, input: &mut [u8], label: &mut [u8]) {
        if self.taken == self.order.len() {
            self.order.shuffle(&mut self.rng);
            self.taken = 0;
            self.epoch += 1;
        }
        let index = self.order[self.taken] as usize;
        self.taken += 1;
        let symmetry = Symmetry::draw(self.examples.task, self.augment, &mut self.rng);
        symmetry.apply(self.examples.question(index), input);
        symmetry.apply(self.examples.answer(index), label);
    }

    /// Whole walks over the examples that came before the one that the last example belongs to.
    pub fn epoch(&self) -> usize {
        self.epoch
    }
}

#[cfg(test)]
mod tests {
    use tinysweep_proto::dataset::Task;

    use super::super::sudoku::{Givens, generate};
    use super::*;

    const COUNT: usize = 7;

    fn examples() -> Examples {
        generate(Task::Sudoku4x4, COUNT, 1, Givens::standard(Task::Sudoku4x4), 3).unwrap().0
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
