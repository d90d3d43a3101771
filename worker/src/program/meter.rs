//! What a program costs: the time that its processes have computed, and the most memory that they were seen to have at once.
//!
//! Both are what Linux says of the processes of its group, those included that these have started and waited for. Where a system does not
//! say, only the time by the clock is known.

use std::{fs, time::Instant};

use crate::{
    cost::{Cost, Energy, Power, system},
    report::Work,
};

/// Of one program, as long as it runs.
pub struct Meter {
    started: Instant,
    group: u32,
    power: Power,
    computed_seconds: f64,
    peak_memory_bytes: u64,
}

impl Meter {
    /// Of the processes of `group`, which began at `started`.
    pub const fn start(group: u32, power: Power, started: Instant) -> Self {
        Self { started, group, power, computed_seconds: 0.0, peak_memory_bytes: 0 }
    }

    /// Looks at what there is of the group.
    pub fn look(&mut self) {
        let all: Vec<Usage> = processes().filter_map(|stat| Usage::parse(&stat)).filter(|usage| usage.group == self.group).collect();
        let (ticks, pages) = all.iter().fold((0, 0), |(ticks, pages), usage| (ticks + usage.ticks, pages + usage.pages));
        // Who has ended and was not waited for is seen no more.
        self.computed_seconds = self.computed_seconds.max(system::seconds(ticks));
        self.peak_memory_bytes = self.peak_memory_bytes.max(system::bytes(pages));
    }

    /// What it has cost so far, by the last look. Nothing counts its energy apart from that of others.
    pub fn cost(&self) -> Cost {
        let Self { started, computed_seconds, peak_memory_bytes, .. } = *self;
        let energy = Energy { joules: computed_seconds * self.power.core_watts, is_measured: false };
        let wall_seconds = started.elapsed().as_secs_f64();
        Cost { wall_seconds, device_seconds: computed_seconds, work: Work::default(), peak_memory_bytes, energy }
    }
}

/// What the system says of each process.
fn processes() -> impl Iterator<Item = String> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    let is_process = |name: &std::ffi::OsStr| name.to_str().is_some_and(|name| name.bytes().all(|byte| byte.is_ascii_digit()));
    entries.filter(move |entry| is_process(&entry.file_name())).filter_map(|entry| fs::read_to_string(entry.path().join("stat")).ok())
}

/// What one process has used.
#[derive(Debug, PartialEq, Eq)]
struct Usage {
    group: u32,
    /// Of computing, with those of the children that it has waited for.
    ticks: u64,
    /// Of memory.
    pages: u64,
}

impl Usage {
    /// Reads `/proc/PID/stat`. What comes after the name, which may have anything in it: state, parent, group, …; utime, stime, cutime and
    /// cstime are from the 12th on, rss is the 22nd.
    fn parse(stat: &str) -> Option<Self> {
        let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
        let number = |index: usize| fields.get(index)?.parse::<u64>().ok();
        Some(Self { group: fields.get(2)?.parse().ok()?, ticks: number(11)? + number(12)? + number(13)? + number(14)?, pages: number(21)? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn usage_is_read_after_the_name() {
        let stat = "71 (a) b (c) S 1 70 70 0 -1 4194560 9 8 7 6 100 20 3 4 20 0 1 0 555 1000000 250 18446744073709551615 1";
        assert_eq!(Usage::parse(stat), Some(Usage { group: 70, ticks: 127, pages: 250 }));
        for wrong in ["", "71 (a", "71 (a) S 1 70", "71 (a) S 1 70 70 0 -1 0 0 0 0 0 x 0 0 0 20 0 1 0 5 6 7"] {
            assert_eq!(Usage::parse(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn what_another_group_does_is_no_cost() {
        let mut meter = Meter::start(u32::MAX, Power::default(), Instant::now());
        meter.look();
        let cost = meter.cost();
        assert_eq!((cost.device_seconds, cost.peak_memory_bytes, cost.energy.joules), (0.0, 0, 0.0));
    }
}
