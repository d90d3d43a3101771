//! The worker of tinysweep: trains and evaluates recursive models with Candle.
//!
//! From the network down to the numbers:
//! * [`agent`], `wire`, [`leave`], [`outbox`], [`attempt`], [`datasets`], [`handoff`], [`folders`]: the session with the coordinator; knows no tensor.
//! * [`assignment`]: what the session and whoever trains have to say to each other. [`slot`]: a process for each slot.
//! * [`program`]: any program as a trial, in place of a built-in model.
//! * `signals`: what has ended a process of either.
//! * [`runner`]: one attempt in such a process; below it nothing knows the network.
//! * [`train`], [`trainer`], [`state`], [`carry`], [`eval`], [`checkpoint`]: one configuration from initial weights to final metrics.
//! * [`cost`]: what an attempt costs.
//! * [`predict`]: one puzzle answered, step by step.
//! * [`model`], [`loss`], [`optim`], [`schedule`], [`ema`], [`random`]: the published model and its optimisation.
//! * [`kernels`]: fused operations with their gradients; [`device`]: where they run.
//! * [`data`]: puzzles: files, generators, symmetries, batches.
//! * [`parity`]: replays recorded runs of the published reference.

pub mod agent;
pub mod assignment;
pub mod attempt;
pub mod carry;
pub mod checkpoint;
pub mod cost;
pub mod data;
pub mod datasets;
pub mod device;
pub mod ema;
pub mod eval;
pub mod folders;
pub mod handoff;
pub mod kernels;
pub mod leave;
pub mod loss;
mod memory_limit;
pub mod model;
pub mod optim;
pub mod outbox;
pub mod parity;
pub mod predict;
pub mod program;
pub mod random;
pub mod report;
pub mod runner;
pub mod schedule;
mod signals;
pub mod slot;
pub mod state;
pub mod train;
pub mod trainer;
pub mod votes;
mod wire;
