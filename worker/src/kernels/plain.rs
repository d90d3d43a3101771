//! The same operations as graphs of Candle's own: what other devices than the CPU run, and what the fused ones are tested against.

use candle_core::{D, Result, Tensor};

use super::Over;

/// See [`residual_norm`](super::residual_norm).
pub fn residual_norm(x: &Tensor, update: &Tensor, eps: f64) -> Result<Tensor> {
    let sum = (x + update)?;
    sum.broadcast_div(&(sum.sqr()?.mean_keepdim(D::Minus1)? + eps)?.sqrt()?)
}

/// See [`SwiGluNorm`](super::SwiGluNorm).
pub fn swiglu_norm(over: Over, x: &Tensor, gate_up: &Tensor, down: &Tensor, eps: f64) -> Result<Tensor> {
    if over == Over::Positions {
        let x = x.transpose(1, 2)?.contiguous()?;
        return swiglu_norm(Over::Features, &x, gate_up, down, eps)?.transpose(1, 2)?.contiguous();
    }
    let halves = x.broadcast_matmul(&gate_up.t()?)?.chunk(2, D::Minus1)?;
    let update = (halves[0].silu()? * &halves[1])?.broadcast_matmul(&down.t()?)?;
    residual_norm(x, &update, eps)
}

/// See [`softmax`](super::softmax).
pub fn softmax(scores: &Tensor, scale: f64) -> Result<Tensor> {
    let scores = (scores * scale)?;
    // The shift changes no result, so that it needs no gradient.
    let exps = scores.broadcast_sub(&scores.detach().max_keepdim(D::Minus1)?)?.exp()?;
    exps.broadcast_div(&exps.sum_keepdim(D::Minus1)?)
}
