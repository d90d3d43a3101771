//! The optimisers: AdamATan2, as published, or AdamW for the weights, sign-SGD for the puzzle table.

use std::collections::BTreeMap;

use candle_core::{Result, Tensor, Var, backprop::GradStore, bail};
use tinysweep_proto::config::{Optimizer, TrainConfig};

use crate::{
    kernels::{math::atan_of_ratio, slices, vectorized},
    model::{Entry, Parameters},
    state::{StateError, TrainingState},
};

/// What AdamW adds to the root of the second moment, PyTorch's default.
const ADAMW_EPS: f32 = 1e-8;
/// What is added to the norm of the gradients before it divides, as PyTorch does.
const NORM_EPS: f64 = 1e-6;

/// Adam with decoupled decay (AdamW, arXiv 1711.05101), or with `atan2(m, √v)` in place of `m / (√v + ε)`, which is scale-free and bounded
/// (arXiv 2407.05872; imoneoi/adam-atan2).
#[derive(Debug)]
pub struct Adam {
    rule: Optimizer,
    betas: (f32, f32),
    weight_decay: f64,
    /// The most that the norm of all gradients together may be; 0 is no bound.
    grad_clip: f64,
    /// Steps taken.
    steps: i32,
    moments: Vec<Moments>,
}

#[derive(Debug)]
struct Moments {
    first: Vec<f32>,
    second: Vec<f32>,
}

/// What one step does to every number alike.
#[derive(Clone, Copy)]
struct Coefficients {
    /// What gradients are multiplied by, to bound their norm.
    scale: f32,
    beta1: f32,
    beta2: f32,
    /// What is left of a weight after decay.
    keep: f32,
    /// The learning rate over the bias correction of the first moment, which the reference leaves outside of the arc tangent.
    rate: f32,
    /// One over the bias correction of the root of the second moment.
    root_scale: f32,
}

impl Adam {
    /// Starts with zero moments for the trained weights of `parameters`.
    pub fn new(parameters: &Parameters, train: &TrainConfig) -> Self {
        let zeros = |count| Moments { first: vec![0.0; count], second: vec![0.0; count] };
        let moments = parameters.trained().map(|entry| zeros(entry.var.elem_count())).collect();
        Self { moments, ..Self::without_moments(train) }
    }

    fn without_moments(train: &TrainConfig) -> Self {
        Self {
            rule: train.optimizer,
            betas: (train.beta1 as f32, train.beta2 as f32),
            weight_decay: train.weight_decay,
            grad_clip: train.grad_clip,
            steps: 0,
            moments: Vec::new(),
        }
    }

    /// Moves the trained weights of `parameters`, the ones that it was made for, against `gradients`.
    ///
    /// # Errors
    /// When a weight has no gradient: an operation without a backward pass has cut it off.
    pub fn step(&mut self, parameters: &Parameters, gradients: &GradStore, lr: f64) -> Result<()> {
        self.steps += 1;
        let coefficients = self.coefficients(lr, clip_scale(parameters, gradients, self.grad_clip)?);
        let rule = self.rule;
        for (moments, entry) in self.moments.iter_mut().zip(parameters.trained()) {
            slices::read(gradient_of(entry, gradients)?, |gradient| {
                slices::update(&entry.var, |weights| {
                    vectorized(
                        #[inline(always)]
                        || coefficients.apply(rule, weights, gradient, moments),
                    )
                })
            })??;
        }
        Ok(())
    }

    /// Writes the moments and the count of steps into `state`.
    pub fn save(&self, state: &mut TrainingState) {
        state.facts.optimizer_steps = self.steps;
        for (index, Moments { first, second }) in self.moments.iter().enumerate() {
            state.put_floats(format!("adam.first.{index}"), first);
            state.put_floats(format!("adam.second.{index}"), second);
        }
    }

