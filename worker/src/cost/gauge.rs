//! Where device seconds and energy are read.

use std::path::Path;

use candle_core::DeviceLocation;

use super::{
    Power,
    energy::{Ledger, Reading},
    gpu::Gpu,
    powercap::{self, Powercap},
    system,
};
use crate::device::Device;

/// The device of an attempt, as what there is to read of it.
#[derive(Debug)]
pub enum Gauge {
    /// The cores of the machine; with counters where they can be read.
    Processor(Option<Powercap>),
    /// A GPU, with its driver's library.
    Gpu(Box<Gpu>),
}

impl Gauge {
    /// What there is to read of `device`.
    pub fn of(device: &Device) -> Self {
        match device.location() {
            DeviceLocation::Cuda { gpu_id } => Self::Gpu(Box::new(Gpu::open(gpu_id))),
            _ => Self::Processor(Powercap::open(Path::new(powercap::FOLDER))),
        }
    }

    /// Seconds of the device that this process has had so far, from some point on; none where the system does not say.
    pub fn own_seconds(&mut self) -> Option<f64> {
        match self {
            Self::Processor(_) => system::computed_seconds(),
            Self::Gpu(gpu) => Some(gpu.own_seconds()),
        }
    }

    /// What energy counters say, beside `own_seconds`; none where there are none.
    pub fn read(&self, own_seconds: f64) -> Option<Reading> {
        let (microjoules, all_seconds) = match self {
            Self::Processor(powercap) => (powercap.as_ref()?.read()?, system::machine_seconds()?),
            Self::Gpu(gpu) => (vec![gpu.microjoules()?], gpu.all_seconds()),
        };
        Some(Reading { microjoules, own_seconds, all_seconds })
    }

    /// Begins to add up energy; none where nothing counts it.
    pub fn ledger(&self, own_seconds: f64) -> Option<Ledger> {
        let ranges = match self {
            Self::Processor(powercap) => powercap.as_ref()?.ranges(),
            Self::Gpu(_) => vec![u64::MAX],
        };
        Some(Ledger::new(ranges, self.read(own_seconds)?))
    }

    /// What a second of the device is taken to need where nothing counts it, in W.
    pub const fn watts(&self, power: Power) -> f64 {
        match self {
            Self::Processor(_) => power.core_watts,
            Self::Gpu(_) => power.gpu_watts,
        }
    }
}
