//! The sweep file: YAML in, typed plan of trials out, or every mistake with its line and column.
//!
//! * `yaml`: text to a tree that knows the place of each value, within limits.
//! * `fields`: typed values out of that tree.
//! * `settings`, `base`, `parameters`: the configuration, its fixed and its varying part.
//! * `models`: what a sweep of built-in models has, and `listed`: configurations that are listed by name, and baselines.
//! * `program`: what a sweep of a program has.
//! * `data`: which puzzles.
//! * `expression`, over `tokens`: the language of `constraints`.
//! * `running`: what trials need, and what follows when one fails; `checkpoints`: which of their states are kept.
//! * `proposals`: the trials themselves.
//!
//! Nothing in a file is ignored: a key is used, or it is an error.

mod base;
mod checkpoints;
mod data;
mod error;
mod expression;
mod fields;
mod listed;
mod models;
mod parameters;
mod program;
mod proposals;
mod running;
mod settings;
#[cfg(test)]
mod tests;
mod tokens;
mod yaml;

use std::borrow::Cow;

use tinysweep_proto::dataset::{BENCHMARKS, Benchmark, benchmark};
use tinysweep_proto::metric::{Goal, Metric, TEST_METRICS, test_metric};

pub use data::{ArcSpec, DataSpec, PartSpec};
pub use error::{Position, SpecError, SpecErrors};
pub use expression::{Constraint, ExpressionError, Facts};
pub use listed::Listed;
pub use models::ModelSweep;
pub use program::ProgramSweep;
pub use proposals::{Proposal, Role};
pub use running::Running;

use super::baselines::headline_metric;
use super::metric_name;
use super::space::Space;
use error::Report;
use expression::Scope;
use fields::Fields;
use settings::{Settings, Vocabulary};
use yaml::{Content, Node};

/// The most trials that a sweep may have.
pub const TRIAL_LIMIT: u64 = 1_000_000;
/// The most replicates that a trial may have.
const REPLICATE_LIMIT: i64 = 1000;
/// Characters of a name.
const NAME_LIMIT: usize = 200;
/// Characters of a description, and of a path.
const TEXT_LIMIT: usize = 4096;
/// Characters of a constraint.
const CONSTRAINT_LIMIT: usize = 1000;

/// A sweep file, read and checked.
#[derive(Clone, Debug)]
pub struct SweepSpec {
    /// What the sweep is called: `name`, else the file's name without its ending.
    pub name: String,
    /// What it is for; may be empty.
    pub description: String,
    /// What its trials run.
    pub subject: Subject,
    /// How trials are chosen.
    pub method: Method,
    /// What they are judged by.
    pub metric: MetricSpec,
    /// What trials differ in, in the order of the file.
    pub space: Space,
    /// Conditions that every trial meets.
    pub constraints: Vec<Constraint>,
    /// Seeds that each trial is run with, at least 1.
    pub replicates: u32,
    /// Seed of everything random in the sweep; fits in 63 bits.
    pub seed: u64,
    /// The most trials.
    pub run_cap: Option<u32>,
    /// How they are to be run.
    pub running: Running,
    file: String,
    places: Places,
}

/// What the trials of a sweep run.
#[derive(Clone, Debug)]
pub enum Subject {
    /// The built-in models.
    Models(Box<ModelSweep>),
    /// A program.
    Program(ProgramSweep),
}

/// Where blocks stand that an error found later points at.
#[derive(Clone, Copy, Debug)]
struct Places {
    method: Position,
    trials: Position,
    parameters: Position,
    constraints: Position,
}

/// How trials are chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    /// Every combination, in the order of the file, the last parameter varying fastest.
    Grid,
    /// Independent draws.
    Random,
}

impl Method {
    /// The word in the sweep file.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Grid => "grid",
            Self::Random => "random",
        }
    }
}

/// What trials are judged by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MetricSpec {
    /// A metric of the test evaluation, such as `test/exact_accuracy`; of a program any that it reports.
    pub name: Cow<'static, str>,
    /// Which way is better: as the file says, else as is natural for the metric; those that only a program knows are minimised, as by W&B.
    pub goal: Goal,
}

impl From<&Metric> for MetricSpec {
    fn from(metric: &Metric) -> Self {
        Self { name: Cow::Borrowed(metric.name), goal: metric.goal }
    }
}

const KEYS: &[&str] = &[
    "name",
    "description",
    "program",
    "command",
    "benchmark",
    "data",
    "method",
    "metric",
    "config",
    "trials",
    "parameters",
    "baselines",
    "constraints",
    "replicates",
    "seed",
    "run_cap",
    "max_trials",
];

impl SweepSpec {
    /// Reads a sweep file. `file_name` is what errors call it.
    ///
    /// # Errors
    /// Everything that is wrong with the file by itself. What is wrong with single trials is found by [`proposals`](Self::proposals).
    pub fn parse(yaml: &str, file_name: &str) -> Result<Self, SpecErrors> {
        let mut report = Report::new(file_name);
        let spec = yaml::parse(yaml, &mut report).and_then(|root| read(&mut report, &root, file_name));
        report.finish(spec)
    }

