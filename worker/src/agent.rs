//! A worker's side of its session with the coordinator: register, take leases, report, obey, leave.
//!
//! Knows no tensor. When the connection is lost the trials go on; the agent connects again, says what it still runs,
//! and sends what the coordinator has not acknowledged.

use std::{
    collections::{BTreeMap, HashMap, VecDeque},
    future::Future,
    pin::Pin,
    sync::Arc,
    time::Duration,
};

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use tinysweep_proto::{
    PROTOCOL_VERSION,
    address::Address,
    connect::{Connection, Unreachable, connect},
    v1::{AttemptRef, CoordinatorCommand, Goodbye, HandedBack, Hello, Lease, Stop, coordinator_command::Command, worker_event::Event},
};
use tokio::{
    sync::{mpsc, watch},
    time::{Instant, sleep, timeout},
};
use tonic::{Code, Status, Streaming};
use tracing::{info, warn};

use crate::{
    assignment::{Order, Orders, Trainers},
    attempt::{self, Surroundings},
    datasets::Datasets,
    device::DeviceName,
    folders::Folders,
    leave::{Leave, Leaving},
    outbox::Outbox,
    program::{self, Programs},
    wire::Wire,
};

/// What a worker is told when it starts.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The coordinator to join.
    pub coordinator: Address,
    /// For people; unique names are easier to tell apart, but nothing depends on it.
    pub name: String,
    /// Of this machine, for people.
    pub host: String,
    /// Attempts to run at once.
    pub slots: usize,
    /// Where models are computed.
    pub device: DeviceName,
    /// Where data sets are kept, as trainers expect them.
    pub folders: Folders,
    /// What its owner says of it, as `gpu=a100`; sweeps can ask for them.
    pub labels: BTreeMap<String, String>,
    /// Memory of the device; 0 where it is not known.
    pub memory_mib: u64,
    /// Attempts after which the worker leaves; none for no limit.
    pub count: Option<u64>,
    /// How it runs programs; none where its owner allows none.
    pub programs: Option<program::Settings>,
}

/// Attempts that a worker remembers to have begun. A power cut takes the coordinator's last milliseconds, and what ended in these is among
/// the last that began.
const REMEMBERED: usize = 1000;

/// Connects to a coordinator.
pub type Connect = Box<dyn Fn(Address) -> Pin<Box<dyn Future<Output = Result<Connection, Unreachable>> + Send>> + Send + Sync>;

/// How a worker reaches its coordinator, and what it draws numbers from. A simulation has other means than a process.
pub struct Means {
    /// Connects to the coordinator.
    pub connect: Connect,
    /// What the worker draws comes from this: its id, and how long it waits before it connects again.
    pub seed: u64,
}

impl Default for Means {
    fn default() -> Self {
        Self { connect: Box::new(|address| Box::pin(async move { connect(&address).await })), seed: rand::random() }
    }
}

