//! The states of sweeps, replicates and attempts, and every way from one to another.
//!
//! A transition is a function of the state and one event; it reads no clock and writes nothing. The store performs it.
//! A replicate ends exactly once: final states take no event, and an event must name the attempt that runs now.

use super::ids::{AttemptNumber, WorkerId};

/// Attempts at one replicate before it counts as failed; only attempts whose worker was lost are followed by another.
pub const MAX_ATTEMPTS: u32 = 5;

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

/// The state of a sweep.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SweepState {
    /// Has replicates that are queued or running.
    Running,
    /// Every replicate has ended by itself. Final.
    Completed,
    /// Ended by a user. Final.
    Cancelled,
}
named_states!(SweepState { Running = "running", Completed = "completed", Cancelled = "cancelled" });

impl SweepState {
    /// The state once a replicate has ended and `open` others are still queued or running.
    pub const fn after_end(self, open: u64) -> Self {
        match self {
            Self::Running if open == 0 => Self::Completed,
            state => state,
        }
    }

    /// The state after a user ends the sweep; asking twice is once.
    ///
    /// # Errors
    /// It has completed.
    pub const fn cancel(self) -> Result<Self, SweepCompleted> {
        match self {
            Self::Running | Self::Cancelled => Ok(Self::Cancelled),
            Self::Completed => Err(SweepCompleted),
        }
    }
}

/// A completed sweep cannot be cancelled.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("the sweep has completed; there is nothing left to cancel")]
pub struct SweepCompleted;

/// What kind of state a replicate is in, in the order of its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum ReplicateStatus {
    /// Waits for a worker.
    Queued,
    /// Leased to a worker.
    Running,
    /// Ended with a result. Final.
    Completed,
    /// Ended without. Final.
    Failed,
    /// Ended by a user. Final.
    Cancelled,
}
named_states!(ReplicateStatus { Queued = "queued", Running = "running", Completed = "completed", Failed = "failed", Cancelled = "cancelled" });

impl ReplicateStatus {
    /// Whether nothing can follow.
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
    /// Its worker has left or is silent. Final.
    Lost,
    /// Ended by a user. Final.
    Cancelled,
}
named_states!(AttemptState { Running = "running", Completed = "completed", Failed = "failed", Lost = "lost", Cancelled = "cancelled" });

/// The state of a replicate, with what is true of it in that state only.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ReplicateState {
    /// Waits for a worker.
    Queued {
        /// Attempts so far, all lost.
        attempts: u32,
        /// Why it waits again; empty the first time.
        reason: String,
    },
    /// Leased to a worker.
    Running {
        /// The attempt that counts.
        attempt: AttemptNumber,
        /// Who runs it.
        worker: WorkerId,
    },
    /// Ended with the result of that attempt. Final.
    Completed {
        /// The attempt that counted.
        attempt: AttemptNumber,
    },
    /// Ended without a result. Final.
    Failed {
        /// The last attempt.
        attempt: AttemptNumber,
        /// Why.
        reason: String,
    },
    /// Ended by a user. Final.
    Cancelled {
        /// Attempts that were made.
        attempts: u32,
        /// Why.
        reason: String,
    },
}

/// Why a worker's attempt ended without a result, in its own words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FailureKind {
    /// The loss became NaN or infinite.
    NonFinite,
    /// The trainer panicked.
    Panic,
    /// The data could not be fetched, verified or read.
    Data,
    /// The checkpoint could not be written.
    Checkpoint,
    /// Its result makes no sense.
    BadResult,
    /// Anything else.
    Other,
}

impl FailureKind {
    /// For people; begins a reason.
    pub const fn label(self) -> &'static str {
        match self {
            Self::NonFinite => "diverged",
            Self::Panic => "panicked",
            Self::Data => "data",
            Self::Checkpoint => "checkpoint",
            Self::BadResult => "bad result",
            Self::Other => "error",
        }
    }
}

/// What can happen to a replicate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// It is given to a worker.
    Lease {
        /// To whom.
        worker: WorkerId,
    },
    /// An attempt has its result.
    Complete {
        /// Which.
        attempt: AttemptNumber,
        /// Who says so.
        worker: WorkerId,
    },
    /// An attempt has ended without a result.
    Fail {
        /// Which.
        attempt: AttemptNumber,
        /// Who says so.
        worker: WorkerId,
        /// What kind of failure it is.
        kind: FailureKind,
        /// In the worker's words.
        message: String,
    },
    /// The worker of an attempt is gone.
    Lose {
        /// Which.
        attempt: AttemptNumber,
        /// How one knows.
        reason: String,
    },
    /// A user ends the sweep.
    Cancel {
        /// In whose name.
        reason: String,
    },
}

