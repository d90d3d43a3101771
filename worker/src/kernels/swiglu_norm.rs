//! Half a block in one operation: a SwiGLU, its residual and the norm after it.
//!
//! Both uses of it are one formula on a matrix X whose columns are mixed alike: positions by features where it mixes positions, features
//! by tokens where it mixes features (tokens lie one after the other, so that this X is a transposed view). No activation is
//! transposed in memory.

use std::sync::{Arc, OnceLock};

use candle_core::{CpuStorage, CustomOp2, Device, Layout, Result, Shape, Tensor};

use super::{
    buffer::Buffer,
    choice::is_fused,
    factors::{Factors, Weight},
    gate,
    matmul::Matrix,
    norm, plain,
    slices::{appended, read, read_three, slice},
    tally::Tally,
    vectorized,
};

/// Tokens whose features are mixed at once: their gates and ups shall stay in the second-level cache, and the weights be packed rarely.
const TOKENS: usize = 512;

/// Which axis of `[batch, positions, width]` is mixed, and normed after it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Over {
    /// The width.
    Features,
    /// The positions.
    Positions,
}

/// `norm(x + down·(silu(gate·x) ∘ up·x))`, the SwiGLU of arXiv 2002.05202, with `norm(h) = h / √(mean(h²) + eps)` over the same axis and
/// without weights, as published. A clone is on the same weights.
#[derive(Clone, Debug)]
pub struct SwiGluNorm {
    over: Over,
    factors: Factors,
    /// `[2·inner, outer]`: the gate's rows, then up's.
    gate_up: Tensor,
    /// `[outer, inner]`.
    down: Tensor,
    eps: f64,
    /// Where the weights' gradients are added up, if they are variables on the CPU.
    tally: Option<Tally>,
    /// The weights as products take them, where that was done once for several uses.
    ready: Option<Arc<[Weight<'static>; 2]>>,
}

impl SwiGluNorm {
    /// On the weights `gate_up` (`[2·inner, outer]`) and `down` (`[outer, inner]`), which are both variables or both none, with products
    /// in `factors`.
    ///
    /// # Errors
    /// When an operation fails.
    pub fn new(over: Over, factors: Factors, [gate_up, down]: [Tensor; 2], eps: f64) -> Result<Self> {
        let is_trained = gate_up.is_variable() && gate_up.device().is_cpu();
        let tally = is_trained.then(|| Tally::new(&gate_up, &down)).transpose()?;
        Ok(Self { over, factors, gate_up, down, eps, tally, ready: None })
    }

    /// The same half for several uses in a row, whose weights are made ready for products once for all of them. It does not see later
    /// changes of the weights.
    ///
    /// # Errors
    /// When the weights are not f32.
    pub fn ready(&self) -> Result<Self> {
        if !is_fused(&self.down) {
            return Ok(self.clone());
        }
        let ready = self.read(|weights| self.made_ready(weights).map(Weight::into_owned))?;
        Ok(Self { ready: Some(Arc::new(ready)), ..self.clone() })
    }

    /// `[batch, positions, width]` to the same.
    ///
    /// # Errors
    /// When shapes do not fit, or the values are not f32.
    pub fn forward(&self, x: &Tensor) -> Result<Tensor> {
        if !is_fused(x) {
            return plain::swiglu_norm(self.over, self.factors, x, [&self.gate_up, &self.down], self.eps);
        }
        let x = x.contiguous()?;
        match &self.tally {
            Some(tally) => x.apply_op2(&tally.token, Operation { half: self.clone(), saved: Some(OnceLock::new()) }),
            // Of its second argument the operation reads nothing.
            None => x.apply_op2_no_bwd(&x, &Operation { half: self.clone(), saved: None }),
        }
    }

    /// Calls `with` with `gate_up` and `down` as matrices.
    fn read<R>(&self, with: impl FnOnce([Matrix<&[f32]>; 2]) -> R) -> Result<R> {
        let (outer, inner) = self.down.dims2()?;
        let with = |gate_up: &[f32], down: &[f32]| with([Matrix::by_rows(gate_up, 2 * inner, outer), Matrix::by_rows(down, outer, inner)]);
        read(&self.gate_up, |gate_up| read(&self.down, |down| with(gate_up, down)))?
    }

