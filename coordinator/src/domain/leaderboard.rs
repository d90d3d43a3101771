//! The leaderboard: one row for each configuration and each published figure, best first.

use std::cmp::Ordering;
use std::collections::BTreeMap;

use tinysweep_proto::config::size;
use tinysweep_proto::dataset::{Benchmark, Dataset};
use tinysweep_proto::metric::{Goal, Unit, test_metric};

use super::baselines::{Published, Selection};
use super::configuration::Configuration;
use super::cost::Cost;
use super::spec::{MetricSpec, Role};
use super::statistics::{Interval, confidence_95, mean};

/// What a trial has come to. The four lists are over completed replicates and need not be equally long: old workers may report less.
#[derive(Clone, Debug, PartialEq)]
pub struct TrialResult {
    /// Id of its sweep.
    pub sweep: String,
    /// Its number in the sweep.
    pub number: u32,
    /// Its name.
    pub name: String,
    /// Whether it is one of the sweep's own.
    pub role: Role,
    /// Its configuration.
    pub config: Configuration,
    /// Its benchmark; empty for a program that says nothing of one.
    pub benchmark: String,
    /// What it was trained and measured on; none of a program.
    pub dataset: Option<Dataset>,
    /// The leaderboard's metric, one for each replicate; not a number where a replicate diverged.
    pub values: Vec<f64>,
    /// Every metric by name, for each replicate.
    pub metrics: Vec<BTreeMap<String, f64>>,
    /// Wall time of each replicate.
    pub wall_seconds: Vec<f64>,
    /// For each replicate the exact accuracy after supervision step 1, 2, …; may be empty.
    pub exact_accuracy_by_step: Vec<Vec<f64>>,
    /// Of all attempts at all its replicates, also of those without a result; none where no worker has said.
    pub cost: Option<Cost>,
}

/// Whose result a row is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RowKind {
    /// A trial's, measured here.
    Trial,
    /// A baseline's, measured here beside a sweep.
    MeasuredBaseline,
    /// Others', published.
    Published,
}

/// A row of the leaderboard, with the fields of `LeaderboardRow` in the protocol.
#[derive(Clone, Debug, PartialEq)]
pub struct Row {
    /// Whose result it is.
    pub kind: RowKind,
    /// Name of the trial or of the published model.
    pub name: String,
    /// The row's own benchmark.
    pub benchmark: String,
    /// Mean over replicates, or the published figure.
    pub mean: f64,
    /// 95 % confidence interval of the mean; none of fewer than two replicates, and none for published figures.
    pub ci95: Option<Interval>,
    /// Replicates; 0 for published figures, most of which are single runs.
    pub n: u32,
    /// Trainable parameters.
    pub parameters: Option<u64>,
    /// T·(n+1)·layers.
    pub effective_depth: Option<u64>,
    /// Analytic operations of the whole training run.
    pub train_flops: Option<f64>,
    /// Analytic operations to answer one puzzle with all supervision steps.
    pub inference_flops: Option<f64>,
    /// Mean over replicates.
    pub wall_seconds: Option<f64>,
    /// The configuration of a trial.
    pub config: Option<Configuration>,
    /// The interval overlaps that of the best row measured here, so that the two cannot be told apart.
    pub tied_with_best: bool,
    /// The data stand in for the benchmark's own.
    pub proxy: bool,
    /// Every metric by name: means over replicates, or the published figure.
    pub metrics: BTreeMap<String, f64>,
    /// What a publication prints after ±.
    pub spread: Option<f64>,
    /// A published figure that was not read in its source.
    pub second_hand: bool,
    /// Where a published figure comes from.
    pub source: String,
    /// What to know before comparing a published figure.
    pub caveat: String,
    /// Sweep and number of a trial.
    pub trial: Option<(String, u32)>,
    /// Mean exact accuracy after supervision step 1, 2, …; may be empty.
    pub exact_accuracy_by_step: Vec<f64>,
    /// Of all attempts at all replicates, also of those without a result.
    pub cost: Option<Cost>,
    /// Joules of `cost` for each test puzzle that the replicates with a result have answered rightly; none where there is no such puzzle.
    pub joules_per_correct: Option<f64>,
}

