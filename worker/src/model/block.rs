//! A network: a stack of post-norm blocks. A block mixes positions, then features; each a residual with the norm after it.

use candle_core::{Result, Tensor};
use tinysweep_proto::config::{PosEncodings, TrialConfig, Variant};

use super::parameters::Level;
use crate::kernels::{AttentionNorm, Half, Over, Rotary, SwiGluNorm};

/// The halves of the blocks of a network, with the weights of `level` from `weight`, by name.
pub fn network(config: &TrialConfig, positions: usize, level: &Level, weight: &impl Fn(&str) -> Result<Tensor>) -> Result<Vec<Half>> {
    let block = |layer| block(config, positions, &level.layer(layer), weight);
    Ok((0..level.layers).map(block).collect::<Result<Vec<_>>>()?.concat())
}

fn block(config: &TrialConfig, positions: usize, prefix: &str, weight: &impl Fn(&str) -> Result<Tensor>) -> Result<[Half; 2]> {
    let eps = config.rms_norm_eps;
    let swiglu = |over, name: &str| {
        let weight = |part: &str| weight(&format!("{prefix}.{name}.{part}_proj.weight"));
        SwiGluNorm::new(over, [weight("gate_up")?, weight("down")?], eps).map(Half::SwiGlu)
    };
    let mixer = match config.variant {
        // Self-attention over all positions, with rotary positions where the configuration has them.
        Variant::Att => {
            let weight = |part: &str| weight(&format!("{prefix}.self_attn.{part}_proj.weight"));
            let (qkv, output) = (weight("qkv")?, weight("o")?);
            let rotary = || Rotary::new(positions, config.head_width(), config.rope_theta, qkv.device());
            let rotary = (config.positions() == PosEncodings::Rope).then(rotary).transpose()?;
            Half::Attention(AttentionNorm::new(config.num_heads, [qkv, output], rotary, eps)?)
        }
        // Its norm is over positions too, not over features: the reference normalises what it has transposed.
        Variant::Mlp => swiglu(Over::Positions, "mlp_t")?,
    };
    Ok([mixer, swiglu(Over::Features, "mlp")?])
}
