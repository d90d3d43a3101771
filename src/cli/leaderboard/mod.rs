//! `tinysweep leaderboard`: results, the best first, those measured here apart from those that others have published.
//!
//! * `column`: what a user may call a column, and its value in a row.
//! * `table`: the form for people.
//! * `json`: the stable form for programs.

mod column;
mod json;
mod table;

use clap::{Args, ValueEnum};
use tinysweep_coordinator::domain::pareto;
use tinysweep_proto::v1::{GetLeaderboardRequest, Leaderboard, LeaderboardRow, PublishedRows, RowKind};

use crate::{
    client::{Client, CoordinatorArgs, refused, request},
    failure::Failure,
    output::{self, Format},
};
use column::Column;

/// Arguments of `leaderboard`.
#[derive(Args, Debug)]
pub struct LeaderboardArgs {
    /// The sweep's id, or the beginning of it [default: the newest sweep]
    #[arg(default_value = "", conflicts_with = "benchmark")]
    sweep: String,
    /// Results of every sweep on this benchmark instead
    #[arg(long)]
    benchmark: Option<String>,
    /// What ranks, as `test/token_accuracy` [default: the sweep's metric, or the benchmark's]
    #[arg(long, default_value = "", hide_default_value = true)]
    metric: String,
    #[command(flatten)]
    shown: Shown,
    #[command(flatten)]
    coordinator: CoordinatorArgs,
    /// How results are printed
    #[arg(long, value_enum, env = "TINYSWEEP_OUTPUT", default_value = "table")]
    output: Format,
}

/// Which rows and columns are shown.
#[derive(Args, Clone, Debug, Default)]
pub struct Shown {
    /// Which published results stand beside the measured ones
    #[arg(long, value_enum, default_value_t)]
    published: Published,
    /// Further columns: any metric, as `test/token_accuracy`, or device_seconds, peak_memory_bytes, joules_per_correct: what all attempts
    /// took, and joules for each test puzzle answered rightly
    #[arg(long, value_delimiter = ',')]
    columns: Vec<Column>,
    /// Only what no other row beats in both of two columns: parameters, depth, train_flops, inference_flops, wall_seconds, joules, one of
    /// the further columns or a metric, as `parameters,test/exact_accuracy`
    #[arg(long, value_delimiter = ',', num_args = 1)]
    pareto: Vec<Column>,
    /// The most rows of what was measured here, the best first; 0 for all
    #[arg(long, env = "TINYSWEEP_TOP", default_value_t = 1000)]
    top: u32,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
enum Published {
    /// All of the benchmark, and a few of others of its family
    #[default]
    All,
    /// A few of the benchmark and of its family
    Main,
    /// None
    None,
}

impl Shown {
    /// Refuses what the parser of arguments cannot: a front of anything but two columns.
    pub fn check(&self) -> Result<(), Failure> {
        match self.pareto.len() {
            0 | 2 => Ok(()),
            _ => Err(Failure::bad_input("--pareto takes two columns, as in `--pareto parameters,test/exact_accuracy`")),
        }
    }

