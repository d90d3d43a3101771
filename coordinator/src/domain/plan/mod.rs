//! What to do next: which replicate goes to which worker, and which attempts count as lost.
//!
//! [`assign`] is a function of what waits and who is available. Every decision carries its reason, which the store keeps; [`why_waiting`]
//! says of what is not decided why not.

mod explain;
#[cfg(test)]
mod tests;

use std::cmp::Reverse;

use super::{
    fleet::{Available, WorkerLoad},
    ids::{AttemptKey, ReplicateKey, SweepId, WorkerId},
    policy::Needs,
};

pub use explain::{NO_COMMANDS, why_waiting};

/// A sweep, as far as it competes for slots.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SweepQueue {
    /// Which.
    pub id: SweepId,
    /// Higher ones go first.
    pub priority: i32,
    /// Sweeps of one priority have slots in proportion to it; at least 1.
    pub share: u32,
    /// The most replicates that run at once.
    pub max_parallel: Option<u32>,
    /// Replicates that run now.
    pub running: u32,
    /// What its trials need.
    pub needs: Needs,
    /// What waits, in the order in which it should run: by replicate, then by trial, so that every trial has its first seed before any has
    /// a second. May be cut off after as many as there are free slots.
    pub waiting: Vec<Waiting>,
}

/// A replicate that waits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Waiting {
    /// Which.
    pub replicate: ReplicateKey,
    /// Workers that it should not go to, because it has failed there.
    pub avoid: Vec<WorkerId>,
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

/// What becomes of a silent worker, and of what it was to run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Loss {
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
}

/// A replicate that goes to a worker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Assignment {
    /// What.
    pub replicate: ReplicateKey,
    /// To whom.
    pub worker: WorkerId,
    /// Slots that it takes there.
    pub slots: u32,
    /// Why.
    pub reason: String,
}

/// What to do about a worker that has been silent for too long.
pub fn losses(expired: ExpiredWorker) -> Vec<Loss> {
    let ExpiredWorker { id, silent_secs, running } = expired;
    let reason = format!("worker {id} has been silent for {silent_secs} s");
    let requeue = |attempt| Loss::Requeue { attempt, reason: reason.clone() };
    let mut losses: Vec<_> = running.into_iter().map(requeue).collect();
    losses.push(Loss::Forget { worker: id, reason });
    losses
}

/// One competitor for slots while a plan is made.
struct Turn<'a> {
    sweep: &'a SweepQueue,
    running: u32,
    waiting: Vec<&'a Waiting>,
}

/// Who runs what next of `sweeps`, those in which something may begin, the oldest first. Slot by slot: the sweep whose turn it is gives the
/// first of its queue that some worker can take.
pub fn assign(sweeps: &[SweepQueue], mut available: Available) -> Vec<Assignment> {
    available.workers.sort_by(|a, b| a.id.cmp(&b.id));
    // From the back, so that the head of the queue is taken off cheaply.
    let turn = |sweep| Turn { sweep, running: sweep.running, waiting: sweep.waiting.iter().rev().collect() };
    let mut turns: Vec<Turn> = sweeps.iter().map(turn).collect();
    let mut assignments = Vec::new();
    loop {
        turns.retain(|turn| !turn.waiting.is_empty() && turn.sweep.max_parallel.is_none_or(|most| turn.running < most));
        let Some(next) = whose_turn(&turns) else { return assignments };
        match next_of(&turns[next], &mut available) {
            Some((place, assignment)) => {
                turns[next].waiting.remove(place);
                turns[next].running += 1;
                assignments.push(assignment);
            }
            None => drop(turns.remove(next)), // nothing of it finds a worker in this plan
        }
    }
}

/// The highest priority first, then who has least for its share, then the oldest.
fn whose_turn(turns: &[Turn]) -> Option<usize> {
    let has_less = |a: &Turn, b: &Turn| u64::from(a.running) * u64::from(b.sweep.share) < u64::from(b.running) * u64::from(a.sweep.share);
    (0..turns.len()).reduce(|best, other| {
        let (a, b) = (&turns[best], &turns[other]);
        let better = b.sweep.priority > a.sweep.priority || b.sweep.priority == a.sweep.priority && has_less(b, a);
        if better { other } else { best }
    })
}

/// The first replicate of the sweep that a worker can take, by its place in `waiting`. That worker has the most free slots of those that fit.
fn next_of(turn: &Turn, available: &mut Available) -> Option<(usize, Assignment)> {
    let needs = &turn.sweep.needs;
    for (place, waiting) in turn.waiting.iter().enumerate().rev() {
        let Some(index) = choose(needs, &waiting.avoid, available) else {
            // Without workers to avoid, the others of this sweep would fare no better.
            if waiting.avoid.is_empty() { return None } else { continue }
        };
        let worker = &mut available.workers[index];
        let reason = format!("{}; {} of {} slots were free, the most that fit", turn.reason(), worker.free(), worker.slots);
        worker.taken += needs.slots;
        return Some((place, Assignment { replicate: waiting.replicate.clone(), worker: worker.id.clone(), slots: needs.slots, reason }));
    }
    None
}

impl Turn<'_> {
    fn reason(&self) -> String {
        format!("head of the queue of priority {}, share {}, {} running", self.sweep.priority, self.sweep.share, self.running)
    }
}

/// Which worker to take: not one to avoid, unless there are no others at all.
fn choose(needs: &Needs, avoid: &[WorkerId], available: &Available) -> Option<usize> {
    let fits = |worker: &WorkerLoad| worker.free() >= needs.slots.max(1) && needs.met_by(&worker.traits, worker.slots).is_ok();
    let best = |allowed: &dyn Fn(&WorkerLoad) -> bool| {
        let fitting = available.workers.iter().enumerate().filter(|(_, worker)| allowed(worker) && fits(worker));
        fitting.min_by_key(|(_, worker)| Reverse(worker.free())).map(|(index, _)| index)
    };
    let elsewhere = |worker: &WorkerLoad| !avoid.contains(&worker.id);
    best(&elsewhere).or_else(|| if avoid.is_empty() || available.is_elsewhere(needs, avoid) { None } else { best(&|_| true) })
}