/// Why a worker ended other than by being told to.
#[derive(Debug, thiserror::Error)]
pub enum AgentError {
    /// The first connection failed; later ones are tried again for ever.
    #[error(transparent)]
    Unreachable(#[from] Unreachable),
    /// The coordinator will not have this worker.
    #[error("the coordinator refuses this worker: {0}")]
    Refused(String),
}

/// How one connection ended.
enum SessionEnd {
    /// By this side's wish.
    Left,
    /// The coordinator refuses; it would again.
    Refused(String),
    /// It broke; the next may hold.
    Lost(String),
}

/// Works for the coordinator, by means of `trainers`, until `leave` says otherwise or as many attempts as it is to run have ended.
///
/// # Errors
/// The first connection fails, or the coordinator refuses the worker.
pub async fn run(settings: Settings, trainers: Arc<dyn Trainers>, leave: watch::Receiver<Leave>) -> Result<(), AgentError> {
    run_by(Means::default(), settings, trainers, leave).await
}

/// The same by other means.
///
/// # Errors
/// As [`run`].
pub async fn run_by(
    means: Means,
    settings: Settings,
    trainers: Arc<dyn Trainers>,
    leave: watch::Receiver<Leave>,
) -> Result<(), AgentError> {
    let Means { connect, seed } = means;
    let address = settings.coordinator.clone();
    let mut agent = Agent::new(settings, trainers, leave, seed);
    let mut connection: Result<Connection, Unreachable> = Ok(connect(address.clone()).await?);
    let mut failures = 0;
    loop {
        let lost = match connection {
            Ok(connection) => {
                let end = agent.session(connection).await;
                if agent.was_welcome {
                    failures = 0;
                }
                match end {
                    SessionEnd::Left => return Ok(()),
                    SessionEnd::Refused(reason) => return Err(AgentError::Refused(reason)),
                    SessionEnd::Lost(reason) => reason,
                }
            }
            Err(unreachable) => unreachable.to_string(),
        };
        let pause = backoff(failures, agent.rng.random_range(0.5..1.0));
        failures += 1;
        warn!(reason = %lost, pause_ms = pause.as_millis() as u64, "connection to the coordinator lost; trials go on, connecting again");
        if agent.pause(pause).await.is_break() {
            return Ok(());
        }
        connection = connect(address.clone()).await;
    }
}

/// Doubles from a quarter of a second to ten seconds; `jitter` from ½ to 1 keeps a fleet from knocking all at once.
fn backoff(failures: u32, jitter: f64) -> Duration {
    Duration::from_millis(250 << failures.min(6)).min(Duration::from_secs(10)).mul_f64(jitter)
}

/// An attempt that runs here.
struct Running {
    orders: Orders,
    /// Slots that it takes.
    slots: usize,
}

struct Agent {
    settings: Settings,
    /// The same over reconnects, another one after a restart: what an earlier life ran is lost with it.
    worker_id: String,
    outbox: Outbox,
    running: HashMap<AttemptRef, Running>,
    surroundings: Arc<Surroundings>,
    says: mpsc::UnboundedSender<(AttemptRef, Event)>,
    said: mpsc::UnboundedReceiver<(AttemptRef, Event)>,
    /// What this side wishes, and how far that is.
    leave: watch::Receiver<Leave>,
    leaving: Leaving,
    /// Attempts that were taken.
    taken: u64,
    /// The last of them, the newest first.
    begun: VecDeque<AttemptRef>,
    /// Whether the last connection got as far as a welcome.
    was_welcome: bool,
    rng: ChaCha8Rng,
}

impl Agent {
    fn new(settings: Settings, trainers: Arc<dyn Trainers>, leave: watch::Receiver<Leave>, seed: u64) -> Self {
        let (says, said) = mpsc::unbounded_channel();
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let programs = settings.programs.clone();
        let programs = programs.map(|programs| Arc::new(Programs::new(programs, settings.slots, settings.folders.clone())));
        let surroundings =
            Surroundings { datasets: Datasets::new(settings.folders.clone()), trainers, host: settings.host.clone(), programs };
        Self {
            worker_id: format!("{:016x}", rng.random::<u64>()),
            outbox: Outbox::default(),
            running: HashMap::new(),
            surroundings: Arc::new(surroundings),
            says,
            said,
            leave,
            leaving: Leaving::default(),
            taken: 0,
            begun: VecDeque::new(),
            was_welcome: false,
            rng,
            settings,
        }
    }

    fn hello(&self) -> Hello {
        let mut unfinished: Vec<_> = self.running.keys().chain(self.outbox.ended_attempts()).cloned().collect();
        // In an order that depends on nothing else.
        unfinished.sort_by(|a, b| (&a.sweep, a.trial, a.replicate, a.attempt).cmp(&(&b.sweep, b.trial, b.replicate, b.attempt)));
        Hello {
            protocol_version: PROTOCOL_VERSION,
            worker_id: self.worker_id.clone(),
            name: self.settings.name.clone(),
            slots: self.settings.slots as u32,
            version: env!("CARGO_PKG_VERSION").into(),
            running: unfinished,
            labels: self.settings.labels.clone().into_iter().collect(),
            device: self.settings.device.kind().into(),
            memory_mib: self.settings.memory_mib,
            commands: self.settings.programs.is_some(),
        }
    }

    /// Waits without a connection; trials go on and their reports are kept.
    async fn pause(&mut self, pause: Duration) -> std::ops::ControlFlow<()> {
        let deadline = sleep(pause);
        tokio::pin!(deadline);
        loop {
            tokio::select! {
                biased; // trials that say very much must not keep the worker from connecting
                () = &mut deadline => return std::ops::ControlFlow::Continue(()),
                Ok(()) = self.leave.changed() => self.note_wish(None),
                Some((attempt, event)) = self.said.recv() => self.note(&attempt, event),
            }
            if self.is_time_to_leave() {
                return std::ops::ControlFlow::Break(());
            }
        }
    }

