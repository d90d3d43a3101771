//! One stream of one worker: greet, take events once each, acknowledge, stop what does not count any more.

use std::{
    collections::{BTreeSet, VecDeque},
    error::Error,
    sync::Arc,
};

use tinysweep_proto::{
    PROTOCOL_VERSION, config,
    v1::{Ack, CoordinatorCommand, Hello, Ping, Stop, Welcome, WorkerEvent, coordinator_command::Command, worker_event::Event},
};
use tokio::{
    sync::oneshot,
    time::{Instant, interval, timeout},
};
use tonic::{Status, Streaming};
use tracing::{info, warn};

use super::{convert, status::ServiceError};
use crate::{
    domain::{
        cost::Cost,
        failure::FailureKind,
        fleet::Member,
        ids::{AttemptKey, WorkerId},
    },
    live::LiveProgress,
    reconcile,
    sessions::{CommandSender, Generation, Opened},
    shared::Shared,
    store::{Applied, Greeting, LeaseContent, Report, StoreError},
};

/// Acknowledgements of one worker that wait for the disk, or for the worker to read.
const WAITING_LIMIT: usize = 1024;

/// Serves one stream to its end.
pub async fn run(shared: Arc<Shared>, mut events: Streaming<WorkerEvent>, commands: CommandSender) {
    let greeted = tokio::select! {
        biased;
        greeted = greet(&shared, &mut events, &commands) => greeted,
        () = shared.stopped() => Err(stopping()),
    };
    let ended = match greeted {
        Ok((mut session, ended)) => session.serve(&mut events, ended).await,
        Err(status) => Some(status),
    };
    if let Some(status) = ended {
        // A worker that has gone, or does not read, will not read this either.
        let _ = commands.try_send(Err(status));
    }
}

fn stopping() -> Status {
    Status::unavailable("the coordinator shuts down; it goes on when it is back")
}

/// Takes the first message, which must be a hello, and opens the session.
async fn greet(
    shared: &Arc<Shared>,
    events: &mut Streaming<WorkerEvent>,
    commands: &CommandSender,
) -> Result<(Session, oneshot::Receiver<Status>), Status> {
    let first = timeout(shared.lease, events.message()).await.map_err(|_| Status::deadline_exceeded("no hello came"))??;
    let Some(WorkerEvent { event: Some(Event::Hello(hello)), .. }) = first else {
        return Err(ServiceError::invalid("event", "a session begins with Hello").into());
    };
    let (greeting, running) = check(hello)?;
    let Opened { generation, ended, replaced } = open(shared, &greeting, running, commands).await.map_err(Status::from)?;
    let Greeting { id: worker, name, version, slots, .. } = greeting;
    info!(%worker, name, version, slots, replaced, "worker joined");
    shared.wake.notify_one();
    Ok((
        Session { shared: shared.clone(), worker, generation, commands: commands.clone(), taken: VecDeque::new(), is_compared: false },
        ended,
    ))
}

fn check(hello: Hello) -> Result<(Greeting, Vec<AttemptKey>), ServiceError> {
    if hello.protocol_version != PROTOCOL_VERSION {
        return Err(ServiceError::Protocol { ours: PROTOCOL_VERSION, theirs: hello.protocol_version });
    }
    convert::hello(hello)
}

/// Welcomes the worker, hands it again what never arrived, and stops what does not count any more.
async fn open(shared: &Shared, greeting: &Greeting, claimed: Vec<AttemptKey>, commands: &CommandSender) -> Result<Opened, ServiceError> {
    // No lease is decided meanwhile: each is either among those that are read here, or sent to the new stream.
    let _turn = shared.dispatch.lock().await;
    let health = shared.machine.disk(shared.store.greet(greeting, shared.machine.now_ms())).await?;
    let leased = shared.machine.disk(shared.store.running_on(&greeting.id)).await?;
    let taken = shared.machine.disk(shared.store.taken_slots()).await?.remove(&greeting.id).unwrap_or(0);
    let mut first = vec![Command::Welcome(Welcome {
        heartbeat_secs: shared.heartbeat.as_secs().try_into().unwrap_or(u32::MAX),
        lease_secs: shared.lease.as_secs().try_into().unwrap_or(u32::MAX),
    })];
    let claimed: BTreeSet<_> = claimed.into_iter().collect();
    for attempt in leased.iter().filter(|attempt| !claimed.contains(attempt)) {
        info!(%attempt, worker = %greeting.id, "lease sent again; the worker does not know it");
        first.push(reconcile::lease(attempt, shared.machine.disk(shared.store.lease_content(&attempt.replicate)).await?));
    }
    for attempt in &claimed {
        if let Some(refusal) = shared.machine.disk(shared.store.refusal(&greeting.id, attempt)).await? {
            info!(%attempt, worker = %greeting.id, reason = %refusal, "attempt stopped; it does not count any more");
            first.push(stop(attempt, refusal.to_string()));
        }
    }
    let member = Member { slots: greeting.slots, traits: Arc::new(greeting.traits.clone()), health, drains: false };
    let opened = shared.sessions.open(&greeting.id, member, taken, commands.clone(), Instant::now());
    for command in first {
        // In a new channel there is room for as many as a worker has slots; one that claims more is cut off.
        shared.sessions.send(&greeting.id, command);
    }
    Ok(opened)
}

