//! The tiny recursive model (TRM), as published: arXiv 2510.04871, and SamsungSAILMontreal/TinyRecursiveModels at e7b6871.
//!
//! * One network of a few post-norm blocks updates both states: the latent z_L, n times, then the answer z_H, and all that T times.
//! * Only the last of the T cycles carries gradient; the carry between supervision steps never does.
//! * Norms have no weights, linear maps have no bias, the output head is not tied to the embedding.
//! * Positions are mixed by attention, or by a SwiGLU over the sequence axis.
//! * A learned vector per puzzle is put before the tokens.

mod attention;
mod block;
mod init;
mod linear;
mod parameters;
mod swiglu;

pub use parameters::{Entry, Parameters, Role};

use candle_core::{D, Device, Result, Tensor, Var};
use rand::Rng;
use tinysweep_proto::{
    config::{PosEncodings, TrialConfig},
    dataset::DataShape,
};

use block::Network;
use linear::linear;

/// What one supervision step hands to the next: the answer and the latent, both `[batch, positions, width]`, without gradient.
#[derive(Clone, Debug)]
pub struct Latents {
    /// The answer, y in the paper.
    pub z_h: Tensor,
    /// The latent, z in the paper.
    pub z_l: Tensor,
}

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
    /// Whether to halt, and whether to go on: `[batch, 2]`. TRM trains and uses the first alone.
    pub q: Tensor,
    /// For the next step.
    pub latents: Latents,
}

/// Whether a step is one to learn from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Gradient {
    /// Records what backpropagation needs in the last cycle.
    LastCycle,
    /// Records nothing.
    None,
}

/// A model and its weights.
#[derive(Debug)]
pub struct Model {
    config: TrialConfig,
    shape: DataShape,
    parameters: Parameters,
    /// The network on tracked weights, for the cycle with gradient.
    live: Network,
    /// The same weights, untracked: it sees every update, since they are updated in place.
    frozen: Network,
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
        let live = Network::new(config, positions, |name| Ok(parameters.get(name)?.as_tensor().clone()))?;
        let frozen = Network::new(config, positions, |name| Ok(parameters.get(name)?.as_detached_tensor()))?;
        Ok(Self { config: config.clone(), shape, parameters, live, frozen })
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
        let start = |name: &str| self.parameters.get(name)?.as_detached_tensor().broadcast_as(shape)?.contiguous();
        Ok(Latents { z_h: start("H_init")?, z_l: start("L_init")? })
    }

    /// What the model reads of `tokens` (`[batch, seq_len]` in row order) and of the puzzles `identifiers`, without gradient to the table.
    ///
    /// # Errors
    /// When an identifier is none of the table's rows, or the tokens do not fill the batch.
    pub fn input(&self, tokens: &[u32], identifiers: &[u32]) -> Result<Input> {
        let tokens = Tensor::from_slice(tokens, (identifiers.len(), self.shape.seq_len), &Device::Cpu)?;
        let identifiers = Tensor::from_slice(identifiers, identifiers.len(), &Device::Cpu)?;
        let lookup = |table: &Var| table.as_detached_tensor().index_select(&identifiers, 0);
        Ok(Input { tokens, puzzle_rows: self.parameters.puzzle_table().map(lookup).transpose()? })
    }

    /// One supervision step.
    ///
    /// # Errors
    /// When a token is outside the vocabulary or shapes do not fit.
    pub fn forward(&self, input: &Input, latents: &Latents, gradient: Gradient) -> Result<Output> {
        let x = self.embed(input, gradient)?;
        let Latents { z_h, z_l } = latents.clone();
        let still = x.detach();
        let (mut z_h, mut z_l) = (z_h.detach(), z_l.detach());
        for _ in 1..self.config.h_cycles {
            (z_h, z_l) = self.cycle(&self.frozen, z_h, z_l, &still)?;
        }
        let network = if gradient == Gradient::LastCycle { &self.live } else { &self.frozen };
        let (z_h, z_l) = self.cycle(network, z_h, z_l, &x)?;

        let prefix = self.config.prefix_len();
        let answer = z_h.narrow(1, prefix, self.shape.seq_len)?;
        let logits = linear(&answer, &self.weight("lm_head.weight", gradient)?.t()?)?;
        let first = z_h.narrow(1, 0, 1)?.squeeze(1)?;
        let q = linear(&first, &self.weight("q_head.weight", gradient)?.t()?)?.broadcast_add(&self.weight("q_head.bias", gradient)?)?;
        Ok(Output { logits, q, latents: Latents { z_h: z_h.detach(), z_l: z_l.detach() } })
    }

    /// Improves the latent n times, then the answer once.
    fn cycle(&self, network: &Network, z_h: Tensor, mut z_l: Tensor, x: &Tensor) -> Result<(Tensor, Tensor)> {
        let injection = (&z_h + x)?;
        for _ in 0..self.config.l_cycles {
            z_l = network.forward(&(&z_l + &injection)?)?;
        }
        let z_h = network.forward(&(&z_h + &z_l)?)?;
        Ok((z_h, z_l))
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
        Ok(if gradient == Gradient::LastCycle { var.as_tensor().clone() } else { var.as_detached_tensor() })
    }
}