/// What happens to an attempt when its replicate changes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AttemptChange {
    /// It begins to run.
    Begins {
        /// Its number.
        number: AttemptNumber,
        /// Who runs it.
        worker: WorkerId,
    },
    /// It ends.
    Ends {
        /// Its number.
        number: AttemptNumber,
        /// A final state.
        state: AttemptState,
        /// Why; empty where the state says all.
        reason: String,
    },
}

/// What follows from an event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Transition {
    /// The new state of the replicate.
    pub next: ReplicateState,
    /// The change of one attempt that goes with it.
    pub attempt: Option<AttemptChange>,
}

/// Why an event does not count.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The replicate is in a final state.
    #[error("the replicate has ended ({})", state.name())]
    Ended {
        /// That state.
        state: ReplicateStatus,
    },
    /// A lease for what is leased already.
    #[error("attempt {attempt} is already running on worker {worker}")]
    AlreadyRunning {
        /// The attempt that runs.
        attempt: AttemptNumber,
        /// Where.
        worker: WorkerId,
    },
    /// An older attempt, after a newer one was leased.
    #[error("attempt {attempt} has been superseded by attempt {current}")]
    Superseded {
        /// The one that spoke.
        attempt: AttemptNumber,
        /// The one that counts.
        current: AttemptNumber,
    },
    /// The attempt was given up and the replicate waits for another worker.
    #[error("attempt {attempt} counts as lost; the replicate is queued again")]
    GivenUp {
        /// The one that spoke.
        attempt: AttemptNumber,
    },
    /// The attempt runs elsewhere.
    #[error("attempt {attempt} belongs to worker {owner}")]
    OtherWorker {
        /// The one that was spoken of.
        attempt: AttemptNumber,
        /// Whose it is.
        owner: WorkerId,
    },
    /// No such attempt was ever leased.
    #[error("attempt {attempt} is not known here")]
    Unknown {
        /// The one that was spoken of.
        attempt: AttemptNumber,
    },
}

impl ReplicateState {
    /// A replicate of a new sweep.
    pub const fn new() -> Self {
        Self::Queued { attempts: 0, reason: String::new() }
    }

    /// What kind of state this is.
    pub const fn status(&self) -> ReplicateStatus {
        match self {
            Self::Queued { .. } => ReplicateStatus::Queued,
            Self::Running { .. } => ReplicateStatus::Running,
            Self::Completed { .. } => ReplicateStatus::Completed,
            Self::Failed { .. } => ReplicateStatus::Failed,
            Self::Cancelled { .. } => ReplicateStatus::Cancelled,
        }
    }

    /// Attempts that have begun.
    pub const fn attempts(&self) -> u32 {
        match self {
            Self::Queued { attempts, .. } | Self::Cancelled { attempts, .. } => *attempts,
            Self::Running { attempt, .. } | Self::Completed { attempt } | Self::Failed { attempt, .. } => attempt.0,
        }
    }

    /// Why it is in this state; empty where the state says all.
    pub fn reason(&self) -> &str {
        match self {
            Self::Queued { reason, .. } | Self::Failed { reason, .. } | Self::Cancelled { reason, .. } => reason,
            Self::Running { .. } | Self::Completed { .. } => "",
        }
    }

    /// Whether `attempt` is the one that runs now.
    ///
    /// # Errors
    /// Why it is not.
    pub fn expect_running(&self, attempt: AttemptNumber) -> Result<&WorkerId, Refusal> {
        if attempt.0 == 0 || attempt.0 > self.attempts() {
            return Err(Refusal::Unknown { attempt });
        }
        match self {
            Self::Running { attempt: current, worker } if *current == attempt => Ok(worker),
            Self::Running { attempt: current, .. } => Err(Refusal::Superseded { attempt, current: *current }),
            Self::Queued { .. } => Err(Refusal::GivenUp { attempt }),
            state => Err(Refusal::Ended { state: state.status() }),
        }
    }

    /// Whether `attempt` is the one that runs now, and `worker` runs it.
    ///
    /// # Errors
    /// Why it is not.
    pub fn expect_running_on(&self, attempt: AttemptNumber, worker: &WorkerId) -> Result<(), Refusal> {
        let owner = self.expect_running(attempt)?;
        if owner == worker { Ok(()) } else { Err(Refusal::OtherWorker { attempt, owner: owner.clone() }) }
    }

