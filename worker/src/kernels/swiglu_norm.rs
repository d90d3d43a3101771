//! Half a block in one operation: a SwiGLU, its residual and the norm after it.
//!
//! Both uses of it are one formula on a matrix X whose columns are mixed alike: positions by features where it mixes positions, features
//! by tokens where it mixes features (tokens lie one after the other, so that this X is a transposed view). No activation is
//! transposed in memory. What is inside, between the two products, lies in panels where products take it so.

use candle_core::{Result, Tensor};

use super::{
    buffer::Buffer,
    factors::{Factors, Weight},
    gate,
    half::{Dims, Given},
    matmul::{Matrix, PANEL},
    norm,
    tally::Tally,
    vectorized,
};

/// Which axis of `[batch, positions, width]` is mixed, and normed after it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Over {
    /// The width.
    Features,
    /// The positions.
    Positions,
}

impl Over {
    /// Which gradients, of gates and ups and of down, are added up transposed: so that X or its gradient is the factor that is made ready
    /// for a product, which has fewer numbers than what is inside.
    fn turned(self) -> [bool; 2] {
        [self == Self::Features, self == Self::Positions]
    }
}

/// `norm(x + down·(silu(gate·x) ∘ up·x))`, the SwiGLU of arXiv 2002.05202, with `norm(h) = h / √(mean(h²) + eps)` over the same axis and
/// without weights, as published. A clone is on the same weights.
#[derive(Clone, Debug)]
pub struct SwiGluNorm {
    pub(super) over: Over,
    /// `[2·inner, outer]`: the gate's rows, then up's.
    pub(super) gate_up: Tensor,
    /// `[outer, inner]`.
    pub(super) down: Tensor,
    pub(super) eps: f64,
    /// Where the weights' gradients are added up, if they are variables.
    pub(super) tally: Option<Tally>,
}

impl SwiGluNorm {
    /// On the weights `gate_up` (`[2·inner, outer]`) and `down` (`[outer, inner]`), which are both variables or both none.
    ///
    /// # Errors
    /// When an operation fails.
    pub fn new(over: Over, [gate_up, down]: [Tensor; 2], eps: f64) -> Result<Self> {
        Ok(Self { over, tally: Tally::of([&gate_up, &down], over.turned())?, gate_up, down, eps })
    }

    /// How many values are mixed, by how many between, where the weights fit them.
    pub(super) fn checked_sizes(&self, dims: Dims) -> Result<(usize, usize)> {
        let (outer, inner) = self.down.dims2()?;
        let mixed = if self.over == Over::Features { dims.width } else { dims.positions };
        if mixed != outer || self.gate_up.dims() != [2 * inner, outer] {
            let (gate_up, down) = (self.gate_up.shape(), self.down.shape());
            candle_core::bail!("weights of {gate_up:?} and {down:?} do not mix {mixed} values");
        }
        Ok((outer, inner))
    }

    /// Turns `x` into the result, and gives what the backward pass needs, where `keep` says so.
    pub(super) fn forward(&self, weights: &[Weight; 2], dims: Dims, x: &mut [f32], keep: bool) -> Result<Option<Kept>> {
        let cut = Cut::new(self, weights, dims)?;
        let columns = x.len() / cut.outer;
        let mut both = Buffer::new(2 * cut.inner * if keep { columns } else { cut.columns });
        let mut inverses = Buffer::new(columns);
        let parts = x.chunks_mut(cut.outer * cut.columns).zip(inverses.chunks_mut(cut.columns));
        for (index, (x, inverses)) in parts.enumerate() {
            let start = if keep { index * 2 * cut.inner * cut.columns } else { 0 };
            let both = &mut both[start..][..2 * cut.inner * cut.columns];
            cut.forward(weights, Part { both, x, inverses }, self.eps as f32);
        }
        Ok(keep.then_some(Kept { both, inverses }))
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
        let cut = Cut::new(self, transposed, dims)?;
        let Some(tally) = &self.tally else { candle_core::bail!("the weights are no variables") };
        tally.add(given.run, |mut by_gate_up, mut by_down| {
            let width = cut.outer * cut.columns;
            let parts = given.x.chunks(width).zip(given.y.chunks(width)).zip(by_x.chunks_mut(width));
            let kept = kept.both.chunks(2 * cut.inner * cut.columns).zip(kept.inverses.chunks(cut.columns));
            for (((x, y), by_x), (both, inverses)) in parts.zip(kept) {
                cut.backward(factors, Saved { x, y, both, inverses }, transposed, [by_gate_up.view_mut(), by_down.view_mut()], by_x);
            }
        });
        Ok(())
    }
}

