//! The coordinator's machine: its clock is the simulation's, its numbers come from the dice, and while it waits for other threads, as those
//! of SQLite, simulated time stands still.

use std::{
    io,
    path::Path,
    pin::Pin,
    sync::{Arc, LazyLock, atomic::Ordering},
    task::{Context, Wake, Waker},
    thread::{self, Thread},
    time::Duration,
};

use tinysweep_coordinator::machine::Simulated;
use tokio::{
    runtime::{Builder, Runtime},
    task::coop::unconstrained,
};

use crate::{
    plan::Fault,
    scene::{Scene, Weather},
};

/// What the store's pool of connections spawns runs here, in real time, not in the simulated runtime, which stands still meanwhile.
static BESIDE: LazyLock<Runtime> = LazyLock::new(|| Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap());

/// The machine of the coordinator.
#[derive(Debug)]
pub struct Machine(pub Arc<Scene>);

struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

impl Simulated for Machine {
    fn now_ms(&self) -> i64 {
        self.0.now_ms()
    }

    fn random(&self) -> u64 {
        self.0.random()
    }

    fn pause(&self) -> Duration {
        let Scene { plan, disk_is_slow, .. } = &*self.0;
        if self.0.weather() != Weather::Storm {
            return Duration::ZERO;
        }
        let most = if disk_is_slow.load(Ordering::Relaxed) { 600 } else { plan.disk_ms };
        // Mostly at once, so that what follows on what is not the same each time.
        if self.0.below(4) > 0 { Duration::ZERO } else { Duration::from_millis(self.0.below(most + 1)) }
    }

    fn finish(&self, work: Pin<&mut dyn Future<Output = ()>>) {
        let _beside = BESIDE.enter();
        let waker = Waker::from(Arc::new(Unpark(thread::current())));
        let mut context = Context::from_waker(&waker);
        let mut work = unconstrained(work);
        while Pin::new(&mut work).poll(&mut context).is_pending() {
            thread::park();
        }
    }

    fn sync(&self, log: &Path) -> io::Result<()> {
        if self.0.disk_fails.load(Ordering::Relaxed) {
            return Err(io::Error::other("the disk does not answer"));
        }
        let lies = self.0.plan.fault == Some(Fault::LiesAboutSync) && self.0.weather() == Weather::Storm;
        if !lies {
            self.0.power.synced(log);
        }
        Ok(())
    }
}
