//! A network: a stack of post-norm blocks.

use candle_core::{Result, Tensor};
use tinysweep_proto::config::{TrialConfig, Variant};

use super::{attention::Attention, parameters::Level, swiglu::SwiGlu};
use crate::kernels::{residual_norm, transpose};

/// A stack of blocks on one set of weights. A clone is on the same weights.
#[derive(Clone, Debug)]
pub struct Network {
    blocks: Vec<Block>,
}

impl Network {
    /// Takes the weights of `level` from `weight`, by name.
    pub fn new(config: &TrialConfig, positions: usize, level: &Level, weight: &impl Fn(&str) -> Result<Tensor>) -> Result<Self> {
        let block = |layer| Block::new(config, positions, &level.layer(layer), weight);
        Ok(Self { blocks: (0..level.layers).map(block).collect::<Result<_>>()? })
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
    features: SwiGlu,
    eps: f64,
}

/// What mixes positions.
#[derive(Clone, Debug)]
enum Mixer {
    Attention(Attention),
    /// A SwiGLU over the sequence axis.
    Sequence(SwiGlu),
}

impl Block {
    fn new(config: &TrialConfig, positions: usize, prefix: &str, weight: &impl Fn(&str) -> Result<Tensor>) -> Result<Self> {
        let mixer = match config.variant {
            Variant::Att => Mixer::Attention(Attention::new(config, positions, prefix, weight)?),
            Variant::Mlp => Mixer::Sequence(SwiGlu::new(&format!("{prefix}.mlp_t"), weight)?),
        };
        Ok(Self { mixer, features: SwiGlu::new(&format!("{prefix}.mlp"), weight)?, eps: config.rms_norm_eps })
    }

    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let x = match &self.mixer {
            Mixer::Attention(attention) => residual_norm(x, &attention.forward(x)?, self.eps)?,
            Mixer::Sequence(mixer) => {
                // The norm is over positions here, not over features: the reference normalises what it has transposed.
                let x = transpose(x)?;
                transpose(&residual_norm(&x, &mixer.forward(&x)?, self.eps)?)?
            }
        };
        residual_norm(&x, &self.features.forward(&x)?, self.eps)
    }
}
