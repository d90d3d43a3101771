//! The same operations as graphs of Candle's own: what other devices than the CPU run, and what the fused ones are tested against.

use candle_core::{D, Result, Tensor};

use super::{Over, Rotary};

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

/// See [`AttentionNorm`](super::AttentionNorm).
pub fn attention_norm(heads: usize, x: &Tensor, qkv: &Tensor, output: &Tensor, rotary: Option<&Rotary>, eps: f64) -> Result<Tensor> {
    let (batch, positions, _) = x.dims3()?;
    let inner = output.dim(1)?;
    let head_width = inner / heads;
    let qkv = x.broadcast_matmul(&qkv.t()?)?.reshape((batch, positions, 3 * heads, head_width))?;
    let part = |index: usize| qkv.narrow(2, index * heads, heads)?.transpose(1, 2)?.contiguous();
    let (mut q, mut k, v) = (part(0)?, part(1)?, part(2)?);
    if let Some(rotary) = rotary {
        (q, k) = (rotary.turn(&q)?, rotary.turn(&k)?);
    }
    let shares = softmax(&q.matmul(&k.transpose(2, 3)?)?, 1.0 / (head_width as f64).sqrt())?;
    let mixed = shares.matmul(&v)?.transpose(1, 2)?.reshape((batch, positions, inner))?;
    residual_norm(x, &mixed.broadcast_matmul(&output.t()?)?, eps)
}

/// `h / √(mean(h²) + eps)` over the last axis, where `h = x + update`.
fn residual_norm(x: &Tensor, update: &Tensor, eps: f64) -> Result<Tensor> {
    let sum = (x + update)?;
    sum.broadcast_div(&(sum.sqr()?.mean_keepdim(D::Minus1)? + eps)?.sqrt()?)
}

/// Softmax of `scale · scores` over the last axis.
fn softmax(scores: &Tensor, scale: f64) -> Result<Tensor> {
    let scores = (scores * scale)?;
    // The shift changes no result, so that it needs no gradient.
    let exps = scores.broadcast_sub(&scores.detach().max_keepdim(D::Minus1)?)?.exp()?;
    exps.broadcast_div(&exps.sum_keepdim(D::Minus1)?)
}
