//! The program as users run it: real processes, real sockets on loopback, real files.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

#[path = "../shared/audit.rs"]
mod audit;
mod backup;
mod bad_input;
mod bench;
mod chaos;
mod checkpoints;
mod damage;
mod data;
#[path = "../shared/dice.rs"]
mod dice;
mod extend;
mod failures;
mod handoff;
mod harness;
mod parity;
#[cfg(unix)]
mod programs;
mod pull;
mod run;
mod separate_processes;
mod serving;
mod slots;
mod small_disk;
#[path = "../shared/sql.rs"]
mod sql;
