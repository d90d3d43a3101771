//! The learning rate as a function of the step.

use std::f64::consts::PI;

use tinysweep_proto::config::{LrSchedule, TrainConfig};

/// Linear warm-up, then a fall to a share of the base rate. One schedule serves every optimiser; only the base differs.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Schedule {
    /// How the rate falls after warm-up.
    pub shape: LrSchedule,
    /// Steps over which the rate rises from 0.
    pub warmup_steps: usize,
    /// Steps of the whole run; the fall ends at the last.
    pub total_steps: usize,
    /// Share of the base rate at the last step; 1 keeps the rate constant.
    pub min_ratio: f64,
}

impl Schedule {
    /// What a configuration says.
    pub fn of(train: &TrainConfig) -> Self {
        Self { shape: train.schedule, warmup_steps: train.warmup_steps, total_steps: train.steps, min_ratio: train.lr_min_ratio }
    }

    /// The rate of `step`, which counts from 1, where `base` is the rate after warm-up.
    pub fn rate(&self, base: f64, step: usize) -> f64 {
        if step < self.warmup_steps {
            return base * step as f64 / self.warmup_steps as f64;
        }
        let falling_steps = self.total_steps.saturating_sub(self.warmup_steps).max(1);
        let progress = (step - self.warmup_steps) as f64 / falling_steps as f64;
        let left = match self.shape {
            LrSchedule::Cosine => 0.5 * (1.0 + (PI * progress).cos()),
            LrSchedule::Linear => (1.0 - progress).max(0.0),
            LrSchedule::Constant => 1.0,
        };
        base * (self.min_ratio + (1.0 - self.min_ratio) * left)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn published_schedule_rises_and_stays() {
        let schedule = Schedule { shape: LrSchedule::Cosine, warmup_steps: 2000, total_steps: 65_104, min_ratio: 1.0 };
        for (step, rate) in [(1, 5e-8), (1000, 5e-5), (2000, 1e-4), (65_104, 1e-4)] {
            assert!((schedule.rate(1e-4, step) - rate).abs() < 1e-18, "step {step}");
        }
    }

    #[test]
    fn cosine_ends_at_its_floor() {
        let schedule = Schedule { shape: LrSchedule::Cosine, warmup_steps: 0, total_steps: 10, min_ratio: 0.1 };
        assert_eq!(schedule.rate(1.0, 0), 1.0);
        assert!((schedule.rate(1.0, 5) - 0.55).abs() < 1e-12);
        assert!((schedule.rate(1.0, 10) - 0.1).abs() < 1e-12);
    }

    #[test]
    fn warmup_longer_than_the_run_only_rises() {
        let schedule = Schedule { shape: LrSchedule::Cosine, warmup_steps: 100, total_steps: 10, min_ratio: 0.0 };
        assert_eq!(schedule.rate(1.0, 10), 0.1);
    }

    #[test]
    fn a_line_falls_evenly_and_a_constant_does_not() {
        let line = Schedule { shape: LrSchedule::Linear, warmup_steps: 2, total_steps: 12, min_ratio: 0.5 };
        for (step, rate) in [(1, 0.5), (2, 1.0), (7, 0.75), (12, 0.5)] {
            assert!((line.rate(1.0, step) - rate).abs() < 1e-12, "step {step}");
        }
        assert_eq!(Schedule { shape: LrSchedule::Constant, ..line }.rate(1.0, 12), 1.0);
    }
}
