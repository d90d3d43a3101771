//! The trials of a sweep: which configurations, in which order, under which names.

use std::collections::HashSet;

use serde_json::Value;
use tinysweep_proto::config::{self, ConfigError};

use super::error::{Position, Report, SpecErrors};
use super::{Facts, Listed, Method, ModelSweep, ProgramSweep, Subject, SweepSpec, TRIAL_LIMIT};
use crate::domain::configuration::Configuration;
use crate::domain::sampler::Draw;
use crate::domain::space::{Parameter, Space};

/// How often a random trial is drawn anew because a constraint excludes it or an earlier trial is the same.
const DRAW_LIMIT: u32 = 1000;

/// A trial that a sweep proposes.
#[derive(Clone, Debug, PartialEq)]
pub struct Proposal {
    /// Dense from 0; baselines come last.
    pub number: u32,
    /// Whether it is one of the sweep's own.
    pub role: Role,
    /// The whole configuration.
    pub config: Configuration,
    /// Canonical path and value of each hyper-parameter that the trial's name stands for: what it sets itself in a list, and what the
    /// sweep varies, in the order of the file.
    pub varied: Vec<(String, Value)>,
    /// The trial's name in its list and what varies, in short, as in `no EMA, l_cycles=2 hidden_size=64`; the sweep's name where there
    /// is neither.
    pub name: String,
}

/// What a trial is to its sweep.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// One of those that the sweep compares.
    Proposed,
    /// One that they are compared with.
    Baseline,
}

impl Role {
    /// The word in the store.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Proposed => "proposed",
            Self::Baseline => "baseline",
        }
    }

    /// The role of that name.
    pub fn from_name(name: &str) -> Option<Self> {
        [Self::Proposed, Self::Baseline].into_iter().find(|role| role.name() == name)
    }
}

impl SweepSpec {
    /// Every trial of the sweep, its baselines last: the same ones for the same file, always.
    ///
    /// A random sweep has fewer than `run_cap` trials where no more different ones were found ([`shortfall`](Self::shortfall) says so).
    ///
    /// # Errors
    /// Configurations that cannot be run, at the place of the value that is wrong; constraints that leave no trial.
    pub fn proposals(&self) -> Result<Vec<Proposal>, SpecErrors> {
        let mut report = Report::new(&self.file);
        let mut trials = match self.method {
            Method::Grid => self.grid(&mut report),
            Method::Random => self.random(&mut report),
        };
        if trials.is_empty() && report.is_empty() {
            let message = match self.method {
                Method::Grid => "the constraints leave no trial; loosen one or add values".to_owned(),
                Method::Random => format!("the constraints refused {DRAW_LIMIT} draws in a row; loosen one or narrow the parameters"),
            };
            report.error::<()>(self.places.constraints, message);
        }
        for (models, baseline) in self.baselines() {
            let config = Configuration::from(baseline.config.clone());
            self.check(&config, &Origin::Listed(models, baseline), &[], &mut report);
            let varied = baseline.overrides().collect();
            trials.push(Proposal { number: trials.len() as u32, role: Role::Baseline, config, varied, name: baseline.name.clone() });
        }
        report.finish(Some(trials))
    }

    /// Why there are no more `trials`, where the file asks for more.
    pub fn shortfall(&self, trials: &[Proposal]) -> Option<String> {
        let found = trials.iter().filter(|trial| trial.role == Role::Proposed).count();
        let wanted = self.run_cap.filter(|cap| self.method == Method::Random && found < *cap as usize)?;
        Some(format!("only {found} different trials were found of the {wanted} asked for"))
    }

    /// How many trials there are at the most, baselines aside: exact for a grid without constraints.
    pub fn trial_limit(&self) -> u64 {
        let cap = self.run_cap.map_or(u64::MAX, u64::from);
        match self.method {
            Method::Grid => self.grid_len().unwrap_or(u64::MAX).min(cap),
            Method::Random => self.space.draw_len().unwrap_or(u64::MAX).min(cap),
        }
    }

    /// Trials of the whole grid, of each listed configuration; the error is a parameter that a grid cannot list.
    fn grid_len(&self) -> Result<u64, &Parameter> {
        Ok(self.space.grid_len()?.saturating_mul(self.origins().len() as u64))
    }

    fn baselines(&self) -> impl Iterator<Item = (&ModelSweep, &Listed)> {
        self.models().into_iter().flat_map(|models| models.baselines.iter().map(move |baseline| (models, baseline)))
    }

