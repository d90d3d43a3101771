//! `parameters:`, the part of the configuration that trials differ in, in the syntax of Weights & Biases.
//!
//! Differences from W&B, all where it is known to surprise: rounded distributions stay within `min` and `max`, a stepped grid
//! includes `max`, and exponents that look like values are refused. `inv_log_uniform*` has log(1/x) uniform, which is to say log(x).

use serde_json::Value;

use super::error::{Position, Report};
use super::fields::{self, Fields};
use super::settings::{FieldKind, Path, Settings, Vocabulary};
use super::yaml::{Content, Entry, Node};
use crate::domain::space::{Choice, Domain, Parameter, Shape, Space};

/// Keys of a parameter.
const KEYS: &[&str] = &["value", "values", "probabilities", "distribution", "min", "max", "mu", "sigma", "q"];

/// How far from 1 the sum of probabilities may be.
const PROBABILITY_TOLERANCE: f64 = 1e-6;

/// What `parameters:` says.
#[derive(Default)]
pub(crate) struct Parameters {
    /// What varies.
    pub space: Space,
    /// What is the same for all trials.
    pub constants: Vec<(Path, Value)>,
}

/// Reads `parameters:`.
pub(crate) fn read(report: &mut Report, node: &Node, settings: &mut Settings) -> Parameters {
    let mut reader = Reader { report, settings, parameters: Parameters::default() };
    reader.block(node, "`parameters`", None);
    reader.parameters
}

struct Reader<'a> {
    report: &'a mut Report,
    settings: &'a mut Settings,
    parameters: Parameters,
}

impl Reader<'_> {
    fn block(&mut self, node: &Node, what: &str, group: Option<&str>) {
        for entry in fields::mapping(self.report, node, what).unwrap_or_default() {
            match nested_parameters(entry) {
                Some(inner) if self.settings.vocabulary.is_group(group, &entry.key) => {
                    let what = format!("`parameters` of `{}`", entry.key);
                    if Fields::read(self.report, &entry.value, "a group", &["parameters"], |_| None).is_some() {
                        let within = group.map_or_else(|| entry.key.clone(), |group| format!("{group}.{}", entry.key));
                        self.block(inner, &what, Some(&within));
                    }
                }
                _ => self.parameter(entry, group),
            }
        }
    }

    fn parameter(&mut self, entry: &Entry, group: Option<&str>) {
        let Some(path) = self.settings.claim(self.report, "parameters", group, entry) else { return };
        if !matches!(entry.value.content, Content::Map(_)) {
            let found = entry.value.description();
            let message =
                format!("parameter `{}` must be `{{values: […]}}`, `{{value: …}}` or `{{min: …, max: …}}`, not {found}", entry.key);
            self.report.error::<()>(entry.value.at, message);
            return;
        }
        let what = format!("parameter `{}`", entry.key);
        let Some(keys) = Fields::read(self.report, &entry.value, &what, KEYS, |_| None) else { return };
        let vocabulary = self.settings.vocabulary;
        let mut definition = Definition { report: self.report, vocabulary, path: &path, keys, at: entry.at, name: &entry.key };
        match definition.read() {
            Some(Meaning::Constant(value)) => self.parameters.constants.push((path, value)),
            Some(Meaning::Varies(domain)) => {
                let whole = vocabulary.is_whole(&path, &domain);
                self.parameters.space.parameters.push(Parameter { path, domain, whole, at: entry.at });
            }
            None => {}
        }
    }
}

/// The value of an entry's `parameters`, which W&B nests.
fn nested_parameters(entry: &Entry) -> Option<&Node> {
    match &entry.value.content {
        Content::Map(inner) => inner.iter().find(|inner| inner.key == "parameters").map(|inner| &inner.value),
        _ => None,
    }
}

enum Meaning {
    Constant(Value),
    Varies(Domain),
}

/// The distributions of W&B.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Distribution {
    Constant,
    Categorical,
    Weighted,
    Integers,
    Uniform,
    LogUniform,
    /// Bounds are natural logarithms.
    LogUniformOfExponents,
    /// As that, of 1/x.
    LogUniformOfInverseExponents,
    Normal,
    LogNormal,
    Beta,
}

