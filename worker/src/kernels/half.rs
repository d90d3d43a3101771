//! Half a block: what mixes positions or features, with its residual and its norm.

use candle_core::{Result, Tensor, bail};

use super::{
    AttentionNorm, Factors, Over, SwiGluNorm, attention_norm, factors::Weight, matmul::Matrix, plain, slices::read, swiglu_norm,
    tally::Tally,
};

/// How values lie: `[examples, positions, width]`.
#[derive(Clone, Copy, Debug)]
pub struct Dims {
    pub examples: usize,
    pub positions: usize,
    pub width: usize,
}

/// What the backward pass reads beside what was kept.
#[derive(Clone, Copy, Debug)]
pub struct Given<'a> {
    pub x: &'a [f32],
    /// The result.
    pub y: &'a [f32],
    /// Of which run of examples they are.
    pub run: usize,
}

/// One of a network's operations, `[batch, positions, width]` to the same. No example's result depends on another example.
#[derive(Clone, Debug)]
pub enum Half {
    /// Mixes positions.
    Attention(AttentionNorm),
    /// Mixes positions or features.
    SwiGlu(SwiGluNorm),
}

/// What the forward pass has kept for the backward pass.
#[derive(Debug)]
pub enum Kept {
    Attention(attention_norm::Kept),
    SwiGlu(swiglu_norm::Kept),
}

impl Half {
    /// Its weights, and where their gradients are added up, if they are variables.
    pub(super) fn weights(&self) -> ([&Tensor; 2], Option<&Tally>) {
        match self {
            Self::Attention(half) => ([&half.qkv, &half.output], half.tally.as_ref()),
            Self::SwiGlu(half) => ([&half.gate_up, &half.down], half.tally.as_ref()),
        }
    }

    /// What stands for its weights in the graph, if they are variables.
    pub(super) fn token(&self) -> Option<&Tensor> {
        self.weights().1.map(|tally| &tally.token)
    }

    /// The weights, made ready for the forward pass, or transposed for the backward pass.
    pub(super) fn ready(&self, factors: Factors, is_transposed: bool) -> Result<[Weight; 2]> {
        // Where positions are mixed by weights, what is multiplied lies by rows.
        let by_rows = matches!(self, Self::SwiGlu(SwiGluNorm { over: Over::Positions, .. }));
        let ready = |weight: &Tensor| {
            let (rows, columns) = weight.dims2()?;
            read(weight, |weight| {
                let weight = Matrix::by_rows(weight, rows, columns);
                Weight::new(factors, if is_transposed { weight.t() } else { weight }, by_rows)
            })
        };
        let [first, second] = self.weights().0;
        Ok([ready(first)?, ready(second)?])
    }

    /// Turns `x` into the result, and gives what the backward pass needs, where `keep` says so.
    pub(super) fn forward(&self, weights: &[Weight; 2], dims: Dims, x: &mut [f32], keep: bool) -> Result<Option<Kept>> {
        Ok(match self {
            Self::Attention(half) => half.forward(weights, dims, x, keep)?.map(Kept::Attention),
            Self::SwiGlu(half) => half.forward(weights, dims, x, keep)?.map(Kept::SwiGlu),
        })
    }

    /// Turns `by_x` from the gradient by the result into that by x, and adds those by the weights, which are given transposed.
    pub(super) fn backward(
        &self,
        factors: Factors,
        transposed: &[Weight; 2],
        dims: Dims,
        given: Given<'_>,
        kept: &Kept,
        by_x: &mut [f32],
    ) -> Result<()> {
        match (self, kept) {
            (Self::Attention(half), Kept::Attention(kept)) => half.backward(factors, transposed, dims, given, kept, by_x),
            (Self::SwiGlu(half), Kept::SwiGlu(kept)) => half.backward(factors, transposed, dims, given, kept, by_x),
            _ => bail!("what was kept is another half's"),
        }
    }

    /// The same as a graph of Candle's own operations, on any device; without `is_recorded` no gradient reaches the weights.
    pub(super) fn plain(&self, factors: Factors, x: &Tensor, is_recorded: bool) -> Result<Tensor> {
        let [first, second] = self.weights().0.map(|weight| if is_recorded { weight.clone() } else { weight.detach() });
        match self {
            Self::Attention(half) => plain::attention_norm(half.heads, factors, x, [&first, &second], half.rotary.as_ref(), half.eps),
            Self::SwiGlu(half) => plain::swiglu_norm(half.over, factors, x, [&first, &second], half.eps),
        }
    }
}
