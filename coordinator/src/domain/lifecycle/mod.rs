//! The states of sweeps, replicates and attempts, and every way from one to another.
//!
//! A transition is a function of the state and one event; it reads no clock, draws no random number and writes nothing. The store performs
//! it. A replicate ends exactly once: final states take no event but a user's wish to try again, and an event must name the attempt that
//! runs now.

#[cfg(test)]
mod model;
mod replicate;
mod sweep;
#[cfg(test)]
mod tests;

pub use replicate::{AttemptChange, Event, Refusal, Replicate, ReplicateState, Rules, Transition};
pub use sweep::{NotAllowed, SweepState, SweepVerb};

/// Gives a state its name in the store and in messages.
macro_rules! named_states {
    ($name:ident { $($variant:ident = $text:literal),* }) => {
        impl $name {
            /// The name in the store and in messages.
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => $text),* }
            }

            /// The state of that name.
            pub fn from_name(name: &str) -> Option<Self> {
                match name { $($text => Some(Self::$variant),)* _ => None }
            }
        }
    };
}
use named_states;

/// What kind of state a replicate is in, in the order of its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum ReplicateStatus {
    /// Waits for a worker.
    Queued,
    /// Leased to a worker.
    Running,
    /// Ended with a result. Final.
    Completed,
    /// Ended without. Final, unless a user wants it tried again.
    Failed,
    /// Ended by a user. Final.
    Cancelled,
}
named_states!(ReplicateStatus { Queued = "queued", Running = "running", Completed = "completed", Failed = "failed", Cancelled = "cancelled" });

impl ReplicateStatus {
    /// Whether nothing follows by itself.
    pub const fn is_final(self) -> bool {
        matches!(self, Self::Completed | Self::Failed | Self::Cancelled)
    }
}

/// The state of an attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AttemptState {
    /// Leased to a worker.
    Running,
    /// Ended with a result. Final.
    Completed,
    /// Its worker says that it cannot be done. Final.
    Failed,
    /// Its worker has handed it back, has left or is silent. Final.
    Lost,
    /// Ended by a user. Final.
    Cancelled,
}
named_states!(AttemptState { Running = "running", Completed = "completed", Failed = "failed", Lost = "lost", Cancelled = "cancelled" });
