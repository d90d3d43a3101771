//! Where a model is computed.

use std::{fmt, str::FromStr};

pub use candle_core::Device;

/// A device by its name: `cpu`, `cuda` for the first GPU, or `cuda:1` for the second.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum DeviceName {
    /// The cores of the machine.
    #[default]
    Cpu,
    /// An NVIDIA GPU, counted from 0.
    Cuda(usize),
}

/// Why a device cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum DeviceError {
    /// The name is none.
    #[error("`{0}` is no device; devices are cpu, cuda, and cuda:0, cuda:1, …")]
    Unknown(String),
    /// The program has nothing that a GPU could run.
    #[error("this tinysweep was built without CUDA; build it with `cargo build --release --features cuda`, or use the device cpu")]
    NotBuilt,
    /// There is no such GPU, or its driver does not answer.
    #[error("{name} cannot be used: {source}")]
    Absent {
        /// Which one.
        name: DeviceName,
        /// What the driver said.
        source: candle_core::Error,
    },
}

impl DeviceName {
    /// The kind of device, as sweeps ask for it.
    pub const fn kind(self) -> &'static str {
        match self {
            Self::Cpu => "cpu",
            Self::Cuda(_) => "cuda",
        }
    }

    /// Opens the device.
    ///
    /// # Errors
    /// The program was built without CUDA, or there is no such GPU.
    pub fn open(self) -> Result<Device, DeviceError> {
        match self {
            Self::Cpu => Ok(Device::Cpu),
            #[cfg(not(feature = "cuda"))]
            Self::Cuda(_) => Err(DeviceError::NotBuilt),
            #[cfg(feature = "cuda")]
            Self::Cuda(index) => crate::kernels::open(index).map_err(|source| DeviceError::Absent { name: self, source }),
        }
    }
}

/// Where tests compute: `TINYSWEEP_DEVICE`, as everywhere, or the CPU.
///
/// # Errors
/// As [`DeviceName::open`].
pub fn from_environment() -> Result<Device, DeviceError> {
    let name = std::env::var("TINYSWEEP_DEVICE").ok().filter(|name| !name.is_empty());
    name.map_or(Ok(DeviceName::Cpu), |name| name.parse())?.open()
}

impl FromStr for DeviceName {
    type Err = DeviceError;

    fn from_str(name: &str) -> Result<Self, DeviceError> {
        let unknown = || DeviceError::Unknown(name.to_owned());
        match name.split_once(':') {
            None if name == "cpu" => Ok(Self::Cpu),
            None if name == "cuda" => Ok(Self::Cuda(0)),
            Some(("cuda", index)) => index.parse().map(Self::Cuda).map_err(|_| unknown()),
            _ => Err(unknown()),
        }
    }
}

impl fmt::Display for DeviceName {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match self {
            Self::Cpu => f.write_str("cpu"),
            Self::Cuda(index) => write!(f, "cuda:{index}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_back() {
        for name in ["cpu", "cuda:0", "cuda:3"] {
            assert_eq!(name.parse::<DeviceName>().unwrap().to_string(), name);
        }
        assert_eq!("cuda".parse::<DeviceName>().unwrap(), DeviceName::Cuda(0));
        for wrong in ["gpu", "", "cuda:", "cuda:-1", "cuda:x", "cpu:0"] {
            assert!(wrong.parse::<DeviceName>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn the_cpu_is_always_there() {
        assert!(DeviceName::Cpu.open().unwrap().is_cpu());
    }

    #[cfg(not(feature = "cuda"))]
    #[test]
    fn without_cuda_the_message_says_how_to_build_it() {
        assert!(DeviceName::Cuda(0).open().unwrap_err().to_string().contains("--features cuda"));
    }
}