/// Ranks `trials` and those figures of `published` that `selection` shows on the board of `benchmark`, if it is one's, the best by `metric`
/// first.
///
/// Trials without a completed replicate have no row. What is not a number comes last; equals are ordered by fewer parameters,
/// then sweep and number. Only what was measured here can tie with the best of it: published figures have no interval.
pub fn rank(
    benchmark: Option<&Benchmark>,
    metric: &MetricSpec,
    trials: &[TrialResult],
    published: &[Published],
    selection: Selection,
) -> Vec<Row> {
    let measured = trials.iter().filter_map(|trial| trial_row(trial, metric));
    let is_shown =
        |figure: &&Published| figure.metric == metric.name && benchmark.is_some_and(|benchmark| selection.shows(figure, benchmark));
    let others = published.iter().filter(is_shown).map(published_row);
    let mut rows: Vec<_> = measured.chain(others).collect();
    rows.sort_by(|a, b| compare(a, b, metric.goal));
    mark_ties(&mut rows);
    rows
}

fn trial_row(trial: &TrialResult, metric: &MetricSpec) -> Option<Row> {
    let model = trial.config.model().zip(trial.dataset.as_ref());
    let size = model.map(|(config, dataset)| size(config, &dataset.shape()));
    let metrics = mean_by_name(&trial.metrics);
    // A program's size is what it says it is.
    let reported = metrics.get("parameters").map(|count| *count as u64);
    Some(Row {
        kind: match trial.role {
            Role::Proposed => RowKind::Trial,
            Role::Baseline => RowKind::MeasuredBaseline,
        },
        name: trial.name.clone(),
        benchmark: trial.benchmark.clone(),
        mean: mean(&trial.values)?,
        ci95: interval(&trial.values, metric),
        n: trial.values.len() as u32,
        parameters: size.as_ref().map(|size| size.parameters).or(reported),
        effective_depth: size.as_ref().map(|size| size.effective_depth),
        train_flops: size.as_ref().zip(model).map(|(size, (config, _))| size.train_flops_per_step as f64 * config.train.steps as f64),
        inference_flops: size.as_ref().map(|size| size.inference_flops as f64),
        wall_seconds: mean(&trial.wall_seconds),
        config: Some(trial.config.clone()),
        tied_with_best: false,
        proxy: trial.dataset.as_ref().is_some_and(|dataset| dataset.proxy),
        metrics,
        spread: None,
        second_hand: false,
        source: String::new(),
        caveat: String::new(),
        trial: Some((trial.sweep.clone(), trial.number)),
        exact_accuracy_by_step: mean_by_step(&trial.exact_accuracy_by_step),
        cost: trial.cost,
        joules_per_correct: joules_per_correct(trial),
    })
}

/// What one right answer has cost: the energy of training and evaluating, that of attempts in vain included, over the test puzzles that all
/// replicates together have answered rightly. Of two models with the same puzzles the one that needs less of it has got more for its energy.
fn joules_per_correct(trial: &TrialResult) -> Option<f64> {
    let accuracies = trial.metrics.iter().filter_map(|metrics| metrics.get("test/exact_accuracy"));
    let puzzles = trial.dataset.as_ref()?.test.examples as f64;
    let correct: f64 = accuracies.map(|accuracy| (accuracy * puzzles).round()).sum();
    trial.cost.filter(|_| correct >= 1.0).map(|cost| cost.joules / correct)
}

