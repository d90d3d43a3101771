//! What is done to hosts, links, disk and clock, and what sets it right again.

use std::{
    collections::BTreeMap,
    fs,
    path::Path,
    sync::{Arc, atomic::Ordering},
    thread,
    time::Duration,
};

use tinysweep_worker::leave::Leave;
use turmoil::Sim;

use crate::{log, network::COORDINATOR, power::Remains, scene::Scene, sql, worker::name};

const HOUR_MS: i64 = 3_600_000;

/// Sets something right.
#[derive(Clone, Copy, Debug)]
enum Remedy {
    StartWorker(usize),
    StartCoordinator,
    Repair(usize),
    Release(usize),
    SpeedUpDisk,
    MendDisk,
}

/// What is wrong at the moment, and when it is to be set right.
pub struct Storm {
    scene: Arc<Scene>,
    /// When the next strike comes.
    next: Duration,
    /// By time, and by number where several are due at once.
    remedies: BTreeMap<(Duration, u64), Remedy>,
    strikes: u64,
}

impl Storm {
    pub fn new(scene: Arc<Scene>, now: Duration) -> Self {
        Self { scene, next: now, remedies: BTreeMap::new(), strikes: 0 }
    }

    /// Does what is due.
    pub fn pass(&mut self, sim: &mut Sim<'_>, now: Duration) {
        while let Some(entry) = self.remedies.first_entry().filter(|entry| entry.key().0 <= now) {
            let remedy = entry.remove();
            self.apply(sim, remedy, now);
        }
        if self.next <= now {
            self.next = now + self.scene.ms(50, self.scene.plan.calm_ms);
            self.strikes += 1;
            self.strike(sim, now);
        }
    }

    /// Sets everything right.
    pub fn end(mut self, sim: &mut Sim<'_>, now: Duration) {
        for remedy in std::mem::take(&mut self.remedies).into_values() {
            self.apply(sim, remedy, now);
        }
        sim.set_fail_rate(0.0);
        for worker in 0..self.scene.plan.workers {
            sim.release(name(worker), COORDINATOR);
        }
    }

    fn later(&mut self, now: Duration, after: Duration, remedy: Remedy) {
        self.remedies.insert((now + after, self.strikes), remedy);
    }

    fn apply(&self, sim: &mut Sim<'_>, remedy: Remedy, now: Duration) {
        log::note(now, &format!("{remedy:?}"));
        match remedy {
            Remedy::StartWorker(worker) if !sim.is_host_running(name(worker)) => sim.bounce(name(worker)),
            Remedy::StartCoordinator if !sim.is_host_running(COORDINATOR) => sim.bounce(COORDINATOR),
            Remedy::StartWorker(_) | Remedy::StartCoordinator => {}
            Remedy::Repair(worker) => sim.repair(name(worker), COORDINATOR),
            Remedy::Release(worker) => sim.release(name(worker), COORDINATOR),
            Remedy::SpeedUpDisk => self.scene.disk_is_slow.store(false, Ordering::Relaxed),
            Remedy::MendDisk => self.scene.disk_fails.store(false, Ordering::Relaxed),
        }
    }

