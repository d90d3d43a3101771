//! What is done between products, as kernels. Each checks that the arrays are as long as it needs.

use candle_core::{Result, Tensor, bail};

use super::{
    array::{Address, Array, address},
    gpu::{
        Argument::{self, At, Float, Int, Size},
        File, Gpu, Grid,
    },
};
use crate::kernels::{Factors, Over, Rotary, heads::PARTS};

/// Summands that one kernel takes.
const SUMMANDS: usize = 4;

/// Values between operations, in f32, and what products read of them.
#[derive(Debug)]
pub struct Values {
    pub full: Array,
    /// The same rounded, where products are not in f32.
    rounded: Option<Array>,
}

impl Values {
    /// `full`, with room for what is rounded to `factors`.
    fn new(gpu: &Gpu, full: Array, factors: Factors) -> Result<Self> {
        let rounded = (factors == Factors::Bf16).then(|| Array::new(gpu, factors, full.len())).transpose()?;
        Ok(Self { full, rounded })
    }

    /// What products read.
    pub fn factor(&self) -> &Array {
        self.rounded.as_ref().unwrap_or(&self.full)
    }

    fn rounded_at(&self) -> Address {
        self.rounded.as_ref().map_or(0, Array::address)
    }

    /// What kernels for these values are called after.
    fn suffix(&self) -> &'static str {
        suffix(self.factor().factors())
    }
}

fn suffix(factors: Factors) -> &'static str {
    match factors {
        Factors::F32 => "f32",
        Factors::Bf16 => "bf16",
    }
}

/// Fails unless every one of these lengths is what it must be.
fn check(what: &str, lengths: &[(usize, usize)]) -> Result<()> {
    match lengths.iter().find(|(is, must)| is != must) {
        Some((is, must)) => bail!("{what} on {is} numbers where there must be {must}"),
        None => Ok(()),
    }
}

fn int(size: usize) -> Result<i32> {
    i32::try_from(size).map_err(candle_core::Error::wrap)
}

/// The sum of `summands`, for products in `factors`.
pub fn sum(gpu: &Gpu, factors: Factors, summands: &[&Array]) -> Result<Values> {
    let Some(first) = summands.first() else { bail!("a call without summands") };
    let to = Values::new(gpu, Array::new(gpu, Factors::F32, first.len())?, factors)?;
    let (now, later) = summands.split_at(summands.len().min(SUMMANDS));
    add_up(gpu, &to, now)?;
    for summands in later.chunks(SUMMANDS - 1) {
        add_up(gpu, &to, &[&[&to.full], summands].concat())?;
    }
    Ok(to)
}

/// Adds `more` to `to`.
pub fn add(gpu: &Gpu, to: &mut Array, more: &Array) -> Result<()> {
    check("a sum", &[(to.len(), more.len())])?;
    let (at, count) = (to.address(), to.len());
    let arguments = [At(at), At(0), At(at), At(more.address()), At(0), At(0), Int(2), Size(count)];
    // SAFETY: two summands and the sum, each of `count` numbers in f32.
    unsafe { gpu.launch(File::Arrays, "sum_f32", Grid::Each(count), &arguments) }
}

/// Writes the sum of one to four arrays, of which the first may be where it goes.
fn add_up(gpu: &Gpu, to: &Values, summands: &[&Array]) -> Result<()> {
    let count = to.full.len();
    check("a sum", &summands.iter().map(|summand| (summand.len(), count)).collect::<Vec<_>>())?;
    let at = |index: usize| At(summands.get(index).map_or(0, |summand| summand.address()));
    let arguments = [At(to.full.address()), At(to.rounded_at()), at(0), at(1), at(2), at(3), Int(int(summands.len())?), Size(count)];
    // SAFETY: all arrays have `count` numbers, and no more summands are read than there are.
    unsafe { gpu.launch(File::Arrays, &format!("sum_{}", to.suffix()), Grid::Each(count), &arguments) }
}

/// A matrix of weights in `factors`, `[rows, columns]` from f32, with rows `step` apart.
pub fn widen(gpu: &Gpu, factors: Factors, weight: &Tensor, step: usize) -> Result<Array> {
    let (rows, columns) = weight.dims2()?;
    if step < columns {
        bail!("rows of {columns} numbers do not lie {step} apart");
    }
    let to = Array::new(gpu, factors, rows * step)?;
    let count = rows * columns;
    let arguments = [At(address(weight)?), At(to.address()), Size(count), Int(int(columns)?), Int(int(step)?)];
    // SAFETY: `count` numbers are read, and the last one written is before `rows · step`.
    unsafe { gpu.launch(File::Arrays, &format!("widen_{}", suffix(factors)), Grid::Each(count), &arguments)? };
    Ok(to)
}

