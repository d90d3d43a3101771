//! More steps for the best trials of a sweep, from the end of their training.
//!
//! An extension is a trial of its own: the configuration of the one that it extends with more `train.steps`, the same seeds, and the final
//! states to go on from. So what has ended stays as it is, and the leaderboard has a row for each length. A trial and what extends it, over
//! any number of times, are one *line*; a line goes on from the longest run that it has, so that no step is done twice.

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use tinysweep_proto::{
    config::{LrSchedule, TrainConfig},
    metric::Goal,
};

use super::{lifecycle::ReplicateStatus, retention::by_score, spec::Role};

/// A trial of the sweep.
#[derive(Clone, Debug, PartialEq)]
pub struct Candidate {
    /// Its number.
    pub number: u32,
    /// The trial that it extends.
    pub extends: Option<u32>,
    /// Steps that it trains.
    pub steps: u64,
    /// What it is to its sweep.
    pub role: Role,
    /// The worst that is true of its replicates: whether some are open, have failed or were cancelled, or all have a result.
    pub status: ReplicateStatus,
    /// The sweep's metric, the mean over replicates.
    pub score: Option<f64>,
}

/// Which trials are to be extended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Choice {
    /// So many of the best of the sweep's own.
    Top(u32),
    /// These.
    Trials(Vec<u32>),
}

/// What follows from a wish to extend trials.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Extensions {
    /// What is to be extended.
    pub wanted: Vec<Wanted>,
    /// What has been already.
    pub present: Vec<Present>,
}

/// A trial that is to be extended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wanted {
    /// The trial.
    pub extends: u32,
    /// The first of its line, whose name tells what it is.
    pub head: u32,
}

/// A trial that has so many steps already.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Present {
    /// The trial.
    pub trial: u32,
    /// What it extends.
    pub extends: u32,
}

/// Why trials cannot be extended.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ExtensionError {
    /// There is no such trial.
    #[error("the sweep has no trial {0}")]
    NoSuchTrial(u32),
    /// It has so many steps already.
    #[error("trial {trial} has {has} steps, so {wanted} are not more; the number is of all steps together")]
    NotLonger {
        /// The trial.
        trial: u32,
        /// Its steps.
        has: u64,
        /// Those that were asked for.
        wanted: u64,
    },
    /// Not all its replicates have a result.
    #[error("trial {trial} {}", stands(*status))]
    NotCompleted {
        /// The trial.
        trial: u32,
        /// Where it stands.
        status: ReplicateStatus,
    },
    /// Fewer trials have results than were asked for.
    #[error("the best {wanted} are asked for, and {have} trials have the results of all their replicates{}", others(*open, *failed))]
    TooFew {
        /// So many were asked for.
        wanted: u32,
        /// So many there are.
        have: u32,
        /// Trials with replicates that are queued or running.
        open: u32,
        /// Trials with replicates that have failed or were cancelled.
        failed: u32,
    },
}

fn stands(status: ReplicateStatus) -> &'static str {
    match status {
        ReplicateStatus::Queued | ReplicateStatus::Running => "is still under way; it can be extended when it has its results",
        ReplicateStatus::Failed => "has a replicate that failed; `tinysweep retry` tries it again",
        ReplicateStatus::Cancelled => "has a replicate that was cancelled",
        ReplicateStatus::Completed => "has its results",
    }
}

fn others(open: u32, failed: u32) -> String {
    let parts = [(open, "still under way"), (failed, "without some result")];
    parts.into_iter().filter(|(count, _)| *count > 0).map(|(count, what)| format!("; {count} {what}")).collect()
}

/// Chooses among `trials`, all of a sweep, those that are to be extended to `steps` steps.
///
/// Of the sweep's own trials the best are those whose longest run of fewer steps is best. A line that has a run of so many steps already,
/// whether it is waiting, running or done, is not extended again, so that asking twice is asking once; a cancelled one does not count.
///
/// # Errors
/// There are not so many, or one of them cannot be extended.
pub fn choose(trials: &[Candidate], goal: Goal, choice: &Choice, steps: u64) -> Result<Extensions, ExtensionError> {
    let lines = Lines::of(trials);
    let bases = match choice {
        Choice::Trials(numbers) => {
            let mut bases = numbers.iter().map(|number| lines.base_of(*number, steps)).collect::<Result<Vec<_>, _>>()?;
            bases.sort_by_key(|base| base.number);
            bases.dedup_by_key(|base| base.number);
            bases
        }
        Choice::Top(count) => best(&lines, goal, *count, steps)?,
    };
    let mut extensions = Extensions::default();
    for base in bases {
        match lines.present(base, steps) {
            Some(present) => {
                extensions.present.push(Present { trial: present.number, extends: present.extends.unwrap_or(base.number) });
            }
            None => extensions.wanted.push(Wanted { extends: base.number, head: lines.head(base) }),
        }
    }
    Ok(extensions)
}