    /// What follows from `event`.
    ///
    /// # Errors
    /// Why the event does not count; the state stays as it is.
    pub fn apply(&self, event: Event) -> Result<Transition, Refusal> {
        match event {
            Event::Lease { worker } => self.lease(worker),
            Event::Complete { attempt, worker } => {
                self.expect_running_on(attempt, &worker)?;
                Ok(ends(Self::Completed { attempt }, attempt, AttemptState::Completed, String::new()))
            }
            Event::Fail { attempt, worker, kind, message } => {
                self.expect_running_on(attempt, &worker)?;
                let reason = format!("{}: {message}", kind.label());
                Ok(ends(Self::Failed { attempt, reason: reason.clone() }, attempt, AttemptState::Failed, reason))
            }
            Event::Lose { attempt, reason } => {
                self.expect_running(attempt)?;
                Ok(lose(attempt, reason))
            }
            Event::Cancel { reason } => self.cancel(reason),
        }
    }

    fn lease(&self, worker: WorkerId) -> Result<Transition, Refusal> {
        match self {
            Self::Queued { attempts, .. } => {
                let number = AttemptNumber(attempts + 1);
                let next = Self::Running { attempt: number, worker: worker.clone() };
                Ok(Transition { next, attempt: Some(AttemptChange::Begins { number, worker }) })
            }
            Self::Running { attempt, worker } => Err(Refusal::AlreadyRunning { attempt: *attempt, worker: worker.clone() }),
            state => Err(Refusal::Ended { state: state.status() }),
        }
    }

    fn cancel(&self, reason: String) -> Result<Transition, Refusal> {
        match self {
            Self::Queued { attempts, .. } => Ok(Transition { next: Self::Cancelled { attempts: *attempts, reason }, attempt: None }),
            Self::Running { attempt, .. } => {
                let next = Self::Cancelled { attempts: attempt.0, reason: reason.clone() };
                Ok(ends(next, *attempt, AttemptState::Cancelled, reason))
            }
            state => Err(Refusal::Ended { state: state.status() }),
        }
    }
}

impl Default for ReplicateState {
    fn default() -> Self {
        Self::new()
    }
}

/// A lost attempt is no fault of the trial: it runs again, but not for ever, since it may be what kills its workers.
fn lose(attempt: AttemptNumber, reason: String) -> Transition {
    let next = if attempt.0 < MAX_ATTEMPTS {
        ReplicateState::Queued { attempts: attempt.0, reason: format!("attempt {attempt} was lost: {reason}") }
    } else {
        ReplicateState::Failed { attempt, reason: format!("{MAX_ATTEMPTS} attempts were lost, the last one: {reason}") }
    };
    ends(next, attempt, AttemptState::Lost, reason)
}

