//! Gradients of weights that one backward pass uses many times, added up in place.
//!
//! Candle's own store would make zeros and a sum for each use. Here an operation takes a token in place of its weights, adds to their
//! gradients itself, and gives the token a gradient of one number; the weights' gradients reach the store once, when all uses of the
//! token are done.

use std::sync::{Arc, Mutex, PoisonError};

use candle_core::{CpuStorage, CustomOp2, Device, Layout, Result, Shape, Tensor};

/// Gradients of two weights, as far as they are known.
#[derive(Clone, Debug)]
pub struct Tally {
    sums: Arc<Mutex<Option<[Vec<f32>; 2]>>>,
    /// What stands for the weights in the graph.
    pub token: Tensor,
}

impl Tally {
    /// For the weights `a` and `b`, where they are variables on the CPU.
    ///
    /// # Errors
    /// When the token cannot be made.
    pub fn of(a: &Tensor, b: &Tensor) -> Result<Option<Self>> {
        if !a.is_variable() || !a.device().is_cpu() {
            return Ok(None);
        }
        let sums = Arc::default();
        let token = a.apply_op2(b, Handover { sums: Arc::clone(&sums) })?;
        Ok(Some(Self { sums, token }))
    }

    /// Lets `add` add to the gradients, which have as many numbers as `lengths` say.
    pub fn add<R>(&self, lengths: [usize; 2], add: impl FnOnce(&mut [f32], &mut [f32]) -> R) -> R {
        let mut sums = self.sums.lock().unwrap_or_else(PoisonError::into_inner);
        let [a, b] = sums.get_or_insert_with(|| lengths.map(|length| vec![0.0; length]));
        add(a, b)
    }
}

/// From weights to their token, and back from the token to their gradients.
struct Handover {
    sums: Arc<Mutex<Option<[Vec<f32>; 2]>>>,
}

impl CustomOp2 for Handover {
    fn name(&self) -> &'static str {
        "weights-token"
    }

    fn cpu_fwd(&self, _: &CpuStorage, _: &Layout, _: &CpuStorage, _: &Layout) -> Result<(CpuStorage, Shape)> {
        Ok((CpuStorage::F32(vec![0.0]), 1.into()))
    }

    fn bwd(&self, a: &Tensor, b: &Tensor, _: &Tensor, _: &Tensor) -> Result<(Option<Tensor>, Option<Tensor>)> {
        let Some([by_a, by_b]) = self.sums.lock().unwrap_or_else(PoisonError::into_inner).take() else { return Ok((None, None)) };
        let tensor = |values, weight: &Tensor| Tensor::from_vec(values, weight.shape(), &Device::Cpu).map(Some);
        Ok((tensor(by_a, a)?, tensor(by_b, b)?))
    }
}