/// The interval around the mean, cut off where the metric ends: of two replicates it often reaches beyond 100 %.
fn interval(values: &[f64], metric: &MetricSpec) -> Option<Interval> {
    let interval = confidence_95(values).filter(|interval| interval.low.is_finite() && interval.high.is_finite())?;
    let is_share = test_metric(&metric.name).is_some_and(|metric| metric.unit == Unit::Share);
    Some(if is_share { interval.within(0.0, 1.0) } else { interval })
}

fn published_row(figure: &Published) -> Row {
    Row {
        kind: RowKind::Published,
        name: figure.model.clone(),
        benchmark: figure.benchmark.clone(),
        mean: figure.value,
        ci95: None,
        n: 0,
        parameters: figure.parameters,
        effective_depth: figure.effective_depth,
        train_flops: None,
        inference_flops: None,
        wall_seconds: None,
        config: None,
        tied_with_best: false,
        proxy: false,
        metrics: BTreeMap::from([(figure.metric.clone(), figure.value)]),
        spread: figure.spread,
        second_hand: figure.second_hand,
        source: figure.source.clone(),
        caveat: figure.caveat.clone(),
        trial: None,
        exact_accuracy_by_step: Vec::new(),
        cost: None,
        joules_per_correct: None,
    }
}

/// The mean of each metric over the replicates that report it.
fn mean_by_name(replicates: &[BTreeMap<String, f64>]) -> BTreeMap<String, f64> {
    let mut values = BTreeMap::<&String, Vec<f64>>::new();
    for (name, value) in replicates.iter().flatten() {
        values.entry(name).or_default().push(*value);
    }
    values.into_iter().filter_map(|(name, values)| Some((name.clone(), mean(&values)?))).collect()
}

/// The mean of each step over the replicates that got so far.
fn mean_by_step(replicates: &[Vec<f64>]) -> Vec<f64> {
    let steps = replicates.iter().map(Vec::len).max().unwrap_or(0);
    let at = |step: usize| replicates.iter().filter_map(|replicate| replicate.get(step).copied()).collect::<Vec<_>>();
    (0..steps).filter_map(|step| mean(&at(step))).collect()
}

fn compare(a: &Row, b: &Row, goal: Goal) -> Ordering {
    let by_mean = match (a.mean.is_nan(), b.mean.is_nan()) {
        (false, false) if goal == Goal::Maximize => b.mean.total_cmp(&a.mean),
        (false, false) => a.mean.total_cmp(&b.mean),
        (a_is_nan, b_is_nan) => a_is_nan.cmp(&b_is_nan),
    };
    // Unknown sizes after known ones; published rows of equal size after trials, by name.
    let parameters = |row: &Row| row.parameters.unwrap_or(u64::MAX);
    by_mean
        .then_with(|| parameters(a).cmp(&parameters(b)))
        .then_with(|| a.trial.is_none().cmp(&b.trial.is_none()))
        .then_with(|| a.trial.cmp(&b.trial))
        .then_with(|| a.name.cmp(&b.name))
}

