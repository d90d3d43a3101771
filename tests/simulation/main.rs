//! The real coordinator and the real session of workers over a simulated network, in simulated time, with simulated trainers.
//!
//! Everything that happens follows from a seed: who crashes when, which messages are late or lost, how long the disk takes, what trials come
//! to. So a run that goes wrong can be repeated as often as needed:
//!
//! ```text
//! TINYSWEEP_TEST_SEED=17 cargo test --release --test simulation whatever
//! TINYSWEEP_TEST_SEEDS=10000 cargo test --release --test simulation whatever
//! ```
//!
//! With `TINYSWEEP_TEST_SEED` the log of a run is printed; `TINYSWEEP_TEST_SEEDS` says how many seeds are run, the first being that one or 1.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

#[path = "../shared/audit.rs"]
mod audit;
mod coordinator;
#[path = "../shared/dice.rs"]
mod dice;
mod jobs;
mod log;
mod machine;
mod network;
mod plan;
mod power;
mod run;
mod scene;
#[path = "../shared/sql.rs"]
mod sql;
mod storm;
mod trainer;
mod user;
mod worker;

use std::time::{Duration, Instant};

use plan::{Fault, Plan};
use run::Ended;

/// Seeds of a run that nobody asked to be longer.
const SEEDS: u64 = 40;
/// Seeds within which a fault that is planted must be found.
const SEEDS_TO_FIND: u64 = 60;

fn asked(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|number| number.parse().unwrap())
}

/// One run, printed where something is wrong with it.
fn checked(seed: u64, is_verbose: bool) -> Ended {
    let ended = run::run(Plan::of(seed));
    if is_verbose || !ended.findings.is_empty() {
        ended.log.iter().for_each(|line| eprintln!("{line}"));
        ended.findings.iter().for_each(|finding| eprintln!("seed {seed}: {finding}"));
    }
    ended
}

#[test]
fn whatever_happens_everything_ends_exactly_once() {
    let one = asked("TINYSWEEP_TEST_SEED");
    let first = one.unwrap_or(1);
    let count = asked("TINYSWEEP_TEST_SEEDS").unwrap_or(if one.is_some() { 1 } else { SEEDS });
    let (mut wrong, mut simulated, mut attempts, begun) = (Vec::new(), Duration::ZERO, 0, Instant::now());
    for (done, seed) in (first..first + count).enumerate() {
        let ended = checked(seed, one.is_some() && count == 1);
        simulated += ended.simulated;
        attempts += ended.attempts;
        if !ended.findings.is_empty() {
            wrong.push(seed);
        }
        if (done + 1) % 100 == 0 {
            eprintln!("{} seeds in {:?}, wrong: {wrong:?}", done + 1, begun.elapsed());
        }
    }
    eprintln!("{count} seeds from {first}: {} s simulated, {attempts} attempts, in {:?}", simulated.as_secs(), begun.elapsed());
    assert!(attempts > count, "nothing happened");
    assert!(wrong.is_empty(), "replay each by TINYSWEEP_TEST_SEED=SEED: {wrong:?}");
}

#[test]
fn a_seed_repeats() {
    for seed in 3..9 {
        let [once, again] = [run::run(Plan::of(seed)), run::run(Plan::of(seed))];
        if let Some((one, other)) = once.log.iter().zip(&again.log).find(|(one, other)| one != other) {
            panic!("seed {seed} does not repeat; once:\n{one}\nthen:\n{other}");
        }
        assert_eq!((once.log.len(), once.hash), (again.log.len(), again.hash), "seed {seed} does not repeat");
    }
}

/// Runs seed after seed with a fault that is planted, until something is found that has `words` in it.
fn expect_to_find(fault: Fault, words: &str) {
    let finds = |seed: &u64| {
        let plan = Plan::of(*seed);
        // Without a power cut nobody would notice a disk that lies.
        let has_power_cuts = plan.has_power_cuts || fault == Fault::LiesAboutSync;
        // Nor would one who goes on from another state be noticed where trials seldom last until they give one.
        let (checkpoint_secs, step_ms) = if fault == Fault::ForgetsState { (1, 200) } else { (plan.checkpoint_secs, plan.step_ms) };
        let ended = run::run(Plan { fault: Some(fault), has_power_cuts, checkpoint_secs, step_ms, ..plan });
        let finding = ended.findings.iter().find(|finding| finding.contains(words));
        finding.inspect(|finding| eprintln!("{fault:?} is found by seed {seed}: {finding}")).is_some()
    };
    assert!((1..=SEEDS_TO_FIND).any(|seed| finds(&seed)), "{fault:?} is not found within {SEEDS_TO_FIND} seeds");
}

#[test]
fn a_trial_that_goes_on_from_elsewhere_is_found() {
    expect_to_find(Fault::ForgetsState, "a final metric that differs");
}

#[test]
fn an_acknowledgement_before_the_sync_is_found() {
    expect_to_find(Fault::LiesAboutSync, "was acknowledged and is lost");
}

#[test]
fn an_event_that_counts_twice_is_found() {
    expect_to_find(Fault::ForgetsEvents, "a line that its attempt has said once");
}
