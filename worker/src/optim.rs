//! The optimisers: AdamATan2, as published, or AdamW for the weights, sign-SGD for the puzzle table.

use std::collections::BTreeMap;

use candle_core::{DType, Result, Tensor, Var, backprop::GradStore, bail};
use tinysweep_proto::config::TrainConfig;

use crate::{
    kernels::{self, Coefficients, slices},
    model::{Entry, Parameters},
    state::{StateError, TrainingState},
};

/// AdamW or AdamATan2, with its state.
#[derive(Debug)]
pub struct Adam {
    betas: [f32; 2],
    weight_decay: f64,
    /// The most that the norm of all gradients together may be; 0 is no bound.
    grad_clip: f64,
    /// Steps begun.
    steps: i32,
    moments: Vec<Moments>,
    operation: kernels::Adam,
}

/// Moving averages of a weight's gradient and of its square, on the weight's device.
#[derive(Debug)]
struct Moments {
    first: Var,
    second: Var,
}

impl Adam {
    /// Starts with zero moments for the trained weights of `parameters`.
    ///
    /// # Errors
    /// When the weights' device has no room for them.
    pub fn new(parameters: &Parameters, train: &TrainConfig) -> Result<Self> {
        let zeros = |entry: &Entry| Var::zeros(entry.var.shape(), DType::F32, entry.var.device());
        let moments = parameters.trained().map(|entry| Ok(Moments { first: zeros(entry)?, second: zeros(entry)? }));
        Ok(Self {
            betas: [train.beta1 as f32, train.beta2 as f32],
            weight_decay: train.weight_decay,
            grad_clip: train.grad_clip,
            steps: 0,
            moments: moments.collect::<Result<_>>()?,
            operation: kernels::Adam::new(train.optimizer, parameters.device())?,
        })
    }

    /// Begins a step with this learning rate.
    ///
    /// # Errors
    /// When a GPU does not take what the step does.
    pub fn begin_step(&mut self, lr: f64) -> Result<()> {
        self.steps += 1;
        self.operation.set(coefficients(self.betas, self.weight_decay, self.steps, lr))
    }

    /// Moves the trained weights of `parameters`, the ones that it was made for, against `gradients`, as the step that was begun says.
    ///
    /// # Errors
    /// When a weight has no gradient: an operation without a backward pass has cut it off.
    pub fn step(&mut self, parameters: &Parameters, gradients: &GradStore) -> Result<()> {
        let by_weights = parameters.trained().map(|entry| gradient_of(entry, gradients)).collect::<Result<Vec<_>>>()?;
        self.operation.bound(&by_weights, self.grad_clip)?;
        for ((Moments { first, second }, entry), gradient) in self.moments.iter().zip(parameters.trained()).zip(by_weights) {
            self.operation.step(&entry.var, gradient, [first, second])?;
        }
        Ok(())
    }

    /// Writes the moments and the count of steps into `state`.
    ///
    /// # Errors
    /// When a tensor cannot be read.
    pub fn save(&self, state: &mut TrainingState) -> Result<()> {
        state.facts.optimizer_steps = self.steps;
        for (index, Moments { first, second }) in self.moments.iter().enumerate() {
            state.put_tensor(format!("adam.first.{index}"), first)?;
            state.put_tensor(format!("adam.second.{index}"), second)?;
        }
        Ok(())
    }

    /// Takes them from `state`.
    ///
    /// # Errors
    /// When they are not those of the same weights.
    pub fn restore(&mut self, state: &TrainingState) -> std::result::Result<(), StateError> {
        self.steps = state.facts.optimizer_steps;
        for (index, Moments { first, second }) in self.moments.iter().enumerate() {
            state.copy_into(&format!("adam.first.{index}"), first)?;
            state.copy_into(&format!("adam.second.{index}"), second)?;
        }
        Ok(())
    }
}

/// What the step of that number does.
fn coefficients(betas: [f32; 2], weight_decay: f64, step: i32, lr: f64) -> Coefficients {
    let [first, second] = betas.map(|beta| 1.0 - f64::from(beta).powi(step));
    Coefficients {
        scale: 1.0,
        betas,
        keep: (1.0 - lr * weight_decay) as f32,
        rate: (lr / first) as f32,
        root_scale: (1.0 / second.sqrt()) as f32,
    }
}

fn gradient_of<'a>(entry: &Entry, gradients: &'a GradStore) -> Result<&'a Tensor> {
    match gradients.get(&entry.var) {
        Some(gradient) => Ok(gradient),
        None => bail!("no gradient reaches `{}`", entry.name),
    }
}

