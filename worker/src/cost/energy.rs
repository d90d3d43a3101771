//! Whose share of the energy that counters count is whose.
//!
//! A counter counts for everything that runs on its device. An attempt gets as much of it as its share of the seconds that the device
//! worked in the meantime, so that what all programs get adds up to what was counted, idle power included.

/// What can be read at one moment.
#[derive(Clone, Debug, PartialEq)]
pub struct Reading {
    /// Of each counter its energy, in µJ.
    pub microjoules: Vec<u64>,
    /// Seconds of the device that this attempt has had.
    pub own_seconds: f64,
    /// Seconds of the device that everybody has had.
    pub all_seconds: f64,
}

/// Adds up an attempt's share from reading to reading.
#[derive(Clone, Debug)]
pub struct Ledger {
    /// Where each counter begins again from 0, in µJ.
    ranges: Vec<u64>,
    last: Reading,
    joules: f64,
}

impl Ledger {
    /// Begins with `first`, of counters that begin again after `ranges`.
    pub const fn new(ranges: Vec<u64>, first: Reading) -> Self {
        Self { ranges, last: first, joules: 0.0 }
    }

    /// Adds what was counted since the last reading. None of the counters may have begun again more than once: they do after minutes at the
    /// earliest.
    pub fn add(&mut self, now: Reading) {
        let counters = self.last.microjoules.iter().zip(&now.microjoules).zip(&self.ranges);
        let counted: u64 = counters.map(|((before, after), range)| counted(*before, *after, *range)).sum();
        self.joules += counted as f64 / 1e6 * share(now.own_seconds - self.last.own_seconds, now.all_seconds - self.last.all_seconds);
        self.last = now;
    }

    /// The attempt's share so far.
    pub const fn joules(&self) -> f64 {
        self.joules
    }
}

/// What a counter has counted from `before` to `after`.
const fn counted(before: u64, after: u64, range: u64) -> u64 {
    if after >= before { after - before } else { range.saturating_sub(before).saturating_add(after) }
}

/// Everybody's seconds are known in ticks, so that those of the one that is alone may be a little more.
fn share(own: f64, all: f64) -> f64 {
    if own > 0.0 { own / all.max(own) } else { 0.0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reading(microjoules: &[u64], own_seconds: f64, all_seconds: f64) -> Reading {
        Reading { microjoules: microjoules.to_vec(), own_seconds, all_seconds }
    }

    #[test]
    fn an_attempt_gets_its_share_of_each_stretch() {
        let mut ledger = Ledger::new(vec![1_000_000_000], reading(&[5_000_000], 1.0, 100.0));
        for (now, joules) in [
            // Half of what was computed, of 8 J.
            (reading(&[13_000_000], 2.0, 102.0), 4.0),
            // Nothing computed: nothing added.
            (reading(&[20_000_000], 2.0, 104.0), 4.0),
            // Alone: all of 10 J, although the ticks of the others lag behind.
            (reading(&[30_000_000], 3.0, 104.99), 14.0),
            // Alone, before the ticks have moved at all.
            (reading(&[31_000_000], 3.001, 104.99), 15.0),
        ] {
            ledger.add(now);
            assert!((ledger.joules() - joules).abs() < 1e-9, "{} and not {joules}", ledger.joules());
        }
    }

    #[test]
    fn shares_of_all_add_up_to_what_was_counted() {
        let stretches = [(4_000_000, 0.5, 1.5), (9_000_000, 0.25, 0.25)];
        let ledgers = [0, 1].map(|who| {
            let mut ledger = Ledger::new(vec![u64::MAX], reading(&[0], 0.0, 0.0));
            let (mut energy, mut own, mut all) = (0, 0.0, 0.0);
            for (microjoules, first, second) in stretches {
                energy += microjoules;
                own += if who == 0 { first } else { second };
                all += first + second;
                ledger.add(reading(&[energy], own, all));
            }
            ledger.joules()
        });
        assert!((ledgers[0] + ledgers[1] - 13.0).abs() < 1e-9 && ledgers[0] != ledgers[1], "{ledgers:?}");
    }

    #[test]
    fn a_counter_that_begins_again_has_counted_on() {
        let mut ledger = Ledger::new(vec![10_000_000, 1_000_000_000], reading(&[9_000_000, 0], 0.0, 0.0));
        ledger.add(reading(&[2_000_000, 1_000_000], 1.0, 1.0));
        assert!((ledger.joules() - 4.0).abs() < 1e-9, "{}", ledger.joules());
        // A range that is smaller than what was read is a driver's mistake, and no reason to panic.
        assert_eq!(counted(9, 2, 5), 2);
    }
}
