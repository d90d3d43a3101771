//! The result that an attempt reports, and what makes it one.

use std::collections::BTreeMap;

use super::{cost::Cost, metric_name};

/// The most supervision steps that a result may list.
const SUPERVISION_STEPS_LIMIT: usize = 10_000;

/// The most metrics that a result may list for each of them.
const STEP_METRICS_LIMIT: usize = 32;

/// The most final metrics that a result may list.
const METRICS_LIMIT: usize = 256;

/// The result of an attempt, as reported.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct TrialOutcome {
    /// Final metrics by name.
    pub metrics: BTreeMap<String, f64>,
    /// Metrics after supervision step 1, 2, …, by name.
    pub metrics_by_step: BTreeMap<String, Vec<f64>>,
    /// Of the whole attempt.
    pub wall_seconds: f64,
    /// Where the worker keeps the checkpoint, for people.
    pub checkpoint: String,
    /// As counted on the trained model.
    pub parameters: u64,
    /// Of the attempt, where its worker says so.
    pub cost: Option<Cost>,
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
        self.check_steps()?;
        if !self.metrics.contains_key(metric) {
            return Err(format!("the sweep's metric {metric} is not among the final metrics{}", self.listed()));
        }
        if !(self.wall_seconds.is_finite() && self.wall_seconds >= 0.0) {
            return Err(format!("{} seconds is no duration", self.wall_seconds));
        }
        i64::try_from(self.parameters).map_err(|_| format!("{} parameters", self.parameters))?;
        Ok(())
    }
}

impl TrialOutcome {
    /// What there is instead of a metric, for people.
    fn listed(&self) -> String {
        const SHOWN: usize = 8;
        let names: Vec<_> = self.metrics.keys().take(SHOWN).map(String::as_str).collect();
        let more = if self.metrics.len() > SHOWN { ", …" } else { "" };
        if names.is_empty() { ", of which there are none".into() } else { format!("; those are {}{more}", names.join(", ")) }
    }

    fn check_steps(&self) -> Result<(), String> {
        let steps = self.metrics_by_step.values().next().map_or(0, Vec::len);
        if self.metrics_by_step.len() > STEP_METRICS_LIMIT || steps > SUPERVISION_STEPS_LIMIT {
            let metrics = self.metrics_by_step.len();
            return Err(format!(
                "{metrics} metrics by {steps} supervision steps, of {STEP_METRICS_LIMIT} by {SUPERVISION_STEPS_LIMIT} at the most"
            ));
        }
        for (name, values) in &self.metrics_by_step {
            metric_name(name)?;
            if values.len() != steps {
                return Err(format!("{name} has {} values by supervision step, others have {steps}", values.len()));
            }
            values.iter().try_for_each(|value| finite(&format!("{name} after some supervision step"), *value))?;
        }
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
            metrics_by_step: [(METRIC.to_owned(), vec![0.1, 0.5]), ("test/token_accuracy".to_owned(), vec![0.4, 0.8])].into(),
            wall_seconds: 1.5,
            checkpoint: "host:/path".into(),
            parameters: 7,
            cost: None,
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
        assert_eq!(
            problem(|o| o.metrics.clear()),
            "the sweep's metric test/exact_accuracy is not among the final metrics, of which there are none"
        );
        let other = problem(|o| o.metrics = [("loss".to_owned(), 0.5)].into());
        assert_eq!(other, "the sweep's metric test/exact_accuracy is not among the final metrics; those are loss");
        let exact_by_step =
            |values: Vec<f64>| [("test/exact_accuracy".to_owned(), vec![1.0, 1.0]), ("test/token_accuracy".to_owned(), values)].into();
        let mut uneven = good();
        uneven.metrics_by_step = exact_by_step(vec![1.0; 3]);
        assert_eq!(uneven.check(METRIC).unwrap_err(), "test/token_accuracy has 3 values by supervision step, others have 2");
        uneven.metrics_by_step = exact_by_step(vec![1.0, f64::INFINITY]);
        assert_eq!(uneven.check(METRIC).unwrap_err(), "test/token_accuracy after some supervision step is inf");
        uneven.metrics_by_step = [(METRIC.to_owned(), vec![0.0; 10_001])].into();
        assert_eq!(uneven.check(METRIC).unwrap_err(), "1 metrics by 10001 supervision steps, of 32 by 10000 at the most");
        assert_eq!(problem(|o| o.wall_seconds = -1.0), "-1 seconds is no duration");
        assert_eq!(problem(|o| o.parameters = u64::MAX), format!("{} parameters", u64::MAX));
        assert!(problem(|o| o.metrics = [("x".repeat(200), 1.0)].into()).contains("128"));
    }
}
