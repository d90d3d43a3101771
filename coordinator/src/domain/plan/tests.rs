//! What plans promise.

use std::sync::Arc;

use proptest::prelude::*;

use super::*;
use crate::domain::{
    fleet::{Fleet, Member},
    ids::{AttemptNumber, Fence, LeaseToken},
};

fn replicate(sweep: &str, trial: u32) -> ReplicateKey {
    ReplicateKey { sweep: SweepId::named(sweep), trial, replicate: 0 }
}

fn waiting(sweep: &str, trial: u32) -> Waiting {
    Waiting { replicate: replicate(sweep, trial), avoid: Vec::new() }
}

fn sweep(id: &str, count: u32) -> SweepQueue {
    SweepQueue {
        id: SweepId::named(id),
        priority: 0,
        share: 1,
        max_parallel: None,
        running: 0,
        needs: Needs::default(),
        waiting: (0..count).map(|trial| waiting(id, trial)).collect(),
    }
}

fn id(name: &str) -> WorkerId {
    WorkerId::parse(name).unwrap()
}

fn worker(name: &str, slots: u32, taken: u32) -> WorkerLoad {
    WorkerLoad { id: id(name), slots, taken, traits: Arc::default(), withheld: None }
}

fn fleet(workers: &[WorkerLoad]) -> Fleet {
    let mut fleet = Fleet::default();
    for WorkerLoad { id, slots, taken, traits, withheld } in workers {
        fleet.join(id, Member { slots: *slots, traits: traits.clone(), drains: withheld.is_some(), ..Member::default() }, *taken);
    }
    fleet
}

fn plan(sweeps: &[SweepQueue], workers: &[WorkerLoad]) -> Vec<Assignment> {
    assign(sweeps, fleet(workers).available(None, 0))
}

/// Sweep and trial of each assignment, and its worker.
fn assigned(sweeps: &[SweepQueue], workers: &[WorkerLoad]) -> Vec<(String, u32, String)> {
    let of = |Assignment { replicate, worker, .. }: Assignment| (replicate.sweep.to_string(), replicate.trial, worker.to_string());
    plan(sweeps, workers).into_iter().map(of).collect()
}

/// How many slots each sweep gets.
fn split(sweeps: Vec<SweepQueue>, slots: u32) -> Vec<usize> {
    let ids: Vec<_> = sweeps.iter().map(|sweep| sweep.id.to_string()).collect();
    let assignments = assigned(&sweeps, &[worker("w", slots, 0)]);
    ids.iter().map(|id| assignments.iter().filter(|(sweep, ..)| sweep == id).count()).collect()
}

#[test]
fn nothing_to_do() {
    let none = |sweeps: Vec<SweepQueue>, workers: Vec<WorkerLoad>| assert_eq!(plan(&sweeps, &workers), []);
    none(vec![], vec![]);
    none(vec![sweep("s", 1)], vec![]);
    none(vec![sweep("s", 0)], vec![worker("a", 2, 0)]);
    none(vec![sweep("s", 1)], vec![worker("a", 2, 2)]);
    none(vec![sweep("s", 1)], vec![WorkerLoad { withheld: Some("drains".into()), ..worker("a", 2, 0) }]);
    none(vec![SweepQueue { max_parallel: Some(2), running: 2, ..sweep("s", 1) }], vec![worker("a", 2, 0)]);
}

#[test]
fn the_queue_spreads_over_workers_in_order() {
    let expected = [(0, "a"), (1, "b"), (2, "a"), (3, "b")].map(|(trial, worker)| ("s".to_owned(), trial, worker.to_owned()));
    assert_eq!(assigned(&[sweep("s", 5)], &[worker("b", 2, 0), worker("a", 3, 1)]), expected);
}

#[test]
fn priority_goes_first_and_shares_divide_the_rest() {
    assert_eq!(split(vec![sweep("a", 9), sweep("b", 9)], 6), [3, 3]);
    assert_eq!(split(vec![SweepQueue { share: 2, ..sweep("a", 9) }, sweep("b", 9)], 6), [4, 2]);
    assert_eq!(split(vec![SweepQueue { running: 4, ..sweep("a", 9) }, sweep("b", 9)], 6), [1, 5]);
    assert_eq!(split(vec![sweep("a", 9), SweepQueue { priority: 1, ..sweep("b", 4) }], 6), [2, 4]);
    assert_eq!(split(vec![SweepQueue { max_parallel: Some(1), ..sweep("a", 9) }, sweep("b", 9)], 6), [1, 5]);
    assert_eq!(split(vec![SweepQueue { needs: Needs { memory_mib: 1, ..Needs::default() }, ..sweep("a", 9) }, sweep("b", 9)], 6), [0, 6]);
}

#[test]
fn a_trial_may_take_several_slots() {
    let wide = SweepQueue { needs: Needs { slots: 2, ..Needs::default() }, ..sweep("s", 9) };
    assert_eq!(split(vec![wide.clone()], 5), [2]);
    assert_eq!(split(vec![wide], 1), [0]);
}

#[test]
fn what_failed_goes_elsewhere_while_there_is_an_elsewhere() {
    let avoiding = |workers: Vec<WorkerLoad>| {
        let first = Waiting { avoid: vec![id("a")], ..waiting("s", 0) };
        let queue = SweepQueue { waiting: vec![first, waiting("s", 1)], ..sweep("s", 0) };
        assigned(&[queue], &workers).into_iter().map(|(_, trial, worker)| (trial, worker)).collect::<Vec<_>>()
    };
    assert_eq!(avoiding(vec![worker("a", 2, 0), worker("b", 1, 0)]), [(0, "b".into()), (1, "a".into())]);
    assert_eq!(avoiding(vec![worker("a", 1, 0), worker("b", 1, 1)]), [(1, "a".into())], "b is busy: worth waiting for");
    assert_eq!(avoiding(vec![worker("a", 2, 0)]), [(0, "a".into()), (1, "a".into())], "nobody else is here");
}

