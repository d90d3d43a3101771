//! What an attempt costs: time, computing, memory, energy.
//!
//! * `meter`: adds up, while an attempt runs, what can be read.
//! * `energy`: whose share of the energy that was counted is whose; pure.
//! * `gauge`: where device seconds and energy are read: `powercap` has the counters of processors, `gpu` those of a GPU.
//! * `system`: what the system says of this process and of the machine.
//! * `message`: what is told of it.

mod energy;
mod gauge;
mod gpu;
mod message;
mod meter;
mod powercap;
pub(crate) mod system;

pub use message::{cost_message, with_cost};
pub use meter::Meter;

use crate::report::Work;

/// What an attempt has cost so far; what earlier attempts at the same replicate have cost is not in it.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Cost {
    /// Since it began with its data at hand.
    pub wall_seconds: f64,
    /// On a processor the seconds that its threads have computed. On a GPU, which is taken whole, those of the clock, shared evenly among the
    /// programs that compute there.
    pub device_seconds: f64,
    /// What it has done for that.
    pub work: Work,
    /// The most memory of the machine that its process had meanwhile; 0 where the system does not say.
    pub peak_memory_bytes: u64,
    /// Of the device alone.
    pub energy: Energy,
}

/// How much energy, and how that is known.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Energy {
    /// In J.
    pub joules: f64,
    /// By counters, all of it; else it is an estimate, all of it.
    pub is_measured: bool,
}

/// What a device is taken to draw where nothing counts its energy, in W.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Power {
    /// One core that computes, with its share of the processor and the memory.
    pub core_watts: f64,
    /// A GPU.
    pub gpu_watts: f64,
}

impl Default for Power {
    /// Between the cores of servers (a processor of 64 and 280 W: 4 W each) and of desktops (one of 8 and 105 W: 13 W each); and the limit
    /// of an A100, that of an H100 being 700 W.
    fn default() -> Self {
        Self { core_watts: 10.0, gpu_watts: 400.0 }
    }
}
