//! The states of a sweep.

use super::named_states;

/// The state of a sweep.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SweepState {
    /// Has replicates that are queued or running.
    Running,
    /// The same, and nothing new begins until a user resumes it.
    Paused,
    /// A user has ended it: what ran then may end by itself, nothing new begins.
    Stopping,
    /// Every replicate has ended by itself. Final.
    Completed,
    /// Stopping is over. Final.
    Stopped,
    /// Ended by a user, what ran included. Final.
    Cancelled,
}
named_states!(SweepState {
    Running = "running",
    Paused = "paused",
    Stopping = "stopping",
    Completed = "completed",
    Stopped = "stopped",
    Cancelled = "cancelled"
});

/// What a user can do to a sweep.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SweepVerb {
    /// Begin nothing new until it is resumed.
    Pause,
    /// Go on.
    Resume,
    /// Begin nothing new, ever.
    Stop,
    /// End everything now.
    Cancel,
    /// Queue again what has failed.
    Retry,
}
named_states!(SweepVerb { Pause = "pause", Resume = "resume", Stop = "stop", Cancel = "cancel", Retry = "retry" });

/// A sweep's state does not allow what a user wants.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("the sweep {}; there is nothing to {wish}", state.sentence())]
pub struct NotAllowed {
    /// The state.
    pub state: SweepState,
    /// What was wanted.
    pub wish: &'static str,
}

impl SweepState {
    /// Whether something may still happen by itself.
    pub const fn is_open(self) -> bool {
        matches!(self, Self::Running | Self::Paused | Self::Stopping)
    }

    /// The state once a replicate has ended and `open` others are still queued or running.
    pub const fn after_end(self, open: u64) -> Self {
        match self {
            Self::Running | Self::Paused if open == 0 => Self::Completed,
            Self::Stopping if open == 0 => Self::Stopped,
            state => state,
        }
    }

    /// The state after a user's word; saying it twice is saying it once.
    ///
    /// # Errors
    /// The state does not allow it.
    pub const fn after(self, verb: SweepVerb) -> Result<Self, NotAllowed> {
        use SweepVerb::{Cancel, Pause, Resume, Retry, Stop};
        match (self, verb) {
            (Self::Running | Self::Paused, Pause) => Ok(Self::Paused),
            (Self::Running | Self::Paused, Resume) => Ok(Self::Running),
            (Self::Running | Self::Paused | Self::Stopping, Stop) => Ok(Self::Stopping),
            (Self::Stopped, Stop) => Ok(Self::Stopped),
            (Self::Running | Self::Paused | Self::Stopping | Self::Cancelled, Cancel) => Ok(Self::Cancelled),
            (Self::Paused, Retry) => Ok(Self::Paused),
            (Self::Running | Self::Completed | Self::Stopped | Self::Cancelled, Retry) => Ok(Self::Running),
            (state, verb) => Err(NotAllowed { state, wish: verb.name() }),
        }
    }

    /// The state after trials were added that extend others.
    ///
    /// # Errors
    /// The state does not allow it.
    pub const fn after_extension(self) -> Result<Self, NotAllowed> {
        match self {
            Self::Paused => Ok(Self::Paused),
            Self::Stopping => Err(NotAllowed { state: self, wish: "extend until it has stopped" }),
            Self::Running | Self::Completed | Self::Stopped | Self::Cancelled => Ok(Self::Running),
        }
    }

    const fn sentence(self) -> &'static str {
        match self {
            Self::Running => "is running",
            Self::Paused => "is paused",
            Self::Stopping => "is stopping",
            Self::Completed => "has completed",
            Self::Stopped => "has been stopped",
            Self::Cancelled => "has been cancelled",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every state × verb, and none for what is refused.
    #[test]
    fn every_state_and_verb() {
        use SweepState::{Cancelled, Completed, Paused, Running, Stopped, Stopping};
        let verbs = [SweepVerb::Pause, SweepVerb::Resume, SweepVerb::Stop, SweepVerb::Cancel, SweepVerb::Retry];
        let table = [
            (Running, [Some(Paused), Some(Running), Some(Stopping), Some(Cancelled), Some(Running)]),
            (Paused, [Some(Paused), Some(Running), Some(Stopping), Some(Cancelled), Some(Paused)]),
            (Stopping, [None, None, Some(Stopping), Some(Cancelled), None]),
            (Completed, [None, None, None, None, Some(Running)]),
            (Stopped, [None, None, Some(Stopped), None, Some(Running)]),
            (Cancelled, [None, None, None, Some(Cancelled), Some(Running)]),
        ];
        for (state, row) in table {
            for (verb, wanted) in verbs.into_iter().zip(row) {
                assert_eq!(state.after(verb).ok(), wanted, "{} × {}", state.name(), verb.name());
            }
            assert_eq!(SweepState::from_name(state.name()), Some(state));
        }
        assert_eq!(Completed.after(SweepVerb::Cancel).unwrap_err().to_string(), "the sweep has completed; there is nothing to cancel");
        assert_eq!(SweepState::from_name("asleep"), None);
    }

    #[test]
    fn extending_opens_a_sweep_again() {
        use SweepState::{Cancelled, Completed, Paused, Running, Stopped, Stopping};
        let after = [Running, Paused, Completed, Stopped, Cancelled].map(|state| state.after_extension());
        assert_eq!(after, [Ok(Running), Ok(Paused), Ok(Running), Ok(Running), Ok(Running)]);
        let refused = Stopping.after_extension().unwrap_err().to_string();
        assert_eq!(refused, "the sweep is stopping; there is nothing to extend until it has stopped");
    }

    #[test]
    fn the_last_end_settles_it() {
        use SweepState::{Cancelled, Completed, Paused, Running, Stopped, Stopping};
        let after = |open| [Running, Paused, Stopping, Cancelled].map(|state| state.after_end(open));
        assert_eq!(after(1), [Running, Paused, Stopping, Cancelled]);
        assert_eq!(after(0), [Completed, Completed, Stopped, Cancelled]);
    }
}
