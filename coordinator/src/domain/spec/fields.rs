//! Reads typed values out of the tree, noting what is wrong with each.

use std::ops::RangeInclusive;

use tinysweep_proto::config;

use super::error::{Position, Report};
use super::yaml::{Content, Entry, Node, shortened};

/// The entries of a mapping, all of whose keys are known.
pub(crate) struct Fields<'n> {
    /// Where the mapping starts.
    pub at: Position,
    entries: &'n [Entry],
}

impl<'n> Fields<'n> {
    /// As [`read_all`](Self::read_all), but none where a key is unknown: it may be the misspelt one that would be missed next.
    pub(crate) fn read(
        report: &mut Report,
        node: &'n Node,
        what: &str,
        known: &[&str],
        explain: impl Fn(&str) -> Option<String>,
    ) -> Option<Self> {
        let keys = Self::read_all(report, node, what, known, explain)?;
        keys.entries.iter().all(|entry| known.contains(&entry.key.as_str())).then_some(keys)
    }

    /// Reads `node`, called `what` in messages. Keys that `known` lacks are errors, with the nearest known key or `explain`'s words.
    pub(crate) fn read_all(
        report: &mut Report,
        node: &'n Node,
        what: &str,
        known: &[&str],
        explain: impl Fn(&str) -> Option<String>,
    ) -> Option<Self> {
        let entries = mapping(report, node, what)?;
        for entry in entries.iter().filter(|entry| !known.contains(&entry.key.as_str())) {
            let message = explain(&entry.key).unwrap_or_else(|| unknown("key", &entry.key, known));
            report.error::<()>(entry.at, message);
        }
        Some(Self { at: node.at, entries })
    }

    /// The entry under `key`.
    pub(crate) fn entry(&self, key: &str) -> Option<&'n Entry> {
        self.entries.iter().find(|entry| entry.key == key)
    }

    /// The value under `key`.
    pub(crate) fn get(&self, key: &str) -> Option<&'n Node> {
        self.entry(key).map(|entry| &entry.value)
    }
}

/// Says that `name` is none of `known`, and which of them it may have been.
pub(crate) fn unknown(kind: &str, name: &str, known: &[&str]) -> String {
    let right = match config::nearest(name, known.iter().copied()) {
        Some(near) => format!("did you mean `{near}`?"),
        None => format!("known are {}", known.join(", ")),
    };
    format!("unknown {kind} `{}`; {right}", shortened(name))
}

/// The entries of a mapping.
pub(crate) fn mapping<'n>(report: &mut Report, node: &'n Node, what: &str) -> Option<&'n [Entry]> {
    match &node.content {
        Content::Map(entries) => Some(entries),
        _ => report.error(node.at, format!("{what} must be a mapping of `key: value`, not {}", node.description())),
    }
}

/// The items of a list that has some.
pub(crate) fn list<'n>(report: &mut Report, node: &'n Node, what: &str) -> Option<&'n [Node]> {
    match &node.content {
        Content::List(items) if items.is_empty() => report.error(node.at, format!("{what} is empty; it needs at least one item")),
        Content::List(items) => Some(items),
        _ => report.error(node.at, format!("{what} must be a list such as [a, b], not {}", node.description())),
    }
}

/// A text of 1 to `limit` characters.
pub(crate) fn text<'n>(report: &mut Report, node: &'n Node, what: &str, limit: usize) -> Option<&'n str> {
    match &node.content {
        Content::Text { text, .. } if !text.trim().is_empty() && text.chars().count() <= limit => Some(text),
        Content::Text { .. } => report.error(node.at, format!("{what} must have 1 to {limit} characters")),
        Content::Null | Content::List(_) | Content::Map(_) => {
            report.error(node.at, format!("{what} must be text, not {}", node.description()))
        }
        _ => report.error(node.at, format!("{what} must be text, not {}; put it in quotes", node.description())),
    }
}

/// One of a few words, with what it stands for.
pub(crate) fn word<T: Copy>(report: &mut Report, node: &Node, what: &str, words: &[(&str, T)]) -> Option<T> {
    let known: Vec<_> = words.iter().map(|(word, _)| *word).collect();
    match &node.content {
        Content::Text { text, .. } => match words.iter().find(|(word, _)| word == text) {
            Some((_, meaning)) => Some(*meaning),
            None => report.error(node.at, unknown(what, text, &known)),
        },
        _ => report.error(node.at, format!("{what} must be one of {}, not {}", known.join(", "), node.description())),
    }
}

/// A whole number within `range`.
pub(crate) fn whole(report: &mut Report, node: &Node, what: &str, range: RangeInclusive<i64>) -> Option<i64> {
    let number = match node.content {
        Content::Int(number) => Some(number),
        // `1e3` is a float to YAML and a count to its writer.
        Content::Float(number) if number.fract() == 0.0 && number.abs() <= 9e15 => Some(number as i64),
        _ => None,
    };
    match number {
        Some(number) if range.contains(&number) => Some(number),
        _ => {
            let (least, most) = range.into_inner();
            report.error(node.at, format!("{what} must be a whole number from {least} to {most}, not {}", node.description()))
        }
    }
}

/// A finite number.
pub(crate) fn number(report: &mut Report, node: &Node, what: &str) -> Option<f64> {
    match node.content {
        Content::Int(number) => Some(number as f64),
        Content::Float(number) if number.is_finite() => Some(number),
        _ => report.error(node.at, format!("{what} must be a finite number, not {}", node.description())),
    }
}
