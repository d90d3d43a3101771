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

/// Gradients of two weights, as far as they are known.
#[derive(Clone, Debug)]
pub struct Tally {
    sums: Arc<Sums>,
    /// What stands for the weights in the graph.
    pub token: Tensor,
}

/// What was added up for two weights.
#[derive(Debug, Default)]
struct Sums {
    by_run: ByRun,
    /// The sums as a GPU has them, whose operations add up by themselves.
    whole: Mutex<Option<[Tensor; 2]>>,
}

/// Gradients of two weights by the run of examples that they are of: runs add on threads of their own, and the order of additions must not
/// depend on which is first.
#[derive(Debug, Default)]
struct ByRun(Mutex<BTreeMap<usize, [Vec<f32>; 2]>>);

impl ByRun {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<usize, [Vec<f32>; 2]>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Tally {
    /// For the weights `a` and `b`, where they are variables.
    ///
    /// # Errors
    /// When the token cannot be made.
    pub fn of(a: &Tensor, b: &Tensor) -> Result<Option<Self>> {
        if !a.is_variable() {
            return Ok(None);
        }
        let sums = Arc::<Sums>::default();
        let token = a.apply_op2(b, Handover { sums: Arc::clone(&sums) })?;
        Ok(Some(Self { sums, token }))
    }

    /// Lets `add` add to the gradients of `run`, which have as many numbers as `lengths` say.
    pub fn add<R>(&self, run: usize, lengths: [usize; 2], add: impl FnOnce(&mut [f32], &mut [f32]) -> R) -> R {
        let sums = self.sums.by_run.lock().remove(&run);
        let [mut a, mut b] = sums.unwrap_or_else(|| lengths.map(|length| vec![0.0; length]));
        let result = add(&mut a, &mut b);
        self.sums.by_run.lock().insert(run, [a, b]);
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
        let tensor = |values, weight: &Tensor| Tensor::from_vec(values, weight.shape(), &Device::Cpu).map(Some);
        Ok((tensor(by_a, a)?, tensor(by_b, b)?))
    }
}

fn sum(mut values: Vec<f32>, more: &[f32]) -> Vec<f32> {
    values.iter_mut().zip(more).for_each(|(value, more)| *value += more);
    values
}
