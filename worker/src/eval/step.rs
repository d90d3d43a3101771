//! What all puzzles together have after one supervision step.

use crate::loss::Score;

/// Means over all puzzles after one supervision step.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct StepScore {
    /// Share of puzzles with every position right.
    pub exact_accuracy: f64,
    /// Mean share of right positions.
    pub token_accuracy: f64,
    /// Mean over puzzles of the mean loss of their positions.
    pub lm_loss: f64,
    /// Share of puzzles whose halting head knows whether the answer is right.
    pub q_halt_accuracy: f64,
    /// Mean binary cross entropy of the halting head.
    pub q_halt_loss: f64,
    /// The mean step at which puzzles would have halted if they might, and if this were the last step.
    pub halting_step: f64,
    /// Share of puzzles whose answer at that step is right.
    pub halting_exact_accuracy: f64,
    /// Share of mazes that are answered with a shortest path, whichever; 0 for other tasks.
    pub optimal_path_accuracy: f64,
}

/// When one puzzle would have halted.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Halt {
    /// The step, from 1.
    step: usize,
    /// Whether its answer was right then.
    is_exact: bool,
}

impl Halt {
    /// Where a puzzle stands after `step`: it stays halted where it did first, else halts now if it wants to.
    pub fn after(before: Option<Self>, step: usize, score: &Score, wants_to_halt: bool) -> Option<Self> {
        before.or_else(|| wants_to_halt.then(|| Self { step, is_exact: score.is_exact() }))
    }
}

impl StepScore {
    /// Adds one puzzle after `step`. Without a `halt` it would go on, so that this step is its last.
    pub fn add(&mut self, step: usize, score: &Score, halt: Option<Halt>, is_optimal: bool) {
        let halt = halt.unwrap_or(Halt { step, is_exact: score.is_exact() });
        let share = |is_so: bool| f64::from(u8::from(is_so));
        self.exact_accuracy += share(score.is_exact());
        self.token_accuracy += score.token_accuracy();
        self.lm_loss += score.lm_loss;
        self.q_halt_accuracy += share(score.q_is_right());
        self.q_halt_loss += score.q_halt_loss;
        self.halting_step += halt.step as f64;
        self.halting_exact_accuracy += share(halt.is_exact);
        self.optimal_path_accuracy += share(is_optimal);
    }

    /// Turns sums over `count` puzzles into means.
    pub fn divide(&mut self, count: f64) {
        for sum in [
            &mut self.exact_accuracy,
            &mut self.token_accuracy,
            &mut self.lm_loss,
            &mut self.q_halt_accuracy,
            &mut self.q_halt_loss,
            &mut self.halting_step,
            &mut self.halting_exact_accuracy,
            &mut self.optimal_path_accuracy,
        ] {
            *sum /= count;
        }
    }

    /// Its metrics, by name.
    pub fn metrics(&self, has_paths: bool) -> Vec<(&'static str, f64)> {
        let mut metrics = vec![
            ("test/exact_accuracy", self.exact_accuracy),
            ("test/token_accuracy", self.token_accuracy),
            ("test/lm_loss", self.lm_loss),
            ("test/q_halt_accuracy", self.q_halt_accuracy),
            ("test/q_halt_loss", self.q_halt_loss),
            ("test/halting_step", self.halting_step),
            ("test/halting_exact_accuracy", self.halting_exact_accuracy),
        ];
        if has_paths {
            metrics.push(("test/optimal_path_accuracy", self.optimal_path_accuracy));
        }
        metrics
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn score(right: usize, q_halt: f32) -> Score {
        Score { lm_loss: 1.0, q_halt_loss: 0.5, q_continue_loss: 0.0, asked: 4, right, q_halt, q_continue: 0.0 }
    }

    /// Two puzzles, three steps: one halts after the second with a wrong answer that it would have mended, the other never.
    #[test]
    fn halting_counts_the_first_wish_and_the_answer_of_then() {
        let puzzles = [[score(1, -1.0), score(3, 1.0), score(4, 1.0)], [score(4, -1.0), score(4, -1.0), score(2, -1.0)]];
        let mut halts = [None; 2];
        let mut by_step = [StepScore::default(); 3];
        for (sums, step) in by_step.iter_mut().zip(1..) {
            for (puzzle, halt) in puzzles.iter().zip(&mut halts) {
                let score = &puzzle[step - 1];
                *halt = Halt::after(*halt, step, score, score.q_halt > 0.0);
                sums.add(step, score, *halt, false);
            }
            sums.divide(2.0);
        }
        assert_eq!(by_step.map(|score| score.halting_step), [1.0, 2.0, 2.5]);
        assert_eq!(by_step.map(|score| score.halting_exact_accuracy), [0.5, 0.5, 0.0]);
        assert_eq!(by_step.map(|score| score.exact_accuracy), [0.5, 0.5, 0.5]);
        assert_eq!(by_step.map(|score| score.token_accuracy), [0.625, 0.875, 0.75]);
        // The head is right about the first puzzle's first and last answer, and about the second's last.
        assert_eq!(by_step.map(|score| score.q_halt_accuracy), [0.5, 0.0, 1.0]);
    }

    #[test]
    fn only_mazes_have_paths() {
        let names = |has_paths| StepScore::default().metrics(has_paths).into_iter().map(|(name, _)| name).collect::<Vec<_>>();
        assert_eq!(names(true).len(), names(false).len() + 1);
        for name in names(true) {
            assert!(tinysweep_proto::metric::test_metric(name).is_some(), "{name}");
        }
    }
}
