//! [`SwiGluNorm`] on a GPU. See there for the formula.

use candle_core::Result;

use super::{
    array::Array,
    gpu::Gpu,
    half::{Given, Weight},
    operations::{Norm, Values, gate, gate_backward},
    products::{Matrix, multiply},
};
use crate::kernels::{Factors, Over, SwiGluNorm, half::Dims};

/// What the backward pass needs.
#[derive(Debug)]
pub struct Kept {
    /// Gates and ups, before the gate.
    both: Array,
    /// What each normed vector was multiplied by.
    inverses: Array,
}

/// X, whose columns are mixed alike, as `[outer, columns]`: features by tokens, which lie the other way round, or positions by the features
/// of all examples.
#[derive(Clone, Copy)]
struct Cut {
    over: Over,
    outer: usize,
    inner: usize,
    columns: usize,
}

impl Cut {
    fn new(half: &SwiGluNorm, dims: Dims) -> Result<Self> {
        let Dims { examples, positions, width } = dims;
        let (outer, inner) = half.checked_sizes(dims)?;
        let columns = if half.over == Over::Features { examples * positions } else { examples * width };
        Ok(Self { over: half.over, outer, inner, columns })
    }

    fn matrix(self, array: &Array, rows: usize) -> Matrix<'_> {
        match self.over {
            Over::Features => Matrix::by_rows(array, self.columns, rows),
            Over::Positions => Matrix::by_rows(array, rows, self.columns),
        }
    }

    /// Gates that lie side by side, followed by their ups.
    fn gates(self) -> usize {
        if self.over == Over::Features { self.inner } else { self.inner * self.columns }
    }

    fn norm(self) -> Norm {
        match self.over {
            Over::Features => Norm { over: self.over, rows: self.columns, columns: self.outer },
            Over::Positions => Norm { over: self.over, rows: self.outer, columns: self.columns },
        }
    }

    /// `to ← weight·x`, or added to it, where both are seen by columns.
    fn apply(self, gpu: &Gpu, to: Matrix<'_>, weight: Matrix<'_>, x: Matrix<'_>, is_added: bool) -> Result<()> {
        match self.over {
            Over::Features => multiply(gpu, to, x, weight.t(), is_added, 1),
            Over::Positions => multiply(gpu, to, weight, x, is_added, 1),
        }
    }

    /// `to ← to + g·xᵀ`, where both are seen by columns.
    fn add_gradient(self, gpu: &Gpu, to: Matrix<'_>, g: Matrix<'_>, x: Matrix<'_>) -> Result<()> {
        match self.over {
            Over::Features => multiply(gpu, to, g.t(), x, true, 1),
            Over::Positions => multiply(gpu, to, g, x.t(), true, 1),
        }
    }
}

impl SwiGluNorm {
    pub(super) fn forward_on(&self, gpu: &Gpu, [gate_up, down]: &[Weight; 2], dims: Dims, x: &Values) -> Result<(Values, Kept)> {
        let cut = Cut::new(self, dims)?;
        let factors = x.factor().factors();
        let both = Array::new(gpu, factors, 2 * cut.inner * cut.columns)?;
        cut.apply(gpu, cut.matrix(&both, 2 * cut.inner), gate_up.matrix(), cut.matrix(x.factor(), cut.outer), false)?;
        let gated = gate(gpu, &both, cut.gates())?;
        let update = Array::new(gpu, Factors::F32, cut.outer * cut.columns)?;
        cut.apply(gpu, cut.matrix(&update, cut.outer), down.matrix(), cut.matrix(&gated, cut.inner), false)?;
        let (y, inverses) = cut.norm().forward(gpu, factors, &x.full, update, self.eps)?;
        Ok((y, Kept { both, inverses }))
    }

    pub(super) fn backward_on(&self, gpu: &Gpu, given: Given<'_>, kept: &Kept, by_y: Array) -> Result<Array> {
        let cut = Cut::new(self, given.dims)?;
        let factors = kept.both.factors();
        let [gate_up, down] = given.weights;
        let [by_gate_up, by_down] = given.by_weights;
        let by_h = cut.norm().backward(gpu, factors, &given.y.full, &kept.inverses, by_y)?;
        let mut gated = Array::new(gpu, factors, cut.inner * cut.columns)?;
        let by_update = cut.matrix(by_h.factor(), cut.outer);
        cut.apply(gpu, cut.matrix(&gated, cut.inner), down.matrix().t(), by_update, false)?;
        let by_both = gate_backward(gpu, &kept.both, &mut gated, cut.gates())?;
        let by_down = Matrix::by_rows(by_down, cut.outer, cut.inner);
        cut.add_gradient(gpu, by_down, by_update, cut.matrix(&gated, cut.inner))?;
        let by_both = cut.matrix(&by_both, 2 * cut.inner);
        let by_gate_up = Matrix::by_rows(by_gate_up, 2 * cut.inner, cut.outer);
        cut.add_gradient(gpu, by_gate_up, by_both, cut.matrix(given.x.factor(), cut.outer))?;
        cut.apply(gpu, cut.matrix(&by_h.full, cut.outer), gate_up.matrix().t(), by_both, true)?;
        Ok(by_h.full)
    }
}