/// By name: the distribution, and whether its numbers are rounded to a step.
const DISTRIBUTIONS: &[(&str, (Distribution, bool))] = &[
    ("constant", (Distribution::Constant, false)),
    ("categorical", (Distribution::Categorical, false)),
    ("categorical_w_probabilities", (Distribution::Weighted, false)),
    ("int_uniform", (Distribution::Integers, false)),
    ("uniform", (Distribution::Uniform, false)),
    ("q_uniform", (Distribution::Uniform, true)),
    ("log_uniform", (Distribution::LogUniformOfExponents, false)),
    ("log_uniform_values", (Distribution::LogUniform, false)),
    ("q_log_uniform", (Distribution::LogUniformOfExponents, true)),
    ("q_log_uniform_values", (Distribution::LogUniform, true)),
    ("inv_log_uniform", (Distribution::LogUniformOfInverseExponents, false)),
    ("inv_log_uniform_values", (Distribution::LogUniform, false)),
    ("normal", (Distribution::Normal, false)),
    ("q_normal", (Distribution::Normal, true)),
    ("log_normal", (Distribution::LogNormal, false)),
    ("q_log_normal", (Distribution::LogNormal, true)),
    ("beta", (Distribution::Beta, false)),
    ("q_beta", (Distribution::Beta, true)),
];

impl Distribution {
    /// The keys that it takes besides `distribution` and, where rounded, `q`.
    const fn keys(self) -> &'static [&'static str] {
        match self {
            Self::Constant => &["value"],
            Self::Categorical => &["values"],
            Self::Weighted => &["values", "probabilities"],
            Self::Integers | Self::Uniform | Self::LogUniform | Self::LogUniformOfExponents | Self::LogUniformOfInverseExponents => {
                &["min", "max"]
            }
            Self::Normal | Self::LogNormal => &["mu", "sigma"],
            Self::Beta => &[],
        }
    }
}

/// One parameter's mapping.
struct Definition<'a, 'n> {
    report: &'a mut Report,
    vocabulary: Vocabulary,
    path: &'a str,
    keys: Fields<'n>,
    at: Position,
    name: &'n str,
}

impl Definition<'_, '_> {
    fn read(&mut self) -> Option<Meaning> {
        let (name, distribution, stepped) = match self.keys.get("distribution") {
            Some(node) => {
                let named: Vec<_> = DISTRIBUTIONS.iter().map(|(name, meaning)| (*name, (*name, *meaning))).collect();
                let (name, (distribution, stepped)) = fields::word(self.report, node, "`distribution`", &named)?;
                (name, distribution, stepped)
            }
            None => self.implied()?,
        };
        self.refuse_other_keys(name, distribution, stepped)?;
        let domain = match distribution {
            Distribution::Constant => return self.constant(),
            Distribution::Categorical | Distribution::Weighted => self.choices(distribution == Distribution::Weighted)?,
            Distribution::Integers => self.integers()?,
            Distribution::Beta => {
                let at = self.keys.at;
                return self.report.error(at, format!("distribution `{name}` is not supported yet; use uniform or normal"));
            }
            _ => self.numbers(name, distribution, stepped)?,
        };
        Some(Meaning::Varies(domain))
    }

    /// What W&B takes the distribution to be when it is not named.
    fn implied(&mut self) -> Option<(&'static str, Distribution, bool)> {
        let has = |key| self.keys.get(key).is_some();
        let is_whole = |key| matches!(self.keys.get(key), Some(Node { content: Content::Int(_), .. }));
        if has("value") {
            Some(("constant", Distribution::Constant, false))
        } else if has("values") && has("probabilities") {
            Some(("categorical_w_probabilities", Distribution::Weighted, false))
        } else if has("values") {
            Some(("categorical", Distribution::Categorical, false))
        } else if is_whole("min") && is_whole("max") {
            Some(("int_uniform", Distribution::Integers, false))
        } else if has("min") && has("max") {
            Some(("uniform", Distribution::Uniform, false))
        } else {
            let message = format!("parameter `{}` says not what it varies over; give it `values`, `value`, or `min` and `max`", self.name);
            self.report.error(self.at, message)
        }
    }

