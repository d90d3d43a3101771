//! A network: a stack of post-norm blocks.

use candle_core::{Result, Tensor};
use tinysweep_proto::config::{PosEncodings, TrialConfig, Variant};

use super::parameters::Level;
use crate::kernels::{AttentionNorm, Factors, Over, Rotary, SwiGluNorm};

/// A stack of blocks on one set of weights. A clone is on the same weights.
#[derive(Clone, Debug)]
pub struct Network {
    blocks: Vec<Block>,
}

impl Network {
    /// Takes the weights of `level` from `weight`, by name, for products in `factors`.
    pub fn new(
        config: &TrialConfig,
        factors: Factors,
        positions: usize,
        level: &Level,
        weight: &impl Fn(&str) -> Result<Tensor>,
    ) -> Result<Self> {
        let block = |layer| Block::new(config, factors, positions, &level.layer(layer), weight);
        Ok(Self { blocks: (0..level.layers).map(block).collect::<Result<_>>()? })
    }

    /// The same network for several calls in a row: its weights are made ready for products once for all of them.
    pub fn ready(&self) -> Result<Self> {
        Ok(Self { blocks: self.blocks.iter().map(Block::ready).collect::<Result<_>>()? })
    }

    /// `[batch, positions, width]` to the same.
    pub fn forward(&self, x: &Tensor) -> Result<Tensor> {
        self.blocks.iter().try_fold(x.clone(), |x, block| block.forward(&x))
    }
}

/// Mixes positions, then features; each a residual with the norm after it.
#[derive(Clone, Debug)]
struct Block {
    mixer: Mixer,
    features: SwiGluNorm,
}

/// What mixes positions.
#[derive(Clone, Debug)]
enum Mixer {
    /// Self-attention over all positions, with rotary positions where the configuration has them.
    Attention(AttentionNorm),
    /// A SwiGLU over the sequence axis. Its norm is over positions too, not over features: the reference normalises what it has transposed.
    Sequence(SwiGluNorm),
}

impl Block {
    fn new(
        config: &TrialConfig,
        factors: Factors,
        positions: usize,
        prefix: &str,
        weight: &impl Fn(&str) -> Result<Tensor>,
    ) -> Result<Self> {
        let eps = config.rms_norm_eps;
        let swiglu = |over, name: &str| {
            let weight = |part: &str| weight(&format!("{prefix}.{name}.{part}_proj.weight"));
            SwiGluNorm::new(over, factors, [weight("gate_up")?, weight("down")?], eps)
        };
        let mixer = match config.variant {
            Variant::Att => {
                let weight = |part: &str| weight(&format!("{prefix}.self_attn.{part}_proj.weight"));
                let (qkv, output) = (weight("qkv")?, weight("o")?);
                let rotary = || Rotary::new(positions, config.head_width(), config.rope_theta, qkv.device());
                let rotary = (config.positions() == PosEncodings::Rope).then(rotary).transpose()?;
                Mixer::Attention(AttentionNorm::new(config.num_heads, factors, [qkv, output], rotary, eps)?)
            }
            Variant::Mlp => Mixer::Sequence(swiglu(Over::Positions, "mlp_t")?),
        };
        Ok(Self { mixer, features: swiglu(Over::Features, "mlp")? })
    }

    fn ready(&self) -> Result<Self> {
        let mixer = match &self.mixer {
            Mixer::Attention(mixer) => Mixer::Attention(mixer.ready()?),
            Mixer::Sequence(mixer) => Mixer::Sequence(mixer.ready()?),
        };
        Ok(Self { mixer, features: self.features.ready()? })
    }

    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let x = match &self.mixer {
            Mixer::Attention(mixer) => mixer.forward(x)?,
            Mixer::Sequence(mixer) => mixer.forward(x)?,
        };
        self.features.forward(&x)
    }
}