/// Sign-SGD with decoupled decay on the rows of the puzzle `table` that a batch has read, as the reference does it.
///
/// `gradient` is `[batch, puzzle_width]`, by the row that each example read; gradients of one row are summed before the sign is taken.
///
/// # Errors
/// When an identifier is none of the table's rows.
pub fn sign_sgd(table: &Var, identifiers: &[u32], gradient: &Tensor, lr: f64, weight_decay: f64) -> Result<()> {
    let (rows, width) = table.dims2()?;
    if let Some(identifier) = identifiers.iter().find(|&&identifier| identifier as usize >= rows) {
        bail!("puzzle {identifier} is not in the table of {rows}");
    }
    let sums = slices::read(gradient, |gradient| {
        let mut sums: BTreeMap<usize, Vec<f32>> = BTreeMap::new();
        for (&identifier, gradient) in identifiers.iter().zip(gradient.chunks_exact(width)) {
            let sum = sums.entry(identifier as usize).or_insert_with(|| vec![0.0; width]);
            sum.iter_mut().zip(gradient).for_each(|(sum, g)| *sum += g);
        }
        sums
    })?;
    let (keep, lr) = ((1.0 - lr * weight_decay) as f32, lr as f32);
    slices::update(table, |values| {
        for (row, sum) in &sums {
            for (value, g) in values[row * width..][..width].iter_mut().zip(sum) {
                let sign = f32::from(i8::from(*g > 0.0) - i8::from(*g < 0.0));
                *value = *value * keep - lr * sign;
            }
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::{Stream, generator};
    use candle_core::Device;
    use tinysweep_proto::{
        config::{Optimizer, TrialConfig},
        dataset::Task,
    };

    const BETAS: [f32; 2] = [0.9, 0.95];

    fn moved_by(rule: Optimizer, gradients: &[f32], lr: f64) -> f32 {
        let ([mut first], [mut second]) = ([0.0], [0.0]);
        let mut last = 0.0;
        for (step, &gradient) in (1..).zip(gradients) {
            let mut weight = [0.0];
            let by = coefficients(BETAS, 0.0, step, lr);
            by.apply(rule, &mut weight, &[gradient], std::slice::from_mut(&mut first), std::slice::from_mut(&mut second));
            last = weight[0];
        }
        last
    }

    fn moved(gradients: &[f32], lr: f64) -> f32 {
        moved_by(Optimizer::AdamAtan2, gradients, lr)
    }

    #[test]
    fn adamw_moves_by_its_rate_times_the_ratio_of_moments() {
        assert!((moved_by(Optimizer::AdamW, &[3.0], 0.5) + 0.5).abs() < 1e-6);
        // m = (0.1 + 0.09)/0.19 and v = (0.05·4 + 0.0475·1)/0.0975 by hand, for gradients 1 and 2.
        let (m, v) = ((0.1 * 2.0 + 0.09) / 0.19, (0.05 * 4.0 + 0.0475) / 0.0975);
        assert!((f64::from(moved_by(Optimizer::AdamW, &[1.0, 2.0], 1.0)) + m / f64::sqrt(v)).abs() < 1e-5);
    }

    #[test]
    fn first_step_is_nearly_the_learning_rate() {
        for gradient in [1e-6, 3.0, 1e4] {
            assert!((moved(&[gradient], 1.0) + 0.996_686_5).abs() < 1e-5);
            assert!((moved(&[-gradient], 1.0) - 0.996_686_5).abs() < 1e-5);
        }
    }

    #[test]
    fn a_constant_gradient_moves_by_a_quarter_turn_in_the_end() {
        assert!((moved(&[0.5; 400], 1.0) + std::f32::consts::FRAC_PI_4).abs() < 1e-5);
    }

    #[test]
    fn no_gradient_is_decay_alone() {
        for rule in [Optimizer::AdamAtan2, Optimizer::AdamW] {
            let mut weight = [2.0];
            coefficients(BETAS, 0.1, 1, 0.5).apply(rule, &mut weight, &[0.0], &mut [0.0], &mut [0.0]);
            assert_eq!(weight, [1.9]);
        }
    }

    #[test]
    fn clipping_bounds_the_norm_of_all_gradients_together() {
        let config = TrialConfig { hidden_size: 8, layers: 1, ..TrialConfig::default() };
        let parameters = Parameters::init(&config, &Task::Sudoku4x4.shape(1), &mut generator(1, Stream::Weights)).unwrap();
        let sum = parameters.trained().map(|entry| entry.var.sum_all()).reduce(|a, b| a? + b?).unwrap().unwrap();
        let gradients = sum.backward().unwrap();
        let norm = (parameters.trained_count() as f64).sqrt();
        let all: Vec<_> = parameters.trained().map(|entry| gradient_of(entry, &gradients).unwrap()).collect();
        let scale = |clip| {
            let mut adam = kernels::Adam::new(Optimizer::AdamW, &Device::Cpu).unwrap();
            adam.set(coefficients(BETAS, 0.0, 1, 0.1)).unwrap();
            adam.bound(&all, clip).unwrap();
            f64::from(adam.scale())
        };
        assert!((scale(0.5) - 0.5 / norm).abs() < 1e-6);
        assert_eq!((scale(0.0), scale(2.0 * norm)), (1.0, 1.0));
    }

    #[test]
    fn sign_sgd_sums_a_puzzles_rows_and_leaves_the_others() {
        let table = Var::new(&[[1f32, 1.0], [2.0, 2.0], [3.0, 3.0]], &Device::Cpu).unwrap();
        let gradient = Tensor::new(&[[0.5f32, -1.0], [5.0, 0.0], [-0.1, 1.0]], &Device::Cpu).unwrap();
        sign_sgd(&table, &[2, 0, 2], &gradient, 0.1, 1.0).unwrap();
        let rows: Vec<Vec<f32>> = table.to_vec2().unwrap();
        assert_eq!(rows[1], [2.0, 2.0]);
        let near = |row: &[f32], wanted: [f32; 2]| row.iter().zip(wanted).all(|(a, b)| (a - b).abs() < 1e-6);
        assert!(near(&rows[0], [0.8, 0.9]), "{rows:?}");
        assert!(near(&rows[2], [2.6, 2.7]), "the second feature's gradients cancel: {rows:?}");
        assert!(sign_sgd(&table, &[3], &gradient, 0.1, 1.0).is_err());
    }
}
