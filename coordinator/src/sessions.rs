//! Workers that can be reached, and when each was last heard.
//!
//! A worker whose stream broke stays known until its lease runs out: it may come back and go on.

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard},
    time::Duration,
};

use tinysweep_proto::v1::{CoordinatorCommand, coordinator_command::Command};
use tokio::{
    sync::{mpsc, oneshot},
    time::Instant,
};
use tonic::Status;

use crate::domain::{
    fleet::{Available, Fleet, Member, WorkerLoad},
    health::Health,
    ids::WorkerId,
};

/// Commands that wait for a worker to read them; one that lets more come together does not read.
const COMMANDS_WAITING: usize = 1024;

/// The two ends of the channel that carries commands to one worker.
pub type CommandSender = mpsc::Sender<Result<CoordinatorCommand, Status>>;
/// See [`CommandSender`].
pub type CommandReceiver = mpsc::Receiver<Result<CoordinatorCommand, Status>>;

/// A channel to one worker.
pub fn command_channel() -> (CommandSender, CommandReceiver) {
    mpsc::channel(COMMANDS_WAITING)
}

/// Names one stream of a worker among its streams.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Generation(u64);

/// What a new stream gets.
pub struct Opened {
    /// To name the stream by.
    pub generation: Generation,
    /// Yields a status when the stream must end.
    pub ended: oneshot::Receiver<Status>,
    /// Whether an older stream of the same worker had to end for it.
    pub replaced: bool,
}

#[derive(Debug)]
struct Link {
    generation: Generation,
    commands: CommandSender,
    end: oneshot::Sender<Status>,
}

#[derive(Debug)]
struct Known {
    last_heard: Instant,
    link: Option<Link>,
}

#[derive(Debug, Default)]
struct Registry {
    workers: HashMap<WorkerId, Known>,
    /// Those of them that have a link. The slots that are taken are counted here, since every lease depends on them, and set right by the
    /// store's count every second or so.
    fleet: Fleet,
    generations: u64,
}

/// All workers that count as connected.
#[derive(Debug, Default)]
pub struct Sessions(Mutex<Registry>);

