//! What devices are taken to draw.

use clap::Args;
use tinysweep_worker::cost::Power;

/// For estimates of energy, where no counter can be read.
#[derive(Args, Clone, Copy, Debug)]
pub struct PowerArgs {
    /// What a core that computes is taken to draw, in W, where nothing counts it: then energy is an estimate, and is marked so
    #[arg(long, env = "TINYSWEEP_WATTS_PER_CORE", default_value_t = Power::default().core_watts, value_parser = watts)]
    watts_per_core: f64,
    /// The same of a GPU
    #[arg(long, env = "TINYSWEEP_DEVICE_WATTS", default_value_t = Power::default().gpu_watts, value_parser = watts)]
    device_watts: f64,
}

impl From<PowerArgs> for Power {
    fn from(args: PowerArgs) -> Self {
        Self { core_watts: args.watts_per_core, gpu_watts: args.device_watts }
    }
}

impl PowerArgs {
    /// As arguments of a worker.
    pub fn to_arguments(self) -> [String; 4] {
        ["--watts-per-core".into(), self.watts_per_core.to_string(), "--device-watts".into(), self.device_watts.to_string()]
    }
}

fn watts(text: &str) -> Result<f64, String> {
    match text.parse() {
        Ok(watts) if watts > 0.0 && watts <= 10_000.0 => Ok(watts),
        _ => Err("must be a number of watts above 0, of 10000 at the most".into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn powers_are_positive_and_finite() {
        assert_eq!((watts("7.5"), watts("10000")), (Ok(7.5), Ok(10_000.0)));
        for wrong in ["0", "-1", "NaN", "inf", "1e9", "", "10 W"] {
            assert!(watts(wrong).is_err(), "{wrong}");
        }
    }
}
