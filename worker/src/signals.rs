//! The signals that end processes.

use std::process::ExitStatus;

/// The signal that ended a process; none where it ended by itself, or on systems without signals.
#[cfg(unix)]
pub fn of(status: ExitStatus) -> Option<i32> {
    std::os::unix::process::ExitStatusExt::signal(&status)
}

/// The signal that ended a process; none where it ended by itself, or on systems without signals.
#[cfg(not(unix))]
pub fn of(_: ExitStatus) -> Option<i32> {
    None
}

/// A signal for people, by name where it is one that a program brings upon itself or that people send.
pub fn shown(signal: i32) -> String {
    let name = match signal {
        2 => "SIGINT, interrupt",
        4 => "SIGILL, illegal instruction",
        6 => "SIGABRT, abort",
        7 => "SIGBUS, bus error",
        8 => "SIGFPE, arithmetic",
        9 => "SIGKILL, kill",
        11 => "SIGSEGV, segmentation fault",
        15 => "SIGTERM, terminate",
        _ => return format!("signal {signal}"),
    };
    format!("signal {signal} ({name})")
}
