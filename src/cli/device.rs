//! The argument of every command that computes a model.

use clap::Args;
use tinysweep_worker::device::{Device, DeviceName};

use crate::failure::Failure;

/// Where models are computed.
#[derive(Args, Clone, Copy, Debug)]
pub struct DeviceArgs {
    /// Where models are computed: cpu, or where this program was built with CUDA, cuda or cuda:N
    #[arg(id = "device", long, env = "TINYSWEEP_DEVICE", default_value_t)]
    pub name: DeviceName,
}

impl DeviceArgs {
    /// Opens the device.
    pub fn open(self) -> Result<Device, Failure> {
        self.name.open().map_err(Failure::bad_input)
    }

    /// How many trials run at once unless the user says so: one per core, but one alone on a GPU, which one fills.
    pub fn slots(self) -> usize {
        match self.name {
            DeviceName::Cpu => super::worker::cores(),
            DeviceName::Cuda(_) => 1,
        }
    }
}
