//! The moving average of the trained weights, which evaluation and checkpoints use.

use candle_core::{Result, Var};

use crate::{
    kernels::average,
    model::{Parameters, Role},
    state::{StateError, TrainingState},
};

/// Shadow weights `s ← r·s + (1−r)·p`, which start as the weights themselves; no bias is corrected.
///
/// Fixed buffers and the puzzle table have no shadow, as published.
#[derive(Debug)]
pub struct Ema {
    rate: f32,
    /// On the weights' device.
    shadow: Vec<Var>,
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
            parameters.trained().map(|entry| Var::from_tensor(&entry.var.as_detached_tensor())).collect::<Result<_>>()?
        };
        Ok(Self { rate: rate as f32, shadow })
    }

    /// Takes in the weights after one step.
    ///
    /// # Errors
    /// When the weights cannot be read.
    pub fn update(&self, parameters: &Parameters) -> Result<()> {
        self.shadow.iter().zip(parameters.trained()).try_for_each(|(shadow, entry)| average(shadow, &entry.var, self.rate))
    }

    /// Writes the averages into `state`.
    ///
    /// # Errors
    /// When they cannot be read.
    pub fn save(&self, state: &mut TrainingState) -> Result<()> {
        self.shadow.iter().enumerate().try_for_each(|(index, shadow)| state.put_tensor(format!("ema.{index}"), shadow))
    }

    /// Takes them from `state`.
    ///
    /// # Errors
    /// When they are not those of the same weights.
    pub fn restore(&mut self, state: &TrainingState) -> std::result::Result<(), StateError> {
        self.shadow.iter().enumerate().try_for_each(|(index, shadow)| state.copy_into(&format!("ema.{index}"), shadow))
    }

    /// `parameters` with the average in place of the trained weights; the puzzle table stays shared, not copied.
    ///
    /// # Errors
    /// When the weights cannot be copied.
    pub fn weights(&self, parameters: &Parameters) -> Result<Parameters> {
        let copy = parameters.with_own_weights()?;
        for (shadow, entry) in self.shadow.iter().zip(copy.entries().iter().filter(|entry| entry.role == Role::Trained)) {
            entry.var.set(shadow)?;
        }
        Ok(copy)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::slices;
    use crate::random::{Stream, generator};
    use tinysweep_proto::{config::TrialConfig, dataset::Task};

    /// The first number of each tensor.
    fn firsts(parameters: &Parameters) -> Vec<f32> {
        parameters.entries().iter().map(|entry| slices::read(&entry.var, |values| values[0]).unwrap()).collect()
    }

    fn small() -> Parameters {
        let config = TrialConfig { hidden_size: 8, layers: 1, ..TrialConfig::default() };
        Parameters::init(&config, &Task::Sudoku4x4.shape(1), &mut generator(1, Stream::Weights)).unwrap()
    }

    fn raise(parameters: &Parameters) {
        for entry in parameters.entries() {
            slices::update(&entry.var, |values| values.iter_mut().for_each(|value| *value += 1.0)).unwrap();
        }
    }

    #[test]
    fn trained_weights_lag_and_the_rest_does_not() {
        let parameters = small();
        let start = firsts(&parameters);
        let ema = Ema::new(&parameters, 0.9).unwrap();
        raise(&parameters);
        for _ in 0..5 {
            ema.update(&parameters).unwrap();
        }
        let averaged = ema.weights(&parameters).unwrap();
        for ((entry, now), start) in averaged.entries().iter().zip(firsts(&averaged)).zip(start) {
            let wanted = if entry.role == Role::Trained { start + 1.0 - 0.9f32.powi(5) } else { start + 1.0 };
            assert!((now - wanted).abs() < 1e-5, "{}: {now}, not {wanted}", entry.name);
        }
    }

    #[test]
    fn rate_zero_gives_the_weights_of_the_moment() {
        let parameters = small();
        let ema = Ema::new(&parameters, 0.0).unwrap();
        raise(&parameters);
        ema.update(&parameters).unwrap();
        assert_eq!(firsts(&ema.weights(&parameters).unwrap()), firsts(&parameters));
    }
}
