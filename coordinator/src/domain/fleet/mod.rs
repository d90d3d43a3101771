//! Workers that can be reached, and who of them has room.
//!
//! A plan is made with each result, and most workers are busy then. What a result costs must not grow with them: those with room are known
//! apart, and what a plan has to know of the others changes seldom, so that it is shared and not copied.

#[cfg(test)]
mod tests;

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::Arc,
};

use super::{
    health::Health,
    ids::WorkerId,
    policy::{Needs, Traits},
};

/// What seldom changes of a worker.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Member {
    /// Attempts that it runs at once.
    pub slots: u32,
    /// What it says of itself.
    pub traits: Arc<Traits>,
    /// How it fares.
    pub health: Health,
    /// It takes no more leases.
    pub drains: bool,
}

impl Member {
    /// Why it gets no work now; none where nothing speaks against it.
    pub fn withheld(&self, now_ms: i64) -> Option<String> {
        if self.drains { Some("it is about to leave".to_owned()) } else { self.health.quarantine(now_ms) }
    }
}

/// A worker that can be reached now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WorkerLoad {
    /// Which.
    pub id: WorkerId,
    /// Attempts that it runs at once.
    pub slots: u32,
    /// Slots that are taken now.
    pub taken: u32,
    /// What it says of itself.
    pub traits: Arc<Traits>,
    /// Why it gets no work now, where it gets none: it drains, or is quarantined.
    pub withheld: Option<String>,
}

impl WorkerLoad {
    /// Slots that work can be given for.
    pub const fn free(&self) -> u32 {
        if self.withheld.is_some() { 0 } else { self.slots.saturating_sub(self.taken) }
    }
}

/// All workers that can be reached.
#[derive(Debug, Default)]
pub struct Fleet {
    members: Arc<BTreeMap<WorkerId, Member>>,
    /// Slots that are taken, of each member.
    taken: HashMap<WorkerId, u32>,
    /// Members that do not drain and have a slot left. Whether one is quarantined depends on the time, so that it is asked when it matters.
    with_room: BTreeSet<WorkerId>,
}

impl Fleet {
    /// A worker can be reached, also where it could before; `taken` of its slots are.
    pub fn join(&mut self, id: &WorkerId, member: Member, taken: u32) {
        Arc::make_mut(&mut self.members).insert(id.clone(), member);
        self.taken.insert(id.clone(), taken);
        self.settle(id);
    }

    /// A worker cannot be reached any more.
    pub fn leave(&mut self, id: &WorkerId) {
        if self.taken.remove(id).is_some() {
            Arc::make_mut(&mut self.members).remove(id);
            self.with_room.remove(id);
        }
    }

    /// Something of a worker is not as it was.
    pub fn change(&mut self, id: &WorkerId, change: impl FnOnce(&mut Member)) {
        if let Some(member) = Arc::make_mut(&mut self.members).get_mut(id) {
            change(member);
            self.settle(id);
        }
    }

    /// Slots of a worker are taken.
    pub fn take(&mut self, id: &WorkerId, slots: u32) {
        self.set_taken(id, |taken| taken.saturating_add(slots));
    }

    /// Slots of a worker are free again.
    pub fn free(&mut self, id: &WorkerId, slots: u32) {
        self.set_taken(id, |taken| taken.saturating_sub(slots));
    }

    /// Sets the taken slots of all workers right; of those that `taken` leaves out, none are.
    pub fn count(&mut self, taken: &HashMap<WorkerId, u32>) {
        for id in Arc::clone(&self.members).keys() {
            self.set_taken(id, |_| taken.get(id).copied().unwrap_or(0));
        }
    }

    fn set_taken(&mut self, id: &WorkerId, next: impl FnOnce(u32) -> u32) {
        if let Some(taken) = self.taken.get_mut(id) {
            *taken = next(*taken);
            self.settle(id);
        }
    }

    /// Puts a worker among those with room, or takes it out.
    fn settle(&mut self, id: &WorkerId) {
        let taken = self.taken.get(id).copied().unwrap_or(0);
        if self.members.get(id).is_some_and(|member| !member.drains && member.slots > taken) {
            self.with_room.insert(id.clone());
        } else {
            self.with_room.remove(id);
        }
    }

    /// How many can be reached.
    pub fn size(&self) -> usize {
        self.members.len()
    }

    /// One of them.
    pub fn member(&self, id: &WorkerId) -> Option<&Member> {
        self.members.get(id)
    }

    /// All of them, in the order of their ids.
    pub fn loads(&self, now_ms: i64) -> Vec<WorkerLoad> {
        self.members.keys().filter_map(|id| self.load(id, now_ms)).collect()
    }

    fn load(&self, id: &WorkerId, now_ms: i64) -> Option<WorkerLoad> {
        let member = self.members.get(id)?;
        let taken = self.taken.get(id).copied().unwrap_or(0);
        Some(WorkerLoad { id: id.clone(), slots: member.slots, taken, traits: member.traits.clone(), withheld: member.withheld(now_ms) })
    }

    /// What a plan has to know: those with room, and `ending`, of which something is about to end.
    pub fn available(&self, ending: Option<&WorkerId>, now_ms: i64) -> Available {
        let ending = ending.filter(|id| !self.with_room.contains(*id));
        let loads = self.with_room.iter().chain(ending).filter_map(|id| self.load(id, now_ms));
        Available { workers: loads.filter(|load| load.withheld.is_none()).collect(), members: self.members.clone(), now_ms }
    }
}

/// What a plan knows of the workers.
#[derive(Clone, Debug)]
pub struct Available {
    /// Those that work can be given to; one of them may have no room yet.
    pub workers: Vec<WorkerLoad>,
    members: Arc<BTreeMap<WorkerId, Member>>,
    now_ms: i64,
}

impl Available {
    /// Slots that work can be given for.
    pub fn slots(&self) -> u32 {
        self.workers.iter().map(WorkerLoad::free).sum()
    }

    /// The same if all that `worker` runs ended.
    pub fn slots_with_all_of(&self, worker: &WorkerId) -> u32 {
        self.workers.iter().map(|load| if load.id == *worker { load.slots } else { load.free() }).sum()
    }

    /// Frees slots of a worker.
    pub fn free(&mut self, worker: &WorkerId, slots: u32) {
        if let Some(load) = self.workers.iter_mut().find(|load| load.id == *worker) {
            load.taken = load.taken.saturating_sub(slots);
        }
    }

    /// Whether there is a worker, with room or not, that can run what has these `needs` and is none of `avoid`.
    pub fn is_elsewhere(&self, needs: &Needs, avoid: &[WorkerId]) -> bool {
        let takes = |(id, member): (&WorkerId, &Member)| {
            !avoid.contains(id) && member.withheld(self.now_ms).is_none() && needs.met_by(&member.traits, member.slots).is_ok()
        };
        self.members.iter().any(takes)
    }
}
