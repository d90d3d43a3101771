//! What an attempt gives to whoever trains, and how the two talk: the seam between the session and the training.
//!
//! The session knows leases and events; what trains, and whether that is a process, another program or a simulation, is behind [`Trainers`].

use tinysweep_proto::v1::{AttemptRef, Failed, FailureKind, HandedBack, Lease, LogLines, worker_event::Event};
use tokio::sync::{mpsc::UnboundedSender, watch};

/// What an attempt is told while it runs; each includes those before it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Order {
    /// Nothing in particular.
    #[default]
    GoOn,
    /// To give a state to go on from elsewhere, and end.
    HandBack,
    /// To end.
    Stop,
}

/// Gives orders to one attempt.
#[derive(Clone, Debug, Default)]
pub struct Orders(watch::Sender<Order>);

impl Orders {
    /// Gives an order; one that is less than what was ordered before changes nothing.
    pub fn give(&self, order: Order) {
        self.0.send_if_modified(|present| {
            let rises = order > *present;
            *present = order.max(*present);
            rises
        });
    }

    /// The order that holds.
    pub fn present(&self) -> Order {
        *self.0.borrow()
    }

    /// Hears the orders.
    pub fn heard(&self) -> watch::Receiver<Order> {
        self.0.subscribe()
    }
}

/// What an attempt says.
#[expect(clippy::large_enum_variant, reason = "nearly all is events, and a box for each would be an allocation for each")]
#[derive(Clone, Debug, PartialEq)]
pub enum Said {
    /// [`Event::Progress`], [`Event::LogLines`], or its end: [`Event::Completed`], [`Event::Failed`] or [`Event::HandedBack`].
    Event(Event),
    /// A state of training, from which another attempt can go on.
    State {
        /// Steps done.
        step: u64,
        /// The state.
        bytes: Vec<u8>,
    },
}

impl Said {
    /// Whether it is the last that an attempt says.
    pub const fn is_end(&self) -> bool {
        matches!(self, Self::Event(Event::Completed(_) | Event::Failed(_) | Event::HandedBack(_)))
    }
}

/// A lease whose data are on the disk, to be trained.
#[derive(Debug)]
pub struct Assignment {
    /// What to train; it has the name of the attempt.
    pub lease: Lease,
    /// The state to go on from; none for a start from nothing.
    pub resume: Option<Vec<u8>>,
    /// What the attempt is told meanwhile.
    pub orders: watch::Receiver<Order>,
    /// Takes what the attempt says. An end is the last; after [`Order::Stop`] nobody needs to hear it.
    pub says: UnboundedSender<Said>,
}

/// Whoever trains what a worker has leased.
pub trait Trainers: Send + Sync {
    /// Begins to train. Returns at once.
    fn take(&self, assignment: Assignment);
}

/// The end of an attempt that has failed.
pub fn failed(attempt: &AttemptRef, kind: FailureKind, message: String) -> Event {
    Event::Failed(Failed { attempt: Some(attempt.clone()), kind: kind.into(), message, cost: None })
}

/// The end of an attempt that goes on elsewhere.
pub fn handed_back(attempt: &AttemptRef) -> Event {
    Event::HandedBack(HandedBack { attempt: Some(attempt.clone()), reason: "its worker was told to leave".into(), cost: None })
}

/// A line of an attempt for people.
pub fn log_line(attempt: &AttemptRef, line: String) -> Event {
    Event::LogLines(LogLines { attempt: Some(attempt.clone()), lines: vec![line] })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn orders_only_rise() {
        let orders = Orders::default();
        let mut heard = orders.heard();
        orders.give(Order::Stop);
        assert!(heard.has_changed().unwrap());
        heard.mark_unchanged();
        orders.give(Order::HandBack);
        assert_eq!((heard.has_changed().unwrap(), orders.present()), (false, Order::Stop));
    }
}
