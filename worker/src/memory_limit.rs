//! The most memory that the process of a trial may take, so that one trial cannot take the machine.

use std::io;

/// Has the system refuse a process more memory of its own than `mib`, and the same to each that it starts from here on. What is refused
/// memory ends in a way that tells. A system that knows no such limit sets none.
///
/// # Errors
/// The system will not.
#[cfg(target_os = "linux")]
pub fn set(process: u32, mib: u64) -> io::Result<()> {
    use rustix::process::{Pid, Resource, Rlimit, prlimit};
    let id = i32::try_from(process).ok().and_then(Pid::from_raw).ok_or(io::ErrorKind::NotFound)?;
    let bytes = Some(mib.saturating_mul(1 << 20));
    prlimit(Some(id), Resource::Data, Rlimit { current: bytes, maximum: bytes })?;
    Ok(())
}

/// Sets no limit: this system knows none.
///
/// # Errors
/// None.
#[cfg(not(target_os = "linux"))]
pub fn set(_: u32, _: u64) -> io::Result<()> {
    Ok(())
}
