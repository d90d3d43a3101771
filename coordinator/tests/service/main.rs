//! The coordinator over the wire: a real server on a free port, a real store, and clients that play workers.

// A test that cannot go on should stop where it stands.
#![allow(clippy::unwrap_used)]

mod artifacts;
mod control;
mod costs;
mod extend;
mod failures;
mod harness;
mod hostile;
mod leases;
mod programs;
mod refusals;
mod restarts;
mod retention;
mod starting;
mod unreadable;