/// What the backward pass needs.
#[derive(Debug)]
pub struct Kept {
    /// Gates and ups, before the gate.
    both: Buffer,
    /// What each normed vector was multiplied by.
    inverses: Buffer,
}

/// How values are cut into matrices whose columns are mixed: one of all tokens, or one of each example. X, gates and ups, and gated are
/// seen as `[outer, columns]`, `[2·inner, columns]` and `[inner, columns]`.
#[derive(Clone, Copy)]
struct Cut {
    over: Over,
    outer: usize,
    inner: usize,
    columns: usize,
    /// Whether what is inside lies in panels.
    in_panels: bool,
}

impl Cut {
    fn new(half: &SwiGluNorm, weights: &[Weight; 2], dims: Dims) -> Result<Self> {
        let (outer, inner) = half.checked_sizes(dims)?;
        let (columns, line) = match half.over {
            Over::Features => (dims.examples * dims.positions, inner),
            Over::Positions => (dims.width, dims.width),
        };
        Ok(Self { over: half.over, outer, inner, columns, in_panels: weights[0].takes_panels() && line.is_multiple_of(PANEL) })
    }

    /// `values` as a matrix of `rows` rows and this part's columns.
    fn matrix<T: AsRef<[f32]>>(self, values: T, rows: usize) -> Matrix<T> {
        match self.over {
            Over::Features => Matrix::by_rows(values, self.columns, rows).t(),
            Over::Positions => Matrix::by_rows(values, rows, self.columns),
        }
    }

    /// The same of what is inside.
    fn inside<T: AsRef<[f32]>>(self, values: T, rows: usize) -> Matrix<T> {
        self.matrix(values, rows).cut(self.in_panels)
    }

    /// Gates that lie side by side, followed by their ups.
    fn gates(self) -> usize {
        match (self.over, self.in_panels) {
            (Over::Features, false) => self.inner,
            (Over::Positions, true) => self.inner * PANEL,
            _ => self.inner * self.columns,
        }
    }

    /// Turns X into the result.
    fn forward(self, [gate_up, down]: &[Weight; 2], part: Part, eps: f32) {
        gate_up.multiply(self.inside(&mut *part.both, 2 * self.inner), self.matrix(&*part.x, self.outer), false);
        let mut gated = Buffer::new(self.inner * self.columns);
        vectorized(
            #[inline(always)]
            || gate::forward(part.both, &mut gated, self.gates()),
        );
        down.multiply(self.matrix(&mut *part.x, self.outer), self.inside(&*gated, self.inner), true);
        vectorized(
            #[inline(always)]
            || match self.over {
                Over::Features => norm::rows(part.x, part.inverses, eps),
                Over::Positions => norm::columns(part.x, part.inverses, eps),
            },
        );
    }

    /// Turns `by_x` from the gradient by the result into that by x, and adds those by the weights, of which `transposed` are given.
    fn backward(
        self,
        factors: Factors,
        given: Saved<'_>,
        [gate_up, down]: &[Weight; 2],
        [by_gate_up, by_down]: [Matrix<&mut [f32]>; 2],
        by_x: &mut [f32],
    ) {
        vectorized(
            #[inline(always)]
            || match self.over {
                Over::Features => norm::rows_backward(given.y, by_x, given.inverses),
                Over::Positions => norm::columns_backward(given.y, by_x, given.inverses),
            },
        );
        let mut gated = Buffer::new(self.inner * self.columns);
        down.multiply(self.inside(&mut *gated, self.inner), self.matrix(&*by_x, self.outer), false);
        let mut by_both = Buffer::new(2 * self.inner * self.columns);
        vectorized(
            #[inline(always)]
            || gate::backward(given.both, &mut gated, &mut by_both, self.gates()),
        );
        factors.multiply(by_down, self.matrix(&*by_x, self.outer), self.inside(&*gated, self.inner).t(), true);
        factors.multiply(by_gate_up, self.inside(&*by_both, 2 * self.inner), self.matrix(given.x, self.outer).t(), true);
        gate_up.multiply(self.matrix(by_x, self.outer), self.inside(&*by_both, 2 * self.inner), true);
    }
}

/// What the forward pass of one matrix writes.
struct Part<'a> {
    both: &'a mut [f32],
    x: &'a mut [f32],
    inverses: &'a mut [f32],
}

/// What the backward pass of one matrix reads: x, the result y, and what was kept.
#[derive(Clone, Copy)]
struct Saved<'a> {
    x: &'a [f32],
    y: &'a [f32],
    both: &'a [f32],
    inverses: &'a [f32],
}
