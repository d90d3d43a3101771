//! The other half of a block in one operation: self-attention, its residual and the norm after it.
//!
//! Queries, keys and values of all tokens are one product; they are put together head by head, and turned to their positions on the way,
//! so that each head of each example is a matrix of its own.

use candle_core::{Result, Tensor};

use super::{
    buffer::Buffer,
    factors::{Factors, Weight},
    half::{Dims, Given},
    heads::{Heads, PARTS},
    matmul::{Matrix, PANEL},
    norm,
    rotary::{Rotary, Tables},
    softmax,
    tally::Tally,
    vectorized,
};

/// The gradient of queries, keys and values is added up transposed: so that x is the factor that is made ready for a product.
const TURNED: [bool; 2] = [true, false];

/// `norm(x + output·attention(qkv·x))`: full bidirectional multi-head self-attention, with rotary positions where there are such, and
/// `norm(h) = h / √(mean(h²) + eps)` over the features and without weights, as published. A clone is on the same weights.
#[derive(Clone, Debug)]
pub struct AttentionNorm {
    pub(super) heads: usize,
    /// `[3·heads·head_width, width]`: queries, keys, values, each head by head.
    pub(super) qkv: Tensor,
    /// `[width, heads·head_width]`.
    pub(super) output: Tensor,
    pub(super) rotary: Option<Rotary>,
    pub(super) eps: f64,
    /// Where the weights' gradients are added up, if they are variables.
    pub(super) tally: Option<Tally>,
}

impl AttentionNorm {
    /// On the weights `qkv` (`[3·heads·head_width, width]`) and `output` (`[width, heads·head_width]`), which are both variables or both
    /// none. Rotary tables have as many positions as what is attended to.
    ///
    /// # Errors
    /// When an operation fails.
    pub fn new(heads: usize, [qkv, output]: [Tensor; 2], rotary: Option<Rotary>, eps: f64) -> Result<Self> {
        Ok(Self { heads, tally: Tally::of([&qkv, &output], TURNED)?, qkv, output, rotary, eps })
    }

    /// The width of a head, where the weights and the rotary tables fit the values.
    pub(super) fn checked_head_width(&self, Dims { positions, width, .. }: Dims) -> Result<usize> {
        let (outer, inner) = self.output.dims2()?;
        if width != outer || self.qkv.dims() != [PARTS * inner, outer] || inner % self.heads != 0 {
            let (qkv, output) = (self.qkv.shape(), self.output.shape());
            candle_core::bail!("weights of {qkv:?} and {output:?} are not for {} heads on {width} values", self.heads);
        }
        if self.rotary.as_ref().is_some_and(|rotary| rotary.positions() != positions) {
            candle_core::bail!("the rotary tables are not for {positions} positions");
        }
        Ok(inner / self.heads)
    }

    /// Turns `x` into the result, and gives what the backward pass needs, where `keep` says so. Products within a head are in f32, whatever
    /// the weights are in.
    pub(super) fn forward(&self, weights: &[Weight; 2], dims: Dims, x: &mut [f32], keep: bool) -> Result<Option<Kept>> {
        let cut = Cut::new(self, weights, dims)?;
        let kept = self.with_tables(|tables| cut.forward(x, weights, tables, self.eps as f32, keep))?;
        Ok(keep.then_some(kept))
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
        tally.add(given.run, |by_qkv, by_output| {
            self.with_tables(|tables| {
                let backward = Backward { cut, factors, tables, transposed };
                backward.run(given, kept, [by_qkv, by_output], by_x);
            })
        })
    }

    fn with_tables<R>(&self, with: impl FnOnce(Option<Tables<'_>>) -> R) -> Result<R> {
        match &self.rotary {
            Some(rotary) => rotary.read(|tables| with(Some(tables))),
            None => Ok(with(None)),
        }
    }
}

/// What the backward pass needs.
#[derive(Debug)]
pub struct Kept {
    /// Queries, keys and values, turned to their positions: for each head of each example three matrices, `[positions, head_width]`.
    heads: Buffer,
    /// What each query takes of each key's value, `[positions, positions]` for each head of each example; of the last one alone where the
    /// backward pass needs none.
    shares: Buffer,
    /// What the heads give, `[tokens, inner]`, in panels where products take it so.
    mixed: Buffer,
    /// What each token's vector was multiplied by in the norm.
    inverses: Buffer,
}

impl Kept {
    fn new(cut: Cut, keep: bool) -> Self {
        let heads = cut.heads.examples * cut.heads.heads;
        Self {
            heads: Buffer::new(heads * PARTS * cut.heads.matrix()),
            shares: Buffer::new((if keep { heads } else { 1 }) * cut.square()),
            mixed: Buffer::new(cut.tokens() * cut.heads.inner()),
            inverses: Buffer::new(cut.tokens()),
        }
    }
}

/// How values are cut into heads.
#[derive(Clone, Copy)]
struct Cut {
    width: usize,
    heads: Heads,
}

impl Cut {
    fn new(half: &AttentionNorm, weights: &[Weight; 2], dims: Dims) -> Result<Self> {
        let Dims { examples, positions, width } = dims;
        let head_width = half.checked_head_width(dims)?;
        // A vector of a head is to lie in one panel.
        let in_panels = weights[0].takes_panels() && (half.heads * head_width).is_multiple_of(PANEL) && PANEL.is_multiple_of(head_width);
        Ok(Self { width, heads: Heads { examples, positions, heads: half.heads, head_width, in_panels } })
    }

