//! Seeded randomness: the same sweep seed gives the same draws and the same replicate seeds, whatever the number of workers and their order.

use std::f64::consts::TAU;

use rand::Rng;
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use sha2::{Digest, Sha256};

/// A stream of random numbers of its own for each trial.
///
/// The conversions to numbers are written here, not taken from `rand`, so that an update of that crate changes no sweep.
#[derive(Debug)]
pub struct Draw(ChaCha8Rng);

impl Draw {
    /// The stream of trial `number` in a sweep of seed `sweep_seed`.
    pub fn keyed(sweep_seed: u64, number: u64) -> Self {
        Self(ChaCha8Rng::from_seed(digest("proposal", sweep_seed, number)))
    }

    /// A whole number below `bound`, or 0 for a bound of 0. Its bias of at most bound/2⁶⁴ is beyond notice.
    pub fn below(&mut self, bound: u64) -> u64 {
        ((u128::from(self.0.next_u64()) * u128::from(bound)) >> 64) as u64
    }

    /// A number in [0, 1), of 53 random bits.
    pub fn unit(&mut self) -> f64 {
        (self.0.next_u64() >> 11) as f64 * (1.0 / (1_u64 << 53) as f64)
    }

    /// A standard normal number (Box and Muller).
    pub fn normal(&mut self) -> f64 {
        let (radius, angle) = (1.0 - self.unit(), self.unit());
        (-2.0 * radius.ln()).sqrt() * (TAU * angle).cos()
    }
}

/// The seed of replicate `index`: the same for every trial of a sweep, so that configurations are compared seed by seed.
/// It has 63 bits, to fit SQLite's integers.
pub fn replicate_seed(sweep_seed: u64, index: u32) -> u64 {
    let [a, b, c, d, e, f, g, h, ..] = digest("replicate", sweep_seed, u64::from(index));
    u64::from_be_bytes([a, b, c, d, e, f, g, h]) & (u64::MAX >> 1)
}

fn digest(purpose: &str, sweep_seed: u64, index: u64) -> [u8; 32] {
    let mut hash = Sha256::new();
    hash.update(purpose);
    hash.update(sweep_seed.to_be_bytes());
    hash.update(index.to_be_bytes());
    hash.finalize().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn streams_depend_on_seed_and_number_alone() {
        let first = |seed, number| Draw::keyed(seed, number).unit();
        assert_eq!(first(1, 2), first(1, 2));
        assert_ne!(first(1, 2), first(2, 1));
        assert_ne!(first(1, 2), first(1, 3));
    }

    #[test]
    fn numbers_keep_their_ranges() {
        let mut draw = Draw::keyed(0, 0);
        for _ in 0..1000 {
            assert!((0.0..1.0).contains(&draw.unit()));
            assert!(draw.below(3) < 3);
            assert!(draw.normal().is_finite());
        }
        assert_eq!(draw.below(0), 0);
    }

    #[test]
    fn replicate_seeds_are_fixed_and_fit_sqlite() {
        let seeds: Vec<_> = (0..100).map(|index| replicate_seed(0, index)).collect();
        assert!(seeds.iter().all(|seed| i64::try_from(*seed).is_ok()));
        let mut distinct = seeds.clone();
        distinct.sort_unstable();
        distinct.dedup();
        assert_eq!(distinct.len(), 100);
        // A change of this number would make every earlier sweep irreproducible.
        assert_eq!(replicate_seed(0, 0), 4_338_604_012_399_621_615);
    }
}