    fn origins(&self) -> Vec<Origin<'_>> {
        match &self.subject {
            Subject::Models(models) => models.listed.iter().map(|listed| Origin::Listed(models, listed)).collect(),
            Subject::Program(program) => vec![Origin::Program(program)],
        }
    }

    fn grid(&self, report: &mut Report) -> Vec<Proposal> {
        let cap = self.run_cap.unwrap_or(u32::MAX) as usize;
        let mut trials = Vec::new();
        for origin in self.origins() {
            let template = Template::new(&origin, &self.space);
            for index in 0..self.space.grid_len().unwrap_or(0) {
                if trials.len() >= cap || report.is_full() {
                    return trials;
                }
                let values = self.space.grid_values(index);
                let config = template.fill(&values);
                if self.meets_constraints(&config) {
                    trials.push(self.proposal(trials.len(), &origin, config, values, report));
                }
            }
        }
        trials
    }

    /// A random sweep has one configuration that it varies: it lists none.
    fn random(&self, report: &mut Report) -> Vec<Proposal> {
        let mut trials = Vec::new();
        let Some(origin) = self.origins().pop() else { return trials };
        let template = Template::new(&origin, &self.space);
        let most = self.trial_limit();
        let mut seen = HashSet::new();
        while (trials.len() as u64) < most && !report.is_full() {
            let Some((config, values)) = self.new_draw(&template, trials.len() as u64, &seen) else { break };
            seen.insert(key(&values));
            trials.push(self.proposal(trials.len(), &origin, config, values, report));
        }
        trials
    }

    /// Draws trial `number` until it meets the constraints and is none of `seen`; none after too many attempts.
    fn new_draw(&self, template: &Template, number: u64, seen: &HashSet<String>) -> Option<(Configuration, Vec<Value>)> {
        let mut draw = Draw::keyed(self.seed, number);
        (0..DRAW_LIMIT).find_map(|_| {
            let values = self.space.sample(&mut draw);
            if seen.contains(&key(&values)) {
                return None;
            }
            let config = template.fill(&values);
            self.meets_constraints(&config).then_some((config, values))
        })
    }

    fn meets_constraints(&self, config: &Configuration) -> bool {
        if self.constraints.is_empty() {
            return true;
        }
        let facts = Facts::of(config);
        self.constraints.iter().all(|constraint| constraint.allows(&facts))
    }

    fn proposal(&self, number: usize, origin: &Origin, config: Configuration, values: Vec<Value>, report: &mut Report) -> Proposal {
        self.check(&config, origin, &values, report);
        let varied: Vec<_> = self.space.parameters.iter().map(|parameter| parameter.path.clone().into_owned()).zip(values).collect();
        let parts = [origin.name().to_owned(), name(&varied)];
        let parts: Vec<_> = parts.into_iter().filter(|part| !part.is_empty()).collect();
        let name = if parts.is_empty() { self.name.clone() } else { parts.join(", ") };
        Proposal { number: number as u32, role: Role::Proposed, config, varied: origin.overrides().chain(varied).collect(), name }
    }

    /// Notes what is wrong with `config`, which is `origin` with `values` for what varies. What a program makes of its parameters is its own
    /// affair.
    fn check(&self, config: &Configuration, origin: &Origin, values: &[Value], report: &mut Report) {
        let (Configuration::Model(config), Origin::Listed(models, listed)) = (config, origin) else { return };
        for error in config::check(config) {
            report.error::<()>(self.place_of(&error, models, listed, values), format!("`{}` {}", error.path, error.message));
        }
    }

    /// Where the cause of `error` is written: the setting itself, else one that the message names, else the item of a list, else whatever
    /// varies.
    fn place_of(&self, error: &ConfigError, models: &ModelSweep, listed: &Listed, values: &[Value]) -> Position {
        let place = |path: &str| {
            let varied = self.space.parameters.iter().zip(values).find(|(parameter, _)| parameter.path == path);
            let own = || listed.settings.position(path);
            varied.map(|(parameter, value)| parameter.position_of(value)).or_else(own).or_else(|| models.settings.position(path))
        };
        let named = |path: &&str| error.message.contains(*path) || (error.path == "pos_encodings" && *path == "variant");
        let set = listed.settings.paths().chain(models.settings.paths());
        let fallback = if listed.name.is_empty() { self.places.parameters } else { listed.at };
        place(error.path).or_else(|| set.filter(named).find_map(place)).unwrap_or(fallback)
    }
}

