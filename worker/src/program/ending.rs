//! How a program has ended, and what that means.

use std::process::ExitStatus;

use tinysweep_proto::v1::FailureKind;

use crate::signals;

/// Why a program that had not ended by itself was ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Cut {
    /// It is to go on elsewhere.
    HandBack,
    /// It has run for as long as its sweep allows.
    Timeout,
    /// Its attempt does not count any more.
    Stop,
}

/// What makes the end of a program that was left alone a failure; none where it ended well.
pub fn failure(status: ExitStatus, last_words: Option<String>) -> Option<(FailureKind, String)> {
    let (kind, what) = match (status.code(), signals::of(status)) {
        (Some(0), _) => return None,
        // A shell says so of what it ran.
        (Some(137), _) => (FailureKind::OutOfMemory, "exit code 137: something of it was killed, most likely for its memory".to_owned()),
        (Some(code), _) if last_words.as_deref().is_some_and(is_out_of_memory) => (FailureKind::OutOfMemory, format!("exit code {code}")),
        (Some(code), _) => (FailureKind::Program, format!("exit code {code}")),
        (None, Some(9)) => (
            FailureKind::OutOfMemory,
            "it was killed (SIGKILL), and not by this worker: most likely the system was out of memory".to_owned(),
        ),
        (None, Some(number)) => (FailureKind::Program, format!("it was ended by {}", signals::shown(number))),
        (None, None) => (FailureKind::Program, "it ended in an unknown way".to_owned()),
    };
    let words = last_words.map_or(String::new(), |words| format!("; its last words: {words}"));
    Some((kind, what + &words))
}

/// What Python, PyTorch and CUDA say.
fn is_out_of_memory(words: &str) -> bool {
    ["out of memory", "OutOfMemoryError", "MemoryError"].iter().any(|sign| words.contains(sign))
}

#[cfg(all(test, unix))]
mod tests {
    use std::os::unix::process::ExitStatusExt;

    use super::*;

    #[test]
    fn ends_are_told_apart() {
        let of = |raw: i32, words: Option<&str>| failure(ExitStatus::from_raw(raw), words.map(str::to_owned));
        let exit = |code: i32| code << 8;
        assert_eq!(of(exit(0), Some("warning")), None);
        let cases = [
            (exit(3), Some("ValueError: x"), FailureKind::Program, "exit code 3; its last words: ValueError: x"),
            (exit(1), None, FailureKind::Program, "exit code 1"),
            (
                exit(1),
                Some("torch.OutOfMemoryError: CUDA out of memory."),
                FailureKind::OutOfMemory,
                "exit code 1; its last words: torch.OutOfMemoryError: CUDA out of memory.",
            ),
            (exit(137), None, FailureKind::OutOfMemory, "exit code 137: something of it was killed, most likely for its memory"),
            (
                9,
                None,
                FailureKind::OutOfMemory,
                "it was killed (SIGKILL), and not by this worker: most likely the system was out of memory",
            ),
            (11, None, FailureKind::Program, "it was ended by signal 11 (SIGSEGV, segmentation fault)"),
        ];
        for (raw, words, kind, message) in cases {
            assert_eq!(of(raw, words), Some((kind, message.to_owned())));
        }
    }
}