/// `[outer, inner, width]` at `from` as `[inner, outer, width]`, in f32.
pub fn swap_axes(gpu: &Gpu, from: Address, [outer, inner, width]: [usize; 3]) -> Result<Array> {
    let count = outer * inner * width;
    let to = Array::new(gpu, Factors::F32, count)?;
    let arguments = [At(from), At(to.address()), Size(outer), Size(inner), Size(width)];
    // SAFETY: the caller's numbers are as many as its shape says, as are those of the result.
    unsafe { gpu.launch(File::Arrays, "swap_axes", Grid::Each(count), &arguments)? };
    Ok(to)
}

/// What is normed alike: `rows` of `columns` numbers, over the features of each row or over the positions of each column.
#[derive(Clone, Copy, Debug)]
pub struct Norm {
    pub over: Over,
    pub rows: usize,
    pub columns: usize,
}

impl Norm {
    /// How many vectors are normed.
    pub fn vectors(self) -> usize {
        if self.over == Over::Features { self.rows } else { self.columns }
    }

    fn grid(self) -> (&'static str, Grid) {
        match self.over {
            Over::Features => ("rows", Grid::Rows(self.rows)),
            Over::Positions => ("columns", Grid::Columns(self.columns)),
        }
    }

    /// `norm(x + update)` in place of `update`, for products in `factors`, and what each vector was multiplied by.
    pub fn forward(self, gpu: &Gpu, factors: Factors, x: &Array, update: Array, eps: f64) -> Result<(Values, Array)> {
        let count = self.rows * self.columns;
        check("a norm", &[(x.len(), count), (update.len(), count)])?;
        let inverses = Array::new(gpu, Factors::F32, self.vectors())?;
        let y = Values::new(gpu, update, factors)?;
        let (axis, grid) = self.grid();
        let size = [Int(int(self.rows)?), Int(int(self.columns)?), Float(eps as f32)];
        let arguments = [At(x.address()), At(y.full.address()), At(y.rounded_at()), At(inverses.address())];
        let arguments = [&arguments[..], &size].concat();
        // SAFETY: x, the update and what is rounded have `count` numbers, and there is an inverse for each vector.
        unsafe { gpu.launch(File::Norm, &format!("norm_{axis}_{}", y.suffix()), grid, &arguments)? };
        Ok((y, inverses))
    }

    /// The gradient by x + update in place of that by the result, `y`, for products in `factors`.
    pub fn backward(self, gpu: &Gpu, factors: Factors, y: &Array, inverses: &Array, by_y: Array) -> Result<Values> {
        let count = self.rows * self.columns;
        check("a norm", &[(y.len(), count), (by_y.len(), count), (inverses.len(), self.vectors())])?;
        let by_h = Values::new(gpu, by_y, factors)?;
        let (axis, grid) = self.grid();
        let arguments = [At(y.address()), At(by_h.full.address()), At(by_h.rounded_at()), At(inverses.address())];
        let arguments = [&arguments[..], &[Int(int(self.rows)?), Int(int(self.columns)?)]].concat();
        // SAFETY: y, the gradient and what is rounded have `count` numbers, and there is an inverse for each vector.
        unsafe { gpu.launch(File::Norm, &format!("norm_{axis}_backward_{}", by_h.suffix()), grid, &arguments)? };
        Ok(by_h)
    }
}

/// What the gates let through; `gates` of them lie side by side in `both`, followed by their ups.
pub fn gate(gpu: &Gpu, both: &Array, gates: usize) -> Result<Array> {
    let count = both.len() / 2;
    check("gates", &[(count % gates.max(1), 0), (both.len(), 2 * count)])?;
    let gated = Array::new(gpu, both.factors(), count)?;
    let arguments = [At(both.address()), At(gated.address()), Size(gates), Size(count)];
    // SAFETY: `both` has twice `count` numbers, in pairs of runs of `gates`, and the result `count` of the same kind.
    unsafe { gpu.launch(File::Gate, &format!("gate_{}", suffix(both.factors())), Grid::Each(count), &arguments)? };
    Ok(gated)
}