/// The command that ends an attempt on its worker.
pub fn stop(attempt: &AttemptKey, reason: String) -> Command {
    Command::Stop(Stop { attempt: Some(convert::attempt_ref(attempt)), reason })
}

struct Session {
    shared: Arc<Shared>,
    worker: WorkerId,
    generation: Generation,
    commands: CommandSender,
    /// Events that were stored or dropped and are not acknowledged, each with the ticket after which it is on the disk; 0 where nobody
    /// would miss it.
    taken: VecDeque<(u64, u64)>,
    /// Its model has been held against a configuration.
    is_compared: bool,
}

/// What an event does to the session.
enum Next {
    Continue,
    /// The worker said goodbye.
    Left,
}

impl Session {
    /// Serves events until the stream ends; the status with which to end it, where the worker is still there to read it.
    async fn serve(&mut self, events: &mut Streaming<WorkerEvent>, mut ended: oneshot::Receiver<Status>) -> Option<Status> {
        let mut ping = interval(self.shared.heartbeat);
        let shared = self.shared.clone();
        let stopped = shared.stopped();
        tokio::pin!(stopped);
        let mut synced = shared.durability.synced();
        let status = loop {
            tokio::select! {
                biased;
                () = &mut stopped => break Some(stopping()),
                status = &mut ended => break Some(status.unwrap_or_else(|_| Status::aborted("the session was closed"))),
                _ = ping.tick() => self.send(Command::Ping(Ping {})),
                () = shared.durability.reaches(synced + 1), if !self.taken.is_empty() => {}
                event = events.message() => match event {
                    Ok(Some(event)) => match self.take(event).await {
                        Ok(Next::Continue) => {}
                        Ok(Next::Left) => return None,
                        Err(error) => break Some(error.into()),
                    },
                    Ok(None) => break None,
                    Err(status) if status.source().is_none() => {
                        break Some(ServiceError::invalid("event", format!("cannot be read: {}", status.message())).into());
                    }
                    Err(status) => {
                        info!(worker = %self.worker, reason = status.message(), "connection to the worker lost");
                        break None;
                    }
                },
            }
            synced = shared.durability.synced();
            self.acknowledge(synced);
        };
        self.shared.sessions.broke(&self.worker, self.generation);
        info!(worker = %self.worker, reason = status.as_ref().map_or("stream closed", Status::message), "session ended");
        status
    }

    /// A worker that does not read its acknowledgements makes them wait; the newest stands for those before it, so that few wait.
    fn note_taken(&mut self, seq: u64, ticket: u64) {
        if self.taken.len() >= WAITING_LIMIT || self.taken.back().is_some_and(|(_, last)| *last == 0 && ticket == 0) {
            self.taken.pop_back();
        }
        self.taken.push_back((seq, ticket));
    }

    /// Acknowledges what is on the disk. An acknowledgement that finds no room goes with a later one, so that a worker which sends much and
    /// reads little and this side never wait for each other.
    fn acknowledge(&mut self, synced: u64) {
        if self.commands.capacity() == 0 {
            return;
        }
        let mut last = None;
        while let Some((seq, _)) = self.taken.pop_front_if(|(_, ticket)| *ticket <= synced) {
            last = Some(seq);
        }
        if let Some(seq) = last {
            self.send(Command::Ack(Ack { seq }));
        }
    }

    fn send(&self, command: Command) {
        // Where there is no room the stream is about to be cut off; what was not sent is sent again in the next session.
        let _ = self.commands.try_send(Ok(CoordinatorCommand { command: Some(command) }));
    }

