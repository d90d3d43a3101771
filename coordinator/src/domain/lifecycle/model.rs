//! The lease protocol, every run of it: one replicate, two workers, a network that delays, repeats, reorders and loses, workers that crash,
//! and a coordinator that gives them up rightly or wrongly.
//!
//! What the coordinator decides is decided by [`Replicate::apply`] itself. What is modelled is around it: the cursor by which an event counts
//! once, the worker's outbox, what a reconnect tells both sides, and the network as a set of messages any of which may arrive at any time,
//! again or never. States are explored exhaustively (stateright) within small bounds.

use std::collections::BTreeSet;

use stateright::{Checker, Model, Property};

use super::{Event, Replicate, ReplicateState, ReplicateStatus, Rules};
use crate::domain::{
    failure::{FailureKind, RetryPolicy},
    ids::{AttemptNumber, WorkerId},
};

/// Workers.
const WORKERS: usize = 2;
/// Faults after which the replicate has failed.
const MAX_ATTEMPTS: u32 = 2;
/// Times that a worker may crash or hand back in one run: each makes the graph much larger.
const MISHAPS: u8 = 1;

/// What a worker may say of an attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum Word {
    Completed,
    Panicked,
    HandedBack,
}

/// A message on its way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum Message {
    Lease { to: usize, attempt: u32 },
    Stop { to: usize, attempt: u32 },
    Event { from: usize, seq: u8, attempt: u32, word: Word },
    Ack { to: usize, seq: u8 },
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
struct Worker {
    running: BTreeSet<u32>,
    /// What is not acknowledged: number, attempt, word.
    outbox: Vec<(u8, u32, Word)>,
    last_seq: u8,
    /// The coordinator's cursor for this worker.
    applied: u8,
}

/// Everything at one moment.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
struct World {
    replicate: Replicate,
    workers: [Worker; WORKERS],
    network: BTreeSet<Message>,
    /// Results that were stored.
    results: u8,
    mishaps: u8,
    /// A final state was followed by something.
    has_moved_on: bool,
    /// Something counted that was said of another attempt than the last.
    has_counted_stale: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    /// The coordinator leases to a worker.
    Lease(usize),
    /// A message arrives; it may arrive again.
    Deliver(Message),
    /// A message is lost.
    Lose(Message),
    /// A worker ends an attempt.
    End(usize, u32, Word),
    /// A worker sends again what is not acknowledged, and both sides learn what the other holds.
    Reconnect(usize),
    /// The coordinator takes a worker for lost, which may not be true.
    GiveUp(usize),
    /// A worker dies; another life has other attempts, and nothing to say.
    Crash(usize),
}

struct Protocol;

fn id(worker: usize) -> WorkerId {
    WorkerId::parse(&format!("w{worker}")).unwrap()
}

impl World {
    /// The attempt that the coordinator believes a worker to run.
    fn runs_on(&self, worker: usize) -> Option<u32> {
        matches!(&self.replicate.state, ReplicateState::Running { worker: owner } if *owner == id(worker))
            .then_some(self.replicate.attempts)
    }

    /// Has the real state machine decide; false where it refuses.
    fn apply(&mut self, event: Event) -> bool {
        let retry = RetryPolicy { max_attempts: MAX_ATTEMPTS, ..RetryPolicy::default() };
        let was_final = self.replicate.status().is_final();
        match self.replicate.apply(event, &Rules { retry: &retry, now_ms: 0, jitter: 1.0 }) {
            Ok(transition) => {
                self.has_moved_on |= was_final;
                self.replicate = transition.next;
                true
            }
            Err(_) => false,
        }
    }

    fn deliver(&mut self, message: Message) {
        match message {
            Message::Lease { to, attempt } => {
                let worker = &mut self.workers[to];
                if !worker.outbox.iter().any(|(_, ended, _)| *ended == attempt) {
                    worker.running.insert(attempt);
                }
            }
            Message::Stop { to, attempt } => _ = self.workers[to].running.remove(&attempt),
            Message::Ack { to, seq } => self.workers[to].outbox.retain(|(waiting, ..)| *waiting > seq),
            Message::Event { from, seq, attempt, word } => self.take(from, seq, attempt, word),
        }
    }

    /// What the coordinator does with an event: once, and only if the attempt counts.
    fn take(&mut self, from: usize, seq: u8, attempt: u32, word: Word) {
        if seq > self.workers[from].applied {
            self.workers[from].applied = seq;
            let (number, worker) = (AttemptNumber(attempt), id(from));
            let counted = self.apply(match word {
                Word::Completed => Event::Complete { attempt: number, worker },
                Word::Panicked => Event::Fail { attempt: number, worker, kind: FailureKind::Panic, message: String::new() },
                Word::HandedBack => Event::HandBack { attempt: number, worker, reason: String::new() },
            });
            // Only a lease changes the number, so that this is still the one of before.
            self.has_counted_stale |= counted && attempt != self.replicate.attempts;
            self.results += u8::from(counted && word == Word::Completed);
            if !counted {
                self.network.insert(Message::Stop { to: from, attempt });
            }
        }
        self.network.insert(Message::Ack { to: from, seq: self.workers[from].applied });
    }