    /// Takes them from `state`.
    ///
    /// # Errors
    /// When they are not those of the same weights.
    pub fn restore(&mut self, state: &TrainingState) -> std::result::Result<(), StateError> {
        self.steps = state.facts.optimizer_steps;
        for (index, Moments { first, second }) in self.moments.iter_mut().enumerate() {
            state.copy_floats(&format!("adam.first.{index}"), first)?;
            state.copy_floats(&format!("adam.second.{index}"), second)?;
        }
        Ok(())
    }

    fn coefficients(&self, lr: f64, scale: f32) -> Coefficients {
        let (beta1, beta2) = self.betas;
        let correction = |beta: f32| 1.0 - f64::from(beta).powi(self.steps);
        Coefficients {
            scale,
            beta1,
            beta2,
            keep: (1.0 - lr * self.weight_decay) as f32,
            rate: (lr / correction(beta1)) as f32,
            root_scale: (1.0 / correction(beta2).sqrt()) as f32,
        }
    }
}

fn gradient_of<'a>(entry: &Entry, gradients: &'a GradStore) -> Result<&'a Tensor> {
    match gradients.get(&entry.var) {
        Some(gradient) => Ok(gradient),
        None => bail!("no gradient reaches `{}`", entry.name),
    }
}

/// What the gradients are to be multiplied by, so that the norm of all of them together is at most `clip`.
fn clip_scale(parameters: &Parameters, gradients: &GradStore, clip: f64) -> Result<f32> {
    if clip == 0.0 {
        return Ok(1.0);
    }
    let mut squares = 0.0;
    for entry in parameters.trained() {
        squares += slices::read(gradient_of(entry, gradients)?, |values| values.iter().map(|&g| f64::from(g) * f64::from(g)).sum::<f64>())?;
    }
    Ok((clip / (squares.sqrt() + NORM_EPS)).min(1.0) as f32)
}

impl Coefficients {
    #[inline(always)]
    fn apply(self, rule: Optimizer, weights: &mut [f32], gradient: &[f32], moments: &mut Moments) {
        match rule {
            Optimizer::AdamAtan2 => self.apply_by(atan_of_ratio, weights, gradient, moments),
            Optimizer::AdamW => self.apply_by(|m, root| m / (root + ADAMW_EPS), weights, gradient, moments),
        }
    }

    /// `direction` is what to move against, by the first moment and the root of the second.
    #[inline(always)]
    fn apply_by(self, direction: impl Fn(f32, f32) -> f32, weights: &mut [f32], gradient: &[f32], moments: &mut Moments) {
        let moments = moments.first.iter_mut().zip(&mut moments.second);
        for ((weight, g), (m, v)) in weights.iter_mut().zip(gradient).zip(moments) {
            let g = g * self.scale;
            *m = self.beta1 * *m + (1.0 - self.beta1) * g;
            *v = self.beta2 * *v + (1.0 - self.beta2) * g * g;
            *weight = *weight * self.keep - self.rate * direction(*m, v.sqrt() * self.root_scale);
        }
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
    use tinysweep_proto::{config::TrialConfig, dataset::Task};

    /// An optimiser of one number that has taken one step.
    fn optimizer(rule: Optimizer, weight_decay: f64) -> Adam {
        let train = TrainConfig { optimizer: rule, weight_decay, ..TrainConfig::default() };
        Adam { steps: 1, ..Adam::without_moments(&train) }
    }

    fn moved_by(rule: Optimizer, gradients: &[f32], lr: f64) -> f32 {
        let mut optimizer = Adam { steps: 0, ..optimizer(rule, 0.0) };
        let mut moments = Moments { first: vec![0.0], second: vec![0.0] };
        let mut last = 0.0;
        for &gradient in gradients {
            optimizer.steps += 1;
            let mut weight = [0.0];
            optimizer.coefficients(lr, 1.0).apply(rule, &mut weight, &[gradient], &mut moments);
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
            let mut moments = Moments { first: vec![0.0], second: vec![0.0] };
            optimizer(rule, 0.1).coefficients(0.5, 1.0).apply(rule, &mut weight, &[0.0], &mut moments);
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
        let scale = |clip| f64::from(clip_scale(&parameters, &gradients, clip).unwrap());
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
