//! Time and energy of a GPU. Its energy is known where the program was built with CUDA: the driver's NVML counts it, on Volta and later.

use std::time::Instant;

/// A GPU of which an attempt has a share.
#[derive(Debug)]
pub struct Gpu {
    counter: Option<counter::Counter>,
    opened: Instant,
    last: Instant,
    own_seconds: f64,
}

impl Gpu {
    /// The GPU that CUDA calls `ordinal`.
    pub fn open(ordinal: usize) -> Self {
        let now = Instant::now();
        Self { counter: counter::Counter::open(ordinal), opened: now, last: now, own_seconds: 0.0 }
    }

    /// Seconds of the GPU that this process has had: those of the clock, shared evenly among the programs that compute there.
    pub fn own_seconds(&mut self) -> f64 {
        let now = Instant::now();
        let programs = self.counter.as_ref().map_or(1, counter::Counter::programs).max(1);
        self.own_seconds += now.duration_since(self.last).as_secs_f64() / f64::from(programs);
        self.last = now;
        self.own_seconds
    }

    /// Seconds of the clock up to where [`own_seconds`](Self::own_seconds) was asked last.
    pub fn all_seconds(&self) -> f64 {
        self.last.duration_since(self.opened).as_secs_f64()
    }

    /// What it has used since its driver was loaded, in µJ.
    pub fn microjoules(&self) -> Option<u64> {
        self.counter.as_ref()?.microjoules()
    }
}

#[cfg(feature = "nvml")]
mod counter {
    use std::env;

    use nvml_wrapper::{Device, Nvml, error::NvmlError};

    /// NVML, and which GPU.
    #[derive(Debug)]
    pub struct Counter {
        nvml: Nvml,
        name: Name,
    }

    /// What NVML calls a GPU by. It counts all GPUs of a machine, CUDA only those that the user lets it see.
    #[derive(Debug, PartialEq, Eq)]
    enum Name {
        Index(u32),
        Uuid(String),
    }

    impl Counter {
        /// None where there is no driver, or its GPU does not count.
        pub fn open(ordinal: usize) -> Option<Self> {
            let name = name(env::var("CUDA_VISIBLE_DEVICES").ok().as_deref(), ordinal)?;
            let counter = Self { nvml: Nvml::init().ok()?, name };
            counter.microjoules().is_some().then_some(counter)
        }

        fn device(&self) -> Result<Device<'_>, NvmlError> {
            match &self.name {
                Name::Index(index) => self.nvml.device_by_index(*index),
                Name::Uuid(uuid) => self.nvml.device_by_uuid(uuid.as_str()),
            }
        }

        /// Programs that compute there now; 0 where the driver does not say.
        pub fn programs(&self) -> u32 {
            self.device().and_then(|device| device.running_compute_processes_count()).unwrap_or(0)
        }

        pub fn microjoules(&self) -> Option<u64> {
            let millijoules = self.device().and_then(|device| device.total_energy_consumption()).ok()?;
            millijoules.checked_mul(1000)
        }
    }

    /// The name of the GPU that CUDA calls `ordinal` where it may see those of `visible`.
    fn name(visible: Option<&str>, ordinal: usize) -> Option<Name> {
        let Some(visible) = visible else { return u32::try_from(ordinal).ok().map(Name::Index) };
        let entry = visible.split(',').nth(ordinal)?.trim();
        entry.parse().map(Name::Index).ok().or_else(|| entry.starts_with("GPU-").then(|| Name::Uuid(entry.to_owned())))
    }

    #[cfg(test)]
    mod tests {
        use super::*;

        #[test]
        fn cuda_and_nvml_count_differently() {
            assert_eq!(name(None, 1), Some(Name::Index(1)));
            assert_eq!(name(Some("3, 2"), 1), Some(Name::Index(2)));
            assert_eq!(name(Some("GPU-5a"), 0), Some(Name::Uuid("GPU-5a".into())));
            for (visible, ordinal) in [("", 0), ("3", 1), ("MIG-7", 0)] {
                assert_eq!(name(Some(visible), ordinal), None);
            }
        }
    }
}

#[cfg(not(feature = "nvml"))]
mod counter {
    /// Without NVML nothing counts.
    #[derive(Debug)]
    pub enum Counter {}

    impl Counter {
        pub const fn open(_ordinal: usize) -> Option<Self> {
            None
        }

        pub const fn programs(&self) -> u32 {
            match *self {}
        }

        pub const fn microjoules(&self) -> Option<u64> {
            match *self {}
        }
    }
}
