//! What an optimiser does to every number of a weight, in place: AdamW (arXiv 1711.05101), and Adam with `atan2(m, √v)` in place of
//! `m / (√v + ε)`, which is scale-free and bounded (arXiv 2407.05872; imoneoi/adam-atan2).

use candle_core::{Device, Result, Tensor, Var};
use tinysweep_proto::config::Optimizer;

#[cfg(feature = "cuda")]
use super::cuda::adam::Coefficients as OnGpu;
use super::{math::atan_of_ratio, slices, vectorized};

/// What AdamW adds to the root of the second moment, PyTorch's default.
const ADAMW_EPS: f32 = 1e-8;
/// What is added to the norm of the gradients before it divides, as PyTorch does.
const NORM_EPS: f64 = 1e-6;

/// What one step does to every number alike.
#[derive(Clone, Copy, Debug, Default)]
#[repr(C)]
pub struct Coefficients {
    /// What gradients are multiplied by, to bound their norm.
    pub scale: f32,
    /// Shares of the moments that stay.
    pub betas: [f32; 2],
    /// What is left of a weight after decay.
    pub keep: f32,
    /// The learning rate over the bias correction of the first moment, which the reference leaves outside of the arc tangent.
    pub rate: f32,
    /// One over the bias correction of the root of the second moment.
    pub root_scale: f32,
}

/// One step, on weights of one device.
#[derive(Debug)]
pub struct Adam {
    rule: Optimizer,
    coefficients: Coefficients,
    /// A GPU's own copy of them, which its operations read.
    #[cfg(feature = "cuda")]
    on_gpu: Option<OnGpu>,
}

impl Adam {
    /// For weights on `device`.
    ///
    /// # Errors
    /// When a GPU has no room for the coefficients.
    #[cfg_attr(not(feature = "cuda"), allow(unused_variables, reason = "only a GPU keeps coefficients"))]
    pub fn new(rule: Optimizer, device: &Device) -> Result<Self> {
        Ok(Self {
            rule,
            coefficients: Coefficients::default(),
            #[cfg(feature = "cuda")]
            on_gpu: if device.is_cuda() { Some(OnGpu::new(device)?) } else { None },
        })
    }

    /// Sets what the step does.
    ///
    /// # Errors
    /// When a GPU does not take it.
    pub fn set(&mut self, coefficients: Coefficients) -> Result<()> {
        self.coefficients = coefficients;
        #[cfg(feature = "cuda")]
        if let Some(on_gpu) = &self.on_gpu {
            on_gpu.set(coefficients)?;
        }
        Ok(())
    }

    /// Scales `gradients`, all that there are, so that the norm of all together is at most `clip`; 0 is no bound.
    ///
    /// # Errors
    /// When one cannot be read.
    pub fn bound(&mut self, gradients: &[&Tensor], clip: f64) -> Result<()> {
        if clip == 0.0 {
            return Ok(());
        }
        #[cfg(feature = "cuda")]
        if let Some(on_gpu) = &self.on_gpu {
            return on_gpu.bound(gradients, [clip, NORM_EPS]);
        }
        let mut squares = 0.0;
        for gradient in gradients {
            squares += slices::read(gradient, |values| values.iter().map(|&g| f64::from(g) * f64::from(g)).sum::<f64>())?;
        }
        self.coefficients.scale = (clip / (squares.sqrt() + NORM_EPS)).min(1.0) as f32;
        Ok(())
    }

    /// What gradients are multiplied by.
    #[cfg(test)]
    pub fn scale(&self) -> f32 {
        self.coefficients.scale
    }

    /// Moves `weights` against their `gradient`, and their first and second `moments`.
    ///
    /// # Errors
    /// When they are of different shapes.
    pub fn step(&self, weights: &Var, gradient: &Tensor, [first, second]: [&Var; 2]) -> Result<()> {
        if weights.dims() != gradient.dims() || first.dims() != weights.dims() || second.dims() != weights.dims() {
            candle_core::bail!("a gradient of {:?} for weights of {:?}", gradient.shape(), weights.shape());
        }
        #[cfg(feature = "cuda")]
        if let Some(on_gpu) = &self.on_gpu {
            return on_gpu.step(self.rule, ADAMW_EPS, weights, gradient, [first, second]);
        }
        let (rule, coefficients) = (self.rule, self.coefficients);
        slices::read(gradient, |gradient| {
            slices::update(first, |first| {
                slices::update(second, |second| {
                    slices::update(weights, |weights| {
                        vectorized(
                            #[inline(always)]
                            || coefficients.apply(rule, weights, gradient, first, second),
                        )
                    })
                })
            })
        })???
    }
}

impl Coefficients {
    /// Moves weights and moments.
    #[inline(always)]
    pub fn apply(self, rule: Optimizer, weights: &mut [f32], gradient: &[f32], first: &mut [f32], second: &mut [f32]) {
        match rule {
            Optimizer::AdamAtan2 => self.apply_by(atan_of_ratio, weights, gradient, first, second),
            Optimizer::AdamW => self.apply_by(|m, root| m / (root + ADAMW_EPS), weights, gradient, first, second),
        }
    }

    /// `direction` is what to move against, by the first moment and the root of the second.
    #[inline(always)]
    fn apply_by(self, direction: impl Fn(f32, f32) -> f32, weights: &mut [f32], gradient: &[f32], first: &mut [f32], second: &mut [f32]) {
        let [beta1, beta2] = self.betas;
        for ((weight, g), (m, v)) in weights.iter_mut().zip(gradient).zip(first.iter_mut().zip(second)) {
            let g = g * self.scale;
            *m = beta1 * *m + (1.0 - beta1) * g;
            *v = beta2 * *v + (1.0 - beta2) * g * g;
            *weight = *weight * self.keep - self.rate * direction(*m, v.sqrt() * self.root_scale);
        }
    }
}

/// `average ← rate·average + (1−rate)·weights`, in place.
///
/// # Errors
/// When they are of different shapes.
pub fn average(average: &Var, weights: &Var, rate: f32) -> Result<()> {
    if average.dims() != weights.dims() {
        candle_core::bail!("an average of {:?} for weights of {:?}", average.shape(), weights.shape());
    }
    #[cfg(feature = "cuda")]
    if weights.device().is_cuda() {
        return super::cuda::adam::average(average, weights, rate);
    }
    slices::read(weights, |weights| {
        slices::update(average, |average| {
            for (average, weight) in average.iter_mut().zip(weights) {
                *average = rate * *average + (1.0 - rate) * weight;
            }
        })
    })?
}
