//! The program as users run it: real processes, real sockets on loopback, real files.

mod bad_input;
mod checkpoints;
mod failures;
mod harness;
mod parity;
mod run;
mod separate_processes;