    /// What a sweep of built-in models has.
    pub fn models(&self) -> Option<&ModelSweep> {
        match &self.subject {
            Subject::Models(models) => Some(models),
            Subject::Program(_) => None,
        }
    }

    /// What a sweep of a program has.
    pub fn program(&self) -> Option<&ProgramSweep> {
        match &self.subject {
            Subject::Models(_) => None,
            Subject::Program(program) => Some(program),
        }
    }
}

fn read(report: &mut Report, root: &Node, file: &str) -> Option<SweepSpec> {
    let keys = Fields::read_all(report, root, "a sweep file", &[KEYS, &running::KEYS].concat(), unsupported)?;
    let is_program = program::is_meant(&keys);
    let asked = if is_program { read_program(report, &keys) } else { read_models(report, &keys) };
    let Asked { subject, space, metric, constraints } = asked;
    let name = match keys.get("name") {
        Some(node) => fields::text(report, node, "`name`", NAME_LIMIT).map(str::to_owned),
        None => Some(stem(file)),
    };
    let description = keys.get("description").map_or(Some(""), |node| fields::text(report, node, "`description`", TEXT_LIMIT));
    let method = keys.get("method").map_or(Some(Method::Grid), |node| read_method(report, node));
    let replicates = keys.get("replicates").map_or(Some(1), |node| fields::whole(report, node, "`replicates`", 1..=REPLICATE_LIMIT));
    let seed = keys.get("seed").map_or(Some(0), |node| fields::whole(report, node, "`seed`", 0..=i64::MAX));
    let run_cap = read_run_cap(report, &keys);
    let running = running::read(report, &keys, is_program);
    let place = |key| keys.entry(key).map_or(Position::START, |entry| entry.at);
    let spec = SweepSpec {
        name: name?,
        description: description?.to_owned(),
        subject: subject?,
        method: method?,
        metric: metric?,
        space,
        constraints: constraints?,
        replicates: replicates? as u32,
        seed: seed? as u64,
        run_cap: run_cap?,
        running: running?,
        file: file.to_owned(),
        places: Places {
            method: place("method"),
            trials: place("trials"),
            parameters: place("parameters"),
            constraints: place("constraints"),
        },
    };
    proposals::check_count(report, &spec)?;
    checkpoints::check(report, &keys, &spec)?;
    Some(spec)
}

/// Words for keys that other tools or later versions know: silence about them would look like consent.
fn unsupported(key: &str) -> Option<String> {
    let reason = match key {
        "job" | "image_uri" => "is not needed: workers train the built-in models, or run a `program`",
        "project" | "entity" | "kind" | "apiVersion" | "controller" => "is not needed: the coordinator keeps all sweeps",
        "early_terminate" => "is not supported yet: every trial runs to its end",
        "metrics" => "is not supported yet; name one metric in `metric`",
        "scheduler" | "zip" | "when" | "budget" => "is not supported yet",
        _ => return None,
    };
    Some(format!("`{key}` {reason}; remove it"))
}

fn stem(file: &str) -> String {
    let name = file.rsplit(['/', '\\']).next().unwrap_or(file);
    let stem = name.rsplit_once('.').map_or(name, |(stem, _)| stem);
    let stem: String = stem.chars().take(NAME_LIMIT).collect();
    if stem.is_empty() { "sweep".into() } else { stem }
}

/// What a file asks for, which is read in different ways for models and for programs.
struct Asked {
    subject: Option<Subject>,
    space: Space,
    metric: Option<MetricSpec>,
    constraints: Option<Vec<Constraint>>,
}

fn read_models(report: &mut Report, keys: &Fields) -> Asked {
    let benchmark = match keys.get("benchmark") {
        Some(node) => read_benchmark(report, node),
        None => report.error(keys.at, format!("`benchmark` is missing; it is one of {}", benchmark_names().join(", "))),
    };
    let (models, space) = models::read(report, keys, benchmark);
    let metric = match keys.get("metric") {
        Some(node) => read_metric(report, node, test_metric_named),
        None => benchmark.map(|benchmark| headline_metric(benchmark).into()),
    };
    let subject = models.map(|models| Subject::Models(Box::new(models)));
    Asked { subject, space, metric, constraints: read_constraints(report, keys, &Scope::Model) }
}

