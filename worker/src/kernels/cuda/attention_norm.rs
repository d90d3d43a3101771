//! [`AttentionNorm`] on a GPU. See there for the formula. Products within heads are in the numbers of those by weights.

use candle_core::Result;

use super::{
    array::Array,
    gpu::Gpu,
    half::{Given, Weight, aligned},
    operations::{Heads, Norm, Softmax, Values},
    products::{Matrix, multiply},
};
use crate::kernels::{AttentionNorm, Factors, Over, half::Dims, heads::PARTS};

/// What the backward pass needs.
#[derive(Debug)]
pub struct Kept {
    /// Queries, keys and values, turned to their positions, `[3, tokens, inner]`.
    parts: Array,
    /// What each query takes of each key's value: a square for each head of each example.
    shares: Array,
    /// What the heads give, `[tokens, inner]`.
    mixed: Array,
    /// What each token's vector was multiplied by in the norm.
    inverses: Array,
}

#[derive(Clone, Copy)]
struct Cut {
    heads: Heads,
    width: usize,
    /// From a row of scores to the next.
    step: usize,
}

impl Cut {
    fn new(half: &AttentionNorm, dims: Dims, factors: Factors) -> Result<Self> {
        let Dims { examples, positions, width } = dims;
        let head_width = half.checked_head_width(dims)?;
        Ok(Self { heads: Heads { positions, examples, heads: half.heads, head_width }, width, step: aligned(factors, positions) })
    }

    /// Heads of all examples.
    fn count(self) -> usize {
        self.heads.examples * self.heads.heads
    }

    /// The matrix of a head of an example, `[positions, head_width]`, of queries, keys or values, and of each that follows.
    fn part(self, parts: &Array, index: usize) -> Matrix<'_> {
        let Heads { positions, examples, head_width, .. } = self.heads;
        let inner = self.heads.inner();
        Matrix::by_rows(parts, positions, head_width).at(index * self.heads.tokens() * inner, examples * inner, head_width)
    }

    /// Scores or shares of a head of an example, a row for each query, and of each that follows.
    fn square(self, squares: &Array) -> Matrix<'_> {
        let positions = self.heads.positions;
        Matrix::by_rows(squares, positions, positions).at(0, self.step, positions * self.step)
    }

    fn squares(self, gpu: &Gpu) -> Result<Array> {
        Array::new(gpu, Factors::F32, self.count() * self.heads.positions * self.step)
    }

    fn softmax(self) -> Softmax {
        let positions = self.heads.positions;
        let scale = 1.0 / (self.heads.head_width as f64).sqrt();
        Softmax { rows: self.count() * positions, width: positions, step: self.step, scale }
    }

    fn norm(self) -> Norm {
        Norm { over: Over::Features, rows: self.heads.tokens(), columns: self.width }
    }

    fn rows(self, array: &Array, columns: usize) -> Matrix<'_> {
        Matrix::by_rows(array, self.heads.tokens(), columns)
    }

    /// Products within each head.
    fn multiply(self, gpu: &Gpu, to: Matrix<'_>, a: Matrix<'_>, b: Matrix<'_>) -> Result<()> {
        multiply(gpu, to, a, b, false, self.count())
    }
}

impl AttentionNorm {
    pub(super) fn forward_on(&self, gpu: &Gpu, [qkv, output]: &[Weight; 2], dims: Dims, x: &Values) -> Result<(Values, Kept)> {
        let factors = x.factor().factors();
        let cut = Cut::new(self, dims, factors)?;
        let (tokens, inner) = (cut.heads.tokens(), cut.heads.inner());
        let rows = Array::new(gpu, factors, PARTS * tokens * inner)?;
        multiply(gpu, cut.rows(&rows, PARTS * inner), cut.rows(x.factor(), cut.width), qkv.matrix().t(), false, 1)?;
        let parts = cut.heads.split(gpu, &rows, self.rotary.as_ref())?;
        let [q, k, v] = [0, 1, 2].map(|index| cut.part(&parts, index));
        let scores = cut.squares(gpu)?;
        cut.multiply(gpu, cut.square(&scores), q, k.t())?;
        let shares = cut.softmax().forward(gpu, factors, &scores)?;
        let mixed = Array::new(gpu, factors, tokens * inner)?;
        cut.multiply(gpu, cut.part(&mixed, 0), cut.square(&shares), v)?;
        let update = Array::new(gpu, Factors::F32, tokens * cut.width)?;
        multiply(gpu, cut.rows(&update, cut.width), cut.rows(&mixed, inner), output.matrix().t(), false, 1)?;
        let (y, inverses) = cut.norm().forward(gpu, factors, &x.full, update, self.eps)?;
        Ok((y, Kept { parts, shares, mixed, inverses }))
    }

    pub(super) fn backward_on(&self, gpu: &Gpu, given: Given<'_>, kept: &Kept, by_y: Array) -> Result<Array> {
        let factors = kept.mixed.factors();
        let cut = Cut::new(self, given.dims, factors)?;
        let (tokens, inner) = (cut.heads.tokens(), cut.heads.inner());
        let [qkv, output] = given.weights;
        let [by_qkv, by_output] = given.by_weights;
        let by_h = cut.norm().backward(gpu, factors, &given.y.full, &kept.inverses, by_y)?;
        let by_update = cut.rows(by_h.factor(), cut.width);
        multiply(gpu, Matrix::by_rows(by_output, cut.width, inner), by_update.t(), cut.rows(&kept.mixed, inner), true, 1)?;
        let by_mixed = Array::new(gpu, factors, tokens * inner)?;
        multiply(gpu, cut.rows(&by_mixed, inner), by_update, output.matrix(), false, 1)?;
        let by_rows = self.backward_of_heads(gpu, cut, kept, &by_mixed)?;
        let by_rows = cut.rows(&by_rows, PARTS * inner);
        multiply(gpu, Matrix::by_rows(by_qkv, PARTS * inner, cut.width), by_rows.t(), cut.rows(given.x.factor(), cut.width), true, 1)?;
        multiply(gpu, cut.rows(&by_h.full, cut.width), by_rows, qkv.matrix(), true, 1)?;
        Ok(by_h.full)
    }

    /// The gradient by what the first product gave, from that by what the heads gave.
    fn backward_of_heads(&self, gpu: &Gpu, cut: Cut, kept: &Kept, by_mixed: &Array) -> Result<Array> {
        let [q, k, v] = [0, 1, 2].map(|index| cut.part(&kept.parts, index));
        let (g, shares) = (cut.part(by_mixed, 0), cut.square(&kept.shares));
        let by_shares = cut.squares(gpu)?;
        cut.multiply(gpu, cut.square(&by_shares), g, v.t())?;
        let by_scores = cut.softmax().backward(gpu, &kept.shares, &by_shares)?;
        let by_parts = Array::new(gpu, kept.parts.factors(), kept.parts.len())?;
        let [by_q, by_k, by_v] = [0, 1, 2].map(|index| cut.part(&by_parts, index));
        cut.multiply(gpu, by_v, shares.t(), g)?;
        cut.multiply(gpu, by_q, cut.square(&by_scores), k)?;
        cut.multiply(gpu, by_k, cut.square(&by_scores).t(), q)?;
        cut.heads.join(gpu, &by_parts, self.rotary.as_ref())
    }
}
