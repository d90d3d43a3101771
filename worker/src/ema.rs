//! The moving average of the trained weights, which evaluation and checkpoints use.

use candle_core::Result;

use crate::{
    kernels::slices,
    model::{Parameters, Role},
};

/// Shadow weights `s ← r·s + (1−r)·p`, which start as the weights themselves; no bias is corrected.
///
/// Fixed buffers and the puzzle table have no shadow, as published.
#[derive(Debug)]
pub struct Ema {
    rate: f32,
    shadow: Vec<Vec<f32>>,
}

impl Ema {
    /// Starts at the trained weights of `parameters`. A rate of 0 keeps no average: [`weights`](Self::weights) are then the current ones.
    ///
    /// # Errors
    /// When the weights cannot be read.
    pub fn new(parameters: &Parameters, rate: f64) -> Result<Self> {
        let shadow = if rate == 0.0 {
            Vec::new()
        } else {
            parameters.trained().map(|entry| slices::read(&entry.var, <[f32]>::to_vec)).collect::<Result<_>>()?
        };
        Ok(Self { rate: rate as f32, shadow })
    }

    /// Takes in the weights after one step.
    ///
    /// # Errors
    /// When the weights cannot be read.
    pub fn update(&mut self, parameters: &Parameters) -> Result<()> {
        let rate = self.rate;
        for (shadow, entry) in self.shadow.iter_mut().zip(parameters.trained()) {
            slices::read(&entry.var, |weights| {
                for (average, weight) in shadow.iter_mut().zip(weights) {
                    *average = rate * *average + (1.0 - rate) * weight;
                }
            })?;
        }
        Ok(())
    }

    /// A copy of `parameters` with the average in place of the trained weights.
    ///
    /// # Errors
    /// When the weights cannot be copied.
    pub fn weights(&self, parameters: &Parameters) -> Result<Parameters> {
        let copy = parameters.deep_copy()?;
        for (shadow, entry) in self.shadow.iter().zip(copy.entries().iter().filter(|entry| entry.role == Role::Trained)) {
            slices::update(&entry.var, |weights| weights.copy_from_slice(shadow))?;
        }
        Ok(copy)
    }
}