fn mark_ties(rows: &mut [Row]) {
    let is_measured = |row: &Row| row.kind != RowKind::Published;
    let Some(best) = rows.iter().position(is_measured) else { return };
    let Some(best_interval) = rows[best].ci95 else { return };
    for row in rows.iter_mut().skip(best + 1).filter(|row| is_measured(row)) {
        row.tied_with_best = row.ci95.is_some_and(|interval| interval.overlaps(&best_interval));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::baselines;
    use std::borrow::Cow;
    use tinysweep_proto::config::TrialConfig;
    use tinysweep_proto::dataset::{DataFile, Format, Task, benchmark};

    const ACCURACY: MetricSpec = MetricSpec { name: Cow::Borrowed("test/exact_accuracy"), goal: Goal::Maximize };
    const LOSS: MetricSpec = MetricSpec { name: Cow::Borrowed("test/lm_loss"), goal: Goal::Minimize };

    fn trial(number: u32, width: usize, values: &[f64]) -> TrialResult {
        let file = DataFile { origin: "generated".into(), format: Format::Csv, sha256: String::new(), bytes: 1, examples: 1 };
        TrialResult {
            sweep: "s".into(),
            number,
            name: format!("hidden_size={width}"),
            role: Role::Proposed,
            config: Configuration::from(TrialConfig { hidden_size: width, ..TrialConfig::default() }),
            benchmark: "sudoku-4x4".into(),
            dataset: Some(Dataset {
                benchmark: "sudoku-4x4".into(),
                task: Task::Sudoku4x4,
                proxy: true,
                puzzle_identifiers: 1,
                train: file.clone(),
                test: file,
            }),
            values: values.to_vec(),
            metrics: values.iter().map(|value| BTreeMap::from([("test/lm_loss".to_owned(), 2.0 * value)])).collect(),
            wall_seconds: vec![10.0, 20.0],
            exact_accuracy_by_step: vec![vec![0.1, 0.3], vec![0.2]],
            cost: None,
        }
    }

    fn board(metric: &MetricSpec, trials: &[TrialResult]) -> Vec<Row> {
        rank(benchmark("sudoku-4x4"), metric, trials, &[], Selection::All)
    }

    fn numbers(rows: &[Row]) -> Vec<u32> {
        rows.iter().filter_map(|row| Some(row.trial.as_ref()?.1)).collect()
    }

    #[test]
    fn the_best_comes_first_by_the_goal_and_what_is_no_number_last() {
        let trials = [trial(0, 64, &[0.2]), trial(1, 64, &[f64::NAN, 0.9]), trial(2, 64, &[0.9]), trial(3, 64, &[])];
        assert_eq!(numbers(&board(&ACCURACY, &trials)), [2, 0, 1]);
        assert_eq!(numbers(&board(&LOSS, &trials)), [0, 2, 1]);
    }

    #[test]
    fn equals_are_ordered_by_size_then_number() {
        let trials = [trial(0, 128, &[0.5]), trial(2, 64, &[0.5]), trial(1, 64, &[0.5])];
        assert_eq!(numbers(&board(&ACCURACY, &trials)), [1, 2, 0]);
    }

    #[test]
    fn overlapping_intervals_tie_with_the_best_trial() {
        let trials = [
            trial(0, 64, &[0.90, 0.92, 0.94]),
            trial(1, 64, &[0.89, 0.91, 0.93]),
            trial(2, 64, &[0.10, 0.11, 0.12]),
            trial(3, 64, &[0.91]),
        ];
        let tied: Vec<_> = board(&ACCURACY, &trials).into_iter().filter(|row| row.tied_with_best).collect();
        assert_eq!(numbers(&tied), [1]);
        assert!(board(&ACCURACY, &trials[1..]).iter().all(|row| !row.tied_with_best), "a best of one replicate ties with nothing");
    }

    #[test]
    fn intervals_of_shares_stay_within_0_and_1() {
        let interval = |metric: &MetricSpec| board(metric, &[trial(0, 64, &[0.8, 0.9])]).remove(0).ci95.unwrap();
        assert_eq!(interval(&ACCURACY).high, 1.0);
        assert!(interval(&ACCURACY).low > 0.2 && interval(&LOSS).high > 1.4, "{:?} {:?}", interval(&ACCURACY), interval(&LOSS));
    }

    #[test]
    fn a_row_has_means_and_counts() {
        let row = board(&ACCURACY, &[trial(4, 64, &[0.25, 0.75])]).remove(0);
        assert_eq!((row.mean, row.n, row.wall_seconds, row.proxy), (0.5, 2, Some(15.0), true));
        assert_eq!(row.exact_accuracy_by_step.len(), 2);
        assert!((row.exact_accuracy_by_step[0] - 0.15).abs() < 1e-12 && row.exact_accuracy_by_step[1] == 0.3);
        let size = size(row.config.as_ref().unwrap().model().unwrap(), &Task::Sudoku4x4.shape(1));
        assert_eq!((row.parameters, row.effective_depth), (Some(size.parameters), Some(42)));
        assert_eq!(row.train_flops, Some(size.train_flops_per_step as f64 * 65_104.0));
        assert_eq!(row.inference_flops, Some(size.inference_flops as f64));
        assert_eq!(row.metrics, BTreeMap::from([("test/lm_loss".to_owned(), 1.0)]));
    }

    #[test]
    fn a_program_has_the_size_that_it_reports_and_no_other_costs() {
        let reported = |count: f64| BTreeMap::from([("parameters".to_owned(), count), ("loss".to_owned(), 0.5)]);
        let config = Configuration::Program(serde_json::json!({"lr": 0.1}));
        let program = TrialResult { config, dataset: None, benchmark: String::new(), metrics: vec![reported(7e6)], ..trial(0, 64, &[0.5]) };
        let loss = MetricSpec { name: "loss".into(), goal: Goal::Minimize };
        let row = rank(None, &loss, &[program], baselines::published(), Selection::All).remove(0);
        assert_eq!((row.parameters, row.effective_depth, row.train_flops, row.inference_flops), (Some(7_000_000), None, None, None));
        assert_eq!((row.mean, row.proxy, row.benchmark.as_str()), (0.5, false, ""));
    }

    #[test]
    fn right_answers_share_what_all_attempts_have_cost() {
        let exact = |accuracy: f64| BTreeMap::from([("test/exact_accuracy".to_owned(), accuracy)]);
        let per_correct = |accuracies: &[f64], cost: Option<Cost>| {
            let mut trial = trial(0, 64, accuracies);
            trial.dataset.as_mut().unwrap().test.examples = 10;
            trial.metrics = accuracies.iter().copied().map(exact).collect();
            board(&ACCURACY, &[TrialResult { cost, ..trial }]).remove(0).joules_per_correct
        };
        let cost = Some(Cost { joules: 60.0, ..Cost::default() });
        // 0.7 · 10 is 7 puzzles, whatever is lost by rounding.
        assert_eq!(per_correct(&[0.7, 0.8], cost), Some(4.0));
        assert_eq!((per_correct(&[0.0], cost), per_correct(&[0.5], None)), (None, None));
    }

    #[test]
    fn baselines_that_were_measured_here_say_so_and_can_tie() {
        let baseline = TrialResult { role: Role::Baseline, ..trial(1, 128, &[0.89, 0.91, 0.93]) };
        let rows = board(&ACCURACY, &[trial(0, 64, &[0.90, 0.92, 0.94]), baseline]);
        let found: Vec<_> = rows.iter().map(|row| (row.kind, row.tied_with_best)).collect();
        assert_eq!(found, [(RowKind::Trial, false), (RowKind::MeasuredBaseline, true)]);
    }

    #[test]
    fn published_figures_of_the_family_stand_among_the_trials_under_their_own_benchmark() {
        let rows = rank(benchmark("sudoku-4x4"), &ACCURACY, &[trial(0, 64, &[0.6, 0.6])], baselines::published(), Selection::All);
        let place = |name: &str| rows.iter().position(|row| row.name == name).unwrap();
        assert!(place("TRM-MLP 5M") < place("hidden_size=64") && place("hidden_size=64") < place("HRM 27M"));
        let published = &rows[place("HRM 27M")];
        assert_eq!((published.kind, published.benchmark.as_str(), published.n), (RowKind::Published, "sudoku-extreme", 0));
        assert_eq!((published.parameters, published.ci95, published.tied_with_best), (Some(27_000_000), None, false));
        assert!(published.source.starts_with("arXiv 2506.21734 (HRM)"), "{}", published.source);
        assert_eq!(rank(benchmark("sudoku-4x4"), &LOSS, &[], baselines::published(), Selection::All), []);
    }
}
