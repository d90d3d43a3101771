//! What is wrong with a sweep file, and where.

use std::fmt;

/// A place in a file, both numbers from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Position {
    /// Line.
    pub line: usize,
    /// Column, in characters.
    pub column: usize,
}

impl Position {
    /// Where a file starts: the place of what is missing altogether.
    pub const START: Self = Self { line: 1, column: 1 };
}

/// One thing that is wrong with a sweep file. Displays as `FILE:LINE:COLUMN: what was wrong; what would be right`.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{file}:{line}:{column}: {message}")]
pub struct SpecError {
    /// The file's name, as the user gave it.
    pub file: String,
    /// Line, from 1.
    pub line: usize,
    /// Column in characters, from 1.
    pub column: usize,
    /// What was wrong, and what would be right.
    pub message: String,
}

/// Everything that is wrong with a sweep file, in the order of its lines; never empty. Displays one error a line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SpecErrors(Vec<SpecError>);

impl SpecErrors {
    /// The errors, of which there is at least one.
    pub fn errors(&self) -> &[SpecError] {
        &self.0
    }
}

impl fmt::Display for SpecErrors {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, error) in self.0.iter().enumerate() {
            let separator = if index == 0 { "" } else { "\n" };
            write!(out, "{separator}{error}")?;
        }
        Ok(())
    }
}

impl std::error::Error for SpecErrors {}

/// How many errors are kept: nobody mends more at once, and a hostile file could cause any number.
const ERROR_LIMIT: usize = 20;

/// Collects errors while a file is read, so that all of them are shown at once.
#[derive(Debug)]
pub(crate) struct Report {
    file: String,
    errors: Vec<(Position, String)>,
}

impl Report {
    pub(crate) fn new(file: &str) -> Self {
        Self { file: file.to_owned(), errors: Vec::new() }
    }

    /// Notes an error once, however often it is found. The `None` lets a caller return it as the value that could not be read.
    pub(crate) fn error<T>(&mut self, at: Position, message: impl Into<String>) -> Option<T> {
        let error = (at, message.into());
        if !self.is_full() && !self.errors.contains(&error) {
            self.errors.push(error);
        }
        None
    }

    /// Whether nothing is wrong so far.
    pub(crate) fn is_empty(&self) -> bool {
        self.errors.is_empty()
    }

    /// Whether further errors would not be kept.
    pub(crate) fn is_full(&self) -> bool {
        self.errors.len() >= ERROR_LIMIT
    }

    /// `value`, if nothing was wrong.
    pub(crate) fn finish<T>(mut self, value: Option<T>) -> Result<T, SpecErrors> {
        match value {
            Some(value) if self.errors.is_empty() => Ok(value),
            _ => {
                if self.errors.is_empty() {
                    self.error::<()>(Position::START, "the file cannot be read");
                }
                self.errors.sort_by_key(|(at, _)| *at);
                let located =
                    |(at, message): (Position, String)| SpecError { file: self.file.clone(), line: at.line, column: at.column, message };
                Err(SpecErrors(self.errors.into_iter().map(located).collect()))
            }
        }
    }
}