    /// Weights that many parts are multiplied by.
    fn made_ready<'a>(&self, weights: [Matrix<&'a [f32]>; 2]) -> [Weight<'a>; 2] {
        weights.map(|weight| Weight::new(self.factors, weight, self.over == Over::Positions))
    }

    /// Calls `with` with the weights as products take them.
    fn read_ready<R>(&self, with: impl FnOnce(&[Weight<'_>; 2]) -> R) -> Result<R> {
        match &self.ready {
            Some(ready) => Ok(with(ready)),
            None => self.read(|weights| with(&self.made_ready(weights))),
        }
    }
}

/// One use.
struct Operation {
    half: SwiGluNorm,
    /// What the backward pass needs, if there will be one.
    saved: Option<OnceLock<Saved>>,
}

struct Saved {
    /// Gates and ups, before the gate.
    both: Buffer,
    /// What each normed vector was multiplied by.
    inverses: Buffer,
}

/// How `[batch, positions, width]` is cut into parts that are computed one after the other, and how these lie: X, gates and ups, and gated
/// of a part are seen as `[outer, columns]`, `[2·inner, columns]` and `[inner, columns]`.
#[derive(Clone, Copy)]
struct Cut {
    over: Over,
    factors: Factors,
    outer: usize,
    inner: usize,
    /// Columns of one part: its tokens, or the width.
    columns: usize,
}

impl Cut {
    fn new(half: &SwiGluNorm, at: &Layout) -> Result<Self> {
        let SwiGluNorm { over, factors, down, .. } = half;
        let (_, positions, width) = at.shape().dims3()?;
        let (outer, inner) = down.dims2()?;
        let mixed = if *over == Over::Features { width } else { positions };
        if mixed != outer {
            candle_core::bail!("weights for {outer} values do not mix {mixed}");
        }
        let columns = if *over == Over::Features { TOKENS } else { width };
        Ok(Self { over: *over, factors: *factors, outer, inner, columns })
    }

    /// The same for the part that has `values` values: the last one may be smaller.
    fn of(self, values: usize) -> Self {
        Self { columns: values / self.outer, ..self }
    }

    /// `values` as a matrix of `rows` rows and this part's columns.
    fn matrix<T: AsRef<[f32]>>(self, values: T, rows: usize) -> Matrix<T> {
        match self.over {
            Over::Features => Matrix::by_rows(values, self.columns, rows).t(),
            Over::Positions => Matrix::by_rows(values, rows, self.columns),
        }
    }

    /// Gates that lie side by side, followed by their ups.
    fn gates(self) -> usize {
        if self.over == Over::Features { self.inner } else { self.inner * self.columns }
    }

    /// `gate_up` and `down` as matrices.
    fn weights<T: AsRef<[f32]>>(self, [gate_up, down]: [T; 2]) -> [Matrix<T>; 2] {
        [Matrix::by_rows(gate_up, 2 * self.inner, self.outer), Matrix::by_rows(down, self.outer, self.inner)]
    }

    /// Turns X, which `part.out` is, into the result.
    fn forward(self, [gate_up, down]: &[Weight; 2], part: Part, eps: f32) {
        gate_up.multiply(self.matrix(&mut *part.both, 2 * self.inner), self.matrix(&*part.out, self.outer), false);
        let mut gated = Buffer::new(self.inner * self.columns);
        vectorized(
            #[inline(always)]
            || gate::forward(part.both, &mut gated, self.gates()),
        );
        down.multiply(self.matrix(&mut *part.out, self.outer), self.matrix(&*gated, self.inner), true);
        vectorized(
            #[inline(always)]
            || match self.over {
                Over::Features => norm::rows(part.out, part.inverses, eps),
                Over::Positions => norm::columns(part.out, part.inverses, eps),
            },
        );
    }

    /// Turns `by_x` from the gradient by the result into that by x, and adds those by the weights, of which `transposed` are given.
    fn backward(self, given: &Given, transposed: &[Weight; 2], by_weights: [&mut [f32]; 2], by_x: &mut [f32]) {
        let ([gate_up, down], [by_gate_up, by_down]) = (transposed, self.weights(by_weights));
        vectorized(
            #[inline(always)]
            || match self.over {
                Over::Features => norm::rows_backward(given.y, by_x, given.inverses),
                Over::Positions => norm::columns_backward(given.y, by_x, given.inverses),
            },
        );
        let mut gated = Buffer::new(self.inner * self.columns);
        down.multiply(self.matrix(&mut *gated, self.inner), self.matrix(&*by_x, self.outer), false);
        let mut by_both = Buffer::new(2 * self.inner * self.columns);
        vectorized(
            #[inline(always)]
            || gate::backward(given.both, &mut gated, &mut by_both, self.gates()),
        );
        self.factors.multiply(by_down, self.matrix(&*by_x, self.outer), self.matrix(&*gated, self.inner).t(), true);
        self.factors.multiply(by_gate_up, self.matrix(&*by_both, 2 * self.inner), self.matrix(given.x, self.outer).t(), true);
        gate_up.multiply(self.matrix(by_x, self.outer), self.matrix(&*by_both, 2 * self.inner), true);
    }
}

/// What the forward pass of one part writes; `out` is X before.
struct Part<'a> {
    both: &'a mut [f32],
    out: &'a mut [f32],
    inverses: &'a mut [f32],
}

