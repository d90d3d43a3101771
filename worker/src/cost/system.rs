//! What the system says of the time and the memory that were used. Linux says it all; what another system does not say is none.

use std::fs;

/// Seconds that all threads of this process have computed.
#[cfg(unix)]
pub fn computed_seconds() -> Option<f64> {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    Some(time.tv_sec as f64 + time.tv_nsec as f64 / 1e9)
}

/// Seconds that all threads of this process have computed.
#[cfg(not(unix))]
pub fn computed_seconds() -> Option<f64> {
    None
}

/// Seconds that all programs of this machine together have computed since it started.
pub fn machine_seconds() -> Option<f64> {
    busy_ticks(&fs::read_to_string("/proc/stat").ok()?).map(seconds)
}

/// What the system tells in ticks.
#[cfg(unix)]
pub fn seconds(ticks: u64) -> f64 {
    ticks as f64 / rustix::param::clock_ticks_per_second() as f64
}

/// What a system tells in ticks; this one tells nothing.
#[cfg(not(unix))]
pub const fn seconds(_: u64) -> f64 {
    0.0
}

/// What the system tells in pages.
#[cfg(unix)]
pub fn bytes(pages: u64) -> u64 {
    pages.saturating_mul(rustix::param::page_size() as u64)
}

/// What a system tells in pages; this one tells nothing.
#[cfg(not(unix))]
pub const fn bytes(_: u64) -> u64 {
    0
}

/// User, nice, system, interrupts (the first line of `/proc/stat`); not idle, waiting for disks, or what a host has given to others.
fn busy_ticks(stat: &str) -> Option<u64> {
    let line = stat.lines().next()?.strip_prefix("cpu ")?;
    let ticks: Vec<u64> = line.split_whitespace().map(str::parse).collect::<Result<_, _>>().ok()?;
    let [user, nice, system, _idle, _iowait, irq, softirq, ..] = *ticks.as_slice() else { return None };
    Some(user + nice + system + irq + softirq)
}

/// Has the system forget how much memory this process once had, where it can: what [`peak_memory_bytes`] gives is of the time from here on.
pub fn forget_peak_memory() {
    // Elsewhere the peak is that of the whole process, which is no less.
    _ = fs::write("/proc/self/clear_refs", "5");
}

/// The most memory of the machine that this process has had, in bytes; 0 where the system does not say.
pub fn peak_memory_bytes() -> u64 {
    peak_kib(&fs::read_to_string("/proc/self/status").unwrap_or_default()).map_or(0, |kib| kib * 1024)
}

fn peak_kib(status: &str) -> Option<u64> {
    status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?.trim().strip_suffix("kB")?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_machine_is_busy_with_what_is_not_idle() {
        let stat = "cpu  100 20 30 4000 500 6 7 800 90 0\ncpu0 1 1 1 1 1 1 1 0 0 0\nintr 5";
        assert_eq!(busy_ticks(stat), Some(163));
        for wrong in ["", "cpu", "cpu  1 2 3", "cpu  1 2 3 4 5 6 x", "cpu0 1 2 3 4 5 6 7"] {
            assert_eq!(busy_ticks(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn peaks_are_read_from_the_status() {
        assert_eq!(peak_kib("Name:\tx\nVmHWM:\t  2048 kB\nVmRSS:\t 1 kB\n"), Some(2048));
        assert_eq!(peak_kib("Name:\tx\n"), None);
    }
}
