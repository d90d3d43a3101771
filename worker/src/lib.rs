//! The worker of tinysweep: trains and evaluates recursive models with Candle.
//!
//! From the network down to the numbers:
//! * `agent`: the session with the coordinator; knows no tensor.
//! * `runner`: one attempt on its own thread; below it nothing knows the network.
//! * `train`, `eval`, `checkpoint`: one configuration from initial weights to final metrics.
//! * `model`, `loss`, `optim`, `schedule`, `ema`: the published model and its optimisation.
//! * [`data`]: puzzles: files, generators, symmetries, batches.
//! * `parity`: replays recorded runs of the published reference.

pub mod carry;
pub mod checkpoint;
pub mod data;
pub mod ema;
pub mod eval;
pub mod kernels;
pub mod loss;
pub mod model;
pub mod optim;
pub mod parity;
pub mod random;
pub mod report;
pub mod schedule;
pub mod train;
pub mod trainer;
