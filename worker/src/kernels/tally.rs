//! Gradients of weights that one backward pass uses many times, added up in place.
//!
//! Candle's own store would make zeros and a sum for each use. Here an operation takes a token in place of its weights, adds to their
//! gradients itself, and gives the token a gradient of one number; the weights' gradients reach the store once, when all uses of the
//! token are done.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use candle_core::{CpuStorage, CustomOp2, Device, Layout, Result, Shape, Tensor};
#[cfg(feature = "cuda")]
use candle_core::{CudaStorage, DType};

use super::{buffer::Buffer, matmul::Matrix};

/// Gradients of two weights, as far as they are known.
#[derive(Clone, Debug)]
pub struct Tally {
    sums: Arc<Sums>,
    /// What stands for the weights in the graph.
    pub token: Tensor,
}

/// What was added up for two weights.
#[derive(Debug)]
struct Sums {
    lies: [Lies; 2],
    by_run: ByRun,
    /// The sums as a GPU has them, whose operations add up by themselves.
    whole: Mutex<Option<[Tensor; 2]>>,
}

/// Gradients of two weights by the run of examples that they are of: runs add on threads of their own, and the order of additions must not
/// depend on which is first.
#[derive(Debug, Default)]
struct ByRun(Mutex<BTreeMap<usize, [Buffer; 2]>>);

impl ByRun {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<usize, [Buffer; 2]>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// How the gradient of a weight of `rows` by `columns` is added up on the CPU.
#[derive(Clone, Copy, Debug)]
struct Lies {
    rows: usize,
    columns: usize,
    /// Whether by columns.
    turned: bool,
}

impl Lies {
    fn of(weight: &Tensor, turned: bool) -> Result<Self> {
        let (rows, columns) = weight.dims2()?;
        Ok(Self { rows, columns, turned })
    }

    fn matrix<T: AsRef<[f32]>>(self, values: T) -> Matrix<T> {
        let Self { rows, columns, turned } = self;
        if turned { Matrix::by_rows(values, columns, rows).t() } else { Matrix::by_rows(values, rows, columns) }
    }
}

impl Tally {
    /// For the weights `a` and `b`, where they are variables. Gradients of those that `turned` names are added up by columns.
    ///
    /// # Errors
    /// When they are no matrices, or the token cannot be made.
    pub fn of([a, b]: [&Tensor; 2], turned: [bool; 2]) -> Result<Option<Self>> {
        if !a.is_variable() {
            return Ok(None);
        }
        let lies = [Lies::of(a, turned[0])?, Lies::of(b, turned[1])?];
        let sums = Arc::new(Sums { lies, by_run: ByRun::default(), whole: Mutex::default() });
        let token = a.apply_op2(b, Handover { sums: Arc::clone(&sums) })?;
        Ok(Some(Self { sums, token }))
    }

    /// Lets `add` add to the gradients of `run`.
    pub fn add<R>(&self, run: usize, add: impl FnOnce(Matrix<&mut [f32]>, Matrix<&mut [f32]>) -> R) -> R {
        let sums = self.sums.by_run.lock().remove(&run);
        let [a, b] = self.sums.lies;
        let [mut by_a, mut by_b] = sums.unwrap_or_else(|| [a, b].map(|lies| Buffer::zeros(lies.rows * lies.columns)));
        let result = add(a.matrix(&mut by_a), b.matrix(&mut by_b));
        self.sums.by_run.lock().insert(run, [by_a, by_b]);
        result
    }

    /// Adds gradients that a GPU has added up.
    ///
    /// # Errors
    /// When they are of other shapes than what is there.
    #[cfg(feature = "cuda")]
    pub fn add_whole(&self, sums: [Tensor; 2]) -> Result<()> {
        let mut whole = self.sums.whole.lock().unwrap_or_else(PoisonError::into_inner);
        *whole = Some(match whole.take() {
            Some([a, b]) => [(a + &sums[0])?, (b + &sums[1])?],
            None => sums,
        });
        Ok(())
    }
}

/// From weights to their token, and back from the token to their gradients.
struct Handover {
    sums: Arc<Sums>,
}

impl CustomOp2 for Handover {
    fn name(&self) -> &'static str {
        "weights-token"
    }

    fn cpu_fwd(&self, _: &CpuStorage, _: &Layout, _: &CpuStorage, _: &Layout) -> Result<(CpuStorage, Shape)> {
        Ok((CpuStorage::F32(vec![0.0]), 1.into()))
    }

    #[cfg(feature = "cuda")]
    fn cuda_fwd(&self, a: &CudaStorage, _: &Layout, _: &CudaStorage, _: &Layout) -> Result<(CudaStorage, Shape)> {
        Ok((candle_core::backend::BackendDevice::zeros_impl(&a.device, &1.into(), DType::F32)?, 1.into()))
    }

    fn bwd(&self, a: &Tensor, b: &Tensor, _: &Tensor, _: &Tensor) -> Result<(Option<Tensor>, Option<Tensor>)> {
        if let Some([by_a, by_b]) = self.sums.whole.lock().unwrap_or_else(PoisonError::into_inner).take() {
            return Ok((Some(by_a), Some(by_b)));
        }
        let runs = std::mem::take(&mut *self.sums.by_run.lock()).into_values();
        let Some([by_a, by_b]) = runs.reduce(|[a, b], [more_a, more_b]| [sum(a, &more_a), sum(b, &more_b)]) else {
            return Ok((None, None));
        };
        let tensor = |lies: Lies, sum: Buffer, weight: &Tensor| {
            let sum = lies.matrix(sum);
            let sum = if sum.by_rows { sum } else { sum.lying(true) };
            Tensor::from_slice(&sum.values, weight.shape(), &Device::Cpu).map(Some)
        };
        let [lies_a, lies_b] = self.sums.lies;
        Ok((tensor(lies_a, by_a, a)?, tensor(lies_b, by_b, b)?))
    }
}

fn sum(mut values: Buffer, more: &[f32]) -> Buffer {
    values.iter_mut().zip(more).for_each(|(value, more)| *value += more);
    values
}
