//! The lease protocol, every run of it: one replicate, two workers, a network that delays, repeats, reorders and loses, workers that crash,
//! a coordinator that gives them up rightly or wrongly, and a power cut that takes what it has stored and not synced.
//!
//! What the coordinator decides is decided by [`Replicate::apply`] itself. What is modelled is around it: the cursor by which an event counts
//! once, the worker's outbox and what it has begun, what a reconnect tells both sides, and the network as a set of messages any of which may
//! arrive at any time, again or never. States are explored exhaustively (stateright) within small bounds. That the model can tell right from
//! wrong is shown by what it finds where a part of the protocol is left out.

use std::collections::BTreeSet;

use stateright::{Checker, HasDiscoveries, Model, Property};

use super::{Event, Replicate, ReplicateState, ReplicateStatus, Rules};
use crate::domain::{
    failure::{FailureKind, RetryPolicy},
    ids::{AttemptNumber, Fence, LeaseToken, WorkerId},
};

/// Workers.
const WORKERS: usize = 2;
/// Faults after which the replicate has failed.
const MAX_ATTEMPTS: u32 = 2;
/// Times that a worker may crash or hand back, or the power be cut, in one run: each makes the graph much larger.
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
    Lease { to: usize, attempt: Fence },
    Stop { to: usize, attempt: Fence },
    Event { from: usize, seq: u8, attempt: Fence, word: Word },
    Ack { to: usize, seq: u8 },
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
struct Worker {
    /// How often it has died: each life has an id of its own.
    life: u8,
    running: BTreeSet<Fence>,
    /// What it has begun, so that it does not begin that again.
    begun: BTreeSet<Fence>,
    /// What is not acknowledged: number, attempt, word.
    outbox: Vec<(u8, Fence, Word)>,
    last_seq: u8,
}

/// What the coordinator has stored.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
struct Stored {
    replicate: Replicate,
    /// Its cursor for each worker.
    applied: [u8; WORKERS],
    /// The results that counted: who said so, in which event.
    results: BTreeSet<(usize, u8)>,
}

/// Everything at one moment.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
struct World {
    stored: Stored,
    /// What of that is on the disk.
    synced: Stored,
    /// Tokens that were drawn.
    drawn: u64,
    workers: [Worker; WORKERS],
    network: BTreeSet<Message>,
    mishaps: u8,
    /// All that was ever begun.
    begun: BTreeSet<Fence>,
    /// One of them was begun again.
    has_begun_again: bool,
    /// A final state was followed by something.
    has_moved_on: bool,
    /// Something counted that was said of another attempt than the one that ran.
    has_counted_stale: bool,
    /// A result was acknowledged.
    has_promised: bool,
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
    End(usize, Fence, Word),
    /// A worker sends again what is not acknowledged, and both sides learn what the other holds.
    Reconnect(usize),
    /// The coordinator takes the worker of the attempt that runs for lost, which may not be true.
    GiveUp,
    /// A worker dies; another life has other attempts, and nothing to say.
    Crash(usize),
    /// What is stored gets to the disk, and what waited for that is acknowledged.
    Sync,
    /// What is not on the disk is gone.
    PowerCut,
}

/// A part of the protocol that may be left out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Part {
    /// What is said of an attempt counts only where it is the one that runs.
    Fences,
    /// Every lease has a token of its own.
    Tokens,
    /// A worker does not begin again what it has begun.
    Memory,
    /// What counts is acknowledged when it is on the disk.
    Sync,
}

struct Protocol {
    without: Option<Part>,
}

impl Stored {
    /// Who runs which attempt.
    fn running(&self) -> Option<(WorkerId, Fence)> {
        let ReplicateState::Running { worker, token } = &self.replicate.state else { return None };
        Some((worker.clone(), Fence { number: AttemptNumber(self.replicate.attempts), token: *token }))
    }
}

impl World {
    /// What a worker calls itself in its present life.
    fn id(&self, worker: usize) -> WorkerId {
        WorkerId::parse(&format!("w{worker}-{}", self.workers[worker].life)).unwrap()
    }

    /// The attempt that a worker is to be running.
    fn runs_on(&self, worker: usize) -> Option<Fence> {
        self.stored.running().filter(|(owner, _)| *owner == self.id(worker)).map(|(_, attempt)| attempt)
    }

    /// Has the real state machine decide; false where it refuses.
    fn apply(&mut self, event: Event) -> bool {
        let retry = RetryPolicy { max_attempts: MAX_ATTEMPTS, ..RetryPolicy::default() };
        let was_final = self.stored.replicate.status().is_final();
        match self.stored.replicate.apply(event, &Rules { retry: &retry, now_ms: 0, jitter: 1.0 }) {
            Ok(transition) => {
                self.has_moved_on |= was_final;
                self.stored.replicate = transition.next;
                true
            }
            Err(_) => false,
        }
    }

