//! The metrics that a trial can report.

use serde::{Deserialize, Serialize};

/// Which way is better.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Goal {
    /// Less is better.
    Minimize,
    /// More is better.
    Maximize,
}

/// A number that a trial reports.
#[derive(Debug, PartialEq, Eq)]
pub struct Metric {
    /// `split/name`.
    pub name: &'static str,
    /// Which way is better.
    pub goal: Goal,
    /// What the number means.
    pub meaning: &'static str,
}

/// The metrics of a test evaluation. Training reports the same under `train/`, over the slots that halted since the last report.
pub const TEST_METRICS: &[Metric] = &[
    Metric {
        name: "test/exact_accuracy",
        goal: Goal::Maximize,
        meaning: "share of test puzzles with every cell right after the last supervision step",
    },
    Metric { name: "test/token_accuracy", goal: Goal::Maximize, meaning: "mean share of right cells, givens included" },
    Metric { name: "test/lm_loss", goal: Goal::Minimize, meaning: "mean loss per cell, summed over no more than one puzzle" },
    Metric {
        name: "test/q_halt_accuracy",
        goal: Goal::Maximize,
        meaning: "share of test puzzles whose halting head knows whether the answer is right",
    },
    Metric { name: "test/q_halt_loss", goal: Goal::Minimize, meaning: "mean binary cross entropy of the halting head" },
];

/// The test metric of that name.
pub fn test_metric(name: &str) -> Option<&'static Metric> {
    TEST_METRICS.iter().find(|metric| metric.name == name)
}