    async fn take(&mut self, event: WorkerEvent) -> Result<Next, ServiceError> {
        if !self.shared.sessions.heard(&self.worker, self.generation, Instant::now()) {
            return Ok(Next::Continue); // a newer stream speaks for this worker; it sends again what is not acknowledged
        }
        let WorkerEvent { seq, event } = event;
        match event.ok_or_else(|| ServiceError::invalid("event", "is empty"))? {
            Event::Heartbeat(_) => Ok(Next::Continue),
            Event::Hello(_) => Err(ServiceError::invalid("event", "a session has one Hello, the first message")),
            Event::Goodbye(_) => self.goodbye(numbered(seq)?).await,
            Event::Progress(mut message) => {
                let attempt = convert::attempt_key(message.attempt.take())?;
                let cost = believable(&attempt, message.cost.take());
                let (progress, live, left_out) = convert::progress(message, cost)?;
                if left_out > 0 {
                    warn!(%attempt, left_out, "metric points without a finite value or a proper name were left out");
                }
                self.report(numbered(seq)?, &attempt, &Report::Progress(progress), Some(live)).await
            }
            Event::Completed(mut message) => {
                let attempt = convert::attempt_key(message.attempt.take())?;
                let cost = believable(&attempt, message.cost.take());
                self.report(numbered(seq)?, &attempt, &convert::completed(message, cost), None).await
            }
            Event::Failed(mut message) => {
                let attempt = convert::attempt_key(message.attempt.take())?;
                let cost = believable(&attempt, message.cost.take());
                self.report(numbered(seq)?, &attempt, &convert::failed(&message, cost), None).await
            }
            Event::HandedBack(mut message) => {
                let attempt = convert::attempt_key(message.attempt.take())?;
                let cost = believable(&attempt, message.cost.take());
                self.report(numbered(seq)?, &attempt, &convert::handed_back(&message, cost), None).await
            }
            Event::Checkpointed(mut message) => {
                let attempt = convert::attempt_key(message.attempt.take())?;
                let checkpoint = convert::checkpoint(message)?;
                let report = match self.missing_chunk(&checkpoint.chunks).await? {
                    None => Report::Checkpointed(checkpoint),
                    Some(chunk) => Report::Logged(vec![format!(
                        "the checkpoint of step {} was dropped: nobody has put its chunk {chunk}",
                        checkpoint.step
                    )]),
                };
                self.report(numbered(seq)?, &attempt, &report, None).await
            }
            Event::LogLines(mut message) => {
                let attempt = convert::attempt_key(message.attempt.take())?;
                self.report(numbered(seq)?, &attempt, &convert::log_lines(message)?, None).await
            }
            Event::Draining(_) => {
                info!(worker = %self.worker, "worker drains: it takes no more leases");
                self.shared.sessions.drains(&self.worker);
                Ok(Next::Continue)
            }
        }
    }

    /// A checkpoint that lacks a chunk would be found out only when someone has to go on from it.
    async fn missing_chunk(&self, chunks: &[String]) -> Result<Option<String>, ServiceError> {
        for chunk in chunks {
            if self.shared.machine.disk(self.shared.artifacts.touch(chunk)).await?.is_none() {
                return Ok(Some(chunk.clone()));
            }
        }
        Ok(None)
    }

    async fn report(&mut self, seq: u64, attempt: &AttemptKey, report: &Report, live: Option<LiveProgress>) -> Result<Next, ServiceError> {
        let shared = self.shared.clone();
        let Shared { machine, store, sessions, .. } = &*shared;
        // With a result goes the next lease, in one write. Where someone else leases at this moment there is much to do, and the reconciler
        // leases for all who have become free meanwhile at once.
        let deciding = matches!(report, Report::Completed(_)).then(|| shared.dispatch.try_lock().ok()).flatten();
        let room = deciding.as_ref().map(|_| reconcile::room(&shared, Some(&self.worker)));
        let applied = machine.disk(store.apply(&self.worker, seq, attempt, report, room, machine.moment())).await?;
        // What was taken before may not be on the disk yet; what does not count nobody would miss.
        let must_survive = report.must_survive() && !matches!(applied, Applied::Dropped(_));
        let ticket = if must_survive { shared.durability.ticket() } else { 0 };
        self.note_taken(seq, ticket);
        match (applied, live) {
            (Applied::Counted { .. }, Some(live)) => shared.live.report(attempt, live),
            (Applied::Duplicate, _) => {}
            (Applied::Counted { freed, leased }, None) => match report {
                Report::Progress(_) | Report::Checkpointed(_) | Report::Logged(_) => {}
                Report::HandedBack { reason, .. } => {
                    info!(%attempt, worker = %self.worker, reason, "attempt handed back");
                    self.freed(attempt, freed);
                }
                Report::Failed { kind, message, .. } => {
                    warn!(%attempt, worker = %self.worker, kind = kind.label(), message, "attempt failed");
                    self.judge(Some((*kind, message))).await?;
                    self.freed(attempt, freed);
                }
                Report::Completed(outcome) => {
                    info!(%attempt, worker = %self.worker, wall_seconds = outcome.wall_seconds, "attempt completed");
                    match deciding {
                        Some(_turn) => {
                            sessions.free(&self.worker, freed);
                            shared.live.forget(attempt);
                            reconcile::hand_out(&shared, leased);
                        }
                        None => self.freed(attempt, freed),
                    }
                    self.judge(None).await?;
                    self.compare_parameters(attempt, outcome.parameters).await?;
                }
            },
            (Applied::Rejected { problem, freed }, _) => {
                warn!(%attempt, worker = %self.worker, problem, "a result that cannot stand was taken as a failure");
                self.freed(attempt, freed);
            }
            (Applied::Dropped(refusal), _) => {
                info!(%attempt, worker = %self.worker, reason = %refusal, "a report was dropped; its attempt does not count any more");
                self.send(stop(attempt, refusal.to_string()));
            }
        }
        Ok(Next::Continue)
    }

