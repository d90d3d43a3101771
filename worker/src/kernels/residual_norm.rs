//! A residual and its RMS norm in one pass.

use std::sync::OnceLock;

use candle_core::{CpuStorage, CustomOp2, D, Layout, Result, Shape, Tensor};

use super::{slices::slice, sum::sum_of_products};

/// `h / √(mean(h²) + eps)` over the last axis, where `h = x + update`. No weights, as published.
///
/// # Errors
/// When shapes differ.
pub fn residual_norm(x: &Tensor, update: &Tensor, eps: f64) -> Result<Tensor> {
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
        let mut out: Vec<f32> = x.iter().zip(update).map(|(x, update)| x + update).collect();
        let inverses = out.chunks_exact_mut(width).map(|row| {
            let inverse = 1.0 / (sum_of_products(row, row) / width as f32 + self.eps).sqrt();
            row.iter_mut().for_each(|value| *value *= inverse);
            inverse
        });
        // One operation runs forward once, so the cell is empty here.
        self.inverses.get_or_init(|| inverses.collect());
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
        let mut out = Vec::with_capacity(y.len());
        for ((y, g), inverse) in y.chunks_exact(width).zip(g.chunks_exact(width)).zip(self.inverses) {
            let mean = sum_of_products(y, g) / width as f32;
            out.extend(y.iter().zip(g).map(|(y, g)| (g - y * mean) * inverse));
        }
        Ok((CpuStorage::F32(out), y_at.shape().clone()))
    }
}
