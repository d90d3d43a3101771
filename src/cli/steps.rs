//! Metrics after each supervision step, as people read them.

use std::collections::BTreeMap;

use tinysweep_proto::{
    metric::{TEST_METRICS, Unit},
    v1::Replicate,
};

use crate::output::Table;

/// The metrics of a replicate after each supervision step, by name.
pub fn of(replicate: &Replicate) -> BTreeMap<String, Vec<f64>> {
    replicate.metrics_by_step.iter().map(|series| (series.name.clone(), series.values.clone())).collect()
}

/// A row for each supervision step, a column for each metric in the order of [`TEST_METRICS`]; losses are left to JSON.
pub fn table(by_step: &BTreeMap<String, Vec<f64>>) -> Table {
    let columns: Vec<_> = TEST_METRICS
        .iter()
        .filter(|metric| metric.unit != Unit::Nats)
        .filter_map(|metric| Some((metric, by_step.get(metric.name)?)))
        .collect();
    let steps = columns.iter().map(|(_, values)| values.len()).max().unwrap_or_default();
    let row = |step: usize| {
        let value = |(_, values): &(_, &Vec<f64>)| values.get(step - 1).map_or(String::new(), |value| format!("{value:.4}"));
        std::iter::once(step.to_string()).chain(columns.iter().map(value)).collect()
    };
    let names =
        columns.iter().map(|(metric, _)| HEADERS.iter().find(|(name, _)| *name == metric.name).map_or(metric.name, |(_, header)| header));
    Table { headers: std::iter::once(">step").chain(names).collect(), rows: (1..=steps).map(row).collect() }
}

/// What columns are called where there is no room for the metric's name.
const HEADERS: [(&str, &str); 6] = [
    ("test/exact_accuracy", ">exact accuracy"),
    ("test/token_accuracy", ">token accuracy"),
    ("test/q_halt_accuracy", ">halting accuracy"),
    ("test/halting_step", ">mean halting step"),
    ("test/halting_exact_accuracy", ">exact when halted"),
    ("test/optimal_path_accuracy", ">optimal path"),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_for_each_step() {
        let by_step = [("test/exact_accuracy".to_owned(), vec![0.25, 0.5]), ("test/lm_loss".to_owned(), vec![1.0, 0.5])].into();
        let table = table(&by_step);
        assert_eq!(table.headers, [">step", ">exact accuracy"]);
        assert_eq!(table.rows, [["1", "0.2500"], ["2", "0.5000"]]);
    }
}
