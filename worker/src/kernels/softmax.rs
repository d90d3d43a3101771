//! Softmax of rows, forward and backward, on slices.

use super::{
    math::exp,
    sum::{reduce, sum_of_products},
};

/// Turns rows of `width` scores into the softmax of `scale · scores`. `scale` must be positive.
#[inline(always)]
pub fn forward(scores: &mut [f32], width: usize, scale: f32) {
    for row in scores.chunks_exact_mut(width) {
        let largest = reduce(row, f32::NEG_INFINITY, larger);
        for score in row {
            *score = (*score - largest) * scale;
        }
    }
    // All rows at once: where they are short it is here that most of the time would go into what is left of vectors.
    for score in &mut *scores {
        *score = exp(*score);
    }
    for row in scores.chunks_exact_mut(width) {
        let inverse = 1.0 / reduce(row, 0.0, |sum, share| sum + share);
        for share in row {
            *share *= inverse;
        }
    }
}

/// Turns `g`, the gradient by the result `y`, into `y·(g − Σ g·y)·scale`, that by the scores.
#[inline(always)]
pub fn backward(y: &[f32], g: &mut [f32], width: usize, scale: f32) {
    for (y, g) in y.chunks_exact(width).zip(g.chunks_exact_mut(width)) {
        let mean = sum_of_products(y, g);
        for (y, g) in y.iter().zip(g) {
            *g = y * (*g - mean) * scale;
        }
    }
}

/// Not `f32::max`, which is more than one instruction for the sake of NaN; one of these is still in the sum.
#[inline(always)]
fn larger(most: f32, value: f32) -> f32 {
    if value > most { value } else { most }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_of_rows_of_any_width() {
        for width in [1, 15, 16, 17, 40] {
            let scores: Vec<f32> = (0..3 * width).map(|index| ((index * 7 % 11) as f32 - 5.0) * 20.0).collect();
            let mut shares = scores.clone();
            forward(&mut shares, width, 0.5);
            for (scores, shares) in scores.chunks(width).zip(shares.chunks(width)) {
                let exps: Vec<f64> = scores.iter().map(|&score| (f64::from(score) * 0.5).exp()).collect();
                for (exp, share) in exps.iter().zip(shares) {
                    assert!((exp / exps.iter().sum::<f64>() - f64::from(*share)).abs() < 1e-6);
                }
            }
        }
    }

    #[test]
    fn what_is_not_a_number_does_not_become_one() {
        let mut shares = [0.0; 20];
        shares[3] = f32::NAN;
        forward(&mut shares, 20, 1.0);
        assert!(shares.iter().all(|share| share.is_nan()));
    }
}