fn best<'a>(lines: &Lines<'a>, goal: Goal, count: u32, steps: u64) -> Result<Vec<&'a Candidate>, ExtensionError> {
    let heads = lines.heads().filter(|head| head.role == Role::Proposed);
    let mut bases: Vec<_> = heads.map(|head| lines.base(head, steps)).collect();
    let all = bases.len();
    let open = bases.iter().filter(|base| !base.status.is_final()).count();
    bases.retain(|base| base.status == ReplicateStatus::Completed);
    if bases.len() < count as usize {
        let failed = all - open - bases.len();
        return Err(ExtensionError::TooFew { wanted: count, have: bases.len() as u32, open: open as u32, failed: failed as u32 });
    }
    bases.sort_by(|a, b| by_score(goal, a.score, b.score).then(a.number.cmp(&b.number)));
    bases.truncate(count as usize);
    bases.iter().try_for_each(|base| expect_shorter(base, steps))?;
    Ok(bases)
}

fn expect_shorter(base: &Candidate, steps: u64) -> Result<(), ExtensionError> {
    let Candidate { number, steps: has, .. } = *base;
    if has < steps { Ok(()) } else { Err(ExtensionError::NotLonger { trial: number, has, wanted: steps }) }
}

/// Trials by number, and each with the trials of its line.
struct Lines<'a> {
    trials: BTreeMap<u32, &'a Candidate>,
    /// By the number of the line's first trial.
    members: BTreeMap<u32, Vec<&'a Candidate>>,
    head_of: BTreeMap<u32, u32>,
}

impl<'a> Lines<'a> {
    fn of(trials: &'a [Candidate]) -> Self {
        let trials: BTreeMap<_, _> = trials.iter().map(|trial| (trial.number, trial)).collect();
        let (mut members, mut head_of) = (BTreeMap::<u32, Vec<_>>::new(), BTreeMap::new());
        for (number, trial) in &trials {
            // What a trial extends has a smaller number, and came before it.
            let head = trial.extends.and_then(|extends| head_of.get(&extends).copied()).unwrap_or(*number);
            head_of.insert(*number, head);
            members.entry(head).or_default().push(*trial);
        }
        Self { trials, members, head_of }
    }

    fn heads(&self) -> impl Iterator<Item = &'a Candidate> {
        self.members.keys().filter_map(|number| self.trials.get(number).copied())
    }

    fn head(&self, trial: &Candidate) -> u32 {
        self.head_of.get(&trial.number).copied().unwrap_or(trial.number)
    }

    fn line_of(&self, trial: &Candidate) -> &[&'a Candidate] {
        self.members.get(&self.head(trial)).map_or(&[], Vec::as_slice)
    }

    /// What a line goes on from: its longest run of fewer than `steps` steps. One that failed or was cancelled leaves it to a shorter one;
    /// one that is under way does not, since it will soon be what to go on from.
    fn base(&self, trial: &'a Candidate, steps: u64) -> &'a Candidate {
        let is_given_up = |other: &Candidate| matches!(other.status, ReplicateStatus::Failed | ReplicateStatus::Cancelled);
        let shorter = self.line_of(trial).iter().filter(|other| other.steps < steps && !is_given_up(other));
        shorter.max_by_key(|other| (other.steps, other.number)).copied().unwrap_or(trial)
    }

    /// The same for the line of a trial that a user names.
    fn base_of(&self, number: u32, steps: u64) -> Result<&'a Candidate, ExtensionError> {
        let trial = self.trials.get(&number).copied().ok_or(ExtensionError::NoSuchTrial(number))?;
        expect_shorter(trial, steps)?;
        let base = self.base(trial, steps);
        match base.status {
            ReplicateStatus::Completed => Ok(base),
            status => Err(ExtensionError::NotCompleted { trial: base.number, status }),
        }
    }

    /// The run of `steps` steps that the line of `base` has already.
    fn present(&self, base: &Candidate, steps: u64) -> Option<&'a Candidate> {
        self.line_of(base).iter().find(|other| other.steps == steps && other.status != ReplicateStatus::Cancelled).copied()
    }
}

/// Whether the learning rate of a run depends on how many steps it has, so that a longer one does not begin as a shorter one did: it falls
/// after warm-up, to be lowest at the last step.
pub fn rate_falls(train: &TrainConfig) -> bool {
    train.schedule != LrSchedule::Constant && train.lr_min_ratio != 1.0 && train.steps > train.warmup_steps
}
