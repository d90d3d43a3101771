//! Every state × event, and what holds whatever happens.

use proptest::prelude::*;

use super::*;
use crate::domain::{
    failure::{FailureKind, RetryPolicy},
    ids::{AttemptNumber, Fence, LeaseToken, WorkerId},
};

fn worker(name: &str) -> WorkerId {
    WorkerId::parse(name).unwrap()
}

/// The attempt of this number that was leased under this token.
const fn fence(number: u32, token: u64) -> Fence {
    Fence { number: AttemptNumber(number), token: LeaseToken(token) }
}

/// Of leases that tests do not tell apart.
const TOKEN: LeaseToken = LeaseToken(7);

fn replicate(attempts: u32, faults: u32, state: ReplicateState) -> Replicate {
    Replicate { attempts, faults, state }
}

fn running(number: u32) -> Replicate {
    replicate(number, 0, ReplicateState::Running { worker: worker("w"), token: TOKEN })
}

fn apply(replicate: &Replicate, event: Event) -> Result<Transition, Refusal> {
    replicate.apply(event, &Rules { retry: &RetryPolicy::default(), now_ms: 1_000_000, jitter: 1.0 })
}

fn states() -> [Replicate; 5] {
    [
        replicate(2, 0, ReplicateState::Queued { reason: "again".into(), ready_ms: 0, elsewhere: false }),
        running(2),
        replicate(2, 0, ReplicateState::Completed),
        replicate(2, 1, ReplicateState::Failed { reason: "why".into() }),
        replicate(2, 0, ReplicateState::Cancelled { reason: "why".into() }),
    ]
}

fn fail(number: u32, kind: FailureKind) -> Event {
    Event::Fail { attempt: fence(number, TOKEN.0), worker: worker("w"), kind, message: "boom".into() }
}

fn events(number: u32) -> [Event; 8] {
    let attempt = fence(number, TOKEN.0);
    [
        Event::Lease { worker: worker("w"), token: TOKEN },
        Event::Complete { attempt, worker: worker("w") },
        fail(number, FailureKind::NonFinite),
        fail(number, FailureKind::Panic),
        Event::HandBack { attempt, worker: worker("w"), reason: "drained".into() },
        Event::Lose { attempt, reason: "silent".into() },
        Event::Cancel { reason: "by a user".into() },
        Event::Retry { reason: "by a user".into() },
    ]
}

/// Every state × event of the attempt that runs (number 2): the status that follows, or none where it is refused.
#[test]
fn every_state_and_event() {
    use ReplicateStatus::{Cancelled, Completed, Failed, Queued, Running};
    let table = [
        // lease, complete, diverge, panic, hand back, lose, cancel, retry
        [Some(Running), None, None, None, None, None, Some(Cancelled), None],
        [None, Some(Completed), Some(Failed), Some(Queued), Some(Queued), Some(Queued), Some(Cancelled), None],
        [None; 8],
        [None, None, None, None, None, None, None, Some(Queued)],
        [None; 8],
    ];
    for (state, row) in states().iter().zip(table) {
        for (event, expected) in events(2).into_iter().zip(row) {
            let next = apply(state, event.clone()).ok().map(|transition| transition.next.status());
            assert_eq!(next, expected, "{state:?} × {event:?}");
        }
    }
}

#[test]
fn refusals_say_why() {
    let by = |state: &Replicate, event: Event| apply(state, event).unwrap_err().to_string();
    let [_, complete, ..] = events(1);
    assert_eq!(by(&running(2), complete.clone()), "attempt 1 has been superseded by attempt 2");
    assert_eq!(
        by(&replicate(1, 1, ReplicateState::default()), complete.clone()),
        "attempt 1 counts as lost; the replicate is queued again"
    );
    assert_eq!(by(&replicate(1, 0, ReplicateState::Completed), complete), "the replicate has ended (completed)");
    for number in [0, 3, u32::MAX] {
        let [_, complete, ..] = events(number);
        assert_eq!(by(&running(2), complete), format!("attempt {number} is not known here"));
    }
    let thief = Event::Complete { attempt: fence(2, TOKEN.0), worker: worker("thief") };
    assert_eq!(by(&running(2), thief), "attempt 2 belongs to worker w");
    let forgotten = Event::Complete { attempt: fence(2, 8), worker: worker("w") };
    let why = "attempt 2 is not the one that runs under this number; a power cut must have taken its lease";
    assert_eq!(by(&running(2), forgotten), why);
    assert_eq!(by(&running(2), Event::Lease { worker: worker("v"), token: TOKEN }), "attempt 2 is already running on worker w");
    assert_eq!(by(&running(2), Event::Retry { reason: String::new() }), "the replicate has not failed (running)");
}

#[test]
fn failures_are_tried_again_with_pauses_and_not_for_ever() {
    let after = |faults, event| apply(&Replicate { faults, ..running(7) }, event).unwrap();
    let queued = |reason: &str, ready_ms, elsewhere| ReplicateState::Queued { reason: reason.into(), ready_ms, elsewhere };
    let panicked = after(1, fail(7, FailureKind::Panic));
    assert_eq!(panicked.next, replicate(7, 2, queued("attempt 7 failed: panicked: boom", 1_004_000, true)));
    let lose = Event::Lose { attempt: fence(7, TOKEN.0), reason: "silent".into() };
    assert_eq!(after(0, lose.clone()).next, replicate(7, 1, queued("attempt 7 was lost: silent", 1_000_000, true)));
    let last = after(4, lose);
    assert_eq!(last.next, replicate(7, 5, ReplicateState::Failed { reason: "5 attempts failed, the last one: silent".into() }));
    assert!(matches!(last.attempt, Some(AttemptChange::Ends { state: AttemptState::Lost, failure: Some(FailureKind::Lost), .. })));
    let diverged = after(0, fail(7, FailureKind::NonFinite));
    assert_eq!(diverged.next.state, ReplicateState::Failed { reason: "diverged: boom".into() });
}