/// Checks, without listing them, that the trials can be listed and are not too many.
pub(super) fn check_count(report: &mut Report, spec: &SweepSpec) -> Option<()> {
    let lists = spec.origins().iter().any(|origin| !origin.name().is_empty());
    match (spec.method, spec.grid_len()) {
        (Method::Random, _) if lists => {
            report.error(spec.places.trials, "`trials` lists what a random sweep would draw; use `method: grid`")
        }
        (Method::Random, _) if spec.run_cap.is_none() => {
            report.error(spec.places.method, "a random sweep without `run_cap` would never end; add `run_cap: 100`, say")
        }
        (Method::Random, _) => Some(()),
        (Method::Grid, Err(parameter)) => {
            let message = format!("a grid cannot list the values of `{}`; use `values`, int_uniform, or `method: random`", parameter.path);
            report.error(parameter.at, message)
        }
        (Method::Grid, Ok(len)) if len > TRIAL_LIMIT => {
            let count = if len == u64::MAX { "too many to count".to_owned() } else { len.to_string() };
            let message = format!(
                "the grid has {count} trials, and {TRIAL_LIMIT} is the most; take fewer values, or `method: random` with `run_cap`"
            );
            report.error(spec.places.parameters, message)
        }
        (Method::Grid, Ok(_)) => Some(()),
    }
}

/// What trials start from, before the values of what varies.
enum Origin<'a> {
    /// A listed configuration of a sweep of models, or the only one.
    Listed(&'a ModelSweep, &'a Listed),
    /// A program.
    Program(&'a ProgramSweep),
}

impl Origin<'_> {
    /// What tables call it; may be empty.
    fn name(&self) -> &str {
        match self {
            Self::Listed(_, listed) => &listed.name,
            Self::Program(_) => "",
        }
    }

    /// What it sets itself, by canonical path.
    fn overrides(&self) -> impl Iterator<Item = (String, Value)> + '_ {
        let listed = match self {
            Self::Listed(_, listed) => Some(listed),
            Self::Program(_) => None,
        };
        listed.into_iter().flat_map(|listed| listed.overrides())
    }
}

/// A configuration into which the values of a trial are put.
struct Template<'a> {
    tree: Value,
    paths: Vec<&'a str>,
    is_program: bool,
}

impl<'a> Template<'a> {
    fn new(origin: &Origin, space: &'a Space) -> Self {
        let (tree, is_program) = match origin {
            Origin::Listed(_, listed) => {
                (serde_json::to_value(&listed.config).expect("a struct of numbers and enums has a JSON form"), false)
            }
            Origin::Program(program) => (program.base.clone(), true),
        };
        Self { tree, paths: space.parameters.iter().map(|parameter| parameter.path.as_ref()).collect(), is_program }
    }

    /// The configuration with `values`, one for each varying hyper-parameter.
    fn fill(&self, values: &[Value]) -> Configuration {
        let mut tree = self.tree.clone();
        for (path, value) in self.paths.iter().zip(values) {
            *path.split('.').fold(&mut tree, |node, key| &mut node[key]) = value.clone();
        }
        if self.is_program {
            return Configuration::Program(tree);
        }
        let config = serde_json::from_value(tree).expect("values have the type of their field, which was checked when they were read");
        Configuration::Model(Box::new(config))
    }
}

/// What tells one combination of values from another.
fn key(values: &[Value]) -> String {
    values.iter().map(|value| format!("{value} ")).collect()
}

/// `l_cycles=2 hidden_size=64`: the last part of each path, or all of it where two end alike.
fn name(varied: &[(String, Value)]) -> String {
    let last = |path: &str| path.rsplit('.').next().unwrap_or_default().to_owned();
    let label = |path: &str| {
        let alike = varied.iter().filter(|(other, _)| last(other) == last(path)).count();
        if alike > 1 { path.to_owned() } else { last(path) }
    };
    let parts: Vec<_> = varied.iter().map(|(path, value)| format!("{}={}", label(path), short(value))).collect();
    parts.join(" ")
}

/// A value with four digits at the most, without quotes.
fn short(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Number(number) if number.is_f64() => {
            let rounded = number.as_f64().and_then(|number| format!("{number:.3e}").parse::<f64>().ok()).unwrap_or_default();
            Value::from(rounded).to_string()
        }
        other => other.to_string(),
    }
}
