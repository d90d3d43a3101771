//! Why the process of a slot has ended though nobody wanted it to.

use std::process::ExitStatus;

use tinysweep_proto::v1::FailureKind;

use crate::signals;

/// What a process that has ended by itself has left behind.
#[derive(Clone, Copy, Debug)]
pub struct Remains<'a> {
    /// How it ended; none where that cannot be known.
    pub status: Option<ExitStatus>,
    /// Whether the system has killed a process for want of memory meanwhile.
    pub memory_ran_out: bool,
    /// The most memory that it was allowed, in MiB; 0 for no limit.
    pub memory_mib: u64,
    /// Its last line on standard error.
    pub last_words: &'a str,
}

/// Whether a process says so that it is about to abort, since memory was refused.
pub fn is_refused_allocation(words: &str) -> bool {
    words.starts_with("memory allocation of ") && words.ends_with(" failed")
}

/// The kind of failure, and what to tell people.
pub fn diagnose(remains: Remains) -> (FailureKind, String) {
    let Remains { status, memory_ran_out, memory_mib, last_words } = remains;
    let signal = status.and_then(signals::of);
    if signal == Some(9) && memory_ran_out {
        return (FailureKind::OutOfMemory, "the system killed its process, since memory ran out".into());
    }
    if is_refused_allocation(last_words) {
        let limit =
            if memory_mib > 0 { format!("; it may take {memory_mib} MiB (`resources: {{memory_gib: …}}`)") } else { String::new() };
        return (FailureKind::OutOfMemory, format!("its process ended itself: {last_words}{limit}"));
    }
    let how = match (signal, status.and_then(|status| status.code())) {
        (Some(signal), _) => format!("lost its process: {}", signals::shown(signal)),
        (None, Some(code)) => format!("lost its process: exit code {code}"),
        (None, None) => "lost its process".into(),
    };
    let why = if last_words.is_empty() { String::new() } else { format!("; its last words: {last_words}") };
    (FailureKind::Crashed, how + &why)
}

#[cfg(all(test, unix))]
mod tests {
    use std::os::unix::process::ExitStatusExt;

    use super::*;

    #[test]
    fn each_end_has_its_reason() {
        for (status, memory_ran_out, last_words, kind, message) in [
            (Some(9), true, "", FailureKind::OutOfMemory, "the system killed its process, since memory ran out"),
            (Some(9), false, "", FailureKind::Crashed, "lost its process: signal 9 (SIGKILL, kill)"),
            (Some(11), true, "", FailureKind::Crashed, "lost its process: signal 11 (SIGSEGV, segmentation fault)"),
            (
                Some(6),
                false,
                "memory allocation of 4000000 bytes failed",
                FailureKind::OutOfMemory,
                "its process ended itself: memory allocation of 4000000 bytes failed",
            ),
            (Some(6), false, "free(): oh", FailureKind::Crashed, "lost its process: signal 6 (SIGABRT, abort); its last words: free(): oh"),
            (Some(2 << 8), false, "error: no GPU", FailureKind::Crashed, "lost its process: exit code 2; its last words: error: no GPU"),
            (None, true, "", FailureKind::Crashed, "lost its process"),
        ] {
            let remains = Remains { status: status.map(ExitStatus::from_raw), memory_ran_out, memory_mib: 0, last_words };
            assert_eq!(diagnose(remains), (kind, message.to_owned()));
        }
    }
}
