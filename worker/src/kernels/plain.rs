//! The same operations as graphs of Candle's own: what other devices than the CPU run, and what the fused ones are tested against.

use candle_core::{D, DType, Result, Tensor};

use super::{Factors, Over, Rotary};

/// See [`SwiGluNorm`](super::SwiGluNorm).
pub fn swiglu_norm(over: Over, factors: Factors, x: &Tensor, [gate_up, down]: [&Tensor; 2], eps: f64) -> Result<Tensor> {
    if over == Over::Positions {
        let x = x.transpose(1, 2)?.contiguous()?;
        return swiglu_norm(Over::Features, factors, &x, [gate_up, down], eps)?.transpose(1, 2)?.contiguous();
    }
    let halves = linear(factors, x, gate_up)?.chunk(2, D::Minus1)?;
    let update = linear(factors, &(halves[0].silu()? * &halves[1])?, down)?;
    residual_norm(x, &update, eps)
}

/// `x·weightᵀ` of numbers in f32. In bf16 the factors are rounded, and gradients where they pass the roundings. A GPU multiplies these as
/// they are, and rounds the result too; a processor, for which Candle has no product in bf16, in f32, which is no faster.
fn linear(factors: Factors, x: &Tensor, weight: &Tensor) -> Result<Tensor> {
    if factors == Factors::F32 {
        return x.broadcast_matmul(&weight.t()?);
    }
    let computed = if x.device().is_cpu() { DType::F32 } else { DType::BF16 };
    let rounded = |factor: &Tensor| factor.to_dtype(DType::BF16)?.to_dtype(computed);
    rounded(x)?.broadcast_matmul(&rounded(weight)?.t()?)?.to_dtype(DType::F32)
}

/// See [`AttentionNorm`](super::AttentionNorm).
pub fn attention_norm(
    heads: usize,
    factors: Factors,
    x: &Tensor,
    [qkv, output]: [&Tensor; 2],
    rotary: Option<&Rotary>,
    eps: f64,
) -> Result<Tensor> {
    let (batch, positions, _) = x.dims3()?;
    let inner = output.dim(1)?;
    let head_width = inner / heads;
    let qkv = linear(factors, x, qkv)?.reshape((batch, positions, 3 * heads, head_width))?;
    let part = |index: usize| qkv.narrow(2, index * heads, heads)?.transpose(1, 2)?.contiguous();
    let (mut q, mut k, v) = (part(0)?, part(1)?, part(2)?);
    if let Some(rotary) = rotary {
        (q, k) = (rotary.turn(&q)?, rotary.turn(&k)?);
    }
    let shares = softmax(&q.matmul(&k.transpose(2, 3)?)?, 1.0 / (head_width as f64).sqrt())?;
    let mixed = shares.matmul(&v)?.transpose(1, 2)?.reshape((batch, positions, inner))?;
    residual_norm(x, &linear(factors, &mixed, output)?, eps)
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
