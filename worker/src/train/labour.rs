//! Counts what a run does.

use std::time::Duration;

use tinysweep_proto::{
    config::{TrialConfig, size},
    dataset::DataShape,
};

use crate::{eval::Settings, report::Work};

/// What has been done, and what each further step and answer adds to it.
#[derive(Debug)]
pub(super) struct Labour {
    work: Work,
    batch_size: u64,
    step_flops: f64,
    answer_flops: f64,
}

impl Labour {
    pub(super) fn new(config: &TrialConfig, shape: &DataShape) -> Self {
        let size = size(config, shape);
        let supervision_step = size.inference_flops as f64 / config.halt_max_steps as f64;
        Self {
            work: Work::default(),
            batch_size: config.train.batch_size as u64,
            step_flops: size.train_flops_per_step as f64,
            answer_flops: supervision_step * Settings::of(config).steps as f64,
        }
    }

    /// An optimiser step was done.
    pub(super) fn step(&mut self, took: Duration) {
        self.work.steps += 1;
        self.work.samples += self.batch_size;
        self.work.training_seconds += took.as_secs_f64();
        self.work.flops += self.step_flops;
    }

    /// An evaluation has answered `puzzles` more.
    pub(super) fn answer(&mut self, puzzles: usize) {
        self.work.answered += puzzles as u64;
        self.work.flops += self.answer_flops * puzzles as f64;
    }

    pub(super) const fn done(&self) -> Work {
        self.work
    }
}

#[cfg(test)]
mod tests {
    use tinysweep_proto::{config::EvaluationConfig, dataset::Task};

    use super::*;

    #[test]
    fn steps_and_answers_add_up() {
        let evaluation = EvaluationConfig { steps: Some(32), ..EvaluationConfig::default() };
        let config = TrialConfig { evaluation, ..TrialConfig::default() };
        let shape = Task::Sudoku9x9.shape(1);
        let size = size(&config, &shape);
        let mut labour = Labour::new(&config, &shape);
        labour.step(Duration::from_millis(500));
        labour.step(Duration::from_millis(250));
        labour.answer(3);
        // The evaluation goes on for twice as many supervision steps as training.
        let flops = 2.0 * size.train_flops_per_step as f64 + 3.0 * 2.0 * size.inference_flops as f64;
        assert_eq!(labour.done(), Work { steps: 2, samples: 2 * 768, training_seconds: 0.75, answered: 3, flops });
    }
}
