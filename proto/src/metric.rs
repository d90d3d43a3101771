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
    /// Supervision steps.
    Steps,
}

/// The metrics of a test evaluation, on the whole test set after as many supervision steps as in training.
///
/// Training reports some of the same under `train/`, over the slots that halted since the last report, and all of them under `subset/`, on
/// a seeded subset of the test set. Sudoku has `test/exact_accuracy[rating=3-10]` and `test/puzzles[rating=3-10]`, for each bucket of
/// ratings and each source that the file of puzzles names.
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
    Metric {
        name: "test/halting_step",
        goal: Goal::Minimize,
        unit: Unit::Steps,
        meaning: "mean supervision step at which test puzzles would halt if they might, the last step at the latest",
    },
    Metric {
        name: "test/halting_exact_accuracy",
        goal: Goal::Maximize,
        unit: Unit::Share,
        meaning: "share of test puzzles whose answer at the step at which they would halt is right",
    },
    Metric {
        name: "test/optimal_path_accuracy",
        goal: Goal::Maximize,
        unit: Unit::Share,
        meaning: "mazes: share of test mazes that are answered with a shortest path, whichever of them (valid optimal path)",
    },
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