    /// A model of another size than its configuration says is not the model that was asked for. A worker's first result shows whether its
    /// program makes other models; to look at each would cost a tenth of what a trial costs here.
    async fn compare_parameters(&mut self, attempt: &AttemptKey, counted: u64) -> Result<(), ServiceError> {
        if self.is_compared {
            return Ok(());
        }
        let content = self.shared.machine.disk(self.shared.store.lease_content(&attempt.replicate)).await?;
        let LeaseContent { config_json, dataset: Some(dataset), .. } = content else {
            return Ok(()); // a program is what it is
        };
        self.is_compared = true;
        let expected = config::parse(&config_json).map(|config| config::size(&config, &dataset.shape()).parameters);
        if expected != Ok(counted) {
            warn!(%attempt, worker = %self.worker, counted, ?expected, "the worker counts other parameters than the configuration has");
        }
        Ok(())
    }

    /// Slots are free again.
    fn freed(&self, attempt: &AttemptKey, slots: u32) {
        self.shared.sessions.free(&self.worker, slots);
        self.shared.live.forget(attempt);
        self.shared.wake.notify_one();
    }

    /// Notes what the end of an attempt says about the worker. Most ends are results of a worker that has only had results; they change
    /// nothing, and cost nothing.
    async fn judge(&self, failure: Option<(FailureKind, &str)>) -> Result<(), ServiceError> {
        if failure.is_none() && self.shared.sessions.is_spotless(&self.worker) {
            return Ok(());
        }
        let now_ms = self.shared.machine.now_ms();
        let health = self.shared.machine.disk(self.shared.store.judge(&self.worker, failure, now_ms)).await?;
        if let Some(reason) = health.quarantine(now_ms) {
            warn!(worker = %self.worker, reason, "worker gets no work for a while");
        }
        self.shared.sessions.judge(&self.worker, health);
        self.shared.wake.notify_one(); // a result ends a quarantine
        Ok(())
    }

    /// The worker leaves: what it still runs is queued again at once.
    async fn goodbye(&mut self, seq: u64) -> Result<Next, ServiceError> {
        self.take_all_back(seq).await?;
        info!(worker = %self.worker, "worker left");
        self.shared.wake.notify_one();
        // The last acknowledgement stands for all before it.
        let ticket = self.shared.durability.ticket();
        if timeout(self.shared.heartbeat, self.shared.durability.reaches(ticket)).await.is_ok() {
            self.send(Command::Ack(Ack { seq }));
        }
        Ok(Next::Left)
    }

    async fn take_all_back(&self, seq: u64) -> Result<(), ServiceError> {
        let _turn = self.shared.dispatch.lock().await;
        let Shared { machine, store, .. } = &*self.shared;
        for attempt in machine.disk(store.running_on(&self.worker)).await? {
            match machine.disk(store.take_back(&attempt, &self.worker, "its worker left", machine.moment())).await {
                Ok(()) | Err(StoreError::Refused(_)) => self.shared.live.forget(&attempt), // refused: it has ended in the meantime
                Err(error) => return Err(error.into()),
            }
        }
        machine.disk(store.apply_goodbye(&self.worker, seq, machine.now_ms())).await?;
        self.shared.sessions.forget(&self.worker, Status::ok("goodbye"));
        Ok(())
    }
}

/// What an attempt has cost by its worker's word. A cost that cannot be is left out, and the rest of the report stands.
fn believable(attempt: &AttemptKey, message: Option<Cost>) -> Option<Cost> {
    convert::cost(message).unwrap_or_else(|problem| {
        warn!(%attempt, problem, "a cost that cannot be was left out");
        None
    })
}

/// The number of an event that must have one.
fn numbered(seq: u64) -> Result<u64, ServiceError> {
    if seq == 0 { Err(ServiceError::invalid("seq", "counts from 1")) } else { Ok(seq) }
}
