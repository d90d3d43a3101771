//! The gated feed-forward layer.

use candle_core::{Result, Tensor};

use super::linear::linear;
use crate::kernels::gate;

/// `down(silu(gate(x)) · up(x))`, arXiv 2002.05202.
#[derive(Clone, Debug)]
pub struct SwiGlu {
    /// `[outer, 2·inner]`: the gate's columns, then up's.
    gate_up: Tensor,
    /// `[inner, outer]`.
    down: Tensor,
}

impl SwiGlu {
    /// Takes the weights `{prefix}.gate_up_proj.weight` and `{prefix}.down_proj.weight`.
    pub fn new(prefix: &str, weight: &impl Fn(&str) -> Result<Tensor>) -> Result<Self> {
        Ok(Self {
            gate_up: weight(&format!("{prefix}.gate_up_proj.weight"))?.t()?,
            down: weight(&format!("{prefix}.down_proj.weight"))?.t()?,
        })
    }

    /// Over the last axis of `x`.
    pub fn forward(&self, x: &Tensor) -> Result<Tensor> {
        linear(&gate(&linear(x, &self.gate_up)?)?, &self.down)
    }
}
