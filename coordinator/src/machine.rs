//! What a coordinator takes from the machine that it runs on, beside its network: the wall clock, random numbers, and a disk to wait for.
//!
//! A simulation brings another one, in which nothing happens by itself: each number, each time and each wait is the same for the same seed.

use std::{
    fmt,
    fs::File,
    io,
    path::{Path, PathBuf},
    pin::{Pin, pin},
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use tokio::{task::spawn_blocking, time::sleep};

use crate::clock::Moment;

/// The machine of a coordinator.
#[derive(Clone, Debug, Default)]
pub enum Machine {
    /// The one that this process runs on.
    #[default]
    Real,
    /// Another.
    Simulated(Arc<dyn Simulated>),
}

/// A machine that is not there.
pub trait Simulated: fmt::Debug + Send + Sync {
    /// Milliseconds since 1970, by a clock that anyone may have set.
    fn now_ms(&self) -> i64;
    /// A random number.
    fn random(&self) -> u64;
    /// How long the disk lets others go first, before something and again after it.
    fn pause(&self) -> Duration;
    /// Polls `work`, which waits for nothing but other threads, until it is done.
    fn finish(&self, work: Pin<&mut dyn Future<Output = ()>>);
    /// Brings a file onto the disk.
    ///
    /// # Errors
    /// The disk fails.
    fn sync(&self, file: &Path) -> io::Result<()>;
}

impl Machine {
    /// Milliseconds since 1970; 0 on a machine whose clock is set before that.
    pub fn now_ms(&self) -> i64 {
        match self {
            Self::Real => {
                SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
            }
            Self::Simulated(machine) => machine.now_ms(),
        }
    }

    /// A random number.
    pub fn random(&self) -> u64 {
        match self {
            Self::Real => rand::random(),
            Self::Simulated(machine) => machine.random(),
        }
    }

    /// This moment.
    pub fn moment(&self) -> Moment {
        // 53 bits make a number from 0 to 1, as many as it can have.
        let unit = (self.random() >> 11) as f64 / (1_u64 << 53) as f64;
        Moment { now_ms: self.now_ms(), jitter: 0.5 + unit / 2.0 }
    }

    /// Waits for work that itself waits for nothing but the disk: a call of the store, a file.
    pub async fn disk<T>(&self, work: impl Future<Output = T>) -> T {
        let Self::Simulated(machine) = self else { return work.await };
        sleep(machine.pause()).await;
        let mut done = None;
        machine.finish(pin!(async { done = Some(work.await) }));
        sleep(machine.pause()).await;
        done.expect("a simulated machine finishes what it is given")
    }

    /// Waits until what has been written to `file` is on the disk.
    ///
    /// # Errors
    /// The disk fails.
    pub async fn sync(&self, file: PathBuf) -> io::Result<()> {
        let Self::Simulated(machine) = self else {
            return spawn_blocking(move || File::open(file)?.sync_data()).await.map_err(io::Error::other)?;
        };
        sleep(machine.pause()).await;
        let synced = machine.sync(&file);
        sleep(machine.pause()).await;
        synced
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn jitter_is_from_a_half_to_one() {
        for _ in 0..1000 {
            let jitter = Machine::Real.moment().jitter;
            assert!((0.5..1.0).contains(&jitter), "{jitter}");
        }
    }
}
