//! How urgently a worker is to leave.

use std::time::Duration;

use tokio::time::Instant;

/// Time in which a worker that hands its trials back gets their states to the coordinator.
pub const HAND_BACK_TIME: Duration = Duration::from_secs(20);

/// How urgently a worker is to leave; each level includes those before it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Leave {
    /// Not at all.
    #[default]
    Stay,
    /// Once what runs has ended; nothing new begins.
    WhenDone,
    /// Once the states of what runs are with the coordinator, for others to go on from.
    HandBack,
    /// At once.
    Now,
}

/// How a worker's leaving goes.
#[derive(Debug, Default)]
pub struct Leaving {
    level: Leave,
    /// When handing back has taken long enough.
    deadline: Option<Instant>,
}

impl Leaving {
    /// Raises the level; returns it where it has risen. It never falls.
    pub fn raise(&mut self, level: Leave, now: Instant) -> Option<Leave> {
        if level <= self.level {
            return None;
        }
        self.level = level;
        if level >= Leave::HandBack && self.deadline.is_none() {
            self.deadline = Some(now + HAND_BACK_TIME);
        }
        Some(level)
    }

    /// Whether new work may begin.
    pub fn takes_work(&self) -> bool {
        self.level == Leave::Stay
    }

    /// The level.
    pub const fn level(&self) -> Leave {
        self.level
    }

    /// Whether the worker is to go now; `is_idle` when nothing runs and all is said.
    pub fn is_time(&self, is_idle: bool, now: Instant) -> bool {
        match self.level {
            Leave::Stay => false,
            Leave::WhenDone => is_idle,
            Leave::HandBack => is_idle || self.deadline.is_some_and(|deadline| now >= deadline),
            Leave::Now => true,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_only_rise() {
        let now = Instant::now();
        let mut leaving = Leaving::default();
        assert!(leaving.takes_work() && !leaving.is_time(true, now));
        assert_eq!(leaving.raise(Leave::HandBack, now), Some(Leave::HandBack));
        assert_eq!(leaving.raise(Leave::WhenDone, now), None);
        assert!(!leaving.takes_work() && leaving.level() == Leave::HandBack);
    }

    #[test]
    fn what_runs_is_waited_for_as_long_as_the_level_says() {
        let now = Instant::now();
        let at = |level| {
            let mut leaving = Leaving::default();
            leaving.raise(level, now);
            [leaving.is_time(false, now), leaving.is_time(true, now), leaving.is_time(false, now + HAND_BACK_TIME)]
        };
        assert_eq!(at(Leave::WhenDone), [false, true, false]);
        assert_eq!(at(Leave::HandBack), [false, true, true]);
        assert_eq!(at(Leave::Now), [true, true, true]);
    }
}
