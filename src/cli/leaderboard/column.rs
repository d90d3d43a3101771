//! What a user may call a column of the leaderboard.

use std::{collections::BTreeSet, str::FromStr};

use tinysweep_proto::{
    config::nearest,
    metric::{Goal, TEST_METRICS, Unit, test_metric},
    v1::{Cost, LeaderboardRow},
};

use crate::cli::cost;

/// A column by its name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Column {
    /// Trainable parameters.
    Parameters,
    /// T·(n+1)·layers.
    Depth,
    /// Operations of the training run.
    TrainFlops,
    /// Operations to answer one puzzle.
    InferenceFlops,
    /// Wall time of a replicate.
    WallSeconds,
    /// Seconds of the device, of all attempts.
    DeviceSeconds,
    /// Energy of all attempts.
    Joules,
    /// The most memory that an attempt had.
    PeakMemory,
    /// Energy for each test puzzle answered rightly.
    JoulesPerCorrect,
    /// A test metric.
    Metric(&'static str),
}

const COSTS: [(&str, Column); 9] = [
    ("parameters", Column::Parameters),
    ("depth", Column::Depth),
    ("train_flops", Column::TrainFlops),
    ("inference_flops", Column::InferenceFlops),
    ("wall_seconds", Column::WallSeconds),
    ("device_seconds", Column::DeviceSeconds),
    ("joules", Column::Joules),
    ("peak_memory_bytes", Column::PeakMemory),
    ("joules_per_correct", Column::JoulesPerCorrect),
];

impl FromStr for Column {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        if let Some((_, cost)) = COSTS.iter().find(|(known, _)| *known == name) {
            return Ok(cost.clone());
        }
        // What a program reports has any name. That of an argument lives as long as the program does, like the argument.
        Ok(Self::Metric(test_metric(name).map_or_else(|| &*name.to_owned().leak(), |metric| metric.name)))
    }
}

impl Column {
    /// Whether it is one that every board may have, or that some row of this one has.
    ///
    /// # Errors
    /// What it may have been meant to be.
    pub fn check(&self, rows: &[LeaderboardRow]) -> Result<(), String> {
        let Self::Metric(name) = self else { return Ok(()) };
        if test_metric(name).is_some() || rows.iter().any(|row| row.metrics.contains_key(*name)) {
            return Ok(());
        }
        let reported: BTreeSet<_> = rows.iter().flat_map(|row| row.metrics.keys().map(String::as_str)).collect();
        let known =
            || COSTS.iter().map(|(name, _)| *name).chain(TEST_METRICS.iter().map(|metric| metric.name)).chain(reported.iter().copied());
        Err(match nearest(name, known()) {
            Some(near) => format!("no column is called `{name}`; did you mean `{near}`?"),
            None => format!(
                "no column is called `{name}`; there are {}",
                known().collect::<BTreeSet<_>>().into_iter().collect::<Vec<_>>().join(", ")
            ),
        })
    }

    /// The header.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Metric(name) => name,
            cost => COSTS.iter().find(|(_, known)| known == cost).map_or("", |(name, _)| name),
        }
    }

    /// The value in a row, if the row has one.
    pub fn value(&self, row: &LeaderboardRow) -> Option<f64> {
        let known = |value: f64| Some(value).filter(|value| *value > 0.0);
        let of_cost = |value: fn(&Cost) -> f64| row.cost.as_ref().map(value).and_then(known);
        match self {
            Self::Parameters => known(row.parameters as f64),
            Self::Depth => known(row.effective_depth as f64),
            Self::TrainFlops => known(row.train_flops),
            Self::InferenceFlops => known(row.inference_flops),
            Self::WallSeconds => known(row.wall_seconds),
            Self::DeviceSeconds => of_cost(|cost| cost.device_seconds),
            Self::Joules => of_cost(|cost| cost.joules),
            Self::PeakMemory => of_cost(|cost| cost.peak_memory_bytes as f64),
            Self::JoulesPerCorrect => row.joules_per_correct.and_then(known),
            Self::Metric(name) => row.metrics.get(*name).copied(),
        }
    }

    /// Which way is better: as the board says for the metric that ranks on it.
    pub fn goal(&self, board_goal: &str, board_metric: &str) -> Goal {
        match self {
            Self::Metric(name) if *name == board_metric => {
                if board_goal == "minimize" {
                    Goal::Minimize
                } else {
                    Goal::Maximize
                }
            }
            Self::Metric(name) => test_metric(name).map_or(Goal::Maximize, |metric| metric.goal),
            _ => Goal::Minimize,
        }
    }

    /// The value as people read it; empty where there is none.
    pub fn text(&self, row: &LeaderboardRow) -> String {
        let Some(value) = self.value(row) else { return String::new() };
        match self {
            Self::Metric(name) => metric_text(name, value),
            Self::Parameters | Self::Depth => grouped(value as u64),
            Self::TrainFlops | Self::InferenceFlops => format!("{value:.1e}"),
            Self::WallSeconds | Self::DeviceSeconds => crate::progress::duration(value),
            Self::PeakMemory => cost::memory(value),
            Self::Joules | Self::JoulesPerCorrect => cost::energy(value, row.cost.as_ref().is_some_and(cost::is_estimate)),
        }
    }
}

/// Shares in percent, everything else as it is.
pub fn metric_text(metric: &str, value: f64) -> String {
    match test_metric(metric) {
        Some(known) if known.unit == Unit::Share => format!("{:.1} %", 100.0 * value),
        _ => crate::progress::number(value),
    }
}

/// Digits in groups of three.
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let groups: Vec<_> = digits.as_bytes().rchunks(3).rev().map(|group| String::from_utf8_lossy(group)).collect();
    groups.join(",")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_columns() {
        for (name, column) in &COSTS {
            assert_eq!((name.parse::<Column>().as_ref(), column.name()), (Ok(column), *name));
        }
        assert_eq!("test/lm_loss".parse::<Column>().unwrap(), Column::Metric("test/lm_loss"));
        let rows = [LeaderboardRow { metrics: [("val_loss".to_owned(), 1.0)].into(), ..LeaderboardRow::default() }];
        let check = |name: &str| name.parse::<Column>().unwrap().check(&rows);
        assert_eq!((check("val_loss"), check("depth")), (Ok(()), Ok(())));
        assert_eq!(check("paramters").unwrap_err(), "no column is called `paramters`; did you mean `parameters`?");
        assert!(check("qqq").unwrap_err().contains("there are depth, device_seconds, inference_flops"));
    }

    #[test]
    fn numbers_as_people_read_them() {
        assert_eq!(grouped(5_028_866), "5,028,866");
        assert_eq!(grouped(12), "12");
        assert_eq!(metric_text("test/exact_accuracy", 0.9751), "97.5 %");
        assert_eq!(metric_text("test/pass@2", 0.385), "38.5 %");
        assert_eq!(metric_text("test/lm_loss", 0.25), "0.2500");
    }
}
