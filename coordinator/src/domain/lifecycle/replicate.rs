//! The states of a replicate, and its attempts'.

use super::{AttemptState, ReplicateStatus};
use crate::domain::{
    failure::{FailureKind, Reaction, RetryPolicy},
    ids::{AttemptNumber, Fence, LeaseToken, WorkerId},
};

/// A replicate: how often it was tried, and where it stands.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Replicate {
    /// Attempts that have begun, which is the number of the last one.
    pub attempts: u32,
    /// Those of them that count against the limit since a user last wanted it tried again.
    pub faults: u32,
    /// Where it stands.
    pub state: ReplicateState,
}

/// Where a replicate stands, with what is true of it in that state only.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum ReplicateState {
    /// Waits for a worker.
    Queued {
        /// Why it waits again; empty the first time.
        reason: String,
        /// Not to be leased before, in ms since 1970.
        ready_ms: i64,
        /// Not to be leased to a worker where it has failed, as long as there are others.
        elsewhere: bool,
    },
    /// Leased: the last attempt runs.
    Running {
        /// Who runs it.
        worker: WorkerId,
        /// Of its lease.
        token: LeaseToken,
    },
    /// Ended with the result of the last attempt. Final.
    Completed,
    /// Ended without a result. Final.
    Failed {
        /// Why.
        reason: String,
    },
    /// Ended by a user. Final.
    Cancelled {
        /// Why.
        reason: String,
    },
}

impl Default for ReplicateState {
    fn default() -> Self {
        Self::Queued { reason: String::new(), ready_ms: 0, elsewhere: false }
    }
}

/// What a transition depends on beside state and event.
#[derive(Clone, Copy, Debug)]
pub struct Rules<'a> {
    /// Of the sweep.
    pub retry: &'a RetryPolicy,
    /// The coordinator's time, in ms since 1970.
    pub now_ms: i64,
    /// A random number from ½ to 1.
    pub jitter: f64,
}

/// What can happen to a replicate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// It is given to a worker.
    Lease {
        /// To whom.
        worker: WorkerId,
        /// Drawn for it.
        token: LeaseToken,
    },
    /// An attempt has its result.
    Complete {
        /// Which.
        attempt: Fence,
        /// Who says so.
        worker: WorkerId,
    },
    /// An attempt has ended without a result.
    Fail {
        /// Which.
        attempt: Fence,
        /// Who says so.
        worker: WorkerId,
        /// What kind of failure it is.
        kind: FailureKind,
        /// In the worker's words.
        message: String,
    },
    /// Its worker gives an attempt back, through no fault of the attempt.
    HandBack {
        /// Which.
        attempt: Fence,
        /// Who says so.
        worker: WorkerId,
        /// Why.
        reason: String,
    },
    /// The worker of an attempt is gone.
    Lose {
        /// Which.
        attempt: Fence,
        /// How one knows.
        reason: String,
    },
    /// A user ends the sweep.
    Cancel {
        /// In whose name.
        reason: String,
    },
    /// A user wants a failed one tried again.
    Retry {
        /// In whose name.
        reason: String,
    },
}

/// What happens to an attempt when its replicate changes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AttemptChange {
    /// It begins to run.
    Begins {
        /// Which.
        attempt: Fence,
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
        /// The kind of failure, where it was one.
        failure: Option<FailureKind>,
    },
}