    /// A key that the distribution does not use would be ignored, which its writer cannot have meant.
    fn refuse_other_keys(&mut self, name: &str, distribution: Distribution, stepped: bool) -> Option<()> {
        let used = |key: &str| key == "distribution" || distribution.keys().contains(&key) || (stepped && key == "q");
        let spare: Vec<_> = KEYS.iter().filter(|key| !used(key)).filter_map(|key| self.keys.entry(key)).collect();
        if distribution == Distribution::Beta || spare.is_empty() {
            return Some(());
        }
        for entry in spare {
            let takes = distribution.keys().join(", ");
            let step = if stepped { ", q" } else { "" };
            self.report.error::<()>(entry.at, format!("`{}` means nothing to distribution `{name}`, which takes {takes}{step}", entry.key));
        }
        None
    }

    fn kind(&self) -> FieldKind {
        self.vocabulary.kind(self.path)
    }

    fn required(&mut self, key: &str) -> Option<Node> {
        match self.keys.get(key) {
            Some(node) => Some(node.clone()),
            None => self.report.error(self.at, format!("parameter `{}` lacks `{key}`", self.name)),
        }
    }

    fn constant(&mut self) -> Option<Meaning> {
        let node = self.required("value")?;
        self.vocabulary.value(self.report, self.path, &node).map(Meaning::Constant)
    }

    fn choices(&mut self, weighted: bool) -> Option<Domain> {
        let node = self.required("values")?;
        let items = fields::list(self.report, &node, &format!("`values` of `{}`", self.name))?;
        let mut values = Vec::<Choice>::new();
        let mut places = std::collections::HashMap::new();
        for item in items {
            let Some(value) = self.vocabulary.value(self.report, self.path, item) else { continue };
            match places.insert(value.to_string(), item.at) {
                Some(earlier) => {
                    let place = format!("line {}, column {}", earlier.line, earlier.column);
                    let message = format!("{} is already among the values of `{}` ({place}); remove one", item.description(), self.name);
                    self.report.error::<()>(item.at, message);
                }
                None => values.push(Choice { value, at: item.at }),
            }
        }
        let probabilities = if weighted { Some(self.probabilities(items.len())?) } else { None };
        (values.len() == items.len()).then_some(Domain::Choices { values, probabilities })
    }

    fn probabilities(&mut self, values: usize) -> Option<Vec<f64>> {
        let node = self.required("probabilities")?;
        let items = fields::list(self.report, &node, "`probabilities`")?;
        if items.len() != values {
            return self.report.error(node.at, format!("{} probabilities for {values} values; give one for each", items.len()));
        }
        let mut probabilities = Vec::new();
        for item in items {
            match fields::number(self.report, item, "a probability")? {
                probability if (0.0..=1.0).contains(&probability) => probabilities.push(probability),
                probability => return self.report.error(item.at, format!("a probability must be from 0 to 1, not `{probability}`")),
            }
        }
        let sum: f64 = probabilities.iter().sum();
        if (sum - 1.0).abs() > PROBABILITY_TOLERANCE {
            return self.report.error(node.at, format!("the probabilities sum to {sum}; they must sum to 1"));
        }
        Some(probabilities)
    }

    fn integers(&mut self) -> Option<Domain> {
        let (low, high) = (self.required("min")?, self.required("max")?);
        let min = fields::whole(self.report, &low, "`min` of int_uniform", i64::MIN..=i64::MAX);
        let max = fields::whole(self.report, &high, "`max` of int_uniform", i64::MIN..=i64::MAX);
        let (min, max) = (min?, max?);
        if min > max {
            return self.report.error(low.at, format!("`min` {min} is greater than `max` {max}; swap them"));
        }
        self.check_bounds([(low.at, min as f64), (high.at, max as f64)])?;
        Some(Domain::Integers { min, max })
    }