fn ends(next: ReplicateState, number: AttemptNumber, state: AttemptState, reason: String) -> Transition {
    Transition { next, attempt: Some(AttemptChange::Ends { number, state, reason }) }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn worker(name: &str) -> WorkerId {
        WorkerId::parse(name).unwrap()
    }

    fn running(number: u32) -> ReplicateState {
        ReplicateState::Running { attempt: AttemptNumber(number), worker: worker("w") }
    }

    fn states() -> [ReplicateState; 5] {
        [
            ReplicateState::Queued { attempts: 2, reason: "again".into() },
            running(2),
            ReplicateState::Completed { attempt: AttemptNumber(2) },
            ReplicateState::Failed { attempt: AttemptNumber(2), reason: "why".into() },
            ReplicateState::Cancelled { attempts: 2, reason: "why".into() },
        ]
    }

    fn events(number: u32) -> [Event; 5] {
        let attempt = AttemptNumber(number);
        [
            Event::Lease { worker: worker("w") },
            Event::Complete { attempt, worker: worker("w") },
            Event::Fail { attempt, worker: worker("w"), kind: FailureKind::Panic, message: "boom".into() },
            Event::Lose { attempt, reason: "silent".into() },
            Event::Cancel { reason: "by a user".into() },
        ]
    }

    /// Every state × event of the attempt that runs (number 2): the status that follows, or none where it is refused.
    #[test]
    fn every_state_and_event() {
        use ReplicateStatus::{Cancelled, Completed, Failed, Queued, Running};
        let table = [
            // lease, complete, fail, lose, cancel
            [Some(Running), None, None, None, Some(Cancelled)],
            [None, Some(Completed), Some(Failed), Some(Queued), Some(Cancelled)],
            [None; 5],
            [None; 5],
            [None; 5],
        ];
        for (state, row) in states().iter().zip(table) {
            for (event, expected) in events(2).into_iter().zip(row) {
                let next = state.apply(event.clone()).ok().map(|transition| transition.next.status());
                assert_eq!(next, expected, "{state:?} × {event:?}");
            }
        }
    }

    #[test]
    fn refusals_say_why() {
        let by = |state: &ReplicateState, event: Event| state.apply(event).unwrap_err().to_string();
        let [_, complete, ..] = events(1);
        assert_eq!(by(&running(2), complete.clone()), "attempt 1 has been superseded by attempt 2");
        assert_eq!(
            by(&ReplicateState::Queued { attempts: 1, reason: String::new() }, complete.clone()),
            "attempt 1 counts as lost; the replicate is queued again"
        );
        assert_eq!(by(&ReplicateState::Completed { attempt: AttemptNumber(1) }, complete), "the replicate has ended (completed)");
        for number in [0, 3, u32::MAX] {
            let [_, complete, ..] = events(number);
            assert_eq!(by(&running(2), complete), format!("attempt {number} is not known here"));
        }
        let thief = Event::Complete { attempt: AttemptNumber(2), worker: worker("thief") };
        assert_eq!(by(&running(2), thief), "attempt 2 belongs to worker w");
        assert_eq!(by(&running(2), Event::Lease { worker: worker("v") }), "attempt 2 is already running on worker w");
    }

    #[test]
    fn the_last_lost_attempt_fails_the_replicate() {
        let lost = |number| running(number).apply(Event::Lose { attempt: AttemptNumber(number), reason: "silent".into() }).unwrap();
        let again = lost(MAX_ATTEMPTS - 1);
        assert_eq!(again.next, ReplicateState::Queued { attempts: 4, reason: "attempt 4 was lost: silent".into() });
        let last = lost(MAX_ATTEMPTS);
        assert_eq!(last.next.status(), ReplicateStatus::Failed);
        assert_eq!(last.next.reason(), "5 attempts were lost, the last one: silent");
        assert!(matches!(last.attempt, Some(AttemptChange::Ends { state: AttemptState::Lost, .. })));
    }

    #[test]
    fn sweeps() {
        use SweepState::{Cancelled, Completed, Running};
        assert_eq!(Running.after_end(1), Running);
        assert_eq!(Running.after_end(0), Completed);
        assert_eq!(Cancelled.after_end(0), Cancelled);
        assert_eq!(Running.cancel(), Ok(Cancelled));
        assert_eq!(Cancelled.cancel(), Ok(Cancelled));
        assert_eq!(Completed.cancel(), Err(SweepCompleted));
        for state in [Running, Completed, Cancelled] {
            assert_eq!(SweepState::from_name(state.name()), Some(state));
        }
        assert_eq!(SweepState::from_name("paused"), None);
    }

    fn any_event() -> impl Strategy<Value = Event> {
        (0..5_usize, 0..8_u32, 0..3_u8).prop_map(|(kind, number, who)| {
            let who = worker(&format!("w{who}"));
            let attempt = AttemptNumber(number);
            match kind {
                0 => Event::Lease { worker: who },
                1 => Event::Complete { attempt, worker: who },
                2 => Event::Fail { attempt, worker: who, kind: FailureKind::Other, message: "m".into() },
                3 => Event::Lose { attempt, reason: "silent".into() },
                _ => Event::Cancel { reason: "user".into() },
            }
        })
    }

    proptest! {
        /// Whatever is said in whatever order: at most one attempt lives, numbers grow by one up to the limit,
        /// final states stay, and attempts change only in step with their replicate.
        #[test]
        fn invariants_hold(events in proptest::collection::vec(any_event(), 0..60)) {
            let mut state = ReplicateState::new();
            let mut attempts: Vec<AttemptState> = Vec::new();
            for event in events {
                let before = state.clone();
                match state.apply(event) {
                    Err(_) => prop_assert_eq!(&state, &before),
                    Ok(Transition { next, attempt }) => {
                        prop_assert!(!before.status().is_final());
                        match attempt {
                            Some(AttemptChange::Begins { number, .. }) => {
                                prop_assert_eq!(number.0 as usize, attempts.len() + 1);
                                attempts.push(AttemptState::Running);
                            }
                            Some(AttemptChange::Ends { number, state, .. }) => {
                                let ending = &mut attempts[number.0 as usize - 1];
                                prop_assert_eq!(*ending, AttemptState::Running);
                                prop_assert!(state != AttemptState::Running);
                                *ending = state;
                            }
                            None => {}
                        }
                        state = next;
                    }
                }
                let live = attempts.iter().filter(|attempt| **attempt == AttemptState::Running).count();
                prop_assert_eq!(live, usize::from(state.status() == ReplicateStatus::Running));
                prop_assert_eq!(state.attempts() as usize, attempts.len());
                prop_assert!(attempts.len() <= MAX_ATTEMPTS as usize);
                let completed = attempts.iter().filter(|attempt| **attempt == AttemptState::Completed).count();
                prop_assert_eq!(completed, usize::from(state.status() == ReplicateStatus::Completed));
            }
        }
    }
}