/// The gradient by gates and ups, from that by what they let through, in whose place comes what that was.
pub fn gate_backward(gpu: &Gpu, both: &Array, gated: &mut Array, gates: usize) -> Result<Array> {
    let count = gated.len();
    check("gates", &[(count % gates.max(1), 0), (both.len(), 2 * count)])?;
    if both.factors() != gated.factors() {
        bail!("gates and their gradient are in different numbers");
    }
    let by_both = Array::new(gpu, both.factors(), both.len())?;
    let arguments = [At(both.address()), At(gated.address()), At(by_both.address()), Size(gates), Size(count)];
    // SAFETY: as in `gate`, and the gradient is as long as `both`.
    unsafe { gpu.launch(File::Gate, &format!("gate_backward_{}", suffix(both.factors())), Grid::Each(count), &arguments)? };
    Ok(by_both)
}

/// How tokens are cut into heads. Queries, keys and values of all tokens lie part by part, or token by token.
#[derive(Clone, Copy, Debug)]
pub struct Heads {
    pub positions: usize,
    pub examples: usize,
    pub heads: usize,
    pub head_width: usize,
}

impl Heads {
    pub fn tokens(self) -> usize {
        self.positions * self.examples
    }

    /// Features of all heads together.
    pub fn inner(self) -> usize {
        self.heads * self.head_width
    }

    /// From `[tokens, 3, inner]` to `[3, tokens, inner]`, queries and keys turned to their positions.
    pub fn split(self, gpu: &Gpu, rows: &Array, rotary: Option<&Rotary>) -> Result<Array> {
        self.reorder(gpu, "heads_split", rows, rotary)
    }

    /// The other way round, also in the turning.
    pub fn join(self, gpu: &Gpu, parts: &Array, rotary: Option<&Rotary>) -> Result<Array> {
        self.reorder(gpu, "heads_join", parts, rotary)
    }

    fn reorder(self, gpu: &Gpu, name: &str, from: &Array, rotary: Option<&Rotary>) -> Result<Array> {
        let count = PARTS * self.tokens() * self.inner();
        check("heads", &[(from.len(), count)])?;
        let to = Array::new(gpu, from.factors(), count)?;
        let tables = match rotary {
            Some(rotary) => {
                let (cos, sin) = rotary.tables();
                let table = self.positions * self.head_width;
                check("rotary tables", &[(cos.elem_count(), table), (sin.elem_count(), table)])?;
                [At(address(cos)?), At(address(sin)?)]
            }
            None => [At(0), At(0)],
        };
        let sizes = [self.tokens(), self.inner(), self.head_width, self.examples];
        let sizes = sizes.into_iter().map(|size| int(size).map(Int)).collect::<Result<Vec<_>>>()?;
        let arguments = [&[At(from.address()), At(to.address())], &tables[..], &sizes].concat();
        // SAFETY: both arrays have three parts of `tokens · inner` numbers, and the tables a row for each position.
        unsafe { gpu.launch(File::Attention, &format!("{name}_{}", suffix(from.factors())), Grid::Each(count), &arguments)? };
        Ok(to)
    }
}

/// Rows of `width` numbers that lie `step` apart.
#[derive(Clone, Copy, Debug)]
pub struct Softmax {
    pub rows: usize,
    pub width: usize,
    pub step: usize,
    pub scale: f64,
}

impl Softmax {
    /// `softmax(scale · scores)` over each row, in `factors`.
    pub fn forward(self, gpu: &Gpu, factors: Factors, scores: &Array) -> Result<Array> {
        check("a softmax", &[(scores.len(), self.rows * self.step)])?;
        let shares = Array::new(gpu, factors, scores.len())?;
        self.launch(gpu, &format!("softmax_{}", suffix(factors)), &[At(scores.address()), At(shares.address())])?;
        Ok(shares)
    }

    /// The gradient by scores, from that by shares.
    pub fn backward(self, gpu: &Gpu, shares: &Array, by_shares: &Array) -> Result<Array> {
        let len = self.rows * self.step;
        check("a softmax", &[(shares.len(), len), (by_shares.len(), len)])?;
        let by_scores = Array::new(gpu, shares.factors(), len)?;
        let arguments = [At(shares.address()), At(by_shares.address()), At(by_scores.address())];
        self.launch(gpu, &format!("softmax_backward_{}", suffix(shares.factors())), &arguments)?;
        Ok(by_scores)
    }

    fn launch(self, gpu: &Gpu, name: &str, arrays: &[Argument]) -> Result<()> {
        let sizes = [Size(self.rows), Int(int(self.width)?), Int(int(self.step)?), Float(self.scale as f32)];
        // SAFETY: the arrays have `rows` rows that lie `step` apart, and no more than `width ≤ step` numbers of each are touched.
        unsafe { gpu.launch(File::Attention, name, Grid::Rows(self.rows), &[arrays, &sizes].concat()) }
    }
}
