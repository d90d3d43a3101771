//! Softmax with a backward pass.

use candle_core::{CpuStorage, CustomOp1, CustomOp2, D, Layout, Result, Shape, Tensor};

use super::{math::exp, plain, slices::slice, sum::sum_of_products, vectorized};

/// Softmax of `scale · scores` over the last axis. `scale` must be positive.
///
/// # Errors
/// When the values are not f32.
pub fn softmax(scores: &Tensor, scale: f64) -> Result<Tensor> {
    if !scores.device().is_cpu() {
        return plain::softmax(scores, scale);
    }
    scores.contiguous()?.apply_op1(Softmax { scale: scale as f32 })
}

struct Softmax {
    scale: f32,
}

impl CustomOp1 for Softmax {
    fn name(&self) -> &'static str {
        "softmax"
    }

    fn cpu_fwd(&self, scores: &CpuStorage, at: &Layout) -> Result<(CpuStorage, Shape)> {
        let mut out = slice(scores, at)?.to_vec();
        let width = at.shape().dim(D::Minus1)?;
        vectorized(
            #[inline(always)]
            || forward(&mut out, width, self.scale),
        );
        Ok((CpuStorage::F32(out), at.shape().clone()))
    }

    fn bwd(&self, _: &Tensor, shares: &Tensor, gradient: &Tensor) -> Result<Option<Tensor>> {
        shares.apply_op2_no_bwd(&gradient.contiguous()?, &Backward { scale: self.scale }).map(Some)
    }
}

/// `y·(g − Σ g·y)·scale`, from the result y and its gradient g.
struct Backward {
    scale: f32,
}

impl CustomOp2 for Backward {
    fn name(&self) -> &'static str {
        "softmax-backward"
    }

    fn cpu_fwd(&self, y: &CpuStorage, y_at: &Layout, g: &CpuStorage, g_at: &Layout) -> Result<(CpuStorage, Shape)> {
        let (y, g) = (slice(y, y_at)?, slice(g, g_at)?);
        let width = y_at.shape().dim(D::Minus1)?;
        let out = vectorized(
            #[inline(always)]
            || backward(y, g, width, self.scale),
        );
        Ok((CpuStorage::F32(out), y_at.shape().clone()))
    }
}

/// Turns rows of scores into their shares.
#[inline(always)]
fn forward(scores: &mut [f32], width: usize, scale: f32) {
    for row in scores.chunks_exact_mut(width) {
        let largest = row.iter().fold(f32::NEG_INFINITY, |most, &score| most.max(score));
        row.iter_mut().for_each(|score| *score = exp((*score - largest) * scale));
        let inverse = 1.0 / row.iter().sum::<f32>();
        row.iter_mut().for_each(|share| *share *= inverse);
    }
}

#[inline(always)]
fn backward(y: &[f32], g: &[f32], width: usize, scale: f32) -> Vec<f32> {
    let mut out = vec![0.0; y.len()];
    for ((y, g), row) in y.chunks_exact(width).zip(g.chunks_exact(width)).zip(out.chunks_exact_mut(width)) {
        let mean = sum_of_products(y, g);
        for ((y, g), out) in y.iter().zip(g).zip(row) {
            *out = y * (g - mean) * scale;
        }
    }
    out
}
