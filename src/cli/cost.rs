//! What things cost, as people and programs read it.

use serde::Serialize;
use tinysweep_proto::v1::Cost;

/// The form for programs. Stable: fields are added, never changed.
#[derive(Debug, Serialize)]
pub struct CostView {
    wall_seconds: f64,
    device_seconds: f64,
    training_seconds: f64,
    steps: u64,
    samples: u64,
    answered: u64,
    /// By the clock, evaluations apart; null without a step.
    pub steps_per_s: Option<f64>,
    /// The same of samples.
    pub samples_per_s: Option<f64>,
    flops: f64,
    /// Null where the system does not say.
    pub peak_memory_bytes: Option<u64>,
    joules: f64,
    /// Of these, those that nothing has counted.
    joules_estimated: f64,
}

impl From<&Cost> for CostView {
    fn from(cost: &Cost) -> Self {
        let a_second = |count: u64| (cost.training_seconds > 0.0).then(|| count as f64 / cost.training_seconds);
        Self {
            wall_seconds: cost.wall_seconds,
            device_seconds: cost.device_seconds,
            training_seconds: cost.training_seconds,
            steps: cost.steps,
            samples: cost.samples,
            answered: cost.answered,
            steps_per_s: a_second(cost.steps),
            samples_per_s: a_second(cost.samples),
            flops: cost.flops,
            peak_memory_bytes: Some(cost.peak_memory_bytes).filter(|bytes| *bytes > 0),
            joules: cost.joules,
            joules_estimated: cost.joules_estimated,
        }
    }
}

/// Whether some of the energy is an estimate.
pub fn is_estimate(cost: &Cost) -> bool {
    cost.joules_estimated > 0.0
}

/// Energy in three figures; an estimate begins with `~`.
pub fn energy(joules: f64, is_estimate: bool) -> String {
    let (value, unit) = match joules {
        joules if joules >= 1e9 => (joules / 1e9, "GJ"),
        joules if joules >= 1e6 => (joules / 1e6, "MJ"),
        joules if joules >= 1e3 => (joules / 1e3, "kJ"),
        joules => (joules, "J"),
    };
    let digits = if value >= 100.0 { 0 } else { 1 };
    format!("{}{value:.digits$} {unit}", if is_estimate { "~" } else { "" })
}

/// Memory in MiB or GiB.
pub fn memory(bytes: f64) -> String {
    let mib = bytes / f64::from(1 << 20);
    if mib >= 1024.0 { format!("{:.1} GiB", mib / 1024.0) } else { format!("{mib:.0} MiB") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_people_read_it() {
        assert_eq!((energy(0.25, false).as_str(), energy(1234.0, true).as_str()), ("0.2 J", "~1.2 kJ"));
        assert_eq!((energy(456_000.0, false).as_str(), energy(7.8e9, true).as_str()), ("456 kJ", "~7.8 GJ"));
        assert_eq!((memory(3e8).as_str(), memory(3e9).as_str()), ("286 MiB", "2.8 GiB"));
    }

    #[test]
    fn speeds_are_of_the_time_in_steps() {
        let cost = Cost { wall_seconds: 10.0, training_seconds: 4.0, steps: 8, samples: 64, ..Cost::default() };
        let view = CostView::from(&cost);
        assert_eq!((view.steps_per_s, view.samples_per_s, view.peak_memory_bytes), (Some(2.0), Some(16.0), None));
        assert_eq!(CostView::from(&Cost::default()).steps_per_s, None);
    }
}
