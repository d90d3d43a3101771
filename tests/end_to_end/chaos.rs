//! Workers and a coordinator that are killed and stopped at random, and what the store has to say of it afterwards.
//!
//! `TINYSWEEP_TEST_STRIKES` sets how many strikes there are, `TINYSWEEP_TEST_SEED` which.

use std::{
    path::Path,
    process::Command,
    thread,
    time::{Duration, Instant},
};

use crate::{
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

/// Each of these gives what must not be in a store in which everything has ended.
const AUDIT: [(&str, &str); 9] = [
    ("a sweep that has not completed", "SELECT id, state FROM sweeps WHERE state <> 'completed'"),
    ("a replicate that has not completed", "SELECT id, state, attempts, reason FROM replicates WHERE state <> 'completed'"),
    (
        "a replicate without its one result",
        "SELECT r.id FROM replicates r LEFT JOIN results o ON o.replicate_id = r.id GROUP BY r.id HAVING COUNT(o.replicate_id) <> 1",
    ),
    (
        "a replicate without its one completed attempt, which is the last and has the result",
        "SELECT r.id, r.attempts FROM replicates r
         LEFT JOIN attempts a ON a.replicate_id = r.id AND a.state = 'completed' LEFT JOIN results o ON o.attempt_id = a.id
         GROUP BY r.id HAVING COUNT(a.id) <> 1 OR COUNT(o.attempt_id) <> 1 OR MAX(a.number) <> r.attempts",
    ),
    (
        "a gap among the numbers of attempts",
        "SELECT r.id, r.attempts FROM replicates r LEFT JOIN attempts a ON a.replicate_id = r.id
         GROUP BY r.id HAVING COUNT(a.id) <> r.attempts OR MIN(a.number) <> 1 OR MAX(a.number) <> r.attempts",
    ),
    ("an attempt that runs", "SELECT id, worker_id FROM attempts WHERE state = 'running'"),
    ("an attempt that ended before it began", "SELECT id FROM attempts WHERE ended_ms < started_ms"),
    (
        "a metric point of a counted attempt that is missing or should not be, by what the first, undisturbed sweep has",
        "WITH counted AS (
           SELECT a.id AS attempt, a.resumed_step, r.sweep_sequence AS sweep, t.number AS trial, r.replicate
           FROM results o JOIN attempts a ON a.id = o.attempt_id JOIN replicates r ON r.id = o.replicate_id JOIN trials t ON t.id = r.trial_id),
         expected AS (
           SELECT c.attempt, p.name, p.step FROM counted c
           JOIN counted f ON f.sweep = 1 AND f.trial = c.trial AND f.replicate = c.replicate
           JOIN metric_points p ON p.attempt_id = f.attempt WHERE p.step > c.resumed_step),
         found AS (SELECT c.attempt, p.name, p.step FROM counted c JOIN metric_points p ON p.attempt_id = c.attempt)
         SELECT 'missing', * FROM (SELECT * FROM expected EXCEPT SELECT * FROM found)
         UNION ALL SELECT 'odd', * FROM (SELECT * FROM found EXCEPT SELECT * FROM expected)",
    ),
    (
        "a final metric that differs from that of the undisturbed sweep",
        "WITH final AS (
           SELECT r.sweep_sequence AS sweep, t.number AS trial, r.replicate, m.name, m.value
           FROM final_metrics m JOIN replicates r ON r.id = m.replicate_id JOIN trials t ON t.id = r.trial_id)
         SELECT d.sweep, d.trial, d.replicate, d.name, d.value, f.value FROM final d
         LEFT JOIN final f ON f.sweep = 1 AND f.trial = d.trial AND f.replicate = d.replicate AND f.name = d.name
         WHERE f.value IS NULL OR f.value <> d.value",
    ),
];

fn asked(name: &str, default: u64) -> u64 {
    std::env::var(name).map_or(default, |number| number.parse().unwrap())
}

/// Random numbers that are the same for the same seed (SplitMix64).
struct Dice(u64);

impl Dice {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut bits = self.0;
        bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (bits ^ (bits >> 31)) % bound
    }

    fn ms(&mut self, least: u64, most: u64) -> Duration {
        Duration::from_millis(least + self.below(most - least))
    }
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

fn audit(store: &Path) {
    assert_eq!(sql::value(store, "PRAGMA integrity_check"), "ok");
    let wrong: Vec<_> = AUDIT.iter().map(|(what, query)| (what, sql::rows(store, query))).filter(|(_, rows)| !rows.is_empty()).collect();
    for (what, rows) in &wrong {
        eprintln!("{} times {what}: {:?}", rows.len(), &rows[..rows.len().min(5)]);
    }
    assert!(wrong.is_empty(), "the store contradicts itself");
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
    audit(&store);
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
    audit(&store);
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
        let found = AUDIT.iter().any(|(_, query)| !sql::rows(&store, query).is_empty());
        assert!(found, "{damage} was not found");
    }
}
