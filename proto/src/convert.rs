//! Data sets and programs between their typed form and their message, and what attempts are called.

use std::fmt;

use crate::{
    dataset::{DataFile, Dataset, Format, Task, benchmark},
    program::Program,
    v1,
};

/// The most rows that a puzzle table may have.
const PUZZLE_LIMIT: u32 = 100_000_000;

/// A message of a peer that makes no sense.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("{field}: {problem}")]
pub struct Malformed {
    /// The field, with dots.
    pub field: &'static str,
    /// What is wrong with it.
    pub problem: String,
}

fn malformed(field: &'static str, problem: impl Into<String>) -> Malformed {
    Malformed { field, problem: problem.into() }
}

impl fmt::Display for v1::AttemptRef {
    /// For people, whom its token does not concern.
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { sweep, trial, replicate, attempt, token: _ } = self;
        write!(out, "{sweep}/{trial}.{replicate}#{attempt}")
    }
}

impl From<&Dataset> for v1::Dataset {
    fn from(dataset: &Dataset) -> Self {
        let Dataset { benchmark, task, proxy, puzzle_identifiers, train, test } = dataset;
        Self {
            benchmark: benchmark.clone(),
            task: task.name().into(),
            proxy: *proxy,
            puzzle_identifiers: *puzzle_identifiers,
            train: Some(train.into()),
            test: Some(test.into()),
        }
    }
}

impl From<&DataFile> for v1::DataFile {
    fn from(file: &DataFile) -> Self {
        let DataFile { origin, format, sha256, bytes, examples } = file.clone();
        Self { origin, format: format.name().into(), sha256, bytes, examples }
    }
}

impl TryFrom<v1::Dataset> for Dataset {
    type Error = Malformed;

    fn try_from(message: v1::Dataset) -> Result<Self, Malformed> {
        let v1::Dataset { benchmark: name, task, proxy, puzzle_identifiers, train, test } = message;
        let known = benchmark(&name).ok_or_else(|| malformed("dataset.benchmark", format!("no benchmark is called `{name}`")))?;
        let task = Task::from_name(&task).ok_or_else(|| malformed("dataset.task", format!("no task is called `{task}`")))?;
        if task != known.task {
            return Err(malformed("dataset.task", format!("benchmark {name} has task {}, not {}", known.task.name(), task.name())));
        }
        if !(1..=PUZZLE_LIMIT).contains(&puzzle_identifiers) {
            return Err(malformed("dataset.puzzle_identifiers", format!("is {puzzle_identifiers}; it must be from 1 to {PUZZLE_LIMIT}")));
        }
        Ok(Self {
            benchmark: name,
            task,
            proxy,
            puzzle_identifiers,
            train: train.ok_or_else(|| malformed("dataset.train", "is missing"))?.try_into()?,
            test: test.ok_or_else(|| malformed("dataset.test", "is missing"))?.try_into()?,
        })
    }
}

impl TryFrom<v1::DataFile> for DataFile {
    type Error = Malformed;

    fn try_from(message: v1::DataFile) -> Result<Self, Malformed> {
        let v1::DataFile { origin, format, sha256, bytes, examples } = message;
        let format = Format::ALL
            .into_iter()
            .find(|known| known.name() == format)
            .ok_or_else(|| malformed("data_file.format", format!("no format is called `{format}`")))?;
        if !is_sha256(&sha256) {
            return Err(malformed("data_file.sha256", "must be 64 lower-case hex digits"));
        }
        Ok(Self { origin, format, sha256, bytes, examples })
    }
}

impl From<&Program> for v1::Program {
    fn from(program: &Program) -> Self {
        let Program { program, command, metric } = program.clone();
        Self { program, command, metric }
    }
}

impl TryFrom<v1::Program> for Program {
    type Error = Malformed;

    fn try_from(message: v1::Program) -> Result<Self, Malformed> {
        let v1::Program { program, command, metric } = message;
        if command.is_empty() {
            return Err(malformed("program.command", "is empty"));
        }
        Ok(Self { program, command, metric })
    }
}

/// Whether `text` has the form of a SHA-256 in lower-case hex; peers' hashes become file names, so nothing else may pass.
pub fn is_sha256(text: &str) -> bool {
    text.len() == 64 && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}
