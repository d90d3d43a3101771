//! How a command ends that does not succeed.

use std::{fmt, process::ExitCode};

/// Why a command failed; decides the exit code.
#[derive(Debug)]
pub enum Failure {
    /// The user's input is wrong, or what it names cannot be reached: exit code 2, nothing was changed.
    BadInput(String),
    /// The input was right, but the work failed: exit code 1.
    Failed(anyhow::Error),
}

impl Failure {
    /// A failure of the user's input.
    pub fn bad_input(message: impl fmt::Display) -> Self {
        Self::BadInput(message.to_string())
    }

    /// 2 for bad input, 1 for everything else.
    pub fn exit_code(&self) -> ExitCode {
        match self {
            Self::BadInput(_) => ExitCode::from(2),
            Self::Failed(_) => ExitCode::FAILURE,
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::BadInput(message) => write!(out, "error: {message}"),
            Self::Failed(error) => write!(out, "error: {error:#}"),
        }
    }
}

impl<E: Into<anyhow::Error>> From<E> for Failure {
    fn from(error: E) -> Self {
        Self::Failed(error.into())
    }
}
