//! Truncated normal numbers, as the reference draws its initial weights.
//!
//! A model of the published size has five million, which every trial waits for before its first step. So they are drawn in blocks, by loops
//! that are compiled to vector instructions, with a logarithm that is off in its last bits. Where these could decide, be it how a number is
//! rounded to f32 or on which side of the cut it is, the system's own logarithm is taken: the numbers are those that it gives throughout.

use std::{array, ops::Range};

use rand::Rng;

use crate::kernels::{math::ln, vectorized};

/// Standard deviation of a unit normal that is cut off at ±2.
const STD_OF_CUT_NORMAL: f64 = 0.879_625_661_034_239_8;
/// Where the normal is cut off.
const CUT: f64 = 2.0;
/// Points that are drawn at once; each gives two numbers.
const POINTS: usize = 512;
/// What a number by [`ln`] may be off by, as a part of it; it is off by less than a sixteenth of that.
const SLACK: f64 = 1.0 / (1_u64 << 44) as f64;

/// Numbers of a unit normal distribution within [`CUT`], by Marsaglia's polar method, in an order that follows from the generator alone.
pub struct CutNormals<'a, R> {
    rng: &'a mut R,
    bytes: [u8; 16 * POINTS],
    /// Both coordinates of each point of the square from −1 to 1.
    coordinates: [[f64; 2]; POINTS],
    /// Squares of the points' distances from its middle.
    squares: [f64; POINTS],
    /// The normals that each point gives; not numbers where it gives none.
    candidates: [[f64; 2]; POINTS],
    /// Those within the cut, and the coordinates that they are of, in the order of `coordinates`.
    normals: [f64; 2 * POINTS],
    sources: [usize; 2 * POINTS],
    /// Of these the ones that nobody has taken yet.
    waiting: Range<usize>,
}

impl<'a, R: Rng> CutNormals<'a, R> {
    /// Draws from `rng`, of which it may take more than the numbers need.
    pub fn new(rng: &'a mut R) -> Self {
        Self {
            rng,
            bytes: [0; 16 * POINTS],
            coordinates: [[0.0; 2]; POINTS],
            squares: [0.0; POINTS],
            candidates: [[0.0; 2]; POINTS],
            normals: [0.0; 2 * POINTS],
            sources: [0; 2 * POINTS],
            waiting: 0..0,
        }
    }

    /// The next `count` numbers, scaled to have standard deviation `std` after the cut: none is larger than 2.2737·`std`. (This is JAX's
    /// variant, not PyTorch's `trunc_normal_`.)
    pub fn take(&mut self, count: usize, std: f64) -> Vec<f32> {
        let mut numbers = vec![0.0; count];
        let mut rest = numbers.as_mut_slice();
        while !rest.is_empty() {
            if self.waiting.is_empty() {
                self.draw();
            }
            let (next, after) = rest.split_at_mut(rest.len().min(self.waiting.len()));
            self.fill(next, std / STD_OF_CUT_NORMAL);
            rest = after;
        }
        numbers
    }

    /// Takes as many as `numbers` are, of those that wait.
    fn fill(&mut self, numbers: &mut [f32], scale: f64) {
        let taken = self.waiting.start..self.waiting.start + numbers.len();
        self.waiting.start = taken.end;
        let normals = &self.normals[taken.clone()];
        let is_sure = vectorized(
            #[inline(always)]
            || {
                let mut is_sure = true;
                for (number, normal) in numbers.iter_mut().zip(normals) {
                    let scaled = scale * normal;
                    *number = (scaled * (1.0 - SLACK)) as f32;
                    is_sure &= *number == (scaled * (1.0 + SLACK)) as f32;
                }
                is_sure
            },
        );
        if !is_sure {
            for (number, &source) in numbers.iter_mut().zip(&self.sources[taken]) {
                *number = (scale * self.exact(source)) as f32;
            }
        }
    }

    /// Draws a block.
    fn draw(&mut self) {
        self.rng.fill_bytes(&mut self.bytes);
        if self.find_candidates() {
            self.candidates = array::from_fn(|point| [0, 1].map(|axis| self.exact(2 * point + axis)));
        }
        let mut count = 0;
        for (source, candidate) in self.candidates.as_flattened().iter().enumerate() {
            // Without a branch, which would be guessed wrong for every fourth.
            (self.normals[count], self.sources[count]) = (*candidate, source);
            count += usize::from(candidate.abs() <= CUT);
        }
        self.waiting = 0..count;
    }

    /// The normal that a coordinate gives, by the system's logarithm; not a number where it gives none.
    fn exact(&self, source: usize) -> f64 {
        normal_of(self.coordinates.as_flattened()[source], self.squares[source / 2])
    }