    /// One connection, from hello to its end.
    async fn session(&mut self, connection: Connection) -> SessionEnd {
        self.was_welcome = false;
        let (mut wire, mut commands) = match Wire::open(&connection, self.hello()).await {
            Ok(opened) => opened,
            Err(status) => return classify(&status),
        };
        self.outbox.reconnected();
        loop {
            if self.is_time_to_leave() {
                self.say_goodbye(&mut wire, &mut commands).await;
                return SessionEnd::Left;
            }
            // Waited for beside all else: a coordinator that takes nothing keeps this side neither from leaving nor from noticing.
            let room = wire.room();
            tokio::select! {
                biased; // what comes from the coordinator is bounded by what is said to it, so that nothing below waits for long
                Ok(()) = self.leave.changed() => self.note_wish(Some(&mut wire)),
                command = commands.message() => match command {
                    Ok(Some(CoordinatorCommand { command: Some(command) })) => {
                        wire.heard();
                        self.obey(command, &mut wire, &connection);
                    }
                    Ok(Some(CoordinatorCommand { command: None })) => wire.heard(),
                    Ok(None) => return SessionEnd::Lost("the coordinator closed the stream".into()),
                    Err(status) => return classify(&status),
                },
                _ = wire.heartbeat.tick() => {
                    if wire.is_silent() {
                        return SessionEnd::Lost("the coordinator has been silent for too long".into());
                    }
                    wire.beat();
                }
                room = room, if self.outbox.has_unsent() => {
                    let Ok(room) = room else {
                        // The stream's own status, read next, says why nobody takes events any more.
                        return commands.message().await.map_or_else(|status| classify(&status), |_| SessionEnd::Lost("stream closed".into()));
                    };
                    if let Some(event) = self.outbox.next_unsent() {
                        room.send(event);
                    }
                }
                Some((attempt, event)) = self.said.recv() => self.note(&attempt, event),
            }
        }
    }

    /// Takes note of this side's wish to leave.
    fn note_wish(&mut self, wire: Option<&mut Wire>) {
        let level = *self.leave.borrow_and_update();
        self.begin_to_leave(level, wire);
    }

    fn begin_to_leave(&mut self, level: Leave, wire: Option<&mut Wire>) {
        let Some(level) = self.leaving.raise(level, Instant::now()) else { return };
        info!(?level, running = self.running.len(), "about to leave; no further leases are taken");
        if let Some(wire) = wire {
            wire.say_draining();
        }
        if level == Leave::HandBack {
            self.running.values().for_each(|running| running.orders.give(Order::HandBack));
        }
    }

    fn is_time_to_leave(&self) -> bool {
        self.leaving.is_time(self.running.is_empty() && self.outbox.is_empty(), Instant::now())
    }

    fn obey(&mut self, command: Command, wire: &mut Wire, connection: &Connection) {
        match command {
            Command::Welcome(welcome) => {
                self.was_welcome = true;
                info!(coordinator = %self.settings.coordinator.url(), slots = self.settings.slots, "joined");
                wire.welcomed(&welcome);
                if !self.leaving.takes_work() {
                    wire.say_draining(); // this session does not know yet
                }
            }
            Command::Ack(ack) => self.outbox.acknowledge(ack.seq),
            Command::Lease(lease) => self.take(lease, connection, wire),
            Command::Stop(stop) => self.stop(&stop),
            Command::Drain(drain) => {
                info!(reason = drain.reason, "told to leave");
                self.begin_to_leave(Leave::HandBack, Some(wire));
            }
            Command::Ping(_) => {}
        }
    }