impl Sessions {
    fn lock(&self) -> MutexGuard<'_, Registry> {
        self.0.lock().expect("no holder of this lock can panic: it only moves values")
    }

    /// Waits for a worker that an earlier process of this coordinator knew, as if it had been heard at `now`.
    pub fn expect(&self, worker: WorkerId, now: Instant) {
        self.lock().workers.entry(worker).or_insert(Known { last_heard: now, link: None });
    }

    /// Takes over a worker, `taken` of whose slots are, for a new stream. An older one of the same worker ends.
    pub fn open(&self, worker: &WorkerId, member: Member, taken: u32, commands: CommandSender, now: Instant) -> Opened {
        let mut registry = self.lock();
        registry.generations += 1;
        let generation = Generation(registry.generations);
        let (end, ended) = oneshot::channel();
        let known = Known { last_heard: now, link: Some(Link { generation, commands, end }) };
        let older = registry.workers.insert(worker.clone(), known).and_then(|known| known.link);
        registry.fleet.join(worker, member, taken);
        drop(registry);
        let replaced = older.is_some();
        if let Some(link) = older {
            // A stream that has ended by itself needs no status.
            let _ = link.end.send(Status::aborted("a newer session of this worker exists"));
        }
        Opened { generation, ended, replaced }
    }

    /// Notes that a worker spoke at `now`; false where this stream is not the worker's any more.
    pub fn heard(&self, worker: &WorkerId, generation: Generation, now: Instant) -> bool {
        let mut registry = self.lock();
        match registry.workers.get_mut(worker) {
            Some(known) if known.link.as_ref().is_some_and(|link| link.generation == generation) => {
                known.last_heard = now;
                true
            }
            _ => false,
        }
    }

    /// Sends a command. One that cannot be sent is not lost: the worker's next hello shows that it never arrived.
    pub fn send(&self, worker: &WorkerId, command: Command) -> bool {
        let Registry { workers, fleet, .. } = &mut *self.lock();
        let Some(known) = workers.get_mut(worker) else { return false };
        let Some(link) = &known.link else { return false };
        let sent = link.commands.try_send(Ok(CoordinatorCommand { command: Some(command) })).is_ok();
        if !sent && let Some(link) = known.link.take() {
            fleet.leave(worker);
            let _ = link.end.send(Status::resource_exhausted("the worker does not read its commands"));
        }
        sent
    }

    /// Notes that a stream has broken. Its worker has until the end of its lease to come back.
    pub fn broke(&self, worker: &WorkerId, generation: Generation) {
        let Registry { workers, fleet, .. } = &mut *self.lock();
        if let Some(known) = workers.get_mut(worker)
            && known.link.as_ref().is_some_and(|link| link.generation == generation)
        {
            known.link = None;
            fleet.leave(worker);
        }
    }

    /// Forgets a worker, ending its stream with `status`.
    pub fn forget(&self, worker: &WorkerId, status: Status) {
        let mut registry = self.lock();
        registry.fleet.leave(worker);
        let known = registry.workers.remove(worker);
        drop(registry);
        if let Some(link) = known.and_then(|known| known.link) {
            let _ = link.end.send(status);
        }
    }

    /// Notes that a worker takes no more leases.
    pub fn drains(&self, worker: &WorkerId) {
        self.lock().fleet.change(worker, |member| member.drains = true);
    }

    /// Notes how a worker fares.
    pub fn judge(&self, worker: &WorkerId, health: Health) {
        self.lock().fleet.change(worker, |member| member.health = health);
    }

    /// This process was away itself, so that nobody's silence says anything: all are as if they had been heard at `now`.
    pub fn excuse(&self, now: Instant) {
        self.lock().workers.values_mut().for_each(|known| known.last_heard = now);
    }

    /// Notes that slots of a worker are taken.
    pub fn take(&self, worker: &WorkerId, slots: u32) {
        self.lock().fleet.take(worker, slots);
    }

    /// Notes that slots of a worker are free again.
    pub fn free(&self, worker: &WorkerId, slots: u32) {
        self.lock().fleet.free(worker, slots);
    }

    /// Sets the taken slots of all workers right.
    pub fn count(&self, taken: &HashMap<WorkerId, u32>) {
        self.lock().fleet.count(taken);
    }

    /// Workers that can be reached.
    pub fn reachable(&self, now_ms: i64) -> Vec<WorkerLoad> {
        self.lock().fleet.loads(now_ms)
    }

    /// What a plan has to know of them: those with room, and `ending`, of which something is about to end.
    pub fn available(&self, ending: Option<&WorkerId>, now_ms: i64) -> Available {
        self.lock().fleet.available(ending, now_ms)
    }

    /// Why a worker gets no work now; none where nothing speaks against it, or it cannot be reached.
    pub fn withheld(&self, worker: &WorkerId, now_ms: i64) -> Option<String> {
        self.lock().fleet.member(worker)?.withheld(now_ms)
    }

    /// Whether nothing speaks against a worker.
    pub fn is_spotless(&self, worker: &WorkerId) -> bool {
        self.lock().fleet.member(worker).is_some_and(|member| member.health == Health::default())
    }

    /// How many workers can be reached.
    pub fn len(&self) -> usize {
        self.lock().fleet.size()
    }

    /// Workers that have been silent for longer than `lease`, and for how long, in the order of their ids.
    pub fn silent(&self, lease: Duration, now: Instant) -> Vec<(WorkerId, Duration)> {
        let silence = |(id, known): (&WorkerId, &Known)| {
            let silent = now.saturating_duration_since(known.last_heard);
            (silent > lease).then(|| (id.clone(), silent))
        };
        let mut silent: Vec<_> = self.lock().workers.iter().filter_map(silence).collect();
        silent.sort();
        silent
    }

    /// For how long a worker has been silent; none where it does not count as connected.
    pub fn silence(&self, worker: &WorkerId, now: Instant) -> Option<Duration> {
        self.lock().workers.get(worker).map(|known| now.saturating_duration_since(known.last_heard))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use tinysweep_proto::v1::Ping;

    use super::*;

    fn worker(name: &str) -> WorkerId {
        WorkerId::parse(name).unwrap()
    }

    fn slots(slots: u32) -> Member {
        Member { slots, ..Member::default() }
    }

    #[tokio::test(start_paused = true)]
    async fn a_newer_stream_ends_the_older() {
        let sessions = Sessions::default();
        let (a, now) = (worker("a"), Instant::now());
        let (sender, mut receiver) = command_channel();
        let older = sessions.open(&a, slots(1), 0, sender, now);
        assert!(!older.replaced && sessions.send(&a, Command::Ping(Ping {})));
        let newer = sessions.open(&a, slots(2), 1, command_channel().0, now);
        assert!(newer.replaced);
        assert_eq!(older.ended.await.unwrap().code(), tonic::Code::Aborted);
        assert!(receiver.recv().await.unwrap().is_ok());
        assert!(receiver.recv().await.is_none());
        assert!(!sessions.heard(&a, older.generation, now));
        sessions.broke(&a, older.generation);
        assert!(sessions.heard(&a, newer.generation, now));
        let load = WorkerLoad { id: a.clone(), slots: 2, taken: 1, traits: Arc::default(), withheld: None };
        assert_eq!(sessions.reachable(0), [load]);
        sessions.drains(&a);
        assert_eq!(sessions.reachable(0)[0].free(), 0);
        sessions.broke(&a, newer.generation);
        assert_eq!((sessions.reachable(0), sessions.available(Some(&a), 0).workers, sessions.len()), (vec![], vec![], 0));
    }

    #[tokio::test(start_paused = true)]
    async fn silence_counts_from_the_last_event_also_without_a_stream() {
        let sessions = Sessions::default();
        let (a, b, lease) = (worker("a"), worker("b"), Duration::from_secs(15));
        let start = Instant::now();
        let (sender, _receiver) = command_channel();
        let opened = sessions.open(&a, slots(1), 0, sender, start);
        sessions.expect(b.clone(), start);
        sessions.heard(&a, opened.generation, start + Duration::from_secs(10));
        sessions.broke(&a, opened.generation);
        assert_eq!((sessions.len(), sessions.silent(lease, start + lease)), (0, vec![]));
        let late = start + Duration::from_secs(16);
        assert_eq!(sessions.silent(lease, late), [(b.clone(), Duration::from_secs(16))]);
        sessions.forget(&b, Status::deadline_exceeded("silent"));
        assert_eq!(sessions.silent(lease, start + Duration::from_secs(26)), [(a, Duration::from_secs(16))]);
        sessions.excuse(start + Duration::from_secs(26));
        assert_eq!(sessions.silent(lease, start + Duration::from_secs(26)), [], "who was away cannot know who was silent");
    }

    #[tokio::test]
    async fn a_worker_that_does_not_read_is_cut_off() {
        let sessions = Sessions::default();
        let a = worker("a");
        let (sender, _receiver) = command_channel();
        let opened = sessions.open(&a, slots(1), 0, sender, Instant::now());
        for _ in 0..COMMANDS_WAITING {
            assert!(sessions.send(&a, Command::Ping(Ping {})));
        }
        assert!(!sessions.send(&a, Command::Ping(Ping {})));
        assert_eq!(sessions.len(), 0);
        assert_eq!(opened.ended.await.unwrap().code(), tonic::Code::ResourceExhausted);
    }
}