    fn strike(&mut self, sim: &mut Sim<'_>, now: Duration) {
        let scene = self.scene.clone();
        let victim = scene.below(scene.plan.workers as u64) as usize;
        // At times for longer than a lease.
        let after = scene.ms(100, 2000 * u64::from(scene.plan.lease_secs));
        let what = match scene.below(14) {
            0 | 1 => {
                self.crash_worker(sim, victim, now);
                "it crashes"
            }
            2 => {
                // Nobody hears of it.
                sim.partition(name(victim), COORDINATOR);
                self.later(now, after, Remedy::Repair(victim));
                self.crash_worker(sim, victim, now);
                "it crashes in silence"
            }
            3 => {
                let levels = [Leave::WhenDone, Leave::HandBack, Leave::HandBack, Leave::Now];
                scene.send_home(victim, levels[scene.below(4) as usize]);
                "it is sent home"
            }
            4 => {
                sim.partition(name(victim), COORDINATOR);
                self.later(now, after, Remedy::Repair(victim));
                "it is cut off"
            }
            5 => {
                let (from, to) = if scene.below(2) == 0 { (name(victim), COORDINATOR.into()) } else { (COORDINATOR.into(), name(victim)) };
                sim.partition_oneway(from, to);
                self.later(now, after, Remedy::Repair(victim));
                "it is cut off in one direction"
            }
            6 => {
                sim.hold(name(victim), COORDINATOR);
                self.later(now, after, Remedy::Release(victim));
                "its messages wait"
            }
            7 | 8 => {
                self.crash_coordinator(sim, now);
                "the coordinator crashes"
            }
            9 => {
                self.crash_coordinator(sim, now);
                self.crash_worker(sim, victim, now);
                "it and the coordinator crash"
            }
            10 => {
                scene.clock_off.store(scene.below(4 * HOUR_MS as u64) as i64 - 2 * HOUR_MS, Ordering::Relaxed);
                "the coordinator's clock is set"
            }
            11 if scene.below(2) == 0 => {
                scene.disk_is_slow.store(true, Ordering::Relaxed);
                self.later(now, after, Remedy::SpeedUpDisk);
                "the coordinator's disk is slow"
            }
            11 => {
                scene.disk_fails.store(true, Ordering::Relaxed);
                self.later(now, after, Remedy::MendDisk);
                "the coordinator's disk does not sync"
            }
            12 => {
                sim.hold(name(victim), COORDINATOR);
                self.later(now, after, Remedy::Release(victim));
                scene.stop(name(victim));
                "it stands still for an hour"
            }
            _ => {
                for worker in 0..scene.plan.workers {
                    sim.hold(name(worker), COORDINATOR);
                    self.remedies.insert((now + after, u64::MAX / 2 - worker as u64), Remedy::Release(worker));
                }
                scene.stop(COORDINATOR.to_owned());
                "the coordinator stands still for an hour"
            }
        };
        log::note(now, &format!("strike at worker {victim}: {what}"));
    }

    fn crash_worker(&mut self, sim: &mut Sim<'_>, victim: usize, now: Duration) {
        if sim.is_host_running(name(victim)) {
            sim.crash(name(victim));
        }
        let after = self.scene.ms(50, 6000);
        // Beside the remedy of the strike itself.
        self.remedies.insert((now + after, u64::MAX - self.strikes), Remedy::StartWorker(victim));
    }

    fn crash_coordinator(&mut self, sim: &mut Sim<'_>, now: Duration) {
        if !sim.is_host_running(COORDINATOR) {
            return;
        }
        let is_power_cut = self.scene.plan.has_power_cuts && self.scene.below(2) == 0;
        let remains = if is_power_cut { Remains::of(&self.scene) } else { None };
        crash(sim, &self.scene);
        if let Some(remains) = remains {
            log::note(now, "the power of the coordinator is cut");
            remains.restore(&self.scene);
        }
        let after = self.scene.ms(50, 6000);
        self.later(now, after, Remedy::StartCoordinator);
    }
}

/// Crashes the coordinator, and waits until SQLite's threads have let go of the store.
pub fn crash(sim: &mut Sim<'_>, scene: &Scene) {
    sim.crash(COORDINATOR);
    while is_open(&scene.data_dir()) {
        thread::sleep(Duration::from_micros(100));
    }
    // Which of the threads is the last, and whether it has done so, is left to chance.
    if scene.store().exists() {
        sql::rows(&scene.store(), "PRAGMA wal_checkpoint(TRUNCATE)");
    }
}

/// Whether this process has a file open in `folder`.
fn is_open(folder: &Path) -> bool {
    let mut open = fs::read_dir("/proc/self/fd").unwrap().filter_map(|entry| fs::read_link(entry.unwrap().path()).ok());
    open.any(|file| file.starts_with(folder))
}
