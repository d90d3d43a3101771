//! The coordinator of tinysweep: keeps sweeps in SQLite and leases trials to workers.
//!
//! * [`domain`]: what it knows and decides, pure.
//! * `store`: the only SQL. `artifacts`: files by their hash.
//! * `retention`: what is kept no longer.
//! * `durability`: what survives a power cut. [`machine`]: clock, randomness and disk, which a simulation replaces.
//! * `reconcile`: snapshot, plan, apply. `sessions`: workers that can be reached.
//! * `service`: gRPC. [`server`]: the whole as a process runs it.
//!
//! `README.md` says how it works; the workspace's `tests/architecture.rs` keeps what is said here about absences.

mod artifacts;
mod auth;
mod clock;
mod connections;
pub mod domain;
mod durability;
mod live;
pub mod machine;
mod reconcile;
pub mod rehearsal;
mod retention;
pub mod server;
mod service;
mod sessions;
mod shared;
mod store;

pub use store::backup;
