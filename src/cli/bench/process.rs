//! What the system says of a process. Linux says it; elsewhere the figures are not numbers.

use std::fs;

/// The most memory that the process ever had (`VmHWM`); of none, or where the system does not say, not a number.
pub fn peak_mib(process: Option<u32>) -> f64 {
    let status = process.and_then(|id| fs::read_to_string(format!("/proc/{id}/status")).ok()).unwrap_or_default();
    let kib = status.lines().find_map(|line| line.strip_prefix("VmHWM:")?.trim().strip_suffix("kB")?.trim().parse::<f64>().ok());
    kib.map_or(f64::NAN, |kib| kib / 1024.0)
}

/// Milliseconds that all threads of this process have computed so far.
pub fn cpu_ms() -> f64 {
    let Ok(threads) = fs::read_dir("/proc/self/task") else { return f64::NAN };
    let nanoseconds = |thread: fs::DirEntry| {
        let times = fs::read_to_string(thread.path().join("schedstat")).ok()?;
        times.split_whitespace().next()?.parse::<f64>().ok()
    };
    threads.flatten().filter_map(nanoseconds).sum::<f64>() / 1e6
}
