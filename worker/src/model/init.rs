//! Truncated normal numbers, as the reference draws its initial weights.

use rand::{Rng, RngExt};

/// Standard deviation of a unit normal that is cut off at ±2.
const STD_OF_CUT_NORMAL: f64 = 0.879_625_661_034_239_8;

/// `count` numbers of a normal distribution that is cut off at two of its own standard deviations and scaled to have standard deviation
/// `std` after the cut: none is larger than 2.2737·`std`. (This is JAX's variant, not PyTorch's `trunc_normal_`.)
pub fn truncated_normal(count: usize, std: f64, rng: &mut impl Rng) -> Vec<f32> {
    let scale = std / STD_OF_CUT_NORMAL;
    (0..count).map(|_| (scale * cut_normal(rng)) as f32).collect()
}

/// One unit normal number within ±2: draws pairs by Marsaglia's polar method until one falls within.
fn cut_normal(rng: &mut impl Rng) -> f64 {
    loop {
        let (u, v) = (rng.random::<f64>() * 2.0 - 1.0, rng.random::<f64>() * 2.0 - 1.0);
        let s = u * u + v * v;
        if s > 0.0 && s < 1.0 {
            let normal = u * (-2.0 * s.ln() / s).sqrt();
            if normal.abs() <= 2.0 {
                return normal;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::{Stream, generator};

    #[test]
    fn moments_and_bound() {
        let numbers = truncated_normal(200_000, 0.5, &mut generator(3, Stream::Weights));
        let mean = numbers.iter().map(|&x| f64::from(x)).sum::<f64>() / 200_000.0;
        let std = (numbers.iter().map(|&x| (f64::from(x) - mean).powi(2)).sum::<f64>() / 200_000.0).sqrt();
        let largest = numbers.iter().fold(0f32, |most, x| most.max(x.abs()));
        assert!(mean.abs() < 0.005, "{mean}");
        assert!((std - 0.5).abs() < 0.005, "{std}");
        assert!(largest <= 0.5 * 2.273_70 && largest > 0.5 * 2.27, "{largest}");
    }
}
