//! Adds up what an attempt costs.

use std::time::{Duration, Instant};

use tracing::warn;

use super::{Cost, Energy, Power, energy::Ledger, gauge::Gauge, system};
use crate::{device::Device, report::Work};

/// The shortest stretch whose energy is shared out: what others have computed is known in ticks of 10 ms.
const STRETCH: Duration = Duration::from_millis(200);

/// Runs as long as an attempt, in the process that trains it and nothing else.
#[derive(Debug)]
pub struct Meter {
    started: Instant,
    gauge: Gauge,
    /// Device seconds of this process before the attempt.
    before: f64,
    /// None where nothing counts energy.
    ledger: Option<Ledger>,
    /// When the ledger was written last.
    written: Instant,
    /// What a device second is taken to need where nothing counts it, in W.
    watts: f64,
}

impl Meter {
    /// Begins with an attempt on `device`. What nothing counts is estimated by `power`.
    pub fn start(device: &Device, power: Power) -> Self {
        system::forget_peak_memory();
        let mut gauge = Gauge::of(device);
        let before = gauge.own_seconds().unwrap_or(0.0);
        let now = Instant::now();
        Self { started: now, before, ledger: gauge.ledger(before), written: now, watts: gauge.watts(power), gauge }
    }

    /// The cost so far of an attempt that has done `work`.
    pub fn read(&mut self, work: Work) -> Cost {
        let is_due = self.written.elapsed() >= STRETCH;
        self.read_now(work, is_due)
    }

    /// The cost of the whole attempt.
    pub fn finish(&mut self, work: Work) -> Cost {
        self.read_now(work, true)
    }

    fn read_now(&mut self, work: Work, is_written: bool) -> Cost {
        let wall_seconds = self.started.elapsed().as_secs_f64();
        let own = self.gauge.own_seconds();
        let device_seconds = own.map_or(wall_seconds, |own| own - self.before);
        if is_written {
            self.write(own.unwrap_or(wall_seconds));
        }
        let energy = match &self.ledger {
            Some(ledger) => Energy { joules: ledger.joules(), is_measured: true },
            None => Energy { joules: device_seconds * self.watts, is_measured: false },
        };
        Cost { wall_seconds, device_seconds, work, peak_memory_bytes: system::peak_memory_bytes(), energy }
    }

    /// Counters that stop to answer leave nothing but an estimate of the whole: the two are never added.
    fn write(&mut self, own_seconds: f64) {
        self.written = Instant::now();
        let Some(ledger) = &mut self.ledger else { return };
        match self.gauge.read(own_seconds) {
            Some(reading) => ledger.add(reading),
            None => {
                warn!("the energy counters do not answer any more; the energy of this attempt is an estimate");
                self.ledger = None;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_counters_energy_is_device_seconds_times_the_stated_power() {
        let device = Device::Cpu;
        let mut meter = Meter::start(&device, Power { core_watts: 3.0, gpu_watts: 1000.0 });
        meter.ledger = None;
        let mut sum = 0_u64;
        while meter.read(Work::default()).device_seconds < 0.02 {
            sum = std::hint::black_box(sum + 1);
        }
        let work = Work { steps: 7, ..Work::default() };
        let cost = meter.finish(work);
        assert_eq!((cost.work, cost.energy.is_measured), (work, false));
        // Tests beside this one are on the clock of the process too, so that less time may have passed.
        assert!(cost.device_seconds >= 0.02 && cost.wall_seconds > 0.0);
        assert!((cost.energy.joules - 3.0 * cost.device_seconds).abs() < 1e-9, "{cost:?}");
    }
}
