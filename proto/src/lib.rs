//! What coordinator, workers and clients of tinysweep agree on.
//!
//! * [`v1`]: the gRPC messages and services, generated from `tinysweep/v1/*.proto`.
//! * [`config`]: the typed configuration of a trial, its names, ranges and counts.
//! * [`dataset`]: tasks, benchmarks and content-addressed data sets.
//! * [`metric`]: the metrics that a trial reports.
//! * [`program`]: programs as trials, and how their commands are built.
//! * [`address`] and [`connect`]: how a coordinator is addressed, token included, and reached.

pub mod address;
pub mod config;
pub mod connect;
mod convert;
pub mod dataset;
pub mod metric;
pub mod program;

pub use convert::{Malformed, is_sha256};

/// Generated messages and services of package `tinysweep.v1`.
#[allow(missing_docs, clippy::all, clippy::unwrap_used)]
pub mod v1 {
    tonic::include_proto!("tinysweep.v1");

    /// The encoded descriptors of this package, for the reflection service.
    pub const FILE_DESCRIPTOR_SET: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/tinysweep.v1.bin"));
}

/// The version of the worker protocol. A coordinator refuses workers of another one: both would misread each other.
pub const PROTOCOL_VERSION: u32 = 3;

/// The port that a coordinator listens on unless told otherwise.
pub const DEFAULT_PORT: u16 = 7433;

/// The most bytes that one gRPC message may have, but for answers to clients.
pub const MESSAGE_LIMIT_BYTES: usize = 4 << 20;

/// The most bytes that a coordinator's answer to a client may have: room for some 60,000 trials with their configurations.
pub const ANSWER_LIMIT_BYTES: usize = 64 << 20;

/// Bytes of a chunk in which artifacts travel.
pub const CHUNK_BYTES: usize = 256 << 10;

/// Bytes of a chunk of a checkpoint, each an artifact of its own; the last of a checkpoint may be shorter.
pub const CHECKPOINT_CHUNK_BYTES: usize = 1 << 20;

/// The most bytes that one artifact may have.
pub const ARTIFACT_LIMIT_BYTES: u64 = 1 << 30;

/// The metadata key of the shared token, as `Bearer TOKEN`.
pub const TOKEN_HEADER: &str = "authorization";

/// Lower-case hex of `bytes`.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
