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
    /// What it is counted in.
    pub unit: Unit,
    /// What the number means.
    pub meaning: &'static str,
}

/// What a metric is counted in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    /// A share from 0 to 1, which people read in percent.
    Share,
    /// A cross entropy in nats.
    Nats,
}

/// The metrics of a test evaluation. Training reports the same under `train/`, over the slots that halted since the last report.
pub const TEST_METRICS: &[Metric] = &[
    Metric {
        name: "test/exact_accuracy",
        goal: Goal::Maximize,
        unit: Unit::Share,
        meaning: "share of test puzzles with every cell right after the last supervision step",
    },
    Metric { name: "test/token_accuracy", goal: Goal::Maximize, unit: Unit::Share, meaning: "mean share of right cells, givens included" },
    Metric {
        name: "test/lm_loss",
        goal: Goal::Minimize,
        unit: Unit::Nats,
        meaning: "mean loss per cell, summed over no more than one puzzle",
    },
    Metric {
        name: "test/q_halt_accuracy",
        goal: Goal::Maximize,
        unit: Unit::Share,
        meaning: "share of test puzzles whose halting head knows whether the answer is right",
    },
    Metric { name: "test/q_halt_loss", goal: Goal::Minimize, unit: Unit::Nats, meaning: "mean binary cross entropy of the halting head" },
    pass_at("test/pass@1"),
    pass_at("test/pass@2"),
    pass_at("test/pass@5"),
    pass_at("test/pass@10"),
    pass_at("test/pass@100"),
    pass_at("test/pass@1000"),
];

/// A metric of ARC, where every test input is answered in many augmented forms and the answers are voted on.
const fn pass_at(name: &'static str) -> Metric {
    Metric {
        name,
        goal: Goal::Maximize,
        unit: Unit::Share,
        meaning: "ARC: mean over tasks of the share of test inputs whose answer is among the K most voted ones (pass@K)",
    }
}

/// The test metric of that name.
pub fn test_metric(name: &str) -> Option<&'static Metric> {
    TEST_METRICS.iter().find(|metric| metric.name == name)
}
