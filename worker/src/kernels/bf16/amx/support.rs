//! Whether AMX can be used: the processor must have it, the system must save its registers, and on Linux a process has to ask.

use std::{
    arch::x86_64::{__cpuid, __cpuid_count, _xgetbv},
    sync::LazyLock,
};

/// Whether products may be computed by AMX in this process. The first call asks the system's permission.
pub fn is_available() -> bool {
    #[cfg(all(test, target_os = "linux"))]
    if super::emulation::is_asked_for() {
        return true;
    }
    is_native()
}

/// Whether the processor itself does it.
pub(super) fn is_native() -> bool {
    static IS_NATIVE: LazyLock<bool> = LazyLock::new(|| has_tiles() && saves_tiles() && permits_tiles());
    !cfg!(miri) && *IS_NATIVE
}

/// Whether the processor has AMX-TILE and AMX-BF16.
fn has_tiles() -> bool {
    const TILE: u32 = 1 << 24;
    const BF16: u32 = 1 << 22;
    __cpuid(0).eax >= 7 && __cpuid_count(7, 0).edx & (TILE | BF16) == TILE | BF16
}

/// Whether the system keeps the tiles of each thread, and their configuration: bits 17 and 18 of the register that says so.
fn saves_tiles() -> bool {
    const STATES: u64 = 0b11 << 17;
    // SAFETY: where `xsave` is detected, the processor has the instruction and the system has switched it on.
    is_x86_feature_detected!("xsave") && unsafe { _xgetbv(0) } & STATES == STATES
}

/// Asks Linux to let all threads of this process, from now on, use the tiles, which make what it saves of a thread 8 KiB larger.
#[cfg(target_os = "linux")]
fn permits_tiles() -> bool {
    const ARCH_REQ_XCOMP_PERM: libc::c_long = 0x1023;
    const TILE_DATA: libc::c_long = 18;
    // SAFETY: the call takes two numbers, and neither reads nor writes memory of this process.
    unsafe { libc::syscall(libc::SYS_arch_prctl, ARCH_REQ_XCOMP_PERM, TILE_DATA) == 0 }
}

/// How other systems are asked is not known here.
#[cfg(not(target_os = "linux"))]
fn permits_tiles() -> bool {
    false
}
