//! The coordinator of tinysweep: keeps sweeps in SQLite and leases trials to workers.
//!
//! * [`domain`]: what it knows and decides, pure.
//! * [`store`]: the only SQL.

pub mod domain;
pub mod store;
