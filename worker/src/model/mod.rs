//! The tiny recursive model (TRM), as published (arXiv 2510.04871, and SamsungSAILMontreal/TinyRecursiveModels at e7b6871), and what it
//! is compared with: its ablations, HRM (arXiv 2506.21734) and the transformer baseline. All are configurations of the same parts.
//!
//! * A network of a few post-norm blocks improves the latent z_L, n times, then the answer z_H, and all that T times. `states` has models
//!   with one state for both and without a latent, `latents` several latents that take turns, `networks` a network for each purpose.
//! * Only the last of the T cycles carries gradient, or only its last two calls (`gradient`); the carry between supervision steps never does.
//! * Norms have no weights, linear maps have no bias, the output head is not tied to the embedding.
//! * Positions are mixed by attention, or by a SwiGLU over the sequence axis.
//! * A learned vector per puzzle is put before the tokens.

mod block;
mod init;
mod latents;
mod linear;
mod parameters;

pub use latents::Latents;
pub use parameters::{Entry, Parameters, Role};

use std::ops::Range;

use candle_core::{D, Device, Result, Tensor, Var, bail};
use rand::Rng;
use tinysweep_proto::{
    config::{GradientSpan, PosEncodings, Precision, TrialConfig},
    dataset::DataShape,
};

use crate::kernels::Factors;
use block::Network;
use linear::linear;
use parameters::{Level, levels};

/// What a model reads: token ids and puzzle ids.
#[derive(Clone, Debug)]
pub struct Input {
    /// `[batch, seq_len]`, u32.
    pub tokens: Tensor,
    /// The rows of the puzzle table, `[batch, puzzle_width]`; none where the model has no table. A [`Var`]'s tensor in training.
    pub puzzle_rows: Option<Tensor>,
}

/// What one supervision step gives.
#[derive(Clone, Debug)]
pub struct Output {
    /// `[batch, seq_len, vocabulary]`.
    pub logits: Tensor,
    /// Whether to halt, and whether to go on: `[batch, 2]`. The second is trained with `continue_loss` alone.
    pub q: Tensor,
    /// For the next step.
    pub latents: Latents,
}

/// Whether a step is one to learn from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Gradient {
    /// Records what backpropagation needs, as far back as the configuration has it.
    Recorded,
    /// Records nothing.
    None,
}

/// A model and its weights.
#[derive(Debug)]
pub struct Model {
    config: TrialConfig,
    shape: DataShape,
    parameters: Parameters,
    /// The networks on tracked weights, for the calls with gradient.
    live: Networks,
    /// The same weights, untracked: they see every update, since it is made in place.
    frozen: Networks,
}

/// What improves the states.
#[derive(Debug)]
struct Networks {
    /// Improves the latents.
    latent: Network,
    /// Improves the answer, where the configuration separates the two.
    answer: Option<Network>,
}

impl Networks {
    fn new(config: &TrialConfig, factors: Factors, positions: usize, weight: impl Fn(&str) -> Result<Tensor>) -> Result<Self> {
        let network = |level: &Level| Network::new(config, factors, positions, level, &weight);
        let (latent, answer) = levels(config);
        Ok(Self { latent: network(&latent)?, answer: answer.as_ref().map(network).transpose()? })
    }

    /// The same for the calls of one supervision step, within which weights do not change.
    fn ready(&self) -> Result<Self> {
        Ok(Self { latent: self.latent.ready()?, answer: self.answer.as_ref().map(Network::ready).transpose()? })
    }

    fn answer(&self) -> &Network {
        self.answer.as_ref().unwrap_or(&self.latent)
    }
}

impl Model {
    /// A fresh model with weights drawn from `rng`.
    ///
    /// # Errors
    /// When a tensor cannot be made.
    pub fn init(config: &TrialConfig, shape: DataShape, rng: &mut impl Rng) -> Result<Self> {
        Self::new(config, shape, Parameters::init(config, &shape, rng)?)
    }

    /// A model on weights that exist already.
    ///
    /// # Errors
    /// When the weights are not those of `config`.
    pub fn new(config: &TrialConfig, shape: DataShape, parameters: Parameters) -> Result<Self> {
        let positions = config.prefix_len() + shape.seq_len;
        let (recorded, unrecorded) = match config.products() {
            Precision::Auto | Precision::F32 => (Factors::F32, Factors::F32),
            Precision::Mixed => (Factors::F32, Factors::Bf16),
            Precision::Bf16 => (Factors::Bf16, Factors::Bf16),
        };
        let live = Networks::new(config, recorded, positions, |name| Ok(parameters.get(name)?.as_tensor().clone()))?;
        let frozen = Networks::new(config, unrecorded, positions, |name| Ok(parameters.get(name)?.as_detached_tensor()))?;
        Ok(Self { config: config.clone(), shape, parameters, live, frozen })
    }

    /// The same model on `device`. Its puzzle table stays in the machine's memory: only rows of it are ever needed.
    ///
    /// # Errors
    /// When the device has no room for it.
    pub fn to_device(self, device: &Device) -> Result<Self> {
        if self.device().same_device(device) {
            return Ok(self);
        }
        Self::new(&self.config, self.shape, self.parameters.to_device(device)?)
    }

    /// Where it is computed.
    pub fn device(&self) -> &Device {
        self.parameters.device()
    }

    /// The configuration.
    pub fn config(&self) -> &TrialConfig {
        &self.config
    }

    /// What the model knows of its data.
    pub fn shape(&self) -> &DataShape {
        &self.shape
    }

    /// The weights.
    pub fn parameters(&self) -> &Parameters {
        &self.parameters
    }

