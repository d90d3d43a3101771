//! The other half of a block in one operation: self-attention, its residual and the norm after it.
//!
//! Examples are taken some at a time, so that what is between two products stays in the cache. Queries, keys and values of their tokens are
//! one product; they are put together head by head, and turned to their positions on the way, so that each head of each example is a
//! matrix of its own.

use std::sync::{Arc, OnceLock};

use candle_core::{CpuStorage, CustomOp2, Device, Layout, Result, Shape, Tensor};

use super::{
    buffer::Buffer,
    choice::is_fused,
    factors::{Factors, Weight},
    heads::{Heads, PARTS},
    matmul::{Matrix, multiply},
    norm, plain,
    rotary::{Rotary, Tables},
    slices::{appended, read, read_three, slice},
    softmax,
    tally::Tally,
    vectorized,
};

/// Tokens that are computed at once, as far as one example does not have more: few enough for the second-level cache, many enough that the
/// weights are packed rarely.
const TOKENS: usize = 512;

/// `norm(x + output·attention(qkv·x))`: full bidirectional multi-head self-attention, with rotary positions where there are such, and
/// `norm(h) = h / √(mean(h²) + eps)` over the features and without weights, as published. A clone is on the same weights.
#[derive(Clone, Debug)]
pub struct AttentionNorm {
    heads: usize,
    /// Of the products by weights; those within a head are in f32 in any case.
    factors: Factors,
    /// `[3·heads·head_width, width]`: queries, keys, values, each head by head.
    qkv: Tensor,
    /// `[width, heads·head_width]`.
    output: Tensor,
    rotary: Option<Rotary>,
    eps: f64,
    /// Where the weights' gradients are added up, if they are variables on the CPU.
    tally: Option<Tally>,
    /// The weights as products take them, where that was done once for several uses.
    ready: Option<Arc<[Weight<'static>; 2]>>,
}

impl AttentionNorm {
    /// On the weights `qkv` (`[3·heads·head_width, width]`) and `output` (`[width, heads·head_width]`), which are both variables or both
    /// none, with products by them in `factors`. Rotary tables have as many positions as what is attended to.
    ///
    /// # Errors
    /// When an operation fails.
    pub fn new(heads: usize, factors: Factors, [qkv, output]: [Tensor; 2], rotary: Option<Rotary>, eps: f64) -> Result<Self> {
        let is_trained = qkv.is_variable() && qkv.device().is_cpu();
        let tally = is_trained.then(|| Tally::new(&qkv, &output)).transpose()?;
        Ok(Self { heads, factors, qkv, output, rotary, eps, tally, ready: None })
    }

    /// The same half for several uses in a row, whose weights are made ready for products once for all of them. It does not see later
    /// changes of the weights.
    ///
    /// # Errors
    /// When the weights are not f32.
    pub fn ready(&self) -> Result<Self> {
        if !is_fused(&self.output) {
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
            return plain::attention_norm(self.heads, self.factors, x, [&self.qkv, &self.output], self.rotary.as_ref(), self.eps);
        }
        let x = x.contiguous()?;
        match &self.tally {
            Some(tally) => x.apply_op2(&tally.token, Operation { half: self.clone(), saved: Some(OnceLock::new()) }),
            // Of its second argument the operation reads nothing.
            None => x.apply_op2_no_bwd(&x, &Operation { half: self.clone(), saved: None }),
        }
    }

    /// Calls `with` with `qkv` and `output` as matrices.
    fn read<R>(&self, with: impl FnOnce([Matrix<&[f32]>; 2]) -> R) -> Result<R> {
        let (width, inner) = self.output.dims2()?;
        let with = |qkv: &[f32], output: &[f32]| with([Matrix::by_rows(qkv, PARTS * inner, width), Matrix::by_rows(output, width, inner)]);
        read(&self.qkv, |qkv| read(&self.output, |output| with(qkv, output)))?
    }

