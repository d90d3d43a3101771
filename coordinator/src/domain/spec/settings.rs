//! Hyper-parameters as a sweep file names them: by path, by alias or nested, each no more than once.

use std::borrow::Cow;

use serde_json::Value;
use tinysweep_proto::config::{self, HYPER_PARAMETERS, TrialConfig};

use super::error::{Position, Report};
use super::fields::unknown;
use super::program;
use super::yaml::{Content, Entry, Node, shortened};
use crate::domain::space::Domain;

/// A hyper-parameter by its canonical, dotted name.
pub(crate) type Path = Cow<'static, str>;

/// Which hyper-parameters there are, and what they may be.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Vocabulary {
    /// Those of the built-in models.
    #[default]
    Model,
    /// Any: a program makes of them what it will.
    Program,
}

impl Vocabulary {
    /// Whether `key`, which stands in `group` or in none, may hold further settings.
    pub(crate) fn is_group(self, group: Option<&str>, key: &str) -> bool {
        match self {
            Self::Model => group.is_none() && is_group(key),
            Self::Program => true,
        }
    }

    /// What the hyper-parameter at `path` holds.
    pub(crate) fn kind(self, path: &str) -> FieldKind {
        match self {
            Self::Model => kind(path),
            Self::Program => FieldKind::Any,
        }
    }

    /// Whether what is drawn from `domain` for the hyper-parameter at `path` are whole numbers.
    pub(crate) fn is_whole(self, path: &str, domain: &Domain) -> bool {
        match self {
            Self::Model => kind(path) == FieldKind::Whole,
            Self::Program => program::gives_whole_numbers(domain),
        }
    }

    /// The value of `node` for the hyper-parameter at `path`, if it may be one.
    pub(crate) fn value(self, report: &mut Report, path: &str, node: &Node) -> Option<Value> {
        match self {
            Self::Model => value(report, path, node),
            Self::Program => program::value(report, path, node),
        }
    }

    /// Whether the hyper-parameter at `path` may have the value `number`; else what is wrong.
    pub(crate) fn check_number(self, path: &str, number: f64) -> Result<(), String> {
        match self {
            Self::Model => check_number(path, number),
            Self::Program => Ok(()),
        }
    }
}

/// Which hyper-parameters the file sets, and where.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Settings {
    /// Which there are.
    pub vocabulary: Vocabulary,
    /// In the order of the file: path, the block that sets it (`config`, `parameters`, …), and the value's place.
    set: Vec<(Path, &'static str, Position)>,
}

impl Settings {
    /// None yet, of that vocabulary.
    pub(crate) fn of(vocabulary: Vocabulary) -> Self {
        Self { vocabulary, set: Vec::new() }
    }

    /// Where `path` is set.
    pub(crate) fn position(&self, path: &str) -> Option<Position> {
        self.set.iter().find(|(known, ..)| *known == path).map(|(.., at)| *at)
    }

    /// Where `block` sets `path`, if it is that block that does.
    pub(crate) fn position_in(&self, block: &str, path: &str) -> Option<Position> {
        self.set.iter().find(|(known, by, _)| *known == path && *by == block).map(|(.., at)| *at)
    }

    /// What is set, in the order of the file.
    pub(crate) fn paths(&self) -> impl Iterator<Item = &str> {
        self.set.iter().map(|(path, ..)| path.as_ref())
    }

    /// Notes that `block` sets the hyper-parameter that `entry` names below `group`, and returns its path.
    pub(crate) fn claim(&mut self, report: &mut Report, block: &'static str, group: Option<&str>, entry: &Entry) -> Option<Path> {
        let path = match self.vocabulary {
            Vocabulary::Model => Cow::Borrowed(resolve(report, block, group, entry)?),
            Vocabulary::Program => program::name(report, group, entry)?,
        };
        let holds = |group: &str, path: &str| path.strip_prefix(group).is_some_and(|rest| rest.starts_with('.'));
        if let Some((known, _, at)) = self.set.iter().find(|(known, ..)| holds(known, &path) || holds(&path, known)) {
            let message = format!("`{path}` and `{known}` on line {} cannot be both: one is a group that holds the other", at.line);
            return report.error(entry.at, message);
        }
        if let Some((_, other, at)) = self.set.iter().find(|(known, ..)| *known == path) {
            let name = shortened(&entry.key);
            let means = if *name == *path { String::new() } else { format!(", which means `{path}`,") };
            let message = format!("`{name}`{means} is already set in `{other}` on line {}; keep one of the two", at.line);
            return report.error(entry.at, message);
        }
        self.set.push((path.clone(), block, entry.value.at));
        Some(path)
    }
}

/// The first part of each dotted path: `train`, `evaluation`.
fn groups() -> Vec<&'static str> {
    let mut groups: Vec<_> = HYPER_PARAMETERS.iter().filter_map(|known| Some(known.path.split_once('.')?.0)).collect();
    groups.dedup();
    groups
}

/// Whether `key` may hold further settings.
pub(crate) fn is_group(key: &str) -> bool {
    groups().contains(&key)
}

