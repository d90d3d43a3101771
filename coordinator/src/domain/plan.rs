//! What to do next: which replicate goes to which worker, and which attempts count as lost.
//!
//! A plan is a function of a snapshot. Every decision carries its reason, which the store keeps.

use super::ids::{AttemptKey, ReplicateKey, WorkerId};

/// All that a plan depends on.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Snapshot {
    /// What waits, in the order in which it should run: sweeps by age, then replicates by index, then by trial number,
    /// so that every trial of a sweep has its first seed before any has a second. May be cut off after as many as there are slots.
    pub queued: Vec<ReplicateKey>,
    /// Workers that can be reached now.
    pub workers: Vec<WorkerLoad>,
    /// Workers that have been silent for too long.
    pub expired: Vec<ExpiredWorker>,
}

/// A worker that can be reached now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WorkerLoad {
    /// Which.
    pub id: WorkerId,
    /// Attempts that it runs at once.
    pub slots: u32,
    /// Attempts that it runs now.
    pub running: u32,
}

impl WorkerLoad {
    const fn free(&self) -> u32 {
        self.slots.saturating_sub(self.running)
    }
}

/// A worker that has been silent for too long.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExpiredWorker {
    /// Which.
    pub id: WorkerId,
    /// For how long.
    pub silent_secs: u64,
    /// What it was to run.
    pub running: Vec<AttemptKey>,
}

/// One thing to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Decision {
    /// Give this attempt up, for another worker to take.
    Requeue {
        /// Which.
        attempt: AttemptKey,
        /// Why.
        reason: String,
    },
    /// Take this worker, which nothing runs on any more, as gone.
    Forget {
        /// Which.
        worker: WorkerId,
        /// Why.
        reason: String,
    },
    /// Lease this replicate to this worker.
    Assign {
        /// What.
        replicate: ReplicateKey,
        /// To whom.
        worker: WorkerId,
        /// Why.
        reason: String,
    },
}

/// Decides what to do next. What is requeued now is assigned by a later plan, which sees it in its place in the queue.
pub fn plan(snapshot: &Snapshot) -> Vec<Decision> {
    let mut decisions: Vec<Decision> = snapshot.expired.iter().flat_map(expire).collect();
    decisions.extend(assign(&snapshot.queued, snapshot.workers.clone()));
    decisions
}

fn expire(expired: &ExpiredWorker) -> impl Iterator<Item = Decision> {
    let ExpiredWorker { id, silent_secs, running } = expired;
    let reason = format!("worker {id} has been silent for {silent_secs} s");
    let forget = Decision::Forget { worker: id.clone(), reason: reason.clone() };
    running.iter().map(move |attempt| Decision::Requeue { attempt: attempt.clone(), reason: reason.clone() }).chain([forget])
}

/// The head of the queue goes to the worker with the most free slots, so that load spreads over machines.
fn assign(queued: &[ReplicateKey], mut workers: Vec<WorkerLoad>) -> Vec<Decision> {
    workers.sort_by(|a, b| a.id.cmp(&b.id));
    let mut decisions = Vec::new();
    for replicate in queued {
        // The first of equals: `max_by_key` would take the last.
        let Some(worker) = workers.iter_mut().rev().max_by_key(|worker| worker.free()).filter(|worker| worker.free() > 0) else { break };
        let reason = format!("head of the queue; {} of {} slots were free, the most of all workers", worker.free(), worker.slots);
        worker.running += 1;
        decisions.push(Decision::Assign { replicate: replicate.clone(), worker: worker.id.clone(), reason });
    }
    decisions
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::domain::ids::{AttemptNumber, SweepId};

    fn replicate(trial: u32) -> ReplicateKey {
        ReplicateKey { sweep: SweepId::named("s"), trial, replicate: 0 }
    }

    fn worker(name: &str, slots: u32, running: u32) -> WorkerLoad {
        WorkerLoad { id: WorkerId::parse(name).unwrap(), slots, running }
    }

    fn assigned(snapshot: &Snapshot) -> Vec<(u32, String)> {
        plan(snapshot)
            .into_iter()
            .filter_map(|decision| match decision {
                Decision::Assign { replicate, worker, .. } => Some((replicate.trial, worker.to_string())),
                _ => None,
            })
            .collect()
    }

    #[test]
    fn nothing_to_do() {
        assert_eq!(plan(&Snapshot::default()), []);
        assert_eq!(plan(&Snapshot { queued: vec![replicate(0)], ..Snapshot::default() }), []);
        assert_eq!(plan(&Snapshot { workers: vec![worker("a", 2, 0)], ..Snapshot::default() }), []);
        assert_eq!(plan(&Snapshot { queued: vec![replicate(0)], workers: vec![worker("a", 2, 2)], ..Snapshot::default() }), []);
    }

    #[test]
    fn the_queue_spreads_over_workers_in_order() {
        let snapshot =
            Snapshot { queued: (0..5).map(replicate).collect(), workers: vec![worker("b", 2, 0), worker("a", 3, 1)], expired: vec![] };
        let expected = [(0, "a"), (1, "b"), (2, "a"), (3, "b")].map(|(trial, worker)| (trial, worker.to_owned()));
        assert_eq!(assigned(&snapshot), expected);
    }

    #[test]
    fn silent_workers_lose_their_attempts_and_then_themselves() {
        let attempt = AttemptKey { replicate: replicate(3), number: AttemptNumber(2) };
        let id = WorkerId::parse("a").unwrap();
        let snapshot = Snapshot {
            expired: vec![ExpiredWorker { id: id.clone(), silent_secs: 16, running: vec![attempt.clone()] }],
            ..Snapshot::default()
        };
        let reason = "worker a has been silent for 16 s".to_owned();
        assert_eq!(plan(&snapshot), [Decision::Requeue { attempt, reason: reason.clone() }, Decision::Forget { worker: id, reason }]);
    }

    proptest! {
        /// Nothing is assigned twice, no worker gets more than it has room for, no slot stays free while something waits,
        /// and the order in which workers are listed makes no difference.
        #[test]
        fn assignments_are_sound(queue in 0..40_u32, loads in proptest::collection::vec((0..5_u32, 0..5_u32), 0..6)) {
            let workers: Vec<_> = loads.iter().enumerate().map(|(i, (slots, running))| worker(&format!("w{i}"), *slots, *running)).collect();
            let free: u32 = workers.iter().map(WorkerLoad::free).sum();
            let snapshot = Snapshot { queued: (0..queue).map(replicate).collect(), workers, expired: vec![] };
            let assignments = assigned(&snapshot);
            prop_assert_eq!(assignments.len() as u32, queue.min(free));
            prop_assert!(assignments.iter().enumerate().all(|(i, (trial, _))| *trial == i as u32));
            for load in &snapshot.workers {
                let got = assignments.iter().filter(|(_, worker)| worker == load.id.as_str()).count() as u32;
                prop_assert!(got <= load.free());
            }
            let mut reversed = snapshot.clone();
            reversed.workers.reverse();
            prop_assert_eq!(assigned(&reversed), assignments);
        }
    }
}
