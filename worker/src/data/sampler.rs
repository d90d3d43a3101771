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