#[test]
fn what_is_handed_back_is_no_fault_and_waits_for_nothing() {
    let event = Event::HandBack { attempt: fence(7, TOKEN.0), worker: worker("w"), reason: "drained".into() };
    let back = apply(&Replicate { faults: 4, ..running(7) }, event).unwrap().next;
    assert_eq!((back.attempts, back.faults), (7, 4));
    assert!(matches!(back.state, ReplicateState::Queued { ready_ms: 0, elsewhere: false, .. }));
}

#[test]
fn a_users_retry_gives_all_chances_again_under_higher_numbers() {
    let failed = replicate(5, 5, ReplicateState::Failed { reason: "why".into() });
    let again = apply(&failed, Event::Retry { reason: "by a user".into() }).unwrap().next;
    assert_eq!((again.attempts, again.faults, again.status()), (5, 0, ReplicateStatus::Queued));
    let next = apply(&again, Event::Lease { worker: worker("w"), token: TOKEN }).unwrap().next;
    assert_eq!(next.attempts, 6);
}

fn any_event() -> impl Strategy<Value = Event> {
    (0..8_usize, 0..8_u32, 0..2_u64, 0..3_u8, 0..FailureKind::NAMES.len()).prop_map(|(event, number, token, who, kind)| {
        let who = worker(&format!("w{who}"));
        let attempt = fence(number, token);
        match event {
            0 | 1 => Event::Lease { worker: who, token: attempt.token },
            2 => Event::Complete { attempt, worker: who },
            3 => Event::Fail { attempt, worker: who, kind: FailureKind::NAMES[kind].1, message: "m".into() },
            4 => Event::HandBack { attempt, worker: who, reason: "r".into() },
            5 => Event::Lose { attempt, reason: "silent".into() },
            6 => Event::Cancel { reason: "user".into() },
            _ => Event::Retry { reason: "user".into() },
        }
    })
}

/// The attempt that an event names.
fn named(event: &Event) -> Option<Fence> {
    match event {
        Event::Complete { attempt, .. } | Event::Fail { attempt, .. } | Event::HandBack { attempt, .. } | Event::Lose { attempt, .. } => {
            Some(*attempt)
        }
        Event::Lease { .. } | Event::Cancel { .. } | Event::Retry { .. } => None,
    }
}

proptest! {
    /// Whatever is said in whatever order: at most one attempt lives, numbers grow by one, faults stay within the limit, what is not
    /// failed stays ended, attempts change only in step with their replicate, and only what names their token ends them.
    #[test]
    fn invariants_hold(events in proptest::collection::vec(any_event(), 0..80), jitter in 0.0..2.0_f64) {
        let retry = RetryPolicy::default();
        let mut state = Replicate::default();
        let mut attempts: Vec<AttemptState> = Vec::new();
        let mut tokens: Vec<LeaseToken> = Vec::new();
        for event in events {
            let before = state.clone();
            let retries = matches!(event, Event::Retry { .. });
            let named = named(&event);
            match state.apply(event, &Rules { retry: &retry, now_ms: 0, jitter }) {
                Err(_) => prop_assert_eq!(&state, &before),
                Ok(Transition { next, attempt }) => {
                    prop_assert!(!before.status().is_final() || retries && before.status() == ReplicateStatus::Failed);
                    match attempt {
                        Some(AttemptChange::Begins { attempt, .. }) => {
                            prop_assert_eq!(attempt.number.0 as usize, attempts.len() + 1);
                            attempts.push(AttemptState::Running);
                            tokens.push(attempt.token);
                        }
                        Some(AttemptChange::Ends { number, state, failure, .. }) => {
                            let ending = &mut attempts[number.0 as usize - 1];
                            let token = tokens[number.0 as usize - 1];
                            let is_meant = named.is_none_or(|named| named == Fence { number, token });
                            prop_assert!(is_meant, "{:?} ends attempt {} of {:?}", named, number, token);
                            prop_assert_eq!(*ending, AttemptState::Running);
                            prop_assert!(state != AttemptState::Running);
                            prop_assert_eq!(failure.is_some(), next.faults == before.faults + 1);
                            *ending = state;
                        }
                        None => {}
                    }
                    state = next;
                }
            }
            let live = attempts.iter().filter(|attempt| **attempt == AttemptState::Running).count();
            prop_assert_eq!(live, usize::from(state.status() == ReplicateStatus::Running));
            prop_assert_eq!(state.attempts as usize, attempts.len());
            prop_assert!(state.faults <= retry.max_attempts);
            if let ReplicateState::Failed { reason } | ReplicateState::Cancelled { reason } = &state.state {
                prop_assert!(!reason.is_empty());
            }
            if let ReplicateState::Queued { ready_ms, .. } = state.state {
                prop_assert!((0..=300_000).contains(&ready_ms));
            }
            let completed = attempts.iter().filter(|attempt| **attempt == AttemptState::Completed).count();
            prop_assert_eq!(completed, usize::from(state.status() == ReplicateStatus::Completed));
        }
    }
}
