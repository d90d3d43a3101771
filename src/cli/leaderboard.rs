//! `tinysweep leaderboard`: results, the best first.

use clap::Args;
use serde::Serialize;
use serde_json::value::RawValue;
use tinysweep_proto::v1::{GetLeaderboardRequest, Leaderboard, LeaderboardRow, RowKind};

use crate::{
    client::{Client, CoordinatorArgs, refused, request},
    failure::Failure,
    output::{self, Format, Table},
    progress::duration,
};

/// Arguments of `leaderboard`.
#[derive(Args, Debug)]
pub struct LeaderboardArgs {
    /// The sweep's id, or the beginning of it [default: the newest sweep]
    #[arg(default_value = "", conflicts_with = "benchmark")]
    sweep: String,
    /// Results of every sweep on this benchmark instead
    #[arg(long)]
    benchmark: Option<String>,
    #[command(flatten)]
    coordinator: CoordinatorArgs,
    /// How results are printed
    #[arg(long, value_enum, env = "TINYSWEEP_OUTPUT", default_value = "table")]
    output: Format,
}

/// Prints the leaderboard.
pub async fn execute(args: LeaderboardArgs) -> Result<(), Failure> {
    let client = Client::connect(&args.coordinator.coordinator).await?;
    let wanted = GetLeaderboardRequest { sweep: args.sweep, benchmark: args.benchmark.unwrap_or_default(), ..Default::default() };
    print(&client, wanted, args.output).await
}

/// Asks for a leaderboard and prints it.
pub async fn print(client: &Client, wanted: GetLeaderboardRequest, format: Format) -> Result<(), Failure> {
    let board = client.sweeps().get_leaderboard(request(wanted)).await.map_err(refused)?.into_inner();
    output::print(format, &table(&board), &Board::try_from(&board)?)?;
    if format == Format::Table {
        output::write(&footnotes(&board))?;
    }
    Ok(())
}

/// The JSON form. Stable: fields are added, never changed.
#[derive(Serialize)]
struct Board<'a> {
    benchmark: &'a str,
    metric: &'a str,
    goal: &'a str,
    rows: Vec<Row<'a>>,
}

#[derive(Serialize)]
struct Row<'a> {
    kind: &'static str,
    name: &'a str,
    benchmark: &'a str,
    metric: Measured<'a>,
    parameters: Option<u64>,
    effective_depth: Option<u64>,
    train_flops: Option<f64>,
    inference_flops: Option<f64>,
    wall_seconds: Option<f64>,
    tied_with_best: bool,
    proxy: bool,
    sweep: Option<&'a str>,
    trial: Option<u32>,
    exact_accuracy_by_step: &'a [f64],
    source: Option<&'a str>,
    caveat: Option<&'a str>,
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
        Ok(Self { benchmark: &board.benchmark, metric: &board.metric, goal: &board.goal, rows })
    }
}

impl<'a> Row<'a> {
    fn new(row: &'a LeaderboardRow, metric: &'a str) -> Result<Self, serde_json::Error> {
        let config = if row.config_json.is_empty() { "{}" } else { &row.config_json };
        Ok(Self {
            kind: kind_name(row.kind()),
            name: &row.name,
            benchmark: &row.benchmark,
            metric: Measured { name: metric, mean: row.mean, ci95: interval(row), n: row.n },
            parameters: Some(row.parameters).filter(|count| *count > 0),
            effective_depth: Some(row.effective_depth).filter(|count| *count > 0),
            train_flops: Some(row.train_flops).filter(|count| *count > 0.0),
            inference_flops: Some(row.inference_flops).filter(|count| *count > 0.0),
            wall_seconds: Some(row.wall_seconds).filter(|seconds| *seconds > 0.0),
            tied_with_best: row.tied_with_best,
            proxy: row.proxy,
            sweep: Some(row.sweep.as_str()).filter(|id| !id.is_empty()),
            trial: row.trial,
            exact_accuracy_by_step: &row.exact_accuracy_by_step,
            source: Some(row.source.as_str()).filter(|text| !text.is_empty()),
            caveat: Some(row.caveat.as_str()).filter(|text| !text.is_empty()),
            config: RawValue::from_string(config.to_owned())?,
        })
    }
}

fn interval(row: &LeaderboardRow) -> Option<[f64; 2]> {
    Some([row.ci95_low?, row.ci95_high?])
}