    fn tokens(self) -> usize {
        self.heads.examples * self.heads.positions
    }

    /// Numbers of the scores or shares of one head of one example.
    fn square(self) -> usize {
        self.heads.positions * self.heads.positions
    }

    /// Vectors of heads, of each token side by side.
    fn vectors<T: AsRef<[f32]>>(self, values: T, parts: usize) -> Matrix<T> {
        Matrix::by_rows(values, self.tokens(), parts * self.heads.inner()).cut(self.heads.in_panels)
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
    fn forward(self, out: &mut [f32], [qkv, output]: &[Weight; 2], tables: Option<Tables<'_>>, eps: f32, keep: bool) -> Kept {
        let (tokens, inner) = (self.tokens(), self.heads.inner());
        let mut kept = Kept::new(self, keep);
        let mut rows = Buffer::new(tokens * PARTS * inner);
        qkv.multiply(self.vectors(&mut *rows, PARTS).t(), Matrix::by_rows(&*out, tokens, self.width).t(), false);
        vectorized(
            #[inline(always)]
            || self.heads.split(&rows, &mut kept.heads, tables),
        );
        let mut given = Buffer::new(kept.mixed.len());
        let heads = kept.heads.chunks_exact(PARTS * self.heads.matrix()).zip(given.chunks_exact_mut(self.heads.matrix()));
        for (index, (qkv, given)) in heads.enumerate() {
            let shares = &mut kept.shares[if keep { index * self.square() } else { 0 }..][..self.square()];
            let [q, k, v] = self.parts(qkv);
            Factors::F32.multiply(self.square_matrix(&mut *shares), q, k.t(), false);
            vectorized(
                #[inline(always)]
                || softmax::forward(shares, self.heads.positions, self.scale()),
            );
            Factors::F32.multiply(self.head_matrix(given), self.square_matrix(&*shares), v, false);
        }
        vectorized(
            #[inline(always)]
            || self.heads.join(&given, &mut kept.mixed, None),
        );
        let mixed = self.vectors(&*kept.mixed, 1);
        output.multiply(Matrix::by_rows(&mut *out, tokens, self.width).t(), mixed.t(), true);
        vectorized(
            #[inline(always)]
            || norm::rows(out, &mut kept.inverses, eps),
        );
        kept
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
            Factors::F32.multiply(self.square_matrix(&mut *by_scores), g, v.t(), false);
            vectorized(
                #[inline(always)]
                || softmax::backward(shares, &mut by_scores, self.heads.positions, self.scale()),
            );
            // Read by columns, which the processor does not foresee: only now that they have come to the cache, row by row.
            Factors::F32.multiply(self.head_matrix(by_v), self.square_matrix(shares).t(), g, false);
            Factors::F32.multiply(self.head_matrix(by_q), self.square_matrix(&*by_scores), k, false);
            Factors::F32.multiply(self.head_matrix(by_k), self.square_matrix(&*by_scores).t(), q, false);
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

/// The backward pass, with what it needs beside numbers.
struct Backward<'a> {
    cut: Cut,
    factors: Factors,
    tables: Option<Tables<'a>>,
    transposed: &'a [Weight; 2],
}

impl Backward<'_> {
    fn run(&self, given: Given<'_>, kept: &Kept, [by_qkv, by_output]: [Matrix<&mut [f32]>; 2], by_x: &mut [f32]) {
        let Self { cut, factors, tables, transposed: [qkv, output] } = self;
        let (tokens, width) = (cut.tokens(), cut.width);
        vectorized(
            #[inline(always)]
            || norm::rows_backward(given.y, by_x, &kept.inverses),
        );
        let by_sum = Matrix::by_rows(&*by_x, tokens, width);
        factors.multiply(by_output, by_sum.t(), cut.vectors(&*kept.mixed, 1), true);
        let mut by_mixed = Buffer::new(kept.mixed.len());
        output.multiply(cut.vectors(&mut *by_mixed, 1).t(), by_sum.t(), false);
        let by_rows = cut.backward_of_heads(kept, &by_mixed, *tables);
        let by_rows = cut.vectors(&*by_rows, PARTS);
        factors.multiply(by_qkv, by_rows.t(), Matrix::by_rows(given.x, tokens, width), true);
        qkv.multiply(Matrix::by_rows(by_x, tokens, width).t(), by_rows.t(), true);
    }
}