    fn say(&mut self, worker: usize, attempt: Fence, word: Word) {
        let it = &mut self.workers[worker];
        it.last_seq += 1;
        it.outbox.push((it.last_seq, attempt, word));
        self.network.insert(Message::Event { from: worker, seq: self.workers[worker].last_seq, attempt, word });
    }

    fn begin(&mut self, to: usize, attempt: Fence) {
        self.has_begun_again |= !self.begun.insert(attempt);
        self.workers[to].begun.insert(attempt);
        self.workers[to].running.insert(attempt);
    }

    fn acknowledge(&mut self, to: usize) {
        let seq = self.stored.applied[to];
        self.has_promised |= self.stored.results.iter().any(|(from, counted)| *from == to && *counted <= seq);
        self.network.insert(Message::Ack { to, seq });
    }

    fn sync(&mut self) {
        self.synced = self.stored.clone();
        (0..WORKERS).filter(|worker| self.stored.applied[*worker] > 0).collect::<Vec<_>>().into_iter().for_each(|to| self.acknowledge(to));
    }
}

impl Protocol {
    fn has(&self, part: Part) -> bool {
        self.without != Some(part)
    }

    fn deliver(&self, world: &mut World, message: Message) {
        match message {
            Message::Lease { to, attempt } => {
                let worker = &world.workers[to];
                let is_known = worker.running.contains(&attempt) || worker.outbox.iter().any(|(_, ended, _)| *ended == attempt);
                if is_known {
                    // It was sent again because an answer was lost.
                } else if worker.begun.contains(&attempt) && self.has(Part::Memory) {
                    world.say(to, attempt, Word::HandedBack);
                } else {
                    world.begin(to, attempt);
                }
            }
            Message::Stop { to, attempt } => _ = world.workers[to].running.remove(&attempt),
            Message::Ack { to, seq } => world.workers[to].outbox.retain(|(waiting, ..)| *waiting > seq),
            Message::Event { from, seq, attempt, word } => self.take(world, from, seq, attempt, word),
        }
    }

    /// What the coordinator does with an event: once, and only if the attempt counts.
    fn take(&self, world: &mut World, from: usize, seq: u8, said_of: Fence, word: Word) {
        let waits_for_disk = world.stored.applied[from] > world.synced.applied[from];
        let mut counted = false;
        if seq > world.stored.applied[from] {
            world.stored.applied[from] = seq;
            let (said, runs) = ((world.id(from), said_of), world.stored.running());
            let (worker, attempt) = runs.clone().filter(|_| !self.has(Part::Fences)).unwrap_or_else(|| said.clone());
            counted = world.apply(match word {
                Word::Completed => Event::Complete { attempt, worker },
                Word::Panicked => Event::Fail { attempt, worker, kind: FailureKind::Panic, message: String::new() },
                Word::HandedBack => Event::HandBack { attempt, worker, reason: String::new() },
            });
            world.has_counted_stale |= counted && runs != Some(said);
            if counted && word == Word::Completed {
                world.stored.results.insert((from, seq));
            }
            if !counted {
                world.network.insert(Message::Stop { to: from, attempt: said_of });
            }
        }
        // What does not count nobody would miss.
        if !counted && !waits_for_disk || !self.has(Part::Sync) {
            world.acknowledge(from);
        }
    }

