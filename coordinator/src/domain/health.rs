//! Whether a worker can be trusted with work: one that fails trial after trial is left alone for a while.
//!
//! A circuit breaker. Failures in a row that speak against the worker open it; after a pause, which doubles each time, the worker gets work
//! again, and a result closes it. So a sweep that fails everywhere holds a fleet up and does not end it.

use serde::{Deserialize, Serialize};

use super::failure::FailureKind;

/// Failures in a row, each of another replicate, after which a worker is left alone.
pub const FAULTS_IN_ROW: u32 = 3;
/// For how long, the first time.
const FIRST_PAUSE_MS: i64 = 60_000;
/// For how long at most.
const LONGEST_PAUSE_MS: i64 = 3_600_000;

/// How a worker fares.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Health {
    /// Failures that speak against it since its last result.
    pub faults_in_row: u32,
    /// How often it has been left alone since its last result.
    pub quarantines: u32,
    /// Until when it gets no work, in ms since 1970; 0 for now.
    pub until_ms: i64,
    /// The last failure, for people.
    pub reason: String,
}

impl Health {
    /// After a failure.
    pub fn after_failure(&self, kind: FailureKind, message: &str, now_ms: i64) -> Self {
        if !kind.speaks_against_worker() {
            return self.clone();
        }
        let faults_in_row = self.faults_in_row.saturating_add(1);
        // Once it has been left alone, a single failure shows that nothing has changed.
        if faults_in_row < FAULTS_IN_ROW && self.quarantines == 0 {
            return Self { faults_in_row, ..self.clone() };
        }
        Self {
            faults_in_row,
            quarantines: self.quarantines.saturating_add(1),
            until_ms: now_ms.saturating_add(pause_ms(self.quarantines)),
            reason: format!("{faults_in_row} failures in a row, the last one: {}: {message}", kind.label()),
        }
    }

    /// After a result: all is forgiven.
    pub fn after_result() -> Self {
        Self::default()
    }

    /// Why it gets no work now, for people; none where it does.
    pub fn quarantine(&self, now_ms: i64) -> Option<String> {
        let secs = self.until_ms.saturating_sub(now_ms) / 1000 + 1;
        self.is_quarantined(now_ms).then(|| format!("quarantined for another {secs} s after {}", self.reason))
    }

    /// Whether it gets no work now. A time further away than the pause is long shows that the clock was set back; then nothing holds.
    pub fn is_quarantined(&self, now_ms: i64) -> bool {
        now_ms < self.until_ms && self.until_ms.saturating_sub(now_ms) <= pause_ms(self.quarantines.saturating_sub(1))
    }
}

/// The pause after as many others.
fn pause_ms(others: u32) -> i64 {
    FIRST_PAUSE_MS.saturating_mul(1 << others.min(16)).min(LONGEST_PAUSE_MS)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fail(health: &Health, now_ms: i64) -> Health {
        health.after_failure(FailureKind::OutOfMemory, "killed", now_ms)
    }

    #[test]
    fn three_failures_in_a_row_quarantine() {
        let twice = fail(&fail(&Health::default(), 0), 0);
        assert!(!twice.is_quarantined(0));
        let thrice = fail(&twice, 1000);
        assert!(thrice.is_quarantined(60_999) && !thrice.is_quarantined(61_000));
        assert!(!thrice.is_quarantined(999), "the clock was set back");
        assert_eq!(thrice.quarantine(59_999).unwrap(), format!("quarantined for another 2 s after {}", thrice.reason));
        assert_eq!(thrice.quarantine(61_000), None);
        assert_eq!(thrice.reason, "3 failures in a row, the last one: out of memory: killed");
        assert_eq!(Health::after_result(), Health::default());
    }

    #[test]
    fn pauses_double_up_to_an_hour() {
        let mut health = fail(&fail(&Health::default(), 0), 0);
        let pauses: Vec<i64> = (0..40)
            .map(|_| {
                health = fail(&health, 0);
                health.until_ms / 60_000
            })
            .collect();
        assert_eq!(pauses[..8], [1, 2, 4, 8, 16, 32, 60, 60]);
        assert_eq!(pauses[39], 60);
    }

    #[test]
    fn a_trials_own_fault_says_nothing_about_the_worker() {
        for kind in [FailureKind::NonFinite, FailureKind::Timeout, FailureKind::BadResult] {
            assert_eq!(Health::default().after_failure(kind, "", 0), Health::default());
        }
    }
}