fn read_program(report: &mut Report, keys: &Fields) -> Asked {
    let benchmark = keys.get("benchmark").map_or(Some(None), |node| read_benchmark(report, node).map(Some));
    let mut settings = Settings::of(Vocabulary::Program);
    let parameters = keys.get("parameters").map(|node| parameters::read(report, node, &mut settings)).unwrap_or_default();
    let metric = match (keys.get("metric"), benchmark) {
        (Some(node), _) => read_metric(report, node, any_metric_named),
        (None, Some(None)) => {
            report.error(keys.at, "`metric` is missing: what the program reports and trials are ranked by, as in `metric: {name: loss}`")
        }
        (None, benchmark) => benchmark.flatten().map(|benchmark| headline_metric(benchmark).into()),
    };
    let name = metric.as_ref().map(|metric| metric.name.clone().into_owned()).unwrap_or_default();
    let program = program::read(report, keys, name);
    let constraints = read_constraints(report, keys, &program::scope(&parameters));
    let base = program::base(&settings, &parameters);
    let sweep = || Some(Subject::Program(ProgramSweep { benchmark: benchmark?, program: program?, base }));
    Asked { subject: sweep(), space: parameters.space, metric, constraints }
}

fn benchmark_names() -> Vec<&'static str> {
    BENCHMARKS.iter().map(|known| known.name).collect()
}

fn read_benchmark(report: &mut Report, node: &Node) -> Option<&'static Benchmark> {
    let known = benchmark_names();
    let name = fields::text(report, node, "`benchmark`", NAME_LIMIT)?;
    match benchmark(name) {
        Some(benchmark) => Some(benchmark),
        None => report.error(node.at, fields::unknown("benchmark", name, &known)),
    }
}

fn read_method(report: &mut Report, node: &Node) -> Option<Method> {
    match &node.content {
        Content::Text { text, .. } if matches!(text.as_str(), "bayes" | "custom") => {
            report.error(node.at, format!("method `{text}` is not supported yet; use grid or random"))
        }
        _ => fields::word(report, node, "`method`", &[("grid", Method::Grid), ("random", Method::Random)]),
    }
}

/// What the file names; `named` gives the metric of a name with its natural goal, or what is wrong with the name.
fn read_metric(report: &mut Report, node: &Node, named: fn(&str) -> Result<MetricSpec, String>) -> Option<MetricSpec> {
    let keys = Fields::read(report, node, "`metric`", &["name", "goal"], |key| {
        matches!(key, "target" | "impute" | "impute_while_running").then(|| format!("`{key}` is not supported yet; remove it"))
    })?;
    let Some(name_node) = keys.get("name") else {
        return report.error(keys.at, "`metric` lacks `name`, as in `metric: {name: test/exact_accuracy}`");
    };
    let name = fields::text(report, name_node, "`name` of `metric`", NAME_LIMIT)?;
    let goal = match keys.get("goal") {
        Some(goal) => {
            let words = [("maximize", Goal::Maximize), ("minimize", Goal::Minimize)];
            Some(fields::word(report, goal, "`goal`", &words)?)
        }
        None => None,
    };
    match named(name) {
        Ok(metric) => Some(MetricSpec { goal: goal.unwrap_or(metric.goal), ..metric }),
        Err(problem) => report.error(name_node.at, problem),
    }
}

fn test_metric_named(name: &str) -> Result<MetricSpec, String> {
    test_metric(name).map(MetricSpec::from).ok_or_else(|| fields::unknown("metric", name, &metric_names()))
}

fn any_metric_named(name: &str) -> Result<MetricSpec, String> {
    metric_name(name)?;
    Ok(test_metric(name).map_or_else(|| MetricSpec { name: name.to_owned().into(), goal: Goal::Minimize }, MetricSpec::from))
}

fn metric_names() -> Vec<&'static str> {
    TEST_METRICS.iter().map(|metric| metric.name).collect()
}

fn read_constraints(report: &mut Report, keys: &Fields, scope: &Scope) -> Option<Vec<Constraint>> {
    let Some(node) = keys.get("constraints") else { return Some(Vec::new()) };
    let items = fields::list(report, node, "`constraints`")?;
    // Not `filter_map(...)?` on the first: all of them are to be reported.
    let constraints: Vec<_> = items.iter().map(|item| read_constraint(report, item, scope)).collect();
    constraints.into_iter().collect()
}

fn read_constraint(report: &mut Report, node: &Node, scope: &Scope) -> Option<Constraint> {
    let text = fields::text(report, node, "a constraint", CONSTRAINT_LIMIT)?;
    match Constraint::parse(text, scope) {
        Ok(constraint) => Some(constraint),
        Err(error) => {
            let at = match node.content {
                Content::Text { text_at: Some(at), .. } => Position { column: at.column + error.offset, ..at },
                _ => node.at,
            };
            report.error(at, format!("constraint `{}`: {}", yaml::shortened(text), error.message))
        }
    }
}

fn read_run_cap(report: &mut Report, keys: &Fields) -> Option<Option<u32>> {
    if let (Some(cap), Some(alias)) = (keys.entry("run_cap"), keys.entry("max_trials")) {
        return report.error(alias.at, format!("`max_trials` is `run_cap`, which line {} sets already; keep one of the two", cap.at.line));
    }
    let Some(entry) = keys.entry("run_cap").or_else(|| keys.entry("max_trials")) else { return Some(None) };
    let what = format!("`{}`", entry.key);
    fields::whole(report, &entry.value, &what, 1..=TRIAL_LIMIT as i64).map(|cap| Some(cap as u32))
}