    fn take(&mut self, mut lease: Lease, connection: &Connection, wire: &mut Wire) {
        let Some(attempt) = lease.attempt.clone() else {
            warn!("the coordinator sent a lease without a name; ignored");
            return;
        };
        if self.running.contains_key(&attempt) || self.outbox.ended_attempts().any(|ended| *ended == attempt) {
            return; // sent again because an answer was lost
        }
        let slots = lease.slots.max(1) as usize;
        if let Some(reason) = self.objection(&attempt, slots) {
            warn!(trial = attempt.trial, reason, "a lease is handed back");
            self.outbox.push(Event::HandedBack(HandedBack { attempt: Some(attempt), reason: reason.into(), cost: None }));
            return;
        }
        info!(sweep = attempt.sweep, trial = attempt.trial, replicate = attempt.replicate, attempt = attempt.attempt, "leased");
        if self.settings.device != DeviceName::Cpu {
            lease.memory_mib = 0; // it is of the device's memory, and what a process takes of the machine's is another matter
        }
        let orders = Orders::default();
        self.running.insert(attempt.clone(), Running { orders: orders.clone(), slots });
        self.begun.truncate(REMEMBERED - 1);
        self.begun.push_front(attempt.clone());
        tokio::spawn(attempt::run(attempt, lease, connection.clone(), self.surroundings.clone(), orders, self.says.clone()));
        self.taken += 1;
        if self.settings.count.is_some_and(|count| self.taken >= count) {
            self.begin_to_leave(Leave::WhenDone, Some(wire));
        }
    }

    /// Why an attempt cannot run here.
    fn objection(&self, attempt: &AttemptRef, slots: usize) -> Option<&'static str> {
        if self.begun.contains(attempt) {
            Some("it has ended on its worker, and a power cut has taken that from the coordinator")
        } else if !self.leaving.takes_work() {
            Some("its worker is about to leave")
        } else if self.taken_slots() + slots > self.settings.slots {
            Some("its worker has no slot free")
        } else {
            None
        }
    }

    fn taken_slots(&self) -> usize {
        self.running.values().map(|running| running.slots).sum()
    }

    fn stop(&mut self, stop: &Stop) {
        let Some(attempt) = &stop.attempt else { return };
        if let Some(running) = self.running.remove(attempt) {
            info!(sweep = attempt.sweep, trial = attempt.trial, reason = stop.reason, "told to stop");
            running.orders.give(Order::Stop);
        }
    }

    /// Notes what an attempt says; one that was told to stop has nothing more to say.
    fn note(&mut self, attempt: &AttemptRef, event: Event) {
        if !self.running.contains_key(attempt) {
            return;
        }
        if let Event::Failed(failed) = &event {
            warn!(sweep = attempt.sweep, trial = attempt.trial, reason = failed.message, "trial failed");
        }
        if matches!(event, Event::Completed(_) | Event::Failed(_) | Event::HandedBack(_)) {
            self.running.remove(attempt);
        }
        self.outbox.push(event);
    }

    /// Says goodbye, so that others take over at once, and gives the coordinator two seconds to acknowledge.
    async fn say_goodbye(&mut self, wire: &mut Wire, commands: &mut Streaming<CoordinatorCommand>) {
        info!(running = self.running.len(), "leaving; what runs here is handed back");
        self.running.values().for_each(|running| running.orders.give(Order::Stop));
        self.running.clear();
        self.outbox.push(Event::Goodbye(Goodbye {}));
        let acknowledged = async {
            while !self.outbox.is_empty() && wire.flush(&mut self.outbox).await.is_ok() {
                match commands.message().await {
                    Ok(Some(CoordinatorCommand { command: Some(Command::Ack(ack)) })) => self.outbox.acknowledge(ack.seq),
                    Ok(Some(_)) => {}
                    Ok(None) | Err(_) => return,
                }
            }
        };
        if timeout(Duration::from_secs(2), acknowledged).await.is_err() {
            warn!("the coordinator did not acknowledge the goodbye; it will notice the silence");
        }
    }
}

/// A refusal that would come again must end the worker; anything else is worth another try.
fn classify(status: &Status) -> SessionEnd {
    match status.code() {
        Code::FailedPrecondition | Code::Unauthenticated | Code::PermissionDenied | Code::InvalidArgument | Code::Unimplemented => {
            SessionEnd::Refused(status.message().to_owned())
        }
        code => SessionEnd::Lost(format!("{code:?}: {}", status.message())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn backoff_doubles_up_to_ten_seconds() {
        assert_eq!(backoff(0, 1.0), Duration::from_millis(250));
        assert_eq!(backoff(3, 0.5), Duration::from_secs(1));
        assert_eq!(backoff(60, 1.0), Duration::from_secs(10));
    }

    #[test]
    fn only_lasting_refusals_end_a_worker() {
        assert!(matches!(classify(&Status::failed_precondition("version")), SessionEnd::Refused(_)));
        assert!(matches!(classify(&Status::unavailable("restarting")), SessionEnd::Lost(_)));
        assert!(matches!(classify(&Status::aborted("newer session")), SessionEnd::Lost(_)));
    }
}