    /// Refuses columns that neither every board has nor one of `rows`.
    pub fn check_columns(&self, rows: &[LeaderboardRow]) -> Result<(), Failure> {
        self.columns.iter().chain(&self.pareto).try_for_each(|column| column.check(rows)).map_err(Failure::bad_input)
    }
}

/// Prints the leaderboard.
pub async fn execute(args: LeaderboardArgs) -> Result<(), Failure> {
    args.shown.check()?;
    let client = Client::connect(&args.coordinator.coordinator).await?;
    let wanted = GetLeaderboardRequest {
        sweep: args.sweep,
        benchmark: args.benchmark.unwrap_or_default(),
        metric: args.metric,
        ..GetLeaderboardRequest::default()
    };
    print(&client, wanted, &args.shown, args.output).await
}

/// Asks for a leaderboard and prints it.
pub async fn print(client: &Client, mut wanted: GetLeaderboardRequest, shown: &Shown, format: Format) -> Result<(), Failure> {
    let published = match shown.published {
        Published::All => PublishedRows::All,
        Published::Main => PublishedRows::Main,
        Published::None => PublishedRows::None,
    };
    wanted.set_published(published);
    // What nothing beats in two columns may be far down in the one that ranks.
    wanted.limit = if shown.pareto.is_empty() { shown.top } else { 0 };
    let mut board = client.sweeps().get_leaderboard(request(wanted)).await.map_err(refused)?.into_inner();
    shown.check_columns(&board.rows)?;
    if let [x, y] = shown.pareto.as_slice() {
        keep_front(&mut board, [x, y]);
    }
    if board.left_out > 0 {
        eprintln!("note: {} more measured rows are not shown; --top 0 shows all", board.left_out);
    }
    match format {
        Format::Table => output::write(&table::text(&board, &shown.columns)),
        Format::Json | Format::Csv => output::print(format, &table::flat(&board, &shown.columns), &json::Board::try_from(&board)?),
    }
}

/// Leaves the Pareto front of what was measured here, and that of the published rows of the same benchmark.
fn keep_front(board: &mut Leaderboard, columns: [&Column; 2]) {
    let goals = columns.map(|column| column.goal(&board.goal, &board.metric));
    let benchmark = board.benchmark.clone();
    let front_of = |rows: &[LeaderboardRow], belongs: &dyn Fn(&LeaderboardRow) -> bool| {
        let points: Vec<_> =
            rows.iter().map(|row| if belongs(row) { columns.map(|column| column.value(row)) } else { [None; 2] }).collect();
        pareto::front(&points, goals)
    };
    let measured = front_of(&board.rows, &|row| row.kind() != RowKind::Published);
    let published = front_of(&board.rows, &|row| row.kind() == RowKind::Published && row.benchmark == benchmark);
    let mut on_front = measured.into_iter().zip(published).map(|(measured, published)| measured || published);
    board.rows.retain(|_| on_front.next().unwrap_or(false));
}

fn kind_name(kind: RowKind) -> &'static str {
    match kind {
        RowKind::Trial => "trial",
        RowKind::MeasuredBaseline => "measured-baseline",
        RowKind::Published => "published",
        RowKind::Unspecified => "unknown",
    }
}

fn interval(row: &LeaderboardRow) -> Option<[f64; 2]> {
    Some([row.ci95_low?, row.ci95_high?])
}

#[cfg(test)]
mod tests {
    use super::*;

    pub(super) fn row(kind: RowKind, name: &str, mean: f64, parameters: u64) -> LeaderboardRow {
        LeaderboardRow {
            kind: kind.into(),
            name: name.into(),
            benchmark: "sudoku-6x6".into(),
            mean,
            n: 1,
            parameters,
            config_json: r#"{"hidden_size":64}"#.into(),
            metrics: [("test/exact_accuracy".to_owned(), mean)].into(),
            ..LeaderboardRow::default()
        }
    }

    pub(super) fn board(rows: Vec<LeaderboardRow>) -> Leaderboard {
        Leaderboard { benchmark: "sudoku-6x6".into(), metric: "test/exact_accuracy".into(), goal: "maximize".into(), rows, left_out: 0 }
    }

    #[test]
    fn a_front_is_of_measured_rows_or_of_published_ones() {
        let mut board = board(vec![
            row(RowKind::Published, "published", 0.9, 3),
            row(RowKind::Trial, "large", 0.8, 9),
            row(RowKind::Trial, "small", 0.8, 5),
            row(RowKind::MeasuredBaseline, "baseline", 0.7, 4),
            row(RowKind::Published, "worse", 0.6, 4),
            LeaderboardRow { benchmark: "sudoku-extreme".into(), ..row(RowKind::Published, "elsewhere", 0.99, 1) },
        ]);
        let columns = ["parameters", "test/exact_accuracy"].map(|name| name.parse::<Column>().unwrap());
        keep_front(&mut board, [&columns[0], &columns[1]]);
        let names: Vec<_> = board.rows.iter().map(|row| row.name.as_str()).collect();
        assert_eq!(names, ["published", "small", "baseline"]);
    }
}
