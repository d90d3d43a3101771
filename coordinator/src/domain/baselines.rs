//! Results that others have published, from `sweeps/baselines.yaml`, which is part of the program.

use std::collections::HashSet;
use std::sync::LazyLock;

use serde::Deserialize;
use tinysweep_proto::dataset::{Benchmark, benchmark};
use tinysweep_proto::metric::{Metric, TEST_METRICS, Unit, test_metric};

/// One published figure.
#[derive(Clone, Debug, PartialEq)]
pub struct Published {
    /// Name of the benchmark.
    pub benchmark: String,
    /// What was measured, and by whom where that is not its author.
    pub model: String,
    /// Trainable parameters, as printed; none where not stated.
    pub parameters: Option<u64>,
    /// T·(n+1)·layers, as printed; none where not stated.
    pub effective_depth: Option<u64>,
    /// Name of the test metric.
    pub metric: String,
    /// The figure, in the metric's unit.
    pub value: f64,
    /// What the source prints after ±; it need not be a confidence interval.
    pub spread: Option<f64>,
    /// Paper and table, or who reported it where.
    pub source: String,
    /// What to know before comparing.
    pub caveat: String,
    /// Not read in its source.
    pub second_hand: bool,
    /// One of the few that stand for their benchmark.
    pub main: bool,
}

/// Figures that share a benchmark, a metric and a source, as the file has them.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Section {
    benchmark: String,
    metric: String,
    source: String,
    results: Vec<Figure>,
}

/// A figure of a section, which may have a metric and a source of its own.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Figure {
    model: String,
    parameters: Option<u64>,
    effective_depth: Option<u64>,
    metric: Option<String>,
    value: f64,
    spread: Option<f64>,
    source: Option<String>,
    #[serde(default)]
    caveat: String,
    #[serde(default)]
    second_hand: bool,
    #[serde(default)]
    main: bool,
}

/// Which published figures stand beside the trials.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Selection {
    /// Every one of the benchmark, and the main ones of its family.
    All,
    /// The main ones of the benchmark and of its family.
    Main,
    /// None.
    None,
}

impl Selection {
    /// Whether `figure` stands on the board of the benchmark `asked`. Of other benchmarks of its family only the main ones do: they are
    /// there for orientation, and the rest would drown the trials.
    pub fn shows(self, figure: &Published, asked: &Benchmark) -> bool {
        let is_of_family = || benchmark(&figure.benchmark).is_some_and(|own| own.family == asked.family);
        match self {
            Self::All => figure.benchmark == asked.name || (figure.main && is_of_family()),
            Self::Main => figure.main && is_of_family(),
            Self::None => false,
        }
    }
}

/// The metric that the main published figures of a benchmark's family have; exact accuracy where there are none.
pub fn headline_metric(asked: &Benchmark) -> &'static Metric {
    let main = published().iter().find(|figure| Selection::Main.shows(figure, asked));
    main.and_then(|figure| test_metric(&figure.metric)).unwrap_or(&TEST_METRICS[0])
}

/// Why a list of published figures is refused.
#[derive(Debug, thiserror::Error)]
pub enum BaselinesError {
    /// It is not a list of figures.
    #[error("baselines: {0}")]
    Format(#[from] Box<serde_yaml::Error>),
    /// A figure cannot be right.
    #[error("baseline `{model}`: {problem}")]
    Figure {
        /// Whose figure.
        model: String,
        /// What is wrong with it.
        problem: String,
    },
}

/// Every published figure that the program knows.
pub fn published() -> &'static [Published] {
    static PUBLISHED: LazyLock<Vec<Published>> = LazyLock::new(|| {
        parse(include_str!("../../../sweeps/baselines.yaml")).expect("the file is compiled in, and a test of this module reads it")
    });
    &PUBLISHED
}

/// Reads and checks a list of published figures.
///
/// # Errors
/// The first figure that is of no benchmark or metric, out of range, without source, or there twice.
pub fn parse(yaml: &str) -> Result<Vec<Published>, BaselinesError> {
    let sections: Vec<Section> = serde_yaml::from_str(yaml).map_err(Box::new)?;
    let figures: Vec<_> = sections.into_iter().flat_map(Section::figures).collect();
    let mut seen = HashSet::new();
    for figure in &figures {
        let problem = problem(figure).or_else(|| {
            let is_new = seen.insert((&figure.benchmark, &figure.model, &figure.metric));
            (!is_new).then(|| "is there twice; give each its own `model`".to_owned())
        });
        if let Some(problem) = problem {
            return Err(BaselinesError::Figure { model: figure.model.clone(), problem });
        }
    }
    Ok(figures)
}

fn problem(figure: &Published) -> Option<String> {
    if benchmark(&figure.benchmark).is_none() {
        return Some(format!("benchmark `{}` does not exist", figure.benchmark));
    }
    let Some(metric) = test_metric(&figure.metric) else { return Some(format!("metric `{}` does not exist", figure.metric)) };
    let is_share = metric.unit == Unit::Share;
    if !figure.value.is_finite() || (is_share && !(0.0..=1.0).contains(&figure.value)) {
        return Some(format!("value {} is out of range; a share is from 0 to 1", figure.value));
    }
    if figure.spread.is_some_and(|spread| !spread.is_finite() || spread <= 0.0) {
        return Some("`spread` must be greater than 0".into());
    }
    (figure.source.trim().is_empty() || figure.model.trim().is_empty()).then(|| "needs a model and a source".into())
}