fn kind_name(kind: RowKind) -> &'static str {
    match kind {
        RowKind::Trial => "trial",
        RowKind::MeasuredBaseline => "measured-baseline",
        RowKind::Published => "published",
        RowKind::Unspecified => "unknown",
    }
}

fn table(board: &Leaderboard) -> Table {
    let headers = vec!["#", "model", ">metric", "95% CI", ">n", ">parameters", ">depth", ">train FLOP", ">time", "what it is"];
    let rows = board.rows.iter().enumerate().map(|(index, row)| cells(index + 1, row, &board.metric)).collect();
    Table { headers, rows }
}

fn cells(rank: usize, row: &LeaderboardRow, metric: &str) -> Vec<String> {
    let or_blank = |known: bool, text: String| if known { text } else { String::new() };
    vec![
        rank.to_string(),
        row.name.clone(),
        value(metric, row.mean),
        interval(row).map_or(String::new(), |[low, high]| format!("{} – {}", value(metric, low), value(metric, high))),
        or_blank(row.n > 0, row.n.to_string()),
        or_blank(row.parameters > 0, grouped(row.parameters)),
        or_blank(row.effective_depth > 0, row.effective_depth.to_string()),
        or_blank(row.train_flops > 0.0, format!("{:.1e}", row.train_flops)),
        or_blank(row.wall_seconds > 0.0, duration(row.wall_seconds)),
        what_it_is(row),
    ]
}

fn what_it_is(row: &LeaderboardRow) -> String {
    match row.kind() {
        RowKind::Published => format!("published, on {}", row.benchmark),
        kind => {
            let proxy = if row.proxy { ", proxy data" } else { "" };
            let tied = if row.tied_with_best { ", tied with best" } else { "" };
            let of = row.trial.map_or(String::new(), |number| format!(" {}/{number}", row.sweep));
            format!("{}{of}{proxy}{tied}", kind_name(kind))
        }
    }
}

/// Accuracies in percent, everything else as it is.
fn value(metric: &str, value: f64) -> String {
    if metric.ends_with("accuracy") { format!("{:.1} %", 100.0 * value) } else { format!("{value:.4}") }
}

/// Digits in groups of three.
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let groups: Vec<_> = digits.as_bytes().rchunks(3).rev().map(|group| String::from_utf8_lossy(group)).collect();
    groups.join(",")
}

fn footnotes(board: &Leaderboard) -> String {
    let mut notes = format!("metric: {} ({}), on {}\n", board.metric, board.goal, board.benchmark);
    let elsewhere = |row: &LeaderboardRow| row.kind() == RowKind::Published && row.benchmark != board.benchmark;
    if board.rows.iter().any(elsewhere) {
        notes +=
            "published rows are of another, harder or easier benchmark of the family: they are here for orientation, not for ranking\n";
    }
    if board.rows.iter().any(|row| row.proxy) {
        notes += "proxy data: the puzzles stand in for the benchmark's own\n";
    }
    notes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_as_people_read_them() {
        assert_eq!(grouped(5_028_866), "5,028,866");
        assert_eq!(grouped(12), "12");
        assert_eq!(value("test/exact_accuracy", 0.9751), "97.5 %");
        assert_eq!(value("test/lm_loss", 0.25), "0.2500");
    }

    #[test]
    fn json_keeps_the_promised_form() {
        let row = LeaderboardRow {
            kind: RowKind::Trial.into(),
            name: "l_cycles=2".into(),
            mean: 0.5,
            n: 1,
            parameters: 7,
            config_json: r#"{"hidden_size":64}"#.into(),
            ..LeaderboardRow::default()
        };
        let board =
            Leaderboard { benchmark: "sudoku-6x6".into(), metric: "test/exact_accuracy".into(), goal: "maximize".into(), rows: vec![row] };
        let json = serde_json::to_value(Board::try_from(&board).unwrap()).unwrap();
        assert_eq!(json["benchmark"], "sudoku-6x6");
        assert_eq!(json["rows"][0]["kind"], "trial");
        assert_eq!(json["rows"][0]["metric"], serde_json::json!({"name": "test/exact_accuracy", "mean": 0.5, "ci95": null, "n": 1}));
        assert_eq!(json["rows"][0]["config"]["hidden_size"], 64);
    }
}
