//! Workers and a coordinator that are killed and stopped at random, and what the store has to say of it afterwards.
//!
//! `TINYSWEEP_TEST_STRIKES` sets how many strikes there are, `TINYSWEEP_TEST_SEED` which.

use std::{path::Path, process::Command, thread, time::Instant};

use crate::{
    audit::{self, Rule},
    dice::Dice,
    harness::{Coordinator, Process, TINY_SWEEP},
    sql,
};

/// Strikes of a run that nobody asked to be longer.
const STRIKES: u64 = 14;
const WORKERS: usize = 3;
/// A sweep is submitted when fewer runs than this are left of the one before.
const FEW: u64 = 8;

/// 32 runs of a fraction of a second; the same ones each time.
fn short_sweep() -> String {
    format!("{}replicates: 16\n", TINY_SWEEP.replace("steps: 20,", "steps: 60,"))
}

/// Nothing here fails by itself, and clocks only go forward.
const CHAOS_RULES: [Rule; 3] = [
    ("a sweep that has not completed", "SELECT id, state FROM sweeps WHERE state <> 'completed'"),
    ("a replicate that has not completed", "SELECT id, state, attempts, reason FROM replicates WHERE state <> 'completed'"),
    ("an attempt that ended before it began", "SELECT id FROM attempts WHERE ended_ms < started_ms"),
];

fn asked(name: &str, default: u64) -> u64 {
    std::env::var(name).map_or(default, |number| number.parse().unwrap())
}

fn signal(process: &Process, name: &str) {
    let sent = Command::new("kill").args([&format!("-{name}"), &process.0.id().to_string()]).status().unwrap();
    assert!(sent.success());
}

/// A coordinator and its workers, none of which is safe.
struct Chaos {
    dice: Dice,
    coordinator: Coordinator,
    workers: Vec<Process>,
    /// When workers that are stopped may go on.
    asleep: Vec<(usize, Instant)>,
    sweeps: Vec<String>,
}

impl Chaos {
    fn begin(seed: u64) -> Self {
        let coordinator = Coordinator::start();
        let workers = (0..WORKERS).map(|index| coordinator.worker(&format!("w{index}"))).collect();
        Self { dice: Dice(seed), coordinator, workers, asleep: Vec::new(), sweeps: Vec::new() }
    }

    fn submit(&mut self) {
        self.sweeps.push(self.coordinator.submit(&short_sweep()));
    }

    /// Keeps something to lose in the queue.
    fn keep_busy(&mut self) {
        let newest = self.coordinator.json(&["show", self.sweeps.last().unwrap()]);
        if newest["queued"].as_u64().unwrap() < FEW {
            self.submit();
        }
    }

    /// Does something terrible; what, for people.
    fn strike(&mut self) -> String {
        let victim = self.dice.below(WORKERS as u64) as usize;
        match self.dice.below(10) {
            0..4 => {
                self.replace(victim, "KILL");
                format!("worker {victim} was killed")
            }
            4 => {
                self.replace(victim, "TERM");
                format!("worker {victim} was sent home")
            }
            5..7 => {
                // At times for longer than a lease, so that the worker comes back to what has been given away.
                let nap = self.dice.ms(200, 4000);
                signal(&self.workers[victim], "STOP");
                self.asleep.push((victim, Instant::now() + nap));
                format!("worker {victim} sleeps for {} ms", nap.as_millis())
            }
            7..9 => {
                self.coordinator.restart();
                "the coordinator was killed".into()
            }
            _ => {
                let nap = self.dice.ms(200, 3000);
                let coordinator = self.coordinator.process.as_ref().unwrap();
                signal(coordinator, "STOP");
                thread::sleep(nap);
                signal(coordinator, "CONT");
                format!("the coordinator slept for {} ms", nap.as_millis())
            }
        }
    }

    /// Ends a worker, however it can be ended, and starts another in its folder.
    fn replace(&mut self, victim: usize, by: &str) {
        self.wake(|index, _| index == victim);
        signal(&self.workers[victim], by);
        self.workers[victim].0.wait().unwrap();
        self.workers[victim] = self.coordinator.worker(&format!("w{victim}"));
    }

    fn wake(&mut self, due: impl Fn(usize, Instant) -> bool) {
        let (awake, asleep): (Vec<_>, Vec<_>) = self.asleep.drain(..).partition(|(index, until)| due(*index, *until));
        awake.iter().for_each(|(index, _)| signal(&self.workers[*index], "CONT"));
        self.asleep = asleep;
    }

    /// Leaves everyone alone until all sweeps have ended, and then kills the coordinator.
    fn calm_down(&mut self) {
        self.wake(|_, _| true);
        for sweep in &self.sweeps {
            self.coordinator.wait_for_end(sweep);
        }
        self.workers.clear();
        self.coordinator.process.take().unwrap().kill();
    }
}

fn breaches(store: &Path) -> Vec<String> {
    audit::breaches(store, CHAOS_RULES.iter().chain(&audit::RULES))
}

fn check(store: &Path) {
    let breaches = breaches(store);
    breaches.iter().for_each(|breach| eprintln!("{breach}"));
    assert!(breaches.is_empty(), "the store contradicts itself");
}

#[test]
fn everything_ends_exactly_once() {
    let (strikes, seed) = (asked("TINYSWEEP_TEST_STRIKES", STRIKES), asked("TINYSWEEP_TEST_SEED", 1));
    let mut chaos = Chaos::begin(seed);
    chaos.submit();
    chaos.coordinator.wait_for_end(&chaos.sweeps[0]);
    for strike in 0..strikes {
        chaos.keep_busy();
        thread::sleep(chaos.dice.ms(100, 900));
        let now = Instant::now();
        chaos.wake(|_, until| until <= now);
        eprintln!("strike {strike} of {strikes} with seed {seed}: {}", chaos.strike());
    }
    chaos.calm_down();

    let store = chaos.coordinator.folder.path().join("tinysweep-data/tinysweep.db");
    check(&store);
    let ends = "SELECT state || ' ' || COUNT(*) FROM attempts GROUP BY state";
    eprintln!("{} sweeps, attempts: {:?}", chaos.sweeps.len(), sql::rows(&store, ends).concat());
    let lost: u64 = sql::value(&store, "SELECT COUNT(*) FROM attempts WHERE state = 'lost'").parse().unwrap();
    assert!(lost > 0 || strikes < STRIKES, "nothing was hit");
}

#[test]
fn the_audit_finds_what_is_wrong() {
    let mut chaos = Chaos::begin(0);
    chaos.submit();
    chaos.calm_down();
    let store = chaos.coordinator.folder.path().join("tinysweep-data/tinysweep.db");
    check(&store);
    let pristine = std::fs::read(&store).unwrap();
    for damage in [
        "UPDATE sweeps SET state = 'running', ended_ms = NULL",
        "UPDATE replicates SET state = 'queued' WHERE id = 3",
        "DELETE FROM results WHERE replicate_id = 3",
        "UPDATE attempts SET state = 'lost' WHERE replicate_id = 3",
        "UPDATE attempts SET number = 2 WHERE replicate_id = 3",
        "UPDATE attempts SET state = 'running', ended_ms = NULL WHERE replicate_id = 3",
        "UPDATE attempts SET ended_ms = started_ms - 1 WHERE replicate_id = 3",
    ] {
        std::fs::write(&store, &pristine).unwrap();
        sql::rows(&store, &format!("PRAGMA foreign_keys = OFF; {damage}"));
        assert!(!breaches(&store).is_empty(), "{damage} was not found");
    }
}