    fn numbers(&mut self, name: &str, distribution: Distribution, stepped: bool) -> Option<Domain> {
        let step = if stepped { Some(self.step()?) } else { None };
        let shape = match distribution {
            Distribution::Normal | Distribution::LogNormal => self.gaussian(distribution)?,
            _ => self.bounded(name, distribution)?,
        };
        if self.kind() == FieldKind::Word {
            return self.report.error(self.at, format!("`{}` takes words, not numbers; list them in `values`", self.name));
        }
        if self.kind() == FieldKind::Whole && step.is_none_or(|step| step.fract() != 0.0) {
            let message =
                format!("`{}` takes whole numbers; use int_uniform, or a `q_` distribution with a whole q, not `{name}`", self.name);
            return self.report.error(self.at, message);
        }
        Some(Domain::Numbers { shape, step })
    }

    fn step(&mut self) -> Option<f64> {
        let Some(node) = self.keys.get("q") else { return Some(1.0) };
        match fields::number(self.report, node, "`q`")? {
            step if step > 0.0 => Some(step),
            step => self.report.error(node.at, format!("`q` must be greater than 0, not `{step}`")),
        }
    }

    fn gaussian(&mut self, distribution: Distribution) -> Option<Shape> {
        let mu = match self.keys.get("mu") {
            Some(node) => fields::number(self.report, node, "`mu`")?,
            None => 0.0,
        };
        let sigma = match self.keys.get("sigma") {
            Some(node) => match fields::number(self.report, node, "`sigma`")? {
                sigma if sigma > 0.0 => sigma,
                sigma => return self.report.error(node.at, format!("`sigma` must be greater than 0, not `{sigma}`")),
            },
            None => 1.0,
        };
        Some(if distribution == Distribution::Normal { Shape::Normal { mu, sigma } } else { Shape::LogNormal { mu, sigma } })
    }

    fn bounded(&mut self, name: &str, distribution: Distribution) -> Option<Shape> {
        let (low, high) = (self.required("min")?, self.required("max")?);
        let min = fields::number(self.report, &low, "`min`");
        let max = fields::number(self.report, &high, "`max`");
        let (min, max) = (min?, max?);
        if min >= max {
            return self.report.error(low.at, format!("`min` {min} must be less than `max` {max}"));
        }
        let (least, most) = match distribution {
            Distribution::LogUniformOfExponents => (min.exp(), max.exp()),
            Distribution::LogUniformOfInverseExponents => ((-max).exp(), (-min).exp()),
            _ => (min, max),
        };
        let takes_exponents = matches!(distribution, Distribution::LogUniformOfExponents | Distribution::LogUniformOfInverseExponents);
        if takes_exponents && min > 0.0 && max <= 1.0 {
            let message =
                format!("`{name}` takes natural logarithms, so this draws {least:.4} to {most:.4}; for values write `{name}_values`");
            return self.report.error(low.at, message);
        }
        if distribution == Distribution::LogUniform && min <= 0.0 {
            return self.report.error(low.at, format!("`min` of `{name}` must be greater than 0, not `{min}`"));
        }
        self.check_bounds([(low.at, least), (high.at, most)])?;
        Some(if distribution == Distribution::Uniform {
            Shape::Uniform { min: least, max: most }
        } else {
            Shape::LogUniform { min: least, max: most }
        })
    }

    /// Refuses bounds that the hyper-parameter may not have: a trial in the middle of the sweep would otherwise find out.
    fn check_bounds(&mut self, bounds: [(Position, f64); 2]) -> Option<()> {
        if self.kind() == FieldKind::Word {
            return self.report.error(self.at, format!("`{}` takes words, not numbers; list them in `values`", self.name));
        }
        let mut right = Some(());
        for (at, bound) in bounds {
            // Fractions as bounds of whole numbers are right where a step rounds between them.
            let bound = if self.kind() == FieldKind::Whole { bound.round() } else { bound };
            if let Err(message) = self.vocabulary.check_number(self.path, bound) {
                right = self.report.error(at, message);
            }
        }
        right
    }
}
