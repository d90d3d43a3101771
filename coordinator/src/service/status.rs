//! The one table from errors to gRPC status codes.

use tinysweep_proto::Malformed;
use tonic::{Code, Status};
use tracing::error;

use crate::{
    artifacts::ArtifactError,
    domain::{extension::ExtensionError, spec::SpecErrors},
    store::StoreError,
};

/// What went wrong with a call.
#[derive(Debug, thiserror::Error)]
pub enum ServiceError {
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The files.
    #[error(transparent)]
    Artifact(#[from] ArtifactError),
    /// A field of the message.
    #[error(transparent)]
    Malformed(#[from] Malformed),
    /// The sweep file.
    #[error(transparent)]
    Spec(#[from] SpecErrors),
    /// Reading the sweep file panicked.
    #[error("reading the sweep file failed; this is a fault of tinysweep")]
    SpecPanic,
    /// Data that the sweep names and nobody has put.
    #[error("the {split} data ({sha256}) are not in the artifact store; put them before the sweep")]
    MissingData {
        /// `train` or `test`.
        split: &'static str,
        /// Their hash.
        sha256: String,
    },
    /// Trials that cannot be extended.
    #[error(transparent)]
    Extension(#[from] ExtensionError),
    /// Nothing can go on from the end of these.
    #[error(
        "the state at the end of training is not kept of {0}; `checkpoints: {{keep_final: all}}` in the sweep file and room under \
         `serve --checkpoint-gib` would have kept it (never of runs that add up ARC's votes, and of states beyond 2 GiB); submit these with \
         more train.steps instead"
    )]
    NoFinalState(String),
    /// A worker of another time.
    #[error("this coordinator speaks protocol version {ours}, the worker {theirs}; use the same tinysweep on both")]
    Protocol {
        /// Of the coordinator.
        ours: u32,
        /// Of the worker.
        theirs: u32,
    },
}

/// What kind of error it is, for whoever must decide what to do about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// The request is wrong and will be so tomorrow.
    Invalid,
    /// What it names does not exist.
    NotFound,
    /// The state of things does not allow it.
    Precondition,
    /// Something else happened at the same time.
    Conflict,
    /// There is no room, or too much was sent.
    Exhausted,
    /// What was stored is damaged.
    DataLoss,
    /// The coordinator's own fault.
    Internal,
}

impl ServiceError {
    /// A malformed field.
    pub fn invalid(field: &'static str, problem: impl Into<String>) -> Self {
        Self::Malformed(Malformed { field, problem: problem.into() })
    }

    const fn kind(&self) -> Kind {
        match self {
            Self::Malformed(_) | Self::Spec(_) => Kind::Invalid,
            Self::Extension(error) => match error {
                ExtensionError::NoSuchTrial(_) => Kind::NotFound,
                ExtensionError::NotLonger { .. } => Kind::Invalid,
                ExtensionError::NotCompleted { .. } | ExtensionError::TooFew { .. } => Kind::Precondition,
            },
            Self::NoFinalState(_) | Self::MissingData { .. } | Self::Protocol { .. } => Kind::Precondition,
            Self::SpecPanic => Kind::Internal,
            Self::Store(error) => match error {
                StoreError::Ambiguous { .. } | StoreError::AmbiguousWorker { .. } | StoreError::TooLarge { .. } => Kind::Invalid,
                StoreError::NoSuchSweep(_)
                | StoreError::NoSweeps
                | StoreError::NoSuchTrial { .. }
                | StoreError::NoSuchWorker(_)
                | StoreError::NoState(_) => Kind::NotFound,
                StoreError::Refused(_) | StoreError::NotConnected(_) | StoreError::NotAllowed(_) | StoreError::NoTraining(_) => {
                    Kind::Precondition
                }
                StoreError::Conflict(_) => Kind::Conflict,
                StoreError::DiskFull => Kind::Exhausted,
                StoreError::Inconsistent { .. } | StoreError::Damaged(_) => Kind::DataLoss,
                StoreError::Database(_) => Kind::Internal,
            },
            Self::Artifact(error) => match error {
                ArtifactError::BadName
                | ArtifactError::ChunkTooLarge(_)
                | ArtifactError::WrongSize { .. }
                | ArtifactError::WrongHash { .. } => Kind::Invalid,
                ArtifactError::TooLarge(_) | ArtifactError::DiskFull => Kind::Exhausted,
                ArtifactError::NotFound(_) => Kind::NotFound,
                ArtifactError::Damaged(_) => Kind::DataLoss,
                ArtifactError::Io { .. } => Kind::Internal,
            },
        }
    }
}

const fn code(kind: Kind) -> Code {
    match kind {
        Kind::Invalid => Code::InvalidArgument,
        Kind::NotFound => Code::NotFound,
        Kind::Precondition => Code::FailedPrecondition,
        Kind::Conflict => Code::Aborted,
        Kind::Exhausted => Code::ResourceExhausted,
        Kind::DataLoss => Code::DataLoss,
        Kind::Internal => Code::Internal,
    }
}

impl From<ServiceError> for Status {
    fn from(error: ServiceError) -> Self {
        let kind = error.kind();
        if matches!(kind, Kind::DataLoss | Kind::Internal) {
            error!(%error, "a call failed by the coordinator's fault");
        }
        Self::new(code(kind), error.to_string())
    }
}
