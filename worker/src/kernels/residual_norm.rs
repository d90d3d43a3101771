//! A residual and its RMS norm in one pass.

use std::sync::OnceLock;

use candle_core::{CpuStorage, CustomOp2, D, Layout, Result, Shape, Tensor};

use super::{plain, slices::slice, sum::sum_of_products, vectorized};

/// `h / √(mean(h²) + eps)` over the last axis, where `h = x + update`. No weights, as published.
///
/// # Errors
/// When shapes differ.
pub fn residual_norm(x: &Tensor, update: &Tensor, eps: f64) -> Result<Tensor> {
    if !x.device().is_cpu() {
        return plain::residual_norm(x, update, eps);
    }
    x.contiguous()?.apply_op2(&update.contiguous()?, ResidualNorm { eps: eps as f32, inverses: OnceLock::new() })
}

struct ResidualNorm {
    eps: f32,
    /// `1/√(mean(h²) + eps)` of each row, from the forward pass.
    inverses: OnceLock<Vec<f32>>,
}

impl CustomOp2 for ResidualNorm {
    fn name(&self) -> &'static str {
        "residual-norm"
    }

    fn cpu_fwd(&self, x: &CpuStorage, x_at: &Layout, update: &CpuStorage, update_at: &Layout) -> Result<(CpuStorage, Shape)> {
        let (x, update) = (slice(x, x_at)?, slice(update, update_at)?);
        let width = x_at.shape().dim(D::Minus1)?;
        let (out, inverses) = vectorized(
            #[inline(always)]
            || forward(x, update, width, self.eps),
        );
        // One operation runs forward once, so the cell is empty here.
        self.inverses.get_or_init(|| inverses);
        Ok((CpuStorage::F32(out), x_at.shape().clone()))
    }

    fn bwd(&self, _: &Tensor, _: &Tensor, out: &Tensor, gradient: &Tensor) -> Result<(Option<Tensor>, Option<Tensor>)> {
        let inverses = self.inverses.get().map_or(&[][..], Vec::as_slice);
        let by_sum = out.apply_op2_no_bwd(&gradient.contiguous()?, &Backward { inverses })?;
        Ok((Some(by_sum.clone()), Some(by_sum)))
    }
}

/// `(g − y·mean(g·y)) · inverse`, the gradient by the sum, from the result y and its gradient g.
struct Backward<'a> {
    inverses: &'a [f32],
}

impl CustomOp2 for Backward<'_> {
    fn name(&self) -> &'static str {
        "residual-norm-backward"
    }

    fn cpu_fwd(&self, y: &CpuStorage, y_at: &Layout, g: &CpuStorage, g_at: &Layout) -> Result<(CpuStorage, Shape)> {
        let (y, g) = (slice(y, y_at)?, slice(g, g_at)?);
        let width = y_at.shape().dim(D::Minus1)?;
        let out = vectorized(
            #[inline(always)]
            || backward(y, g, width, self.inverses),
        );
        Ok((CpuStorage::F32(out), y_at.shape().clone()))
    }
}

/// The normed rows, and what each row was multiplied by.
#[inline(always)]
fn forward(x: &[f32], update: &[f32], width: usize, eps: f32) -> (Vec<f32>, Vec<f32>) {
    let mut out = vec![0.0; x.len()];
    let mut inverses = Vec::with_capacity(x.len() / width);
    for ((x, update), row) in x.chunks_exact(width).zip(update.chunks_exact(width)).zip(out.chunks_exact_mut(width)) {
        for ((x, update), out) in x.iter().zip(update).zip(&mut *row) {
            *out = x + update;
        }
        let inverse = 1.0 / (sum_of_products(row, row) / width as f32 + eps).sqrt();
        for value in row {
            *value *= inverse;
        }
        inverses.push(inverse);
    }
    (out, inverses)
}

#[inline(always)]
fn backward(y: &[f32], g: &[f32], width: usize, inverses: &[f32]) -> Vec<f32> {
    let mut out = vec![0.0; y.len()];
    let rows = y.chunks_exact(width).zip(g.chunks_exact(width)).zip(out.chunks_exact_mut(width));
    for (((y, g), row), inverse) in rows.zip(inverses) {
        let mean = sum_of_products(y, g) / width as f32;
        for ((y, g), out) in y.iter().zip(g).zip(row) {
            *out = (g - y * mean) * inverse;
        }
    }
    out
}
