//! Why attempts fail, and what follows.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// Why an attempt ended without a result.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FailureKind {
    /// The loss became NaN or infinite. With the same seed it would again.
    NonFinite,
    /// The trainer panicked.
    Panic,
    /// Its process ended by itself, by a signal for instance.
    Crashed,
    /// It ran out of memory, or the system killed it.
    OutOfMemory,
    /// The data could not be fetched, verified or read.
    Data,
    /// The checkpoint could not be written or read.
    Checkpoint,
    /// It ran for longer than the sweep allows.
    Timeout,
    /// Its result makes no sense.
    BadResult,
    /// Its worker is gone without a word.
    Lost,
    /// The program ended with an exit code other than 0, or by a signal.
    Program,
    /// The program cannot be started on its worker, as where it is not there.
    CannotStart,
    /// Anything else.
    Other,
}

/// What follows a failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reaction {
    /// It is tried again, on a worker where it has not failed if there is one.
    Elsewhere,
    /// It is tried again, wherever there is room.
    Anywhere,
    /// The replicate has failed.
    GiveUp,
}

impl Reaction {
    /// The words of a sweep file.
    pub const WORDS: [(&'static str, Self); 3] = [("elsewhere", Self::Elsewhere), ("anywhere", Self::Anywhere), ("give_up", Self::GiveUp)];
}

impl FailureKind {
    /// Every kind, under its name in the store and in sweep files.
    pub const NAMES: [(&'static str, Self); 12] = [
        ("non_finite", Self::NonFinite),
        ("panic", Self::Panic),
        ("crashed", Self::Crashed),
        ("out_of_memory", Self::OutOfMemory),
        ("data", Self::Data),
        ("checkpoint", Self::Checkpoint),
        ("timeout", Self::Timeout),
        ("bad_result", Self::BadResult),
        ("lost", Self::Lost),
        ("program", Self::Program),
        ("cannot_start", Self::CannotStart),
        ("other", Self::Other),
    ];

    /// Its name in the store and in sweep files.
    pub fn name(self) -> &'static str {
        Self::NAMES.iter().find(|(_, kind)| *kind == self).map_or("other", |(name, _)| name)
    }

    /// For people; begins a reason.
    pub const fn label(self) -> &'static str {
        match self {
            Self::NonFinite => "diverged",
            Self::Panic => "panicked",
            Self::Crashed => "crashed",
            Self::OutOfMemory => "out of memory",
            Self::Data => "data",
            Self::Checkpoint => "checkpoint",
            Self::Timeout => "timeout",
            Self::BadResult => "bad result",
            Self::Lost => "lost",
            Self::Program => "program",
            Self::CannotStart => "cannot start",
            Self::Other => "error",
        }
    }

    /// What follows unless the sweep says otherwise. What the configuration or the seed has caused would come again anywhere; what the
    /// machine may have caused is tried on another.
    pub const fn usual_reaction(self) -> Reaction {
        match self {
            Self::Panic | Self::Crashed | Self::OutOfMemory | Self::Data | Self::Checkpoint | Self::Lost | Self::CannotStart => {
                Reaction::Elsewhere
            }
            Self::NonFinite | Self::Timeout | Self::BadResult | Self::Program | Self::Other => Reaction::GiveUp,
        }
    }

    /// Whether the worker may be what is wrong, so that it counts against its health.
    pub const fn speaks_against_worker(self) -> bool {
        matches!(self, Self::Panic | Self::Crashed | Self::OutOfMemory | Self::Data | Self::Checkpoint | Self::CannotStart)
    }
}

/// When and how often a sweep tries again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RetryPolicy {
    /// Failed attempts after which the replicate has failed, at least 1. What its worker handed back does not count.
    pub max_attempts: u32,
    /// Pause after the first failure; it doubles with each.
    pub backoff_secs: u32,
    /// The longest pause.
    pub max_backoff_secs: u32,
    /// What follows a kind of failure, where it is not the usual.
    pub on: BTreeMap<FailureKind, Reaction>,
}

impl Default for RetryPolicy {
    fn default() -> Self {
        Self { max_attempts: 5, backoff_secs: 2, max_backoff_secs: 300, on: BTreeMap::new() }
    }
}

impl RetryPolicy {
    /// What follows a failure of this kind.
    pub fn reaction(&self, kind: FailureKind) -> Reaction {
        self.on.get(&kind).copied().unwrap_or_else(|| kind.usual_reaction())
    }

    /// The pause before the next attempt after `faults` failures, in ms: doubling, bounded, times `jitter` (½ to 1), so that what failed
    /// together does not come back together.
    ///
    /// The first loss of a worker costs no pause, since most are machines that went away; only a trial that loses worker after worker waits.
    pub fn pause_ms(&self, kind: FailureKind, faults: u32, jitter: f64) -> i64 {
        let doublings = if kind == FailureKind::Lost { faults.checked_sub(2) } else { faults.checked_sub(1) };
        let Some(doublings) = doublings else { return 0 };
        let secs = f64::from(self.backoff_secs) * f64::from(doublings.min(31)).exp2();
        (secs.min(f64::from(self.max_backoff_secs)) * 1000.0 * jitter.clamp(0.5, 1.0)) as i64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_of_the_stored_form() {
        for (name, kind) in FailureKind::NAMES {
            assert_eq!(serde_json::to_value(kind).unwrap(), name);
            assert_eq!(kind.name(), name);
        }
        for (name, reaction) in Reaction::WORDS {
            assert_eq!(serde_json::to_value(reaction).unwrap(), name);
        }
    }

    #[test]
    fn pauses_double_up_to_a_limit() {
        let policy = RetryPolicy { backoff_secs: 2, max_backoff_secs: 30, ..RetryPolicy::default() };
        let pause = |faults| policy.pause_ms(FailureKind::Panic, faults, 1.0);
        assert_eq!([1, 2, 3, 4, 5, 60, u32::MAX].map(pause), [2000, 4000, 8000, 16_000, 30_000, 30_000, 30_000]);
        assert_eq!(policy.pause_ms(FailureKind::Panic, 1, 0.5), 1000);
        assert_eq!([1, 2].map(|faults| policy.pause_ms(FailureKind::Lost, faults, 1.0)), [0, 2000]);
        assert_eq!(policy.pause_ms(FailureKind::Panic, 1, f64::NAN), 0, "a broken draw is no pause, and no panic");
    }

    #[test]
    fn a_sweep_can_say_otherwise() {
        let policy = RetryPolicy { on: [(FailureKind::Panic, Reaction::GiveUp)].into(), ..RetryPolicy::default() };
        assert_eq!(policy.reaction(FailureKind::Panic), Reaction::GiveUp);
        assert_eq!(policy.reaction(FailureKind::OutOfMemory), Reaction::Elsewhere);
    }
}
