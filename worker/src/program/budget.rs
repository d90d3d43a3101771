//! So much a second, and some in advance.

use std::time::Instant;

/// What may be taken of something.
#[derive(Clone, Copy, Debug)]
pub struct Budget {
    per_second: f64,
    most: f64,
    left: f64,
    at: Instant,
}

impl Budget {
    /// `per_second`, and `most` at once, which is there from the start.
    pub const fn new(per_second: f64, most: f64, now: Instant) -> Self {
        Self { per_second, most, left: most, at: now }
    }

    /// Whether there is `amount`, which is then taken.
    pub fn take(&mut self, amount: f64, now: Instant) -> bool {
        self.refill(now);
        let is_there = self.left >= amount;
        if is_there {
            self.left -= amount;
        }
        is_there
    }

    /// Takes `amount`, which has been used already; returns the seconds after which nothing is owed any more.
    pub fn owe(&mut self, amount: f64, now: Instant) -> f64 {
        self.refill(now);
        self.left -= amount;
        (-self.left / self.per_second).max(0.0)
    }

    fn refill(&mut self, now: Instant) {
        let seconds = now.saturating_duration_since(self.at).as_secs_f64();
        self.left = (self.left + seconds * self.per_second).min(self.most);
        self.at = now;
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn what_is_taken_comes_back_with_time() {
        let start = Instant::now();
        let after = |millis| start + Duration::from_millis(millis);
        let mut budget = Budget::new(10.0, 2.0, start);
        assert_eq!([0, 0, 0, 50, 100, 100].map(|millis| budget.take(1.0, after(millis))), [true, true, false, false, true, false]);
        assert!(budget.take(2.0, after(9_000)) && !budget.take(1.0, after(9_000)), "no more than the most is saved");
        assert_eq!(budget.owe(5.0, after(9_000)), 0.5);
        assert_eq!(budget.owe(0.0, after(9_500)), 0.0);
    }
}
