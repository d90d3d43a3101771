//! Halves of blocks.

use candle_core::{Result, Tensor, bail};

use super::{
    array::Array,
    attention_norm,
    gpu::Gpu,
    operations::{Values, widen},
    products::Matrix,
    swiglu_norm,
};
use crate::kernels::{
    Factors,
    half::{Dims, Half},
};

/// Tensor cores read rows that begin at multiples of so many bytes.
const ALIGNMENT: usize = 16;

/// `length` numbers in `factors`, and as many more as it takes to the next aligned one.
pub fn aligned(factors: Factors, length: usize) -> usize {
    let size = if factors == Factors::F32 { size_of::<f32>() } else { size_of::<half::bf16>() };
    length.next_multiple_of(ALIGNMENT / size)
}

/// A weight as products take it.
#[derive(Debug)]
pub struct Weight {
    array: Array,
    rows: usize,
    columns: usize,
    step: usize,
}

impl Weight {
    fn new(gpu: &Gpu, factors: Factors, weight: &Tensor) -> Result<Self> {
        let (rows, columns) = weight.dims2()?;
        let step = aligned(factors, columns);
        Ok(Self { array: widen(gpu, factors, weight, step)?, rows, columns, step })
    }

    pub fn matrix(&self) -> Matrix<'_> {
        Matrix::by_rows(&self.array, self.rows, self.columns).at(0, self.step, 0)
    }
}

/// What the forward pass has kept for the backward pass.
#[derive(Debug)]
pub enum Kept {
    Attention(attention_norm::Kept),
    SwiGlu(swiglu_norm::Kept),
}

/// What the backward pass reads beside what was kept.
#[derive(Clone, Copy, Debug)]
pub struct Given<'a> {
    pub x: &'a Values,
    /// The result.
    pub y: &'a Values,
    pub weights: &'a [Weight; 2],
    /// To which gradients of the weights are added.
    pub by_weights: &'a [Array; 2],
    pub dims: Dims,
}

impl Half {
    /// The weights for products in `factors`.
    pub(super) fn ready_on(&self, gpu: &Gpu, factors: Factors) -> Result<[Weight; 2]> {
        let [a, b] = self.weights().0;
        Ok([Weight::new(gpu, factors, a)?, Weight::new(gpu, factors, b)?])
    }

    /// Zeros to which gradients of the weights are added.
    pub(super) fn zeros_on(&self, gpu: &Gpu) -> Result<[Array; 2]> {
        let [a, b] = self.weights().0;
        Ok([Array::zeros(gpu, a.elem_count())?, Array::zeros(gpu, b.elem_count())?])
    }

    /// Hands gradients of the weights over to the graph.
    pub(super) fn hand_over(&self, gpu: &Gpu, [by_a, by_b]: [Array; 2]) -> Result<()> {
        let ([a, b], Some(tally)) = self.weights() else { bail!("the weights are no variables") };
        tally.add_whole([by_a.into_tensor(gpu, a, a.shape())?, by_b.into_tensor(gpu, b, b.shape())?])
    }

    /// The result from `x`, and what the backward pass needs.
    pub(super) fn forward_on(&self, gpu: &Gpu, weights: &[Weight; 2], dims: Dims, x: &Values) -> Result<(Values, Kept)> {
        Ok(match self {
            Self::Attention(half) => {
                let (y, kept) = half.forward_on(gpu, weights, dims, x)?;
                (y, Kept::Attention(kept))
            }
            Self::SwiGlu(half) => {
                let (y, kept) = half.forward_on(gpu, weights, dims, x)?;
                (y, Kept::SwiGlu(kept))
            }
        })
    }

    /// The gradient by x from that by the result; those by the weights are added up.
    pub(super) fn backward_on(&self, gpu: &Gpu, given: Given<'_>, kept: &Kept, by_y: Array) -> Result<Array> {
        match (self, kept) {
            (Self::Attention(half), Kept::Attention(kept)) => half.backward_on(gpu, given, kept, by_y),
            (Self::SwiGlu(half), Kept::SwiGlu(kept)) => half.backward_on(gpu, given, kept, by_y),
            _ => bail!("what was kept is another half's"),
        }
    }
}