    fn reconnect(world: &mut World, worker: usize) {
        let Worker { running, outbox, .. } = world.workers[worker].clone();
        let held: BTreeSet<Fence> = running.into_iter().chain(outbox.iter().map(|(_, attempt, _)| *attempt)).collect();
        for attempt in &held {
            if world.stored.replicate.expect_running_on(*attempt, &world.id(worker)).is_err() {
                world.network.insert(Message::Stop { to: worker, attempt: *attempt });
            }
        }
        if let Some(attempt) = world.runs_on(worker).filter(|attempt| !held.contains(attempt)) {
            world.network.insert(Message::Lease { to: worker, attempt });
        }
        for (seq, attempt, word) in outbox {
            world.network.insert(Message::Event { from: worker, seq, attempt, word });
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
            if world.stored.replicate.status() == ReplicateStatus::Queued {
                steps.push(Step::Lease(worker));
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
        if world.stored.running().is_some() {
            steps.push(Step::GiveUp);
        }
        if world.stored != world.synced {
            steps.push(Step::Sync);
            if world.mishaps < MISHAPS {
                steps.push(Step::PowerCut);
            }
        }
        steps.extend(world.network.iter().flat_map(|message| [Step::Deliver(*message), Step::Lose(*message)]));
    }

    fn next_state(&self, before: &World, step: Step) -> Option<World> {
        let mut world = before.clone();
        match step {
            Step::Lease(worker) => {
                world.drawn += 1;
                let token = LeaseToken(if self.has(Part::Tokens) { world.drawn } else { 0 });
                let event = Event::Lease { worker: world.id(worker), token };
                world.apply(event);
                let number = AttemptNumber(world.stored.replicate.attempts);
                world.network.insert(Message::Lease { to: worker, attempt: Fence { number, token } });
            }
            Step::Deliver(message) => self.deliver(&mut world, message),
            Step::Lose(message) => _ = world.network.remove(&message),
            Step::End(worker, attempt, word) => {
                world.workers[worker].running.remove(&attempt);
                world.say(worker, attempt, word);
                world.mishaps += u8::from(word == Word::HandedBack);
            }
            Step::Reconnect(worker) => Self::reconnect(&mut world, worker),
            Step::GiveUp => {
                let (worker, attempt) = world.stored.running()?;
                world.apply(Event::Lose { attempt, reason: format!("{worker} is silent") });
            }
            Step::Crash(worker) => {
                // A new life has a new id; that no message of the old one reaches it is what ids are for.
                let (life, last_seq) = (world.workers[worker].life + 1, world.stored.applied[worker]);
                world.workers[worker] = Worker { life, last_seq, ..Worker::default() };
                world.network.retain(|message| !matches!(message, Message::Event { from, .. } if *from == worker));
                world.network.retain(|message| !matches!(message, Message::Lease { to, .. } | Message::Stop { to, .. } | Message::Ack { to, .. } if *to == worker));
                world.mishaps += 1;
            }
            Step::Sync => world.sync(),
            Step::PowerCut => {
                world.stored = world.synced.clone();
                world.mishaps += 1;
            }
        }
        (world != *before).then_some(world)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        vec![
            Property::always("a replicate has one result at the most", |_, world: &World| world.stored.results.len() <= 1),
            Property::always("it has a result exactly when it has completed", |_, world: &World| {
                world.stored.results.is_empty() == (world.stored.replicate.status() != ReplicateStatus::Completed)
            }),
            Property::always("a result that was acknowledged stays", |_, world: &World| {
                !world.has_promised || !world.stored.results.is_empty()
            }),
            Property::always("only what is said of the attempt that runs counts", |_, world: &World| !world.has_counted_stale),
            Property::always("no attempt begins twice", |_, world: &World| !world.has_begun_again),
            Property::always("final states are final", |_, world: &World| !world.has_moved_on),
            Property::always("faults stay within the limit", |_, world: &World| world.stored.replicate.faults <= MAX_ATTEMPTS),
            Property::sometimes("two workers believe that they run it", |_, world: &World| {
                world.workers.iter().all(|worker| !worker.running.is_empty())
            }),
            Property::sometimes("two attempts of one number run", |_, world: &World| {
                let running: Vec<_> = world.workers.iter().flat_map(|worker| &worker.running).collect();
                running.len() == 2 && running[0].number == running[1].number
            }),
            Property::sometimes("a result of a superseded attempt is refused", |_, world: &World| {
                let is_stop = |message: &Message| matches!(message, Message::Stop { attempt, .. } if attempt.number.0 == 1);
                world.stored.replicate.attempts == 2 && world.stored.results.is_empty() && world.network.iter().any(is_stop)
            }),
            Property::sometimes("it completes at the second attempt", |_, world: &World| {
                world.stored.results.len() == 1 && world.stored.replicate.attempts == 2
            }),
            Property::sometimes("it fails for good", |_, world: &World| world.stored.replicate.status() == ReplicateStatus::Failed),
        ]
    }

    fn within_boundary(&self, world: &World) -> bool {
        world.workers.iter().all(|worker| worker.last_seq <= 2) && world.network.len() <= 2 && world.drawn <= 3
    }
}

#[test]
fn every_run_of_the_protocol_keeps_its_promises() {
    let checker = Protocol { without: None }.checker().threads(2).spawn_bfs().join();
    checker.assert_properties();
    assert!(checker.unique_state_count() > 1_000_000, "only {} states", checker.unique_state_count());
}

/// Which promise is broken where a part of the protocol is left out.
#[test]
fn every_part_of_the_protocol_is_needed() {
    for (part, broken) in [
        (Part::Fences, "only what is said of the attempt that runs counts"),
        (Part::Tokens, "no attempt begins twice"),
        (Part::Memory, "no attempt begins twice"),
        (Part::Sync, "a result that was acknowledged stays"),
    ] {
        let found = HasDiscoveries::AnyOf([broken].into());
        let checker = Protocol { without: Some(part) }.checker().threads(2).finish_when(found).spawn_bfs().join();
        checker.assert_any_discovery(broken);
    }
}