    /// Turns bytes into points, and these into candidates. Says whether one is so close to the cut that its last bits decide on which side.
    fn find_candidates(&mut self) -> bool {
        let Self { bytes, coordinates, squares, candidates, .. } = self;
        vectorized(
            #[inline(always)]
            || {
                let mut is_close = false;
                let points = coordinates.iter_mut().zip(squares).zip(candidates);
                for (bytes, ((point, square), candidates)) in bytes.as_chunks::<8>().0.as_chunks::<2>().0.iter().zip(points) {
                    let [x, y] = [coordinate(bytes[0]), coordinate(bytes[1])];
                    *point = [x, y];
                    *square = x * x + y * y;
                    let factor = (-2.0 * ln(*square) / *square).sqrt();
                    // Points outside of the circle have a logarithm that gives no number; the one in the middle has none.
                    let factor = if *square > 0.0 && *square < 1.0 { factor } else { f64::NAN };
                    *candidates = [x * factor, y * factor];
                    is_close |= (candidates[0].abs() - CUT).abs() < CUT * SLACK || (candidates[1].abs() - CUT).abs() < CUT * SLACK;
                }
                is_close
            },
        )
    }
}

/// From −1 to 1: twice what `rand` makes of these bytes, which is from 0 to 1, less 1. None of that is rounded.
#[inline(always)]
fn coordinate(bytes: [u8; 8]) -> f64 {
    (u64::from_le_bytes(bytes) >> 11) as f64 * (1.0 / (1_u64 << 52) as f64) - 1.0
}

/// The normal that a coordinate of a point gives, of which the square of its distance from the middle is known.
fn normal_of(coordinate: f64, square: f64) -> f64 {
    if square > 0.0 && square < 1.0 { coordinate * (-2.0 * square.ln() / square).sqrt() } else { f64::NAN }
}

#[cfg(test)]
mod tests {
    use rand::RngExt;

    use super::*;
    use crate::random::{Stream, generator};

    /// One normal after the other, as their definition says.
    fn one_by_one(rng: &mut impl Rng) -> impl Iterator<Item = f64> {
        let points = std::iter::repeat_with(|| [0, 1].map(|_| rng.random::<f64>() * 2.0 - 1.0));
        let normals = points.flat_map(|[x, y]| [x, y].map(|coordinate| normal_of(coordinate, x * x + y * y)));
        normals.filter(|normal| normal.abs() <= CUT)
    }

    #[test]
    fn numbers_are_those_of_the_definition_however_many_are_taken_at_once() {
        let (mut rng, mut same) = (generator(7, Stream::Weights), generator(7, Stream::Weights));
        let (mut normals, mut definition) = (CutNormals::new(&mut rng), one_by_one(&mut same));
        for (count, std) in [(1, 1.0), (0, 1.0), (1000, 0.3), (3, 1e-3), (511, 0.044), (512, 7.0), (3_000_000, 0.05)] {
            let expected: Vec<_> = definition.by_ref().take(count).map(|normal| (std / STD_OF_CUT_NORMAL * normal) as f32).collect();
            assert!(normals.take(count, std) == expected, "{count} numbers of {std}");
        }
    }

    #[test]
    fn where_the_last_bits_decide_the_definition_does() {
        let mut rng = generator(7, Stream::Weights);
        let mut normals = CutNormals::new(&mut rng);
        normals.draw();
        // A scale by which the first number lies in the middle between two of f32, so that a bit more or less rounds it to either.
        let first = normals.exact(normals.sources[0]);
        let middle = f64::from(1.0_f32) + f64::from(f32::EPSILON) / 2.0;
        for bits in 0..64 {
            let scale = f64::from_bits((middle / first).to_bits() + bits - 32);
            let mut number = [0.0];
            normals.waiting.start = 0;
            normals.fill(&mut number, scale);
            assert_eq!(number[0], (scale * first) as f32, "{bits}");
        }
    }

    #[test]
    fn neighbours_have_nothing_to_do_with_each_other() {
        let numbers: Vec<_> = CutNormals::new(&mut generator(5, Stream::Weights)).take(200_000, 1.0).into_iter().map(f64::from).collect();
        for power in [1, 2] {
            // Of the second power the mean is 1.
            let centred: Vec<_> = numbers.iter().map(|x| x.powi(power) - f64::from(power - 1)).collect();
            let product = centred.windows(2).map(|pair| pair[0] * pair[1]).sum::<f64>() / centred.len() as f64;
            assert!(product.abs() < 0.01, "power {power}: {product}");
        }
    }

    #[test]
    fn moments_and_bound() {
        let numbers = CutNormals::new(&mut generator(3, Stream::Weights)).take(200_000, 0.5);
        let mean = numbers.iter().map(|&x| f64::from(x)).sum::<f64>() / 200_000.0;
        let std = (numbers.iter().map(|&x| (f64::from(x) - mean).powi(2)).sum::<f64>() / 200_000.0).sqrt();
        let largest = numbers.iter().fold(0f32, |most, x| most.max(x.abs()));
        assert!(mean.abs() < 0.005, "{mean}");
        assert!((std - 0.5).abs() < 0.005, "{std}");
        assert!(largest <= 0.5 * 2.273_70 && largest > 0.5 * 2.27, "{largest}");
    }
}