fn resolve(report: &mut Report, block: &str, group: Option<&str>, entry: &Entry) -> Option<&'static str> {
    let Some(group) = group else {
        if is_group(&entry.key) {
            let below = if block == "parameters" { "{parameters: {…}}" } else { "{…}" };
            let message = format!("`{0}` is a group; write its settings below it, as in `{0}: {below}`", entry.key);
            return report.error(entry.at, message);
        }
        return match config::canonical_path(&entry.key) {
            Ok(path) => Some(path),
            Err(_) => report.error(entry.at, unknown_setting(None, &entry.key)),
        };
    };
    let within = |path: &&'static str| path.split_once('.').is_some_and(|(known, _)| known == group);
    let by_path = config::canonical_path(&format!("{group}.{}", entry.key)).ok();
    match by_path.or_else(|| config::canonical_path(&entry.key).ok().filter(within)) {
        Some(path) => Some(path),
        None => report.error(entry.at, unknown_setting(Some(group), &entry.key)),
    }
}

fn all_paths() -> Vec<&'static str> {
    HYPER_PARAMETERS.iter().map(|known| known.path).collect()
}

fn unknown_setting(group: Option<&str>, key: &str) -> String {
    let Some(group) = group else {
        return match config::canonical_path(&shortened(key)) {
            Err(unknown) if unknown.suggestion.is_none() => format!("{unknown}; known are {}", all_paths().join(", ")),
            Err(unknown) => unknown.to_string(),
            Ok(path) => format!("write `{path}`"),
        };
    };
    let leaves: Vec<_> = HYPER_PARAMETERS
        .iter()
        .filter_map(|known| known.path.split_once('.'))
        .filter(|(known, _)| *known == group)
        .map(|(_, leaf)| leaf)
        .collect();
    unknown(&format!("hyper-parameter in `{group}`:"), key, &leaves)
}

/// What a hyper-parameter holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FieldKind {
    Whole,
    Number,
    Word,
    /// Whatever it is given.
    Any,
}

fn kind(path: &str) -> FieldKind {
    let takes = |value: Value| config::assign(&TrialConfig::default(), path, &value).is_ok();
    if takes(Value::from(0.5)) {
        FieldKind::Number
    } else if takes(Value::from(1)) {
        FieldKind::Whole
    } else {
        FieldKind::Word
    }
}

/// The value of `node` for the hyper-parameter at `path`, in the form that a configuration gives it, if it is of its type and range.
pub(crate) fn value(report: &mut Report, path: &str, node: &Node) -> Option<Value> {
    let Some(written) = scalar(node) else {
        return report.error(node.at, format!("`{path}` must be {}, not {}", wanted(path), node.description()));
    };
    let Ok(config) = config::assign(&TrialConfig::default(), path, &written) else {
        return report.error(node.at, format!("`{path}` must be {}, not {}", wanted(path), node.description()));
    };
    // What depends on other fields is judged with the whole configuration: whether heads have a width depends on the variant.
    match config::check_ranges(&config).into_iter().find(|error| error.path == path) {
        Some(error) => report.error(node.at, format!("`{path}` {}", error.message)),
        None => Some(field(&config, path)),
    }
}

fn check_number(path: &str, number: f64) -> Result<(), String> {
    let config = config::assign(&TrialConfig::default(), path, &Value::from(number))
        .map_err(|_| format!("`{path}` must be {}, not `{number}`", wanted(path)))?;
    match config::check_ranges(&config).into_iter().find(|error| error.path == path) {
        Some(error) => Err(format!("`{path}` {}", error.message)),
        None => Ok(()),
    }
}

/// The JSON form of a field.
pub(crate) fn field(config: &TrialConfig, path: &str) -> Value {
    let tree = serde_json::to_value(config).expect("a struct of numbers and enums has a JSON form");
    path.split('.').fold(&tree, |node, key| &node[key]).clone()
}

/// What a value of `path` must be, for a message.
fn wanted(path: &str) -> String {
    match kind(path) {
        FieldKind::Whole => "a whole number, 0 or more".into(),
        FieldKind::Number | FieldKind::Any => "a number".into(),
        FieldKind::Word => {
            let refusal = config::assign(&TrialConfig::default(), path, &Value::from("?")).err().unwrap_or_default();
            let words = refusal.split_once("expected ").map_or("another word", |(_, words)| words);
            words.strip_prefix("one of ").map_or_else(|| words.to_owned(), |words| format!("one of {words}"))
        }
    }
}

fn scalar(node: &Node) -> Option<Value> {
    match &node.content {
        Content::Null => Some(Value::Null),
        Content::Bool(value) => Some(Value::from(*value)),
        Content::Int(value) => Some(Value::from(*value)),
        Content::Float(value) if value.is_finite() => Some(Value::from(*value)),
        // `pos_encodings: none` is a word to YAML 1.2, as it should be.
        Content::Text { text, .. } => Some(Value::from(text.as_str())),
        Content::Float(_) | Content::List(_) | Content::Map(_) => None,
    }
}