/// What the backward pass of one part reads: x, the result y, and what was saved.
struct Given<'a> {
    x: &'a [f32],
    y: &'a [f32],
    both: &'a [f32],
    inverses: &'a [f32],
}

impl CustomOp2 for Operation {
    fn name(&self) -> &'static str {
        "swiglu-norm"
    }

    fn cpu_fwd(&self, x: &CpuStorage, at: &Layout, _: &CpuStorage, _: &Layout) -> Result<(CpuStorage, Shape)> {
        let (x, eps) = (slice(x, at)?, self.half.eps as f32);
        let cut = Cut::new(&self.half, at)?;
        let (outer, width) = (cut.outer, cut.columns * cut.outer);
        let is_saved = self.saved.is_some();
        let columns = x.len() / outer;
        let kept = if is_saved { columns } else { cut.columns.min(columns) };
        let (mut both, mut inverses) = (Buffer::new(2 * cut.inner * kept), Buffer::new(columns));
        let mut out = Vec::with_capacity(x.len());
        self.half.read_ready(|weights| {
            for (index, (x, inverses)) in x.chunks(width).zip(inverses.chunks_mut(cut.columns)).enumerate() {
                let out = appended(&mut out, x);
                let cut = cut.of(x.len());
                let start = if is_saved { index * 2 * cut.inner * (width / outer) } else { 0 };
                let both = &mut both[start..][..2 * cut.inner * cut.columns];
                cut.forward(weights, Part { both, out, inverses }, eps);
            }
        })?;
        if let Some(saved) = &self.saved {
            // One operation runs forward once, so the cell is empty here.
            saved.get_or_init(|| Saved { both, inverses });
        }
        Ok((CpuStorage::F32(out), at.shape().clone()))
    }

    fn bwd(&self, x: &Tensor, token: &Tensor, y: &Tensor, g: &Tensor) -> Result<(Option<Tensor>, Option<Tensor>)> {
        let (Some(saved), Some(tally)) = (self.saved.as_ref().and_then(OnceLock::get), &self.half.tally) else {
            candle_core::bail!("nothing was saved for the backward pass");
        };
        let cut = Cut::new(&self.half, x.layout())?;
        let width = cut.columns * cut.outer;
        let mut by_x = Vec::with_capacity(x.elem_count());
        let mut add = |x: &[f32], y: &[f32], g: &[f32], weights: [Matrix<&[f32]>; 2]| {
            let transposed = self.half.made_ready(weights.map(Matrix::t));
            tally.add(weights.map(|weight| weight.values.len()), |by_gate_up, by_down| {
                let parts = x.chunks(width).zip(y.chunks(width)).zip(g.chunks(width));
                let saved = saved.both.chunks(2 * cut.inner * cut.columns).zip(saved.inverses.chunks(cut.columns));
                for (((x, y), g), (both, inverses)) in parts.zip(saved) {
                    let given = Given { x, y, both, inverses };
                    cut.of(x.len()).backward(&given, &transposed, [&mut *by_gate_up, &mut *by_down], appended(&mut by_x, g));
                }
            });
        };
        self.half.read(|weights| read_three([x, y, g], |[x, y, g]| add(x, y, g, weights)))??;
        Ok((Some(Tensor::from_vec(by_x, x.shape(), &Device::Cpu)?), Some(token.zeros_like()?)))
    }
}