    fn reconnect(&mut self, worker: usize) {
        let held: BTreeSet<u32> = self.workers[worker]
            .running
            .iter()
            .copied()
            .chain(self.workers[worker].outbox.iter().map(|(_, attempt, _)| *attempt))
            .collect();
        for attempt in &held {
            if self.replicate.expect_running_on(AttemptNumber(*attempt), &id(worker)).is_err() {
                self.network.insert(Message::Stop { to: worker, attempt: *attempt });
            }
        }
        if let Some(attempt) = self.runs_on(worker).filter(|attempt| !held.contains(attempt)) {
            self.network.insert(Message::Lease { to: worker, attempt });
        }
        for (seq, attempt, word) in self.workers[worker].outbox.clone() {
            self.network.insert(Message::Event { from: worker, seq, attempt, word });
        }
    }
}

impl Model for Protocol {
    type State = World;
    type Action = Step;

    fn init_states(&self) -> Vec<World> {
        vec![World::default()]
    }

    fn actions(&self, world: &World, steps: &mut Vec<Step>) {
        for worker in 0..WORKERS {
            if world.replicate.status() == ReplicateStatus::Queued {
                steps.push(Step::Lease(worker));
            }
            if world.runs_on(worker).is_some() {
                steps.push(Step::GiveUp(worker));
            }
            for attempt in &world.workers[worker].running {
                steps.extend([Word::Completed, Word::Panicked].map(|word| Step::End(worker, *attempt, word)));
                if world.mishaps < MISHAPS {
                    steps.push(Step::End(worker, *attempt, Word::HandedBack));
                }
            }
            let holds = !world.workers[worker].outbox.is_empty() || !world.workers[worker].running.is_empty();
            if holds || world.runs_on(worker).is_some() {
                steps.push(Step::Reconnect(worker));
            }
            if holds && world.mishaps < MISHAPS {
                steps.push(Step::Crash(worker));
            }
        }
        steps.extend(world.network.iter().flat_map(|message| [Step::Deliver(*message), Step::Lose(*message)]));
    }

    fn next_state(&self, before: &World, step: Step) -> Option<World> {
        let mut world = before.clone();
        match step {
            Step::Lease(worker) => {
                world.apply(Event::Lease { worker: id(worker) });
                world.network.insert(Message::Lease { to: worker, attempt: world.replicate.attempts });
            }
            Step::Deliver(message) => world.deliver(message),
            Step::Lose(message) => _ = world.network.remove(&message),
            Step::End(worker, attempt, word) => {
                let it = &mut world.workers[worker];
                it.running.remove(&attempt);
                it.last_seq += 1;
                it.outbox.push((it.last_seq, attempt, word));
                world.network.insert(Message::Event { from: worker, seq: world.workers[worker].last_seq, attempt, word });
                world.mishaps += u8::from(word == Word::HandedBack);
            }
            Step::Reconnect(worker) => world.reconnect(worker),
            Step::GiveUp(worker) => {
                let attempt = AttemptNumber(world.replicate.attempts);
                world.apply(Event::Lose { attempt, reason: format!("w{worker} is silent") });
            }
            Step::Crash(worker) => {
                // A new life has a new id; that no message of the old one reaches it is what ids are for.
                let applied = world.workers[worker].applied;
                world.workers[worker] = Worker { last_seq: applied, applied, ..Worker::default() };
                world.network.retain(|message| !matches!(message, Message::Event { from, .. } if *from == worker));
                world.network.retain(|message| !matches!(message, Message::Lease { to, .. } | Message::Stop { to, .. } | Message::Ack { to, .. } if *to == worker));
                world.mishaps += 1;
            }
        }
        (world != *before).then_some(world)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        vec![
            Property::always("a replicate has one result at the most", |_, world: &World| world.results <= 1),
            Property::always("it has a result exactly when it has completed", |_, world: &World| {
                (world.results == 1) == (world.replicate.status() == ReplicateStatus::Completed)
            }),
            Property::always("only what is said of the last attempt counts", |_, world: &World| !world.has_counted_stale),
            Property::always("final states are final", |_, world: &World| !world.has_moved_on),
            Property::always("faults stay within the limit", |_, world: &World| world.replicate.faults <= MAX_ATTEMPTS),
            Property::always("no worker runs an attempt that was never leased", |_, world: &World| {
                world.workers.iter().flat_map(|worker| &worker.running).all(|attempt| *attempt <= world.replicate.attempts)
            }),
            Property::sometimes("two workers believe that they run it", |_, world: &World| {
                world.workers.iter().all(|worker| !worker.running.is_empty())
            }),
            Property::sometimes("a result of a superseded attempt is refused", |_, world: &World| {
                world.replicate.attempts == 2 && world.results == 0 && world.network.contains(&Message::Stop { to: 0, attempt: 1 })
            }),
            Property::sometimes("it completes at the second attempt", |_, world: &World| {
                world.results == 1 && world.replicate.attempts == 2
            }),
            Property::sometimes("it fails for good", |_, world: &World| world.replicate.status() == ReplicateStatus::Failed),
        ]
    }

    fn within_boundary(&self, world: &World) -> bool {
        world.workers.iter().all(|worker| worker.last_seq <= 3) && world.network.len() <= 3
    }
}

#[test]
fn every_run_of_the_protocol_keeps_its_promises() {
    let checker = Protocol.checker().threads(2).spawn_bfs().join();
    checker.assert_properties();
    assert!(checker.unique_state_count() > 1000, "only {} states", checker.unique_state_count());
}