    /// Weights that all parts are multiplied by.
    fn made_ready<'a>(&self, weights: [Matrix<&'a [f32]>; 2]) -> [Weight<'a>; 2] {
        weights.map(|weight| Weight::new(self.factors, weight, false))
    }

    /// Calls `with` with the weights as products take them.
    fn read_ready<R>(&self, with: impl FnOnce(&[Weight<'_>; 2]) -> R) -> Result<R> {
        match &self.ready {
            Some(ready) => Ok(with(ready)),
            None => self.read(|weights| with(&self.made_ready(weights))),
        }
    }

    /// Calls `with` with the rotary tables, if there are any.
    fn read_tables<R>(&self, with: impl FnOnce(Option<Tables<'_>>) -> R) -> Result<R> {
        match &self.rotary {
            Some(rotary) => rotary.read(|tables| with(Some(tables))),
            None => Ok(with(None)),
        }
    }
}

/// One use.
struct Operation {
    half: AttentionNorm,
    /// What the backward pass needs, if there will be one.
    saved: Option<OnceLock<Vec<Kept>>>,
}

/// What is kept of the examples of one part.
struct Kept {
    /// Queries, keys and values, turned to their positions: for each head of each example three matrices, `[positions, head_width]`.
    heads: Buffer,
    /// What each query takes of each key's value, `[positions, positions]` for each head of each example.
    shares: Buffer,
    /// What the heads give, `[tokens, inner]`.
    mixed: Buffer,
    /// What each token's vector was multiplied by in the norm.
    inverses: Buffer,
}

impl Kept {
    fn new(cut: Cut) -> Self {
        let heads = cut.heads.examples * cut.heads.heads;
        Self {
            heads: Buffer::new(heads * PARTS * cut.heads.matrix()),
            shares: Buffer::new(heads * cut.square()),
            mixed: Buffer::new(cut.tokens() * cut.heads.inner()),
            inverses: Buffer::new(cut.tokens()),
        }
    }
}

/// How `[batch, positions, width]` is cut into parts of some examples that are computed one after the other.
#[derive(Clone, Copy)]
struct Cut {
    width: usize,
    factors: Factors,
    /// Of the examples of one part.
    heads: Heads,
}

impl Cut {
    fn new(half: &AttentionNorm, at: &Layout) -> Result<Self> {
        let (batch, positions, width) = at.shape().dims3()?;
        let (outer, inner) = half.output.dims2()?;
        if width != outer || half.qkv.dims() != [PARTS * inner, outer] || inner % half.heads != 0 {
            let (qkv, output) = (half.qkv.shape(), half.output.shape());
            candle_core::bail!("weights of {qkv:?} and {output:?} are not for {} heads on {width} values", half.heads);
        }
        if half.rotary.as_ref().is_some_and(|rotary| rotary.positions() != positions) {
            candle_core::bail!("the rotary tables are not for {positions} positions");
        }
        let examples = (TOKENS / positions).clamp(1, batch);
        Ok(Self { width, factors: half.factors, heads: Heads { examples, positions, heads: half.heads, head_width: inner / half.heads } })
    }

    /// The same for the part that has `values` values: the last one may be smaller.
    fn of(self, values: usize) -> Self {
        let heads = Heads { examples: values / (self.heads.positions * self.width), ..self.heads };
        Self { heads, ..self }
    }

    fn tokens(self) -> usize {
        self.heads.examples * self.heads.positions
    }

    /// Numbers of the scores or shares of one head of one example.
    fn square(self) -> usize {
        self.heads.positions * self.heads.positions
    }

    /// One matrix of a head of an example.
    fn head_matrix<T: AsRef<[f32]>>(self, values: T) -> Matrix<T> {
        Matrix::by_rows(values, self.heads.positions, self.heads.head_width)
    }

    /// Scores or shares of a head of an example: a row for each query.
    fn square_matrix<T: AsRef<[f32]>>(self, values: T) -> Matrix<T> {
        Matrix::by_rows(values, self.heads.positions, self.heads.positions)
    }

    /// Turns `out` from x into the result.
    fn forward(self, out: &mut [f32], [qkv, output]: &[Weight<'_>; 2], tables: Option<Tables<'_>>, eps: f32) -> Kept {
        let (tokens, inner) = (self.tokens(), self.heads.inner());
        let mut kept = Kept::new(self);
        let mut rows = Buffer::new(tokens * PARTS * inner);
        let by_rows = Matrix::by_rows(&mut *rows, tokens, PARTS * inner);
        qkv.multiply(by_rows.t(), Matrix::by_rows(&*out, tokens, self.width).t(), false);
        vectorized(
            #[inline(always)]
            || self.heads.split(&rows, &mut kept.heads, tables),
        );
        let mut given = Buffer::new(kept.mixed.len());
        let heads = kept.heads.chunks_exact(PARTS * self.heads.matrix()).zip(kept.shares.chunks_exact_mut(self.square()));
        for ((qkv, shares), given) in heads.zip(given.chunks_exact_mut(self.heads.matrix())) {
            let [q, k, v] = self.parts(qkv);
            multiply(self.square_matrix(&mut *shares), q, k.t(), false);
            vectorized(
                #[inline(always)]
                || softmax::forward(shares, self.heads.positions, self.scale()),
            );
            multiply(self.head_matrix(given), self.square_matrix(&*shares), v, false);
        }
        vectorized(
            #[inline(always)]
            || self.heads.join(&given, &mut kept.mixed, None),
        );
        let mixed = Matrix::by_rows(&*kept.mixed, tokens, inner);
        output.multiply(Matrix::by_rows(&mut *out, tokens, self.width).t(), mixed.t(), true);
        vectorized(
            #[inline(always)]
            || norm::rows(out, &mut kept.inverses, eps),
        );
        kept
    }

    /// Turns `by_x` from the gradient by the result into that by x, and adds those by the weights, of which `transposed` are given.
    fn backward(self, given: &Given, transposed: &[Weight<'_>; 2], [by_qkv, by_output]: [&mut [f32]; 2], by_x: &mut [f32]) {
        let [qkv, output] = transposed;
        let (tokens, inner, width) = (self.tokens(), self.heads.inner(), self.width);
        vectorized(
            #[inline(always)]
            || norm::rows_backward(given.y, by_x, &given.kept.inverses),
        );
        let by_sum = Matrix::by_rows(&*by_x, tokens, width);
        let (by_output, mixed) = (Matrix::by_rows(by_output, width, inner), Matrix::by_rows(&*given.kept.mixed, tokens, inner));
        self.factors.multiply(by_output, by_sum.t(), mixed, true);
        let mut by_mixed = Buffer::new(tokens * inner);
        output.multiply(Matrix::by_rows(&mut *by_mixed, tokens, inner).t(), by_sum.t(), false);
        let by_rows = self.backward_of_heads(given.kept, &by_mixed, given.tables);
        let by_rows = Matrix::by_rows(&*by_rows, tokens, PARTS * inner);
        let by_qkv = Matrix::by_rows(by_qkv, PARTS * inner, width);
        self.factors.multiply(by_qkv, by_rows.t(), Matrix::by_rows(given.x, tokens, width), true);
        qkv.multiply(Matrix::by_rows(by_x, tokens, width).t(), by_rows.t(), true);
    }

    /// The gradient by what the first product gave, from `by_mixed`, that by what the heads gave.
    fn backward_of_heads(self, kept: &Kept, by_mixed: &[f32], tables: Option<Tables<'_>>) -> Buffer {
        let mut by_given = Buffer::new(by_mixed.len());
        vectorized(
            #[inline(always)]
            || self.heads.split(by_mixed, &mut by_given, None),
        );
        let mut by_heads = Buffer::new(kept.heads.len());
        let mut by_scores = Buffer::new(self.square());
        let heads = kept.heads.chunks_exact(PARTS * self.heads.matrix()).zip(kept.shares.chunks_exact(self.square()));
        let gradients = by_given.chunks_exact(self.heads.matrix()).zip(by_heads.chunks_exact_mut(PARTS * self.heads.matrix()));
        for ((qkv, shares), (g, by_qkv)) in heads.zip(gradients) {
            let ([q, k, v], g) = (self.parts(qkv), self.head_matrix(g));
            let (by_q, by_kv) = by_qkv.split_at_mut(self.heads.matrix());
            let (by_k, by_v) = by_kv.split_at_mut(self.heads.matrix());
            multiply(self.head_matrix(by_v), self.square_matrix(shares).t(), g, false);
            multiply(self.square_matrix(&mut *by_scores), g, v.t(), false);
            vectorized(
                #[inline(always)]
                || softmax::backward(shares, &mut by_scores, self.heads.positions, self.scale()),
            );
            multiply(self.head_matrix(by_q), self.square_matrix(&*by_scores), k, false);
            multiply(self.head_matrix(by_k), self.square_matrix(&*by_scores).t(), q, false);
        }
        let mut by_rows = Buffer::new(by_heads.len());
        vectorized(
            #[inline(always)]
            || self.heads.join(&by_heads, &mut by_rows, tables),
        );
        by_rows
    }

    /// Queries, keys and values of a head of an example.
    fn parts(self, qkv: &[f32]) -> [Matrix<&[f32]>; PARTS] {
        [0, 1, 2].map(|part| self.head_matrix(&qkv[part * self.heads.matrix()..][..self.heads.matrix()]))
    }

    fn scale(self) -> f32 {
        (1.0 / (self.heads.head_width as f64).sqrt()) as f32
    }
}

/// What the backward pass of one part reads: x, the result y, what was kept, and by how much heads were turned.
struct Given<'a> {
    x: &'a [f32],
    y: &'a [f32],
    kept: &'a Kept,
    tables: Option<Tables<'a>>,
}

impl CustomOp2 for Operation {
    fn name(&self) -> &'static str {
        "attention-norm"
    }

    fn cpu_fwd(&self, x: &CpuStorage, at: &Layout, _: &CpuStorage, _: &Layout) -> Result<(CpuStorage, Shape)> {
        let (x, eps) = (slice(x, at)?, self.half.eps as f32);
        let cut = Cut::new(&self.half, at)?;
        let values = cut.tokens() * cut.width;
        let mut out = Vec::with_capacity(x.len());
        let mut all_kept = Vec::new();
        let mut run = |weights: &[Weight<'_>; 2], tables: Option<Tables<'_>>| {
            for x in x.chunks(values) {
                let kept = cut.of(x.len()).forward(appended(&mut out, x), weights, tables, eps);
                // Without a backward pass the next part takes the same memory.
                if self.saved.is_some() {
                    all_kept.push(kept);
                }
            }
        };
        self.half.read_ready(|weights| self.half.read_tables(|tables| run(weights, tables)))??;
        if let Some(saved) = &self.saved {
            // One operation runs forward once, so the cell is empty here.
            saved.get_or_init(|| all_kept);
        }
        Ok((CpuStorage::F32(out), at.shape().clone()))
    }

    fn bwd(&self, x: &Tensor, token: &Tensor, y: &Tensor, g: &Tensor) -> Result<(Option<Tensor>, Option<Tensor>)> {
        let (Some(saved), Some(tally)) = (self.saved.as_ref().and_then(OnceLock::get), &self.half.tally) else {
            candle_core::bail!("nothing was saved for the backward pass");
        };
        let cut = Cut::new(&self.half, x.layout())?;
        let values = cut.tokens() * cut.width;
        let mut by_x = Vec::with_capacity(x.elem_count());
        let mut add = |x: &[f32], y: &[f32], g: &[f32], weights: [Matrix<&[f32]>; 2], tables: Option<Tables<'_>>| {
            let transposed = self.half.made_ready(weights.map(Matrix::t));
            tally.add(weights.map(|weight| weight.values.len()), |by_qkv, by_output| {
                let parts = x.chunks(values).zip(y.chunks(values)).zip(g.chunks(values));
                for (((x, y), g), kept) in parts.zip(saved) {
                    let weights = [&mut *by_qkv, &mut *by_output];
                    cut.of(x.len()).backward(&Given { x, y, kept, tables }, &transposed, weights, appended(&mut by_x, g));
                }
            });
        };
        let mut read =
            |weights: [Matrix<&[f32]>; 2], tables: Option<Tables<'_>>| read_three([x, y, g], |[x, y, g]| add(x, y, g, weights, tables));
        self.half.read(|weights| self.half.read_tables(|tables| read(weights, tables)))???;
        Ok((Some(Tensor::from_vec(by_x, x.shape(), &Device::Cpu)?), Some(token.zeros_like()?)))
    }
}
