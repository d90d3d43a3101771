//! Randomness: every stream of random numbers in a trial follows from the trial's one seed.

use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

/// What random numbers are drawn for. Each purpose has a stream of its own, so that more draws for one change nothing for another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stream {
    /// Initial weights.
    Weights = 1,
    /// Order and augmentation of the training examples.
    Data = 2,
    /// Exploration in halting.
    Halting = 3,
    /// The part of the test set that is measured during training; its seed is the sweep's, not the trial's.
    Subset = 4,
}

/// The generator of one stream of `seed`. It gives the same numbers on every machine.
pub fn generator(seed: u64, stream: Stream) -> ChaCha8Rng {
    let mut generator = ChaCha8Rng::seed_from_u64(seed);
    generator.set_stream(stream as u64);
    generator
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::Rng;

    #[test]
    fn streams_differ_and_repeat() {
        let first = |seed, stream| generator(seed, stream).next_u64();
        assert_eq!(first(1, Stream::Data), first(1, Stream::Data));
        assert_ne!(first(1, Stream::Data), first(1, Stream::Weights));
        assert_ne!(first(1, Stream::Data), first(2, Stream::Data));
    }
}
