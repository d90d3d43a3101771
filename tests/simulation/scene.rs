//! What all who act in a run have in common.

use std::{
    collections::BTreeSet,
    convert::Infallible,
    path::PathBuf,
    sync::{
        Arc, Mutex, MutexGuard,
        atomic::{AtomicBool, AtomicI64, Ordering},
    },
    time::Duration,
};

use tempfile::TempDir;
use tinysweep_worker::leave::Leave;
use tokio::{
    sync::watch,
    time::{advance, sleep},
};

use crate::{dice::Dice, jobs::Jobs, plan::Plan, power::Power};

/// When every run begins by the wall clock, in ms since 1970.
const EPOCH_MS: i64 = 1_800_000_000_000;

/// How long a host stands still that was stopped.
const STANDSTILL: Duration = Duration::from_secs(3600);

/// How wild it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Weather {
    /// Nothing happens yet, so that one sweep ends undisturbed.
    Dawn,
    /// Anything may happen.
    Storm,
    /// Nothing happens any more, and all must come to an end.
    Calm,
}

/// What all who act in a run have in common. One thread runs them all, so that a lock never waits.
#[derive(Debug)]
pub struct Scene {
    pub plan: Plan,
    pub folder: TempDir,
    dice: Mutex<Dice>,
    weather: Mutex<Weather>,
    pub jobs: Jobs,
    pub power: Power,
    /// What the coordinator's wall clock is off by, in ms.
    pub clock_off: AtomicI64,
    /// The disk takes hundreds of times as long.
    pub disk_is_slow: AtomicBool,
    /// The disk cannot sync.
    pub disk_fails: AtomicBool,
    /// Hosts that are to stand still.
    stopped: Mutex<BTreeSet<String>>,
    /// Tell workers to leave, where they can be told.
    wishes: Mutex<Vec<Option<watch::Sender<Leave>>>>,
    findings: Mutex<Vec<String>>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap()
}

impl Scene {
    pub fn new(plan: Plan) -> Arc<Self> {
        // Where there is memory to write to, a run does not wait for a disk that is there.
        let folder = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap();
        Arc::new(Self {
            folder,
            dice: Mutex::new(Dice(plan.seed)),
            weather: Mutex::new(Weather::Dawn),
            jobs: Jobs::default(),
            power: Power::default(),
            clock_off: AtomicI64::new(0),
            disk_is_slow: AtomicBool::new(false),
            disk_fails: AtomicBool::new(false),
            stopped: Mutex::default(),
            wishes: Mutex::new(vec![None; plan.workers]),
            findings: Mutex::default(),
            plan,
        })
    }

    /// Where the coordinator keeps its data.
    pub fn data_dir(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    /// Its store.
    pub fn store(&self) -> PathBuf {
        self.data_dir().join("tinysweep.db")
    }

    pub fn random(&self) -> u64 {
        lock(&self.dice).bits()
    }

    pub fn below(&self, bound: u64) -> u64 {
        lock(&self.dice).below(bound)
    }

    pub fn ms(&self, least: u64, most: u64) -> Duration {
        lock(&self.dice).ms(least, most)
    }

    pub fn weather(&self) -> Weather {
        *lock(&self.weather)
    }

    pub fn turns(&self, weather: Weather) {
        *lock(&self.weather) = weather;
        tracing::info!(?weather, "the weather turns");
    }

    /// The coordinator's wall clock.
    pub fn now_ms(&self) -> i64 {
        let elapsed = turmoil::sim_elapsed().unwrap_or_default().as_millis() as i64;
        EPOCH_MS + elapsed + self.clock_off.load(Ordering::Relaxed)
    }

    /// Stops a host for an hour, of which it knows nothing; to the others it is silent for as long as its messages are held.
    pub fn stop(&self, host: String) {
        lock(&self.stopped).insert(host);
    }

    /// Stops this host, where that is asked for, by having its clock go on.
    pub async fn stands_still(&self, host: &str) -> Infallible {
        loop {
            sleep(Duration::from_millis(20)).await;
            if lock(&self.stopped).remove(host) {
                advance(STANDSTILL).await;
            }
        }
    }

    /// A worker can be told to leave.
    pub fn listens(&self, worker: usize, wish: watch::Sender<Leave>) {
        lock(&self.wishes)[worker] = Some(wish);
    }

    /// Tells a worker to leave.
    pub fn send_home(&self, worker: usize, level: Leave) {
        if let Some(wish) = &lock(&self.wishes)[worker] {
            wish.send_replace(level);
        }
    }

    /// Something is wrong.
    pub fn find(&self, finding: String) {
        tracing::error!(finding, "something is wrong");
        lock(&self.findings).push(finding);
    }

    pub fn findings(&self) -> Vec<String> {
        lock(&self.findings).clone()
    }
}
