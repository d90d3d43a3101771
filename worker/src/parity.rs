//! Replays a recorded run of the published reference, step by step, and says how far this implementation strays from it.
//!
//! A recording is a folder: `trace.json` has the configuration and what was logged, safetensors files have weights, batches and
//! intermediate values. Where a bound is relative, the error is the largest difference over the largest recorded magnitude.

mod observation;
mod recording;
mod reference;
mod replay;
mod trace;

pub use recording::ParityError;
pub use replay::replay;

/// How an error is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Measure {
    /// The largest difference, over the largest recorded magnitude.
    Relative,
    /// The largest difference.
    Absolute,
    /// How many values differ.
    Count,
}

/// One quantity of a run: how far the replay was off where it was worst.
#[derive(Clone, Debug, PartialEq)]
pub struct Check {
    /// What was compared, as in `step 1: gradient of lm_head.weight`.
    pub quantity: String,
    /// Where it was worst, as in `step 3`; empty where there is but one place.
    pub place: String,
    /// How errors of this quantity are measured.
    pub measure: Measure,
    /// The error at the worst place.
    pub error: f64,
    /// The most that it may be for a single step.
    pub tolerance: f64,
    /// The most that rounding alone makes of it here, where it exceeds the tolerance and has come through several steps: four times
    /// what a change of the initial weights in their last bit does. 0 where that was not measured.
    pub rounding: f64,
}

impl Check {
    /// The most that the error may be: the tolerance, or what rounding alone does if that is more.
    pub fn bound(&self) -> f64 {
        self.tolerance.max(self.rounding)
    }

    /// Whether the error is within its bound. An error that is not a number is not.
    pub fn is_ok(&self) -> bool {
        self.error <= self.bound()
    }

    /// How much of its bound the error uses, to find the worst of several.
    fn strain(&self) -> f64 {
        match (self.error.is_nan(), self.error == 0.0) {
            (true, _) => f64::INFINITY,
            (_, true) => 0.0,
            _ => self.error / self.bound(),
        }
    }
}

/// What a replay has found.
#[derive(Clone, Debug, PartialEq)]
pub struct ParityReport {
    /// The recording's name of the model.
    pub model: String,
    /// Training steps that were replayed.
    pub steps: usize,
    /// Every quantity, once.
    pub checks: Vec<Check>,
}

impl ParityReport {
    /// Whether every quantity is within its bound.
    pub fn is_ok(&self) -> bool {
        self.checks.iter().all(Check::is_ok)
    }

    /// Adds a comparison; of the same quantity the worse one is kept.
    fn add(&mut self, check: Check) {
        match self.checks.iter_mut().find(|known| known.quantity == check.quantity) {
            Some(known) if check.strain() > known.strain() => *known = check,
            Some(_) => {}
            None => self.checks.push(check),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(error: f64, place: &str) -> Check {
        Check { quantity: "loss".into(), place: place.into(), measure: Measure::Relative, error, tolerance: 1e-4, rounding: 0.0 }
    }

    #[test]
    fn the_worst_place_is_kept_and_nan_is_worst() {
        let mut report = ParityReport { model: "m".into(), steps: 3, checks: Vec::new() };
        report.add(check(1e-6, "step 1"));
        report.add(check(1e-5, "step 2"));
        report.add(check(0.0, "step 3"));
        assert_eq!((report.checks.len(), report.checks[0].place.as_str(), report.is_ok()), (1, "step 2", true));
        report.add(check(f64::NAN, "step 4"));
        report.add(check(1.0, "step 5"));
        assert_eq!((report.checks[0].place.as_str(), report.is_ok()), ("step 4", false));
    }
}
