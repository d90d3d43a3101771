//! When a program is to end before its time.

use std::time::{Duration, Instant};

use super::{PAUSE, ending::Cut, group::Group};
use crate::assignment::{Order, Orders};

/// When a program is to end before its time.
pub struct Limits {
    orders: Orders,
    timeout: Option<Duration>,
    started: Instant,
    cut: Option<(Cut, Instant)>,
}

impl Limits {
    /// Those of a program that has started at `started` and may run for so long.
    pub const fn new(orders: Orders, timeout: Option<Duration>, started: Instant) -> Self {
        Self { orders, timeout, started, cut: None }
    }

    /// Why it was told to end, and when it is made to.
    pub const fn cut(&self) -> Option<(Cut, Instant)> {
        self.cut
    }

    /// Ends what is to end: first by a word, then by force.
    pub fn look(&mut self, group: &Group) {
        let wish = self.wish();
        if wish > self.cut.map(|(cut, _)| cut) {
            let Some(cut) = wish else { return };
            if self.cut.is_none() {
                group.terminate();
            }
            let deadline = self.cut.map_or_else(|| Instant::now() + PAUSE, |(_, deadline)| deadline);
            self.cut = Some((cut, deadline));
        }
        if self.cut.is_some_and(|(_, deadline)| Instant::now() >= deadline) {
            group.kill();
        }
    }

    fn wish(&self) -> Option<Cut> {
        if self.orders.present() == Order::Stop {
            Some(Cut::Stop)
        } else if self.timeout.is_some_and(|timeout| self.started.elapsed() >= timeout) {
            Some(Cut::Timeout)
        } else if self.orders.present() == Order::HandBack {
            Some(Cut::HandBack)
        } else {
            None
        }
    }
}
