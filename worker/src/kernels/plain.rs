//! The same operations as graphs of Candle's own: what other devices than the CPU run, and what the fused ones are tested against.

use candle_core::{D, Result, Tensor};

/// See [`residual_norm`](super::residual_norm).
pub fn residual_norm(x: &Tensor, update: &Tensor, eps: f64) -> Result<Tensor> {
    let sum = (x + update)?;
    sum.broadcast_div(&(sum.sqr()?.mean_keepdim(D::Minus1)? + eps)?.sqrt()?)
}

/// See [`gate`](super::gate).
pub fn gate(both: &Tensor) -> Result<Tensor> {
    let halves = both.chunk(2, D::Minus1)?;
    halves[0].silu()? * &halves[1]
}

/// See [`softmax`](super::softmax).
pub fn softmax(scores: &Tensor, scale: f64) -> Result<Tensor> {
    let scores = (scores * scale)?;
    // The shift changes no result, so that it needs no gradient.
    let exps = scores.broadcast_sub(&scores.detach().max_keepdim(D::Minus1)?)?.exp()?;
    exps.broadcast_div(&exps.sum_keepdim(D::Minus1)?)
}

/// See [`transpose`](super::transpose).
pub fn transpose(x: &Tensor) -> Result<Tensor> {
    x.transpose(1, 2)?.contiguous()
}