impl Section {
    fn figures(self) -> impl Iterator<Item = Published> {
        let Self { benchmark, metric, source, results } = self;
        results.into_iter().map(move |figure| {
            let Figure { model, parameters, effective_depth, value, spread, caveat, second_hand, main, .. } = figure;
            Published {
                benchmark: benchmark.clone(),
                metric: figure.metric.unwrap_or_else(|| metric.clone()),
                source: figure.source.unwrap_or_else(|| source.clone()),
                model,
                parameters,
                effective_depth,
                value,
                spread,
                caveat,
                second_hand,
                main,
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value(benchmark: &str, model: &str, metric: &str) -> Option<f64> {
        let is_it = |figure: &&Published| figure.benchmark == benchmark && figure.model == model && figure.metric == metric;
        published().iter().find(is_it).map(|figure| figure.value)
    }

    #[test]
    fn the_file_that_is_compiled_in_is_right() {
        assert_eq!(value("sudoku-extreme", "TRM-MLP 5M", "test/exact_accuracy"), Some(0.874));
        assert_eq!(value("maze-hard", "HRM 27M", "test/exact_accuracy"), Some(0.745));
        assert_eq!(value("arc-agi-1", "TRM-Att, by gaoxin492", "test/pass@1"), Some(0.34375));
        assert_eq!(value("arc-agi-2", "TRM-Att 7M", "test/pass@2"), Some(0.078));
    }

    /// How many rows the paper's tables 1 to 5 have, those in two tables counted once and those without a value not at all.
    #[test]
    fn every_row_of_the_papers_tables_is_there() {
        let count = |benchmark: &str| {
            let of_paper = |figure: &&Published| figure.benchmark == benchmark && figure.source.contains("2510.04871");
            published().iter().filter(of_paper).count()
        };
        assert_eq!(count("sudoku-extreme"), 9 + 2 + 10 + 4);
        assert_eq!([count("maze-hard"), count("arc-agi-1"), count("arc-agi-2")], [7, 10, 10]);
    }

    #[test]
    fn a_few_results_stand_for_each_benchmark() {
        for benchmark in ["sudoku-extreme", "maze-hard", "arc-agi-1", "arc-agi-2"] {
            let main: Vec<_> = published().iter().filter(|figure| figure.main && figure.benchmark == benchmark).collect();
            assert_eq!(main.len(), 5, "{benchmark}");
            assert!(main.iter().all(|figure| !figure.second_hand && figure.parameters.is_some()), "{benchmark}");
        }
    }

    #[test]
    fn the_family_is_represented_and_the_benchmark_complete() {
        let count = |asked: &str, selection: Selection| {
            let asked = benchmark(asked).unwrap();
            published().iter().filter(|figure| selection.shows(figure, asked)).count()
        };
        assert_eq!(["sudoku-4x4", "sudoku-extreme"].map(|asked| count(asked, Selection::Main)), [5, 5]);
        assert_eq!(count("sudoku-4x4", Selection::All), 5);
        assert!(count("sudoku-extreme", Selection::All) > 60);
        assert_eq!(count("sudoku-extreme", Selection::None), 0);
        assert_eq!(headline_metric(benchmark("arc-agi-2").unwrap()).name, "test/pass@2");
        assert_eq!(headline_metric(benchmark("sudoku-6x6").unwrap()).name, "test/exact_accuracy");
    }

    #[test]
    fn wrong_figures_are_refused() {
        let file =
            |results: &str| format!("- benchmark: sudoku-extreme\n  metric: test/exact_accuracy\n  source: s\n  results:\n{results}");
        let figure = |fields: &str| file(&format!("    - {{model: m, {fields}}}\n"));
        let figures = parse(&figure("value: 0.5, source: other, metric: test/lm_loss")).unwrap();
        assert_eq!((figures[0].source.as_str(), figures[0].metric.as_str()), ("other", "test/lm_loss"));
        for (yaml, problem) in [
            (figure("value: 87.4"), "value 87.4 is out of range"),
            (figure("value: .nan"), "out of range"),
            (figure("value: 0.5, spread: 0"), "`spread` must be greater than 0"),
            (figure("value: 0.5, vlaue: 1"), "vlaue"),
            (figure("value: 0.5").replace("exact", "exakt"), "metric `test/exakt_accuracy` does not exist"),
            (figure("value: 0.5").replace("extreme", "easy"), "benchmark `sudoku-easy` does not exist"),
            (figure("value: 0.5").replace("source: s", "source: ''"), "needs a model and a source"),
            (file(&"    - {model: m, value: 0.5}\n".repeat(2)), "is there twice"),
        ] {
            let error = parse(&yaml).unwrap_err().to_string();
            assert!(error.contains(problem), "{yaml}{error}");
        }
    }
}
