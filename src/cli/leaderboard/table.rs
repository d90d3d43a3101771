//! The forms of a leaderboard for people: what was measured here, and below it what others have published.

use tinysweep_proto::v1::{Leaderboard, LeaderboardRow, RowKind};

use super::{
    column::{Column, metric_text},
    interval, kind_name,
};
use crate::{
    cli::cost,
    output::{self, Table},
};

/// Characters of a caveat in the table; JSON and CSV have all of it.
const CAVEAT_LIMIT: usize = 70;

/// Both sections with their titles, and what to know of them.
pub fn text(board: &Leaderboard, further: &[Column]) -> String {
    let (published, measured): (Vec<_>, Vec<_>) = board.rows.iter().partition(|row| row.kind() == RowKind::Published);
    let mut text = String::new();
    if measured.is_empty() {
        text += "nothing measured here yet\n";
    } else {
        text += &format!("{}\n", output::aligned(&measured_table(&measured, board, further)));
    }
    text += &notes(board);
    if !published.is_empty() {
        text += &format!("\npublished by others, not measured here:\n{}\n", output::aligned(&published_table(&published, board)));
        if published.iter().any(|row| row.benchmark != board.benchmark) {
            text += "rows on another benchmark are of an easier or harder one of the family: for orientation, not for ranking\n";
        }
        if published.iter().any(|row| row.second_hand) {
            text += "second-hand: not read in its source\n";
        }
        if published.iter().any(|row| row.spread.is_some()) {
            text += "±: as printed in the source, which does not always say of what\n";
        }
    }
    text
}

fn measured_table(rows: &[&LeaderboardRow], board: &Leaderboard, further: &[Column]) -> Table {
    let costs = [Column::Parameters, Column::Depth, Column::TrainFlops, Column::InferenceFlops, Column::WallSeconds, Column::Joules];
    let mut headers = vec!["#", "model", ">metric", "95% CI", ">n"];
    headers.extend(further.iter().map(Column::name));
    headers.extend([">parameters", ">depth", ">train FLOP", ">answer FLOP", ">time", ">energy", "what it is"]);
    let cells = |(index, row): (usize, &&LeaderboardRow)| {
        let low_to_high = |[low, high]: [f64; 2]| format!("{} – {}", metric_text(&board.metric, low), metric_text(&board.metric, high));
        let mut cells = vec![
            (index + 1).to_string(),
            row.name.clone(),
            metric_text(&board.metric, row.mean),
            interval(row).map_or(String::new(), low_to_high),
            row.n.to_string(),
        ];
        cells.extend(further.iter().chain(&costs).map(|column| column.text(row)));
        cells.push(what_it_is(row));
        cells
    };
    Table { headers, rows: rows.iter().enumerate().map(cells).collect() }
}

fn what_it_is(row: &LeaderboardRow) -> String {
    let kind = if row.kind() == RowKind::MeasuredBaseline { "baseline, measured here:" } else { "trial" };
    let place = row.trial.map_or(String::new(), |number| format!(" {}/{number}", row.sweep));
    let proxy = if row.proxy { ", proxy data" } else { "" };
    let tied = if row.tied_with_best { ", tied with best" } else { "" };
    format!("{kind}{place}{proxy}{tied}")
}

fn published_table(rows: &[&LeaderboardRow], board: &Leaderboard) -> Table {
    let headers = vec!["model", ">metric", ">parameters", ">depth", "on", "source", "note"];
    let cells = |row: &&LeaderboardRow| {
        let spread = row.spread.map_or(String::new(), |spread| format!(" ± {}", metric_text(&board.metric, spread)));
        vec![
            row.name.clone(),
            metric_text(&board.metric, row.mean) + &spread,
            Column::Parameters.text(row),
            Column::Depth.text(row),
            row.benchmark.clone(),
            row.source.clone(),
            note(row),
        ]
    };
    Table { headers, rows: rows.iter().map(cells).collect() }
}

/// What to know of a published figure, in short. What marks it as second-hand comes first, where it is not cut off.
fn note(row: &LeaderboardRow) -> String {
    let second_hand = if row.second_hand { "second-hand; " } else { "" };
    let text = format!("{second_hand}{}", row.caveat);
    let text = text.trim_end_matches("; ");
    match text.char_indices().nth(CAVEAT_LIMIT) {
        Some((end, _)) => format!("{}…", text[..end].trim_end()),
        None => text.to_owned(),
    }
}

