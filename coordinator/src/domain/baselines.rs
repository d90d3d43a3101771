//! Results that others have published, from `sweeps/baselines.yaml`, which is part of the program.

use std::collections::HashSet;
use std::sync::LazyLock;

use serde::Deserialize;
use tinysweep_proto::dataset::benchmark;
use tinysweep_proto::metric::test_metric;

/// One published figure.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
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
    #[serde(default)]
    pub caveat: String,
    /// Not read in its source.
    #[serde(default)]
    pub second_hand: bool,
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
    let figures: Vec<Published> = serde_yaml::from_str(yaml).map_err(Box::new)?;
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
    if test_metric(&figure.metric).is_none() {
        return Some(format!("metric `{}` does not exist", figure.metric));
    }
    let is_share = figure.metric.ends_with("accuracy");
    if !figure.value.is_finite() || (is_share && !(0.0..=1.0).contains(&figure.value)) {
        return Some(format!("value {} is out of range; a share is from 0 to 1", figure.value));
    }
    if figure.spread.is_some_and(|spread| !spread.is_finite() || spread <= 0.0) {
        return Some("`spread` must be greater than 0".into());
    }
    (figure.source.trim().is_empty() || figure.model.trim().is_empty()).then(|| "needs a model and a source".into())
}

impl Published {
    /// All that is to be known before comparing: the caveat, the spread as printed, and whether the figure is second-hand.
    pub fn full_caveat(&self) -> String {
        let spread = self.spread.map(|spread| format!("printed with ±{spread}, of what is not said"));
        let second_hand = self.second_hand.then(|| "second-hand: not read in its source".to_owned());
        let caveat = Some(self.caveat.clone()).filter(|caveat| !caveat.is_empty());
        [caveat, spread, second_hand].into_iter().flatten().collect::<Vec<_>>().join("; ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_file_that_is_compiled_in_is_right() {
        let figures = published();
        let value = |model| figures.iter().find(|figure| figure.model == model).map(|figure| figure.value);
        assert_eq!(value("TRM-MLP 5M"), Some(0.874));
        assert_eq!(value("HRM 27M"), Some(0.55));
        assert_eq!(figures.iter().filter(|figure| figure.second_hand).count(), 7);
    }

    #[test]
    fn caveats_say_what_a_figure_is() {
        let caveat = |model| published().iter().find(|figure| figure.model == model).unwrap().full_caveat();
        assert_eq!(caveat("TRM-MLP, Speed is Confidence"), "RTX 5090, Muon, 48 min; printed with ±0.013, of what is not said");
        assert_eq!(caveat("TRM-MLP, in PTRM"), "second-hand: not read in its source");
        assert_eq!(caveat("TRM-MLP, no EMA"), "");
    }

    #[test]
    fn wrong_figures_are_refused() {
        let figure =
            |fields: &str| format!("- {{model: m, source: s, metric: test/exact_accuracy, benchmark: sudoku-extreme, {fields}}}\n");
        assert_eq!(parse(&figure("value: 0.5")).unwrap().len(), 1);
        for (yaml, problem) in [
            (figure("value: 87.4"), "value 87.4 is out of range"),
            (figure("value: .nan"), "out of range"),
            (figure("value: 0.5, spread: 0"), "`spread` must be greater than 0"),
            (figure("value: 0.5, vlaue: 1"), "vlaue"),
            (figure("value: 0.5").replace("exact", "exakt"), "metric `test/exakt_accuracy` does not exist"),
            (figure("value: 0.5").replace("extreme", "easy"), "benchmark `sudoku-easy` does not exist"),
            (figure("value: 0.5").replace("source: s", "source: ''"), "needs a model and a source"),
            (figure("value: 0.5").repeat(2), "is there twice"),
        ] {
            let error = parse(&yaml).unwrap_err().to_string();
            assert!(error.contains(problem), "{yaml}{error}");
        }
    }
}
