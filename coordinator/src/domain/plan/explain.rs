//! Why something waits.

use super::SweepQueue;
use crate::domain::{
    fleet::WorkerLoad,
    ids::{ReplicateKey, WorkerId},
};

/// Said of a program that no worker here may run.
pub const NO_COMMANDS: &str = "no worker here allows commands (start one with --allow-commands)";

/// Why a queued replicate of `sweep` is not running, for people, the nearest reason first. It failed before on the workers `avoid`.
///
/// `sweeps` are all in which something may begin, and `workers` all that can be reached, with room or not.
pub fn why_waiting(
    sweeps: &[SweepQueue],
    workers: &[WorkerLoad],
    sweep: &SweepQueue,
    replicate: &ReplicateKey,
    avoid: &[WorkerId],
) -> Vec<String> {
    let mut reasons = Vec::new();
    if let Some(most) = sweep.max_parallel.filter(|most| sweep.running >= *most) {
        reasons.push(format!("max_parallel: {} of at most {most} replicates of its sweep are running", sweep.running));
    }
    let able: Vec<_> = workers.iter().filter(|worker| sweep.needs.met_by(&worker.traits, worker.slots).is_ok()).collect();
    if able.is_empty() {
        reasons.extend(nobody_is_able(workers, sweep));
        return reasons;
    }
    let given: Vec<_> = able.iter().filter(|worker| worker.withheld.is_none()).collect();
    if given.is_empty() {
        let withheld = |worker: &&WorkerLoad| Some(format!("worker {} gets no work: {}", worker.id, worker.withheld.as_ref()?));
        reasons.extend(able.iter().filter_map(withheld));
        return reasons;
    }
    let free: u32 = given.iter().map(|worker| worker.free()).sum();
    if free < sweep.needs.slots {
        let slots: u32 = given.iter().map(|worker| worker.slots).sum();
        reasons.push(format!("no slot is free: {} of {slots} on {} workers that fit are taken", slots - free, given.len()));
    } else if given.iter().filter(|worker| worker.free() > 0).all(|worker| avoid.contains(&worker.id)) {
        reasons.push("the free slots are on workers where it has failed; it waits for another".to_owned());
    }
    reasons.extend(sweeps.iter().filter(|other| goes_before(other, sweep)).map(|other| {
        format!(
            "sweep {} goes first: priority {} is above {}, and {} of it wait",
            other.id,
            other.priority,
            sweep.priority,
            other.waiting.len()
        )
    }));
    if let Some(place) = sweep.waiting.iter().position(|waiting| waiting.replicate == *replicate).filter(|place| *place > 0) {
        reasons.push(format!("{place} replicates of its sweep are before it in the queue"));
    }
    if reasons.is_empty() {
        reasons.push("nothing holds it up: it is leased at the next turn".to_owned());
    }
    reasons
}

fn goes_before(other: &SweepQueue, sweep: &SweepQueue) -> bool {
    other.id != sweep.id && other.priority > sweep.priority && !other.waiting.is_empty()
}

/// No worker is able to run it: none is here, or each lacks something.
fn nobody_is_able(workers: &[WorkerLoad], sweep: &SweepQueue) -> Vec<String> {
    const LISTED: usize = 10;
    if sweep.needs.commands && !workers.iter().any(|worker| worker.traits.commands) {
        return vec![NO_COMMANDS.to_owned()];
    }
    if workers.is_empty() {
        return vec!["no worker is connected; start one with `tinysweep worker --join …`".to_owned()];
    }
    let lacks = |worker: &WorkerLoad| {
        let lack = sweep.needs.met_by(&worker.traits, worker.slots).err()?;
        Some(format!("worker {} does not fit: it {lack}", worker.id))
    };
    workers.iter().filter_map(lacks).take(LISTED).collect()
}
