//! The form of a leaderboard for programs.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::value::RawValue;
use tinysweep_proto::v1::{Leaderboard, LeaderboardRow};

use super::{interval, kind_name};
use crate::cli::cost::CostView;

/// The JSON form. Stable: fields are added, never changed.
#[derive(Serialize)]
pub struct Board<'a> {
    benchmark: Option<&'a str>,
    metric: &'a str,
    goal: &'a str,
    rows: Vec<Row<'a>>,
}

#[derive(Serialize)]
struct Row<'a> {
    kind: &'static str,
    name: &'a str,
    benchmark: Option<&'a str>,
    metric: Measured<'a>,
    parameters: Option<u64>,
    effective_depth: Option<u64>,
    train_flops: Option<f64>,
    inference_flops: Option<f64>,
    wall_seconds: Option<f64>,
    /// Every metric of the row, by name.
    metrics: BTreeMap<&'a str, f64>,
    tied_with_best: bool,
    proxy: bool,
    sweep: Option<&'a str>,
    trial: Option<u32>,
    exact_accuracy_by_step: &'a [f64],
    source: Option<&'a str>,
    caveat: Option<&'a str>,
    /// What the source prints after ±.
    spread: Option<f64>,
    second_hand: bool,
    /// Of all attempts at all replicates, also of those without a result.
    cost: Option<CostView>,
    joules_per_correct: Option<f64>,
    /// As the coordinator wrote it; re-encoding could change a number's digits.
    config: Box<RawValue>,
}

#[derive(Serialize)]
struct Measured<'a> {
    name: &'a str,
    mean: f64,
    ci95: Option<[f64; 2]>,
    n: u32,
}

impl<'a> TryFrom<&'a Leaderboard> for Board<'a> {
    type Error = serde_json::Error;

    fn try_from(board: &'a Leaderboard) -> Result<Self, serde_json::Error> {
        let rows = board.rows.iter().map(|row| Row::new(row, &board.metric)).collect::<Result<_, _>>()?;
        let benchmark = Some(board.benchmark.as_str()).filter(|name| !name.is_empty());
        Ok(Self { benchmark, metric: &board.metric, goal: &board.goal, rows })
    }
}

impl<'a> Row<'a> {
    fn new(row: &'a LeaderboardRow, metric: &'a str) -> Result<Self, serde_json::Error> {
        let config = if row.config_json.is_empty() { "{}" } else { &row.config_json };
        Ok(Self {
            kind: kind_name(row.kind()),
            name: &row.name,
            benchmark: Some(row.benchmark.as_str()).filter(|name| !name.is_empty()),
            metric: Measured { name: metric, mean: row.mean, ci95: interval(row), n: row.n },
            parameters: Some(row.parameters).filter(|count| *count > 0),
            effective_depth: Some(row.effective_depth).filter(|count| *count > 0),
            train_flops: Some(row.train_flops).filter(|count| *count > 0.0),
            inference_flops: Some(row.inference_flops).filter(|count| *count > 0.0),
            wall_seconds: Some(row.wall_seconds).filter(|seconds| *seconds > 0.0),
            metrics: row.metrics.iter().map(|(name, value)| (name.as_str(), *value)).collect(),
            tied_with_best: row.tied_with_best,
            proxy: row.proxy,
            sweep: Some(row.sweep.as_str()).filter(|id| !id.is_empty()),
            trial: row.trial,
            exact_accuracy_by_step: &row.exact_accuracy_by_step,
            source: Some(row.source.as_str()).filter(|text| !text.is_empty()),
            caveat: Some(row.caveat.as_str()).filter(|text| !text.is_empty()),
            spread: row.spread,
            second_hand: row.second_hand,
            cost: row.cost.as_ref().map(CostView::from),
            joules_per_correct: row.joules_per_correct,
            config: RawValue::from_string(config.to_owned())?,
        })
    }
}

#[cfg(test)]
mod tests {
    use tinysweep_proto::v1::RowKind;

    use super::*;
    use crate::cli::leaderboard::tests::{board, row};

    #[test]
    fn json_keeps_the_promised_form() {
        let board = board(vec![row(RowKind::Trial, "l_cycles=2", 0.5, 7)]);
        let json = serde_json::to_value(Board::try_from(&board).unwrap()).unwrap();
        assert_eq!(json["benchmark"], "sudoku-6x6");
        assert_eq!(json["rows"][0]["kind"], "trial");
        assert_eq!(json["rows"][0]["metric"], serde_json::json!({"name": "test/exact_accuracy", "mean": 0.5, "ci95": null, "n": 1}));
        assert_eq!(json["rows"][0]["metrics"], serde_json::json!({"test/exact_accuracy": 0.5}));
        assert_eq!(json["rows"][0]["config"]["hidden_size"], 64);
    }
}
