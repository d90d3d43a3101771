//! The result that an attempt reports, and what makes it one.

use std::collections::BTreeMap;

use super::metric_name;

/// The most supervision steps that a result may list.
const SUPERVISION_STEPS_LIMIT: usize = 4096;

/// The most final metrics that a result may list.
const METRICS_LIMIT: usize = 256;

/// The result of an attempt, as reported.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct TrialOutcome {
    /// Final metrics by name.
    pub metrics: BTreeMap<String, f64>,
    /// Share of test puzzles that are right after supervision step 1, 2, …
    pub exact_accuracy_by_step: Vec<f64>,
    /// Mean share of right cells after the same steps.
    pub token_accuracy_by_step: Vec<f64>,
    /// Of the whole attempt.
    pub wall_seconds: f64,
    /// Where the worker keeps the checkpoint, for people.
    pub checkpoint: String,
    /// As counted on the trained model.
    pub parameters: u64,
}

impl TrialOutcome {
    /// Whether this can stand as the result of a trial of a sweep that ranks by `metric`.
    ///
    /// # Errors
    /// What is wrong with it, for people.
    pub fn check(&self, metric: &str) -> Result<(), String> {
        if self.metrics.len() > METRICS_LIMIT {
            return Err(format!("{} final metrics, of {METRICS_LIMIT} at the most", self.metrics.len()));
        }
        for (name, value) in &self.metrics {
            metric_name(name)?;
            finite(name, *value)?;
        }
        if !self.metrics.contains_key(metric) {
            return Err(format!("the sweep's metric {metric} is not among the final metrics"));
        }
        let (exact, token) = (&self.exact_accuracy_by_step, &self.token_accuracy_by_step);
        if exact.len() != token.len() || exact.len() > SUPERVISION_STEPS_LIMIT {
            return Err(format!("{} exact and {} token accuracies by supervision step", exact.len(), token.len()));
        }
        exact.iter().chain(token).try_for_each(|accuracy| finite("an accuracy by supervision step", *accuracy))?;
        if !(self.wall_seconds.is_finite() && self.wall_seconds >= 0.0) {
            return Err(format!("{} seconds is no duration", self.wall_seconds));
        }
        i64::try_from(self.parameters).map_err(|_| format!("{} parameters", self.parameters))?;
        Ok(())
    }
}

fn finite(name: &str, value: f64) -> Result<(), String> {
    if value.is_finite() { Ok(()) } else { Err(format!("{name} is {value}")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    const METRIC: &str = "test/exact_accuracy";

    fn good() -> TrialOutcome {
        TrialOutcome {
            metrics: [(METRIC.to_owned(), 0.5)].into(),
            exact_accuracy_by_step: vec![0.1, 0.5],
            token_accuracy_by_step: vec![0.4, 0.8],
            wall_seconds: 1.5,
            checkpoint: "host:/path".into(),
            parameters: 7,
        }
    }

    #[test]
    fn what_makes_a_result() {
        assert_eq!(good().check(METRIC), Ok(()));
        let problem = |change: fn(&mut TrialOutcome)| {
            let mut outcome = good();
            change(&mut outcome);
            outcome.check(METRIC).unwrap_err()
        };
        assert_eq!(problem(|o| o.metrics = [(METRIC.to_owned(), f64::NAN)].into()), "test/exact_accuracy is NaN");
        assert_eq!(problem(|o| o.metrics.clear()), "the sweep's metric test/exact_accuracy is not among the final metrics");
        assert_eq!(problem(|o| o.exact_accuracy_by_step.push(1.0)), "3 exact and 2 token accuracies by supervision step");
        assert_eq!(problem(|o| o.wall_seconds = -1.0), "-1 seconds is no duration");
        assert_eq!(problem(|o| o.parameters = u64::MAX), format!("{} parameters", u64::MAX));
        assert!(problem(|o| o.metrics = [("x".repeat(200), 1.0)].into()).contains("128"));
    }
}
