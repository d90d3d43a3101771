//! The two optimisers of the reference: AdamATan2 for the weights, sign-SGD for the puzzle table.

use std::collections::BTreeMap;

use candle_core::{Result, Tensor, Var, backprop::GradStore, bail};

use crate::{
    kernels::{math::atan_of_ratio, slices, vectorized},
    model::Parameters,
};

/// Adam with `atan2(m, √v)` in place of `m / (√v + ε)`: scale-free and bounded (arXiv 2407.05872; imoneoi/adam-atan2), with decoupled decay.
#[derive(Debug)]
pub struct AdamAtan2 {
    betas: (f32, f32),
    weight_decay: f64,
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
    beta1: f32,
    beta2: f32,
    /// What is left of a weight after decay.
    keep: f32,
    /// The learning rate over the bias correction of the first moment, which the reference leaves outside the arc tangent.
    rate: f32,
    /// One over the bias correction of the root of the second moment.
    root_scale: f32,
}

impl AdamAtan2 {
    /// Starts with zero moments for the trained weights of `parameters`.
    pub fn new(parameters: &Parameters, beta1: f64, beta2: f64, weight_decay: f64) -> Self {
        let zeros = |count| Moments { first: vec![0.0; count], second: vec![0.0; count] };
        let moments = parameters.trained().map(|entry| zeros(entry.var.elem_count())).collect();
        Self { betas: (beta1 as f32, beta2 as f32), weight_decay, steps: 0, moments }
    }

    /// Moves the trained weights of `parameters`, the ones that it was made for, against `gradients`.
    ///
    /// # Errors
    /// When a weight has no gradient: an operation without a backward pass has cut it off.
    pub fn step(&mut self, parameters: &Parameters, gradients: &GradStore, lr: f64) -> Result<()> {
        self.steps += 1;
        let coefficients = self.coefficients(lr);
        for (moments, entry) in self.moments.iter_mut().zip(parameters.trained()) {
            let Some(gradient) = gradients.get(&entry.var) else { bail!("no gradient reaches `{}`", entry.name) };
            slices::read(gradient, |gradient| {
                slices::update(&entry.var, |weights| {
                    vectorized(
                        #[inline(always)]
                        || coefficients.apply(weights, gradient, moments),
                    )
                })
            })??;
        }
        Ok(())
    }

    fn coefficients(&self, lr: f64) -> Coefficients {
        let (beta1, beta2) = self.betas;
        let correction = |beta: f32| 1.0 - f64::from(beta).powi(self.steps);
        Coefficients {
            beta1,
            beta2,
            keep: (1.0 - lr * self.weight_decay) as f32,
            rate: (lr / correction(beta1)) as f32,
            root_scale: (1.0 / correction(beta2).sqrt()) as f32,
        }
    }
}

impl Coefficients {
    #[inline(always)]
    fn apply(self, weights: &mut [f32], gradient: &[f32], moments: &mut Moments) {
        let moments = moments.first.iter_mut().zip(&mut moments.second);
        for ((weight, &g), (m, v)) in weights.iter_mut().zip(gradient).zip(moments) {
            *m = self.beta1 * *m + (1.0 - self.beta1) * g;
            *v = self.beta2 * *v + (1.0 - self.beta2) * g * g;
            *weight = *weight * self.keep - self.rate * atan_of_ratio(*m, v.sqrt() * self.root_scale);
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
    use candle_core::Device;

    fn moved(gradients: &[f32], lr: f64) -> f32 {
        let mut optimizer = AdamAtan2 { betas: (0.9, 0.95), weight_decay: 0.0, steps: 0, moments: Vec::new() };
        let mut moments = Moments { first: vec![0.0], second: vec![0.0] };
        let mut last = 0.0;
        for &gradient in gradients {
            optimizer.steps += 1;
            let mut weight = [0.0];
            optimizer.coefficients(lr).apply(&mut weight, &[gradient], &mut moments);
            last = weight[0];
        }
        last
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
        let optimizer = AdamAtan2 { betas: (0.9, 0.95), weight_decay: 0.1, steps: 1, moments: Vec::new() };
        let mut weight = [2.0];
        optimizer.coefficients(0.5).apply(&mut weight, &[0.0], &mut Moments { first: vec![0.0], second: vec![0.0] });
        assert_eq!(weight, [1.9]);
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
