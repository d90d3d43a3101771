//! Why a program could not be started.

use std::{io, path::PathBuf};

use tinysweep_proto::{Malformed, program::ExpandError};

/// Why a program could not be started.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    #[error("this worker was not started with --allow-commands")]
    NotAllowed,
    #[error(transparent)]
    Malformed(#[from] Malformed),
    #[error("the parameters are no JSON: {0}")]
    Parameters(#[from] serde_json::Error),
    #[error(transparent)]
    Command(#[from] ExpandError),
    #[error("{0}")]
    Missing(String),
    #[error("{what} {path}: {error}", path = path.display())]
    Folder { what: &'static str, path: PathBuf, error: io::Error },
    #[error("`{program}` cannot be started: {error}{hint}", hint = if error.kind() == io::ErrorKind::NotFound { "; is what its first line names here?" } else { "" })]
    System { program: String, error: io::Error },
}