    /// The states that every example starts from: the same vector in each of the positions.
    ///
    /// # Errors
    /// When a tensor cannot be made.
    pub fn initial_latents(&self, batch: usize) -> Result<Latents> {
        let shape = (batch, self.config.prefix_len() + self.shape.seq_len, self.config.hidden_size);
        let start = |name: &str| self.parameters.get(&format!("{name}_init"))?.as_detached_tensor().broadcast_as(shape)?.contiguous();
        Latents::from_names(&self.config, start)
    }

    /// What the model reads of `tokens` (`[batch, seq_len]` in row order) and of the puzzles `identifiers`, without gradient to the table.
    ///
    /// # Errors
    /// When an identifier is none of the table's rows, or the tokens do not fill the batch.
    pub fn input(&self, tokens: &[u32], identifiers: &[u32]) -> Result<Input> {
        let tokens = Tensor::from_slice(tokens, (identifiers.len(), self.shape.seq_len), self.device())?;
        let identifiers = Tensor::from_slice(identifiers, identifiers.len(), &Device::Cpu)?;
        let lookup = |table: &Var| table.as_detached_tensor().index_select(&identifiers, 0)?.to_device(self.device());
        Ok(Input { tokens, puzzle_rows: self.parameters.puzzle_table().map(lookup).transpose()? })
    }

    /// One supervision step.
    ///
    /// # Errors
    /// When a token is outside the vocabulary or shapes do not fit.
    pub fn forward(&self, input: &Input, latents: &Latents, gradient: Gradient) -> Result<Output> {
        let x = self.embed(input, gradient)?;
        let still = x.detach();
        let frozen = self.frozen.ready()?;
        let (networks, x) = if gradient == Gradient::Recorded { (&self.live, &x) } else { (&frozen, &still) };
        let n = self.config.latent_calls();
        // The first latent call of the last cycle that has a part in the gradient.
        let tracked = if self.config.gradient == GradientSpan::LastCalls { n.saturating_sub(1) } else { 0 };

        let mut states = latents.detach();
        for _ in 1..self.config.h_cycles {
            states = think(&frozen, states, &still, 0..n)?;
            states = conclude(&frozen, states, &still)?;
        }
        states = think(&frozen, states, &still, 0..tracked)?;
        states = think(networks, states, x, tracked..n)?;
        states = conclude(networks, states, x)?;

        let prefix = self.config.prefix_len();
        let answer = states.answer().narrow(1, prefix, self.shape.seq_len)?;
        let logits = linear(&answer, &self.weight("lm_head.weight", gradient)?.t()?)?;
        let first = states.answer().narrow(1, 0, 1)?.squeeze(1)?;
        let q = linear(&first, &self.weight("q_head.weight", gradient)?.t()?)?.broadcast_add(&self.weight("q_head.bias", gradient)?)?;
        Ok(Output { logits, q, latents: states.detach() })
    }

    /// √D · (puzzle vector, zeros to the end of the prefix, tokens), plus learned positions where there are such.
    fn embed(&self, input: &Input, gradient: Gradient) -> Result<Tensor> {
        let (batch, seq_len) = input.tokens.dims2()?;
        let width = self.config.hidden_size;
        let table = self.weight("embed_tokens.embedding_weight", gradient)?;
        let mut x = table.index_select(&input.tokens.flatten_all()?, 0)?.reshape((batch, seq_len, width))?;
        if let Some(rows) = &input.puzzle_rows {
            let prefix = self.config.prefix_len();
            let padded = rows.pad_with_zeros(D::Minus1, 0, prefix * width - rows.dim(D::Minus1)?)?;
            x = Tensor::cat(&[&padded.reshape((batch, prefix, width))?, &x], 1)?;
        }
        if self.config.positions() == PosEncodings::Learned {
            x = (x.broadcast_add(&self.weight("embed_pos.embedding_weight", gradient)?)? * std::f64::consts::FRAC_1_SQRT_2)?;
        }
        x * (width as f64).sqrt()
    }

    fn weight(&self, name: &str, gradient: Gradient) -> Result<Tensor> {
        let var = self.parameters.get(name)?;
        Ok(if gradient == Gradient::Recorded { var.as_tensor().clone() } else { var.as_detached_tensor() })
    }
}

/// The latent calls `calls` of a cycle: with several latents, each improves the one whose turn it is.
fn think(networks: &Networks, states: Latents, x: &Tensor, calls: Range<usize>) -> Result<Latents> {
    if calls.is_empty() {
        return Ok(states);
    }
    Ok(match states {
        Latents::Pair { z_h, mut z_l } => {
            let injection = (&z_h + x)?;
            for call in calls {
                let turn = call % z_l.len();
                z_l[turn] = networks.latent.forward(&(sum(&z_l)? + &injection)?)?;
            }
            Latents::Pair { z_h, z_l }
        }
        Latents::Single { mut z } => {
            for _ in calls {
                z = networks.latent.forward(&(z + x)?)?;
            }
            Latents::Single { z }
        }
        Latents::Direct { z_h } => Latents::Direct { z_h },
    })
}

/// The call that ends a cycle: it improves the answer.
fn conclude(networks: &Networks, states: Latents, x: &Tensor) -> Result<Latents> {
    Ok(match states {
        Latents::Pair { z_h, z_l } => Latents::Pair { z_h: networks.answer().forward(&(z_h + sum(&z_l)?)?)?, z_l },
        Latents::Single { z } => Latents::Single { z: networks.answer().forward(&z)? },
        Latents::Direct { z_h } => Latents::Direct { z_h: networks.answer().forward(&(z_h + x)?)? },
    })
}

fn sum(states: &[Tensor]) -> Result<Tensor> {
    match states {
        [first, rest @ ..] => rest.iter().try_fold(first.clone(), |sum, state| sum + state),
        [] => bail!("there is no latent"),
    }
}