#[test]
fn silent_workers_lose_their_attempts_and_then_themselves() {
    let attempt = AttemptKey { replicate: replicate("s", 3), fence: Fence { number: AttemptNumber(2), token: LeaseToken(7) } };
    let expired = ExpiredWorker { id: id("a"), silent_secs: 16, running: vec![attempt.clone()] };
    let reason = "worker a has been silent for 16 s".to_owned();
    let expected = [Loss::Requeue { attempt, reason: reason.clone() }, Loss::Forget { worker: id("a"), reason }];
    assert_eq!(losses(expired), expected);
}

#[test]
fn waiting_has_reasons() {
    let why = |sweep: &SweepQueue, others: Vec<SweepQueue>, workers: Vec<WorkerLoad>| {
        why_waiting(&[others, vec![sweep.clone()]].concat(), &workers, sweep, &replicate("s", 1), &[id("bad")])
    };
    let queue = sweep("s", 2);
    assert!(why(&queue, vec![], vec![])[0].contains("no worker is connected"));
    assert_eq!(why(&queue, vec![], vec![worker("a", 2, 2)])[0], "no slot is free: 2 of 2 on 1 workers that fit are taken");
    assert_eq!(why(&queue, vec![], vec![worker("a", 2, 0)]), ["1 replicates of its sweep are before it in the queue"]);
    assert!(why(&queue, vec![], vec![worker("bad", 2, 0)])[0].contains("where it has failed"));
    let full = SweepQueue { max_parallel: Some(1), running: 1, ..queue.clone() };
    assert_eq!(why(&full, vec![], vec![worker("a", 2, 1)])[0], "max_parallel: 1 of at most 1 replicates of its sweep are running");
    let picky = SweepQueue { needs: Needs { device: Some("cuda".into()), ..Needs::default() }, ..queue.clone() };
    assert_eq!(why(&picky, vec![], vec![worker("a", 1, 0)])[0], "worker a does not fit: it computes on , not on cuda");
    let urgent = SweepQueue { priority: 5, ..sweep("t", 3) };
    assert_eq!(why(&queue, vec![urgent], vec![worker("a", 1, 0)])[0], "sweep t goes first: priority 5 is above 0, and 3 of it wait");
    let sick = WorkerLoad { withheld: Some("quarantined".into()), ..worker("a", 1, 0) };
    assert_eq!(why(&queue, vec![], vec![sick]), ["worker a gets no work: quarantined"]);
}

prop_compose! {
    fn any_sweep()(index in 0..100_u32, count in 0..12_u32, priority in -1..2_i32, share in 1..4_u32, limit in proptest::option::of(1..6_u32),
                   running in 0..4_u32, slots in 1..3_u32, avoid in 0..5_usize) -> SweepQueue {
        let id = format!("s{index}");
        let avoid: Vec<_> = (0..avoid / 2).map(|i| super::super::ids::WorkerId::parse(&format!("w{i}")).unwrap()).collect();
        let waiting = (0..count).map(|trial| Waiting { avoid: avoid.clone(), ..waiting(&id, trial) }).collect();
        SweepQueue { priority, share, max_parallel: limit, running, needs: Needs { slots, ..Needs::default() }, waiting, ..sweep(&id, 0) }
    }
}

proptest! {
    /// Nothing is assigned twice, no worker gets more than it has room for, no sweep runs more than it may, every decision has a reason,
    /// no slot stays free while something that fits waits, and to look at those without room, in any order, makes no difference.
    #[test]
    fn assignments_are_sound(sweeps in proptest::collection::vec(any_sweep(), 0..4), loads in proptest::collection::vec((0..5_u32, 0..5_u32, any::<bool>()), 0..6)) {
        let mut sweeps = sweeps;
        sweeps.sort_by(|a, b| a.id.cmp(&b.id));
        sweeps.dedup_by(|a, b| a.id == b.id);
        let workers: Vec<_> = loads.iter().enumerate().map(|(i, (slots, taken, withheld))| {
            WorkerLoad { withheld: withheld.then(|| "drains".to_owned()), ..worker(&format!("w{i}"), *slots, *taken) }
        }).collect();
        let decided = plan(&sweeps, &workers);
        prop_assert!(decided.iter().all(|assignment| !assignment.reason.is_empty()));
        let mut keys: Vec<_> = decided.iter().map(|assignment| &assignment.replicate).collect();
        keys.sort();
        keys.dedup();
        prop_assert_eq!(keys.len(), decided.len());
        let mut left = Vec::new();
        for load in &workers {
            let got: u32 = decided.iter().filter(|assignment| assignment.worker == load.id).map(|assignment| assignment.slots).sum();
            prop_assert!(got <= load.free());
            left.push(WorkerLoad { taken: load.taken + got, ..load.clone() });
        }
        let left = fleet(&left).available(None, 0);
        for queue in &sweeps {
            let got = decided.iter().filter(|assignment| assignment.replicate.sweep == queue.id).count();
            let room = queue.max_parallel.map_or(u32::MAX, |most| most.saturating_sub(queue.running));
            prop_assert!(got as u32 <= room);
            let waits = queue.waiting.len() > got && room > got as u32;
            prop_assert!(!waits || queue.waiting.iter().any(|w| !w.avoid.is_empty()) || choose(&queue.needs, &[], &left).is_none());
        }
        let mut everyone = fleet(&workers).available(None, 0);
        everyone.workers = workers.iter().rev().cloned().collect();
        prop_assert_eq!(assign(&sweeps, everyone), decided);
    }
}
