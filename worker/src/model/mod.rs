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
mod calls;
mod init;
mod latents;
mod linear;
mod parameters;

pub use latents::Latents;
pub use parameters::{Entry, Parameters, Role};

use candle_core::{D, Device, Result, Tensor};
use rand::Rng;
use tinysweep_proto::{
    config::{PosEncodings, Precision, TrialConfig},
    dataset::DataShape,
};

use crate::kernels::{Call, Factors, Recursion, rows};
use linear::linear;
use parameters::levels;

/// What a model reads: token ids and puzzle ids.
#[derive(Clone, Debug)]
pub struct Input {
    /// `[batch, seq_len]`, u32.
    pub tokens: Tensor,
    /// The rows of the puzzle table, `[batch, puzzle_width]`; none where the model has no table. A [`Var`](candle_core::Var)'s tensor in
    /// training.
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
    /// What improves the states: the network for the latents, and the answer's own where the configuration separates them.
    recursion: Recursion,
    /// The calls of a supervision step.
    calls: Vec<Call>,
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
        let weight = |name: &str| Ok(parameters.get(name)?.as_tensor().clone());
        let (latent, answer) = levels(config);
        let networks = std::iter::once(latent).chain(answer).map(|level| block::network(config, positions, &level, &weight));
        let recursion = Recursion::new(networks.collect::<Result<_>>()?, unrecorded, recorded)?;
        Ok(Self { config: config.clone(), shape, recursion, calls: calls::calls(config), parameters })
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
        let puzzle_rows = self.puzzle_rows(identifiers)?.map(|rows| rows.to_device(self.device())).transpose()?;
        Ok(Input { tokens, puzzle_rows })
    }

    /// The rows of the puzzle table that `identifiers` name, `[batch, puzzle_width]` in the machine's memory, where there is a table.
    ///
    /// # Errors
    /// When an identifier is none of its rows.
    pub fn puzzle_rows(&self, identifiers: &[u32]) -> Result<Option<Tensor>> {
        let Some(table) = self.parameters.puzzle_table() else { return Ok(None) };
        let identifiers = Tensor::from_slice(identifiers, identifiers.len(), table.device())?;
        table.as_detached_tensor().index_select(&identifiers, 0).map(Some)
    }

    /// One supervision step.
    ///
    /// # Errors
    /// When a token is outside the vocabulary or shapes do not fit.
    pub fn forward(&self, input: &Input, latents: &Latents, gradient: Gradient) -> Result<Output> {
        let x = self.embed(input, gradient)?;
        let recorded = if gradient == Gradient::Recorded { calls::recorded(&self.config) } else { 0 };
        let states = latents.named().into_iter().map(|(_, state)| state.clone()).collect::<Vec<_>>();
        let mut states = self.recursion.run(&x, &states, &self.calls, recorded)?.into_iter();
        let states = latents.map(|_| states.next().ok_or_else(|| candle_core::Error::msg("the recursion has lost a state")))?;

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
        let mut x = rows(&table, &input.tokens.flatten_all()?)?.reshape((batch, seq_len, width))?;
        if let Some(puzzle_rows) = &input.puzzle_rows {
            let prefix = self.config.prefix_len();
            let padded = puzzle_rows.pad_with_zeros(D::Minus1, 0, prefix * width - puzzle_rows.dim(D::Minus1)?)?;
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