/// What follows from an event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Transition {
    /// The replicate as it is then.
    pub next: Replicate,
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
    /// A wish to try again what has not failed.
    #[error("the replicate has not failed ({})", state.name())]
    NotFailed {
        /// Its state.
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
    /// Another attempt of that number runs: the lease of the one that spoke is not stored.
    #[error("attempt {attempt} is not the one that runs under this number; a power cut must have taken its lease")]
    Namesake {
        /// The number of both.
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
    /// What kind of state this is.
    pub const fn status(&self) -> ReplicateStatus {
        match self {
            Self::Queued { .. } => ReplicateStatus::Queued,
            Self::Running { .. } => ReplicateStatus::Running,
            Self::Completed => ReplicateStatus::Completed,
            Self::Failed { .. } => ReplicateStatus::Failed,
            Self::Cancelled { .. } => ReplicateStatus::Cancelled,
        }
    }

    /// Why it is in this state; empty where the state says all.
    pub fn reason(&self) -> &str {
        match self {
            Self::Queued { reason, .. } | Self::Failed { reason } | Self::Cancelled { reason } => reason,
            Self::Running { .. } | Self::Completed => "",
        }
    }
}

impl Replicate {
    /// What kind of state it is in.
    pub const fn status(&self) -> ReplicateStatus {
        self.state.status()
    }

    const fn last(&self) -> AttemptNumber {
        AttemptNumber(self.attempts)
    }

    /// Whether `attempt` is the one that runs now.
    ///
    /// # Errors
    /// Why it is not.
    pub fn expect_running(&self, attempt: Fence) -> Result<&WorkerId, Refusal> {
        let Fence { number: attempt, token: theirs } = attempt;
        if attempt.0 == 0 || attempt.0 > self.attempts {
            return Err(Refusal::Unknown { attempt });
        }
        match &self.state {
            ReplicateState::Running { worker, token } if self.last() == attempt => {
                if *token == theirs {
                    Ok(worker)
                } else {
                    Err(Refusal::Namesake { attempt })
                }
            }
            ReplicateState::Running { .. } => Err(Refusal::Superseded { attempt, current: self.last() }),
            ReplicateState::Queued { .. } => Err(Refusal::GivenUp { attempt }),
            state => Err(Refusal::Ended { state: state.status() }),
        }
    }

    /// Whether `attempt` is the one that runs now, and `worker` runs it.
    ///
    /// # Errors
    /// Why it is not.
    pub fn expect_running_on(&self, attempt: Fence, worker: &WorkerId) -> Result<(), Refusal> {
        let owner = self.expect_running(attempt)?;
        if owner == worker { Ok(()) } else { Err(Refusal::OtherWorker { attempt: attempt.number, owner: owner.clone() }) }
    }

    /// What follows from `event`.
    ///
    /// # Errors
    /// Why the event does not count; the state stays as it is.
    pub fn apply(&self, event: Event, rules: &Rules) -> Result<Transition, Refusal> {
        match event {
            Event::Lease { worker, token } => self.lease(worker, token),
            Event::Complete { attempt, worker } => {
                self.expect_running_on(attempt, &worker)?;
                Ok(self.ends(ReplicateState::Completed, AttemptState::Completed, String::new(), None))
            }
            Event::Fail { attempt, worker, kind, message } => {
                self.expect_running_on(attempt, &worker)?;
                Ok(self.fault(kind, format!("{}: {message}", kind.label()), rules))
            }
            Event::HandBack { attempt, worker, reason } => {
                self.expect_running_on(attempt, &worker)?;
                let next = ReplicateState::Queued {
                    reason: format!("attempt {} was handed back: {reason}", attempt.number),
                    ready_ms: 0,
                    elsewhere: false,
                };
                Ok(self.ends(next, AttemptState::Lost, reason, None))
            }
            Event::Lose { attempt, reason } => {
                self.expect_running(attempt)?;
                Ok(self.fault(FailureKind::Lost, reason, rules))
            }
            Event::Cancel { reason } => self.cancel(reason),
            Event::Retry { reason } => self.retry(reason),
        }
    }

    fn lease(&self, worker: WorkerId, token: LeaseToken) -> Result<Transition, Refusal> {
        match &self.state {
            ReplicateState::Queued { .. } => {
                let number = AttemptNumber(self.attempts + 1);
                let state = ReplicateState::Running { worker: worker.clone(), token };
                let next = Self { attempts: number.0, faults: self.faults, state };
                Ok(Transition { next, attempt: Some(AttemptChange::Begins { attempt: Fence { number, token }, worker }) })
            }
            ReplicateState::Running { worker, .. } => Err(Refusal::AlreadyRunning { attempt: self.last(), worker: worker.clone() }),
            state => Err(Refusal::Ended { state: state.status() }),
        }
    }

    /// The last attempt has failed. It is tried again where the policy says so, but not for ever: it may be what kills its workers.
    fn fault(&self, kind: FailureKind, reason: String, rules: &Rules) -> Transition {
        let (attempt, faults) = (self.last(), self.faults + 1);
        let (state, verb) = match kind {
            FailureKind::Lost => (AttemptState::Lost, "was lost"),
            _ => (AttemptState::Failed, "failed"),
        };
        let reaction = rules.retry.reaction(kind);
        let next = if reaction == Reaction::GiveUp {
            ReplicateState::Failed { reason: reason.clone() }
        } else if faults >= rules.retry.max_attempts {
            ReplicateState::Failed { reason: format!("{faults} attempts failed, the last one: {reason}") }
        } else {
            ReplicateState::Queued {
                reason: format!("attempt {attempt} {verb}: {reason}"),
                ready_ms: rules.now_ms.saturating_add(rules.retry.pause_ms(kind, faults, rules.jitter)),
                elsewhere: reaction == Reaction::Elsewhere,
            }
        };
        Self { faults, ..self.clone() }.ends(next, state, reason, Some(kind))
    }

    fn cancel(&self, reason: String) -> Result<Transition, Refusal> {
        let next = ReplicateState::Cancelled { reason: reason.clone() };
        match &self.state {
            ReplicateState::Queued { .. } => Ok(Transition { next: Self { state: next, ..self.clone() }, attempt: None }),
            ReplicateState::Running { .. } => Ok(self.ends(next, AttemptState::Cancelled, reason, None)),
            state => Err(Refusal::Ended { state: state.status() }),
        }
    }

    /// It begins anew with all its chances; attempts go on counting, or an old one could pass for a new.
    fn retry(&self, reason: String) -> Result<Transition, Refusal> {
        match &self.state {
            ReplicateState::Failed { .. } => {
                let state = ReplicateState::Queued { reason, ready_ms: 0, elsewhere: false };
                Ok(Transition { next: Self { attempts: self.attempts, faults: 0, state }, attempt: None })
            }
            state => Err(Refusal::NotFailed { state: state.status() }),
        }
    }

    /// The last attempt ends with its replicate in state `next`.
    fn ends(&self, next: ReplicateState, state: AttemptState, reason: String, failure: Option<FailureKind>) -> Transition {
        let next = Self { state: next, ..self.clone() };
        Transition { next, attempt: Some(AttemptChange::Ends { number: self.last(), state, reason, failure }) }
    }
}
