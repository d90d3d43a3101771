//! Full bidirectional multi-head self-attention.

use candle_core::{D, Device, Result, Tensor};
use tinysweep_proto::config::{PosEncodings, TrialConfig};

use super::linear::linear;
use crate::kernels::softmax;

/// Attention over all positions, with rotary positions where the configuration has them.
#[derive(Clone, Debug)]
pub struct Attention {
    heads: usize,
    /// `[width, 3·heads·head_width]`: queries, keys, values, each head by head.
    qkv: Tensor,
    /// `[heads·head_width, width]`.
    output: Tensor,
    rotary: Option<Rotary>,
}

impl Attention {
    /// Takes the weights `{prefix}.self_attn.{qkv,o}_proj.weight`.
    pub fn new(config: &TrialConfig, positions: usize, prefix: &str, weight: &impl Fn(&str) -> Result<Tensor>) -> Result<Self> {
        let head_width = config.head_width();
        let qkv = weight(&format!("{prefix}.self_attn.qkv_proj.weight"))?.t()?;
        let rotary = match config.positions() {
            PosEncodings::Rope => Some(Rotary::new(positions, head_width, config.rope_theta, qkv.device())?),
            PosEncodings::None | PosEncodings::Learned => None,
        };
        Ok(Self { heads: config.num_heads, qkv, output: weight(&format!("{prefix}.self_attn.o_proj.weight"))?.t()?, rotary })
    }

    /// `[batch, positions, width]` to the same.
    pub fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let (batch, positions, _) = x.dims3()?;
        let inner = self.output.dim(0)?;
        let head_width = inner / self.heads;
        let qkv = linear(x, &self.qkv)?.reshape((batch, positions, 3 * self.heads, head_width))?;
        let part = |index: usize| qkv.narrow(2, index * self.heads, self.heads)?.transpose(1, 2)?.contiguous();
        let (mut q, mut k, v) = (part(0)?, part(1)?, part(2)?);
        if let Some(rotary) = &self.rotary {
            (q, k) = (rotary.turn(&q)?, rotary.turn(&k)?);
        }
        let shares = softmax(&q.matmul(&k.transpose(2, 3)?)?, 1.0 / (head_width as f64).sqrt())?;
        let mixed = shares.matmul(&v)?;
        linear(&mixed.transpose(1, 2)?.reshape((batch, positions, inner))?, &self.output)
    }
}

/// Rotary positions, arXiv 2104.09864, which turn features i and i + width/2 of a head together.
#[derive(Clone, Debug)]
struct Rotary {
    /// `[positions, head_width]`, both halves the same.
    cos: Tensor,
    sin: Tensor,
}

impl Rotary {
    /// Tables for `positions` with angles `position · theta^(−2i/head_width)`, in f32 as the reference computes them.
    fn new(positions: usize, head_width: usize, theta: f64, device: &Device) -> Result<Self> {
        let frequency = |i: usize| 1.0 / (theta as f32).powf((2 * (i % (head_width / 2))) as f32 / head_width as f32);
        let angles: Vec<f32> = (0..positions).flat_map(|position| (0..head_width).map(move |i| position as f32 * frequency(i))).collect();
        let table = |function: fn(f32) -> f32| {
            Tensor::from_vec(angles.iter().copied().map(function).collect::<Vec<_>>(), (positions, head_width), device)
        };
        Ok(Self { cos: table(f32::cos)?, sin: table(f32::sin)? })
    }

    /// `[batch, heads, positions, head_width]` to the same.
    fn turn(&self, x: &Tensor) -> Result<Tensor> {
        let half = x.dim(D::Minus1)? / 2;
        let crossed = Tensor::cat(&[&x.narrow(D::Minus1, half, half)?.neg()?, &x.narrow(D::Minus1, 0, half)?], D::Minus1)?;
        x.broadcast_mul(&self.cos)? + crossed.broadcast_mul(&self.sin)?
    }
}