fn notes(board: &Leaderboard) -> String {
    let on = if board.benchmark.is_empty() { String::new() } else { format!(", on {}", board.benchmark) };
    let mut notes = format!("metric: {} ({}){on}\n", board.metric, board.goal);
    if board.rows.iter().any(|row| row.proxy) {
        notes += "proxy data: the puzzles stand in for the benchmark's own\n";
    }
    if board.rows.iter().filter_map(|row| row.cost.as_ref()).any(cost::is_estimate) {
        notes += "energy: of all attempts; ~ is an estimate, device seconds times a stated power\n";
    }
    notes
}

/// All rows in one table of plain numbers, for spreadsheets.
pub fn flat(board: &Leaderboard, further: &[Column]) -> Table {
    let mut headers = vec!["kind", "name", "benchmark", "metric", "mean", "ci95_low", "ci95_high", "n"];
    headers.extend(further.iter().map(Column::name));
    let costs = [Column::Parameters, Column::Depth, Column::TrainFlops, Column::InferenceFlops, Column::WallSeconds];
    headers.extend(costs.iter().map(Column::name));
    headers.extend(["tied_with_best", "proxy", "sweep", "trial", "spread", "second_hand", "source", "caveat"]);
    let measured = [Column::DeviceSeconds, Column::Joules, Column::PeakMemory, Column::JoulesPerCorrect];
    headers.extend(measured.iter().map(Column::name).chain(["joules_estimated"]));
    let number = |value: Option<f64>| value.map_or(String::new(), |value| value.to_string());
    let cells = |row: &LeaderboardRow| {
        let mut cells = vec![
            kind_name(row.kind()).to_owned(),
            row.name.clone(),
            row.benchmark.clone(),
            board.metric.clone(),
            row.mean.to_string(),
            number(row.ci95_low),
            number(row.ci95_high),
            row.n.to_string(),
        ];
        cells.extend(further.iter().chain(&costs).map(|column| number(column.value(row))));
        cells.extend([
            row.tied_with_best.to_string(),
            row.proxy.to_string(),
            row.sweep.clone(),
            row.trial.map_or(String::new(), |trial| trial.to_string()),
            number(row.spread),
            row.second_hand.to_string(),
            row.source.clone(),
            row.caveat.clone(),
        ]);
        cells.extend(measured.iter().map(|column| number(column.value(row))));
        cells.push(number(row.cost.as_ref().map(|cost| cost.joules_estimated)));
        cells
    };
    Table { headers, rows: board.rows.iter().map(cells).collect() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::leaderboard::tests::{board, row};

    #[test]
    fn published_rows_are_never_among_the_measured_ones() {
        let second_hand = LeaderboardRow {
            second_hand: true,
            caveat: "x".repeat(200),
            benchmark: "sudoku-extreme".into(),
            spread: Some(0.02),
            ..row(RowKind::Published, "theirs", 0.9, 0)
        };
        let text = text(&board(vec![second_hand, row(RowKind::Trial, "ours", 0.8, 9)]), &[Column::Metric("test/lm_loss")]);
        let place = |word: &str| text.find(word).unwrap_or_else(|| panic!("{word} in {text}"));
        assert!(place("ours") < place("published by others") && place("published by others") < place("theirs"), "{text}");
        assert!(text.contains("90.0 % ± 2.0 %") && text.contains("second-hand; xxx") && text.contains("x…"), "{text}");
        assert!(text.contains("for orientation, not for ranking") && text.contains("test/lm_loss"), "{text}");
    }

    #[test]
    fn spreadsheets_get_plain_numbers_and_every_row() {
        let board = board(vec![row(RowKind::Published, "theirs", 0.9, 5_000_000), row(RowKind::MeasuredBaseline, "ours", 0.8, 9)]);
        let table = flat(&board, &[]);
        assert_eq!(table.headers[..5], ["kind", "name", "benchmark", "metric", "mean"]);
        assert_eq!(table.rows[0][..5], ["published", "theirs", "sudoku-6x6", "test/exact_accuracy", "0.9"]);
        assert!(table.rows[0].contains(&"5000000".to_owned()) && table.rows[1][0] == "measured-baseline");
        assert!(table.rows.iter().all(|row| row.len() == table.headers.len()));
    }
}
