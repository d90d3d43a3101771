//! Which states of training are kept: of one replicate while it lives and after, and of all together under a limit.
//!
//! A state is what a worker can go on from. What still goes on always has one; the rest is kept for what a user may want next: a failed
//! replicate tried again, more steps for the best trials, a trained model.

#[cfg(test)]
mod tests;

use std::{
    cmp::{Ordering, Reverse},
    collections::{HashMap, HashSet},
};

use serde::{Deserialize, Serialize};
use tinysweep_proto::metric::Goal;

use super::lifecycle::ReplicateStatus;

/// What a sweep wants to be kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Retention {
    /// Of each replicate without a result so many of its newest states, and one at the least: the next attempt goes on from there.
    pub keep_last: u32,
    /// Of each replicate so many of the states whose evaluation during training was best by the sweep's metric.
    pub keep_best: u32,
    /// The states at the end of training of so many of the sweep's best trials; none for all trials.
    pub keep_final: Option<u32>,
}

impl Default for Retention {
    fn default() -> Self {
        Self { keep_last: 2, keep_best: 0, keep_final: Some(10) }
    }
}

/// A state of one replicate.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct State {
    /// Steps done.
    pub step: u64,
    /// The sweep's metric as the evaluation after that step gave it; none where there was none.
    pub score: Option<f64>,
    /// Training ends with that step.
    pub is_final: bool,
}

/// Why a state of a replicate is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// It is the end of a training that has a result.
    Final,
    /// It is among the newest of a replicate without a result.
    Last,
    /// It is among the best evaluated.
    Best,
}

impl Reason {
    /// The word for people.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Final => "final",
            Self::Last => "last",
            Self::Best => "best",
        }
    }
}

impl Retention {
    /// Whether workers are to give the state at the end of training.
    pub const fn keeps_final(&self) -> bool {
        !matches!(self.keep_final, Some(0))
    }

    /// For each of `states`, all of one replicate, why it is kept; none where it is to be dropped.
    pub fn reasons(&self, status: ReplicateStatus, goal: Goal, states: &[State]) -> Vec<Option<Reason>> {
        let newest = first(self.keep_last.max(1), 0..states.len(), |a, b| states[*b].step.cmp(&states[*a].step));
        let evaluated = (0..states.len()).filter(|index| states[*index].score.is_some());
        let best = first(self.keep_best, evaluated, |a, b| {
            let (a, b) = (&states[*a], &states[*b]);
            by_score(goal, a.score, b.score).then(b.step.cmp(&a.step))
        });
        let is_completed = status == ReplicateStatus::Completed;
        let reason = |index: usize| {
            if is_completed && states[index].is_final && self.keeps_final() {
                Some(Reason::Final)
            } else if !is_completed && newest.contains(&index) {
                Some(Reason::Last)
            } else {
                best.contains(&index).then_some(Reason::Best)
            }
        };
        (0..states.len()).map(reason).collect()
    }
}

/// The first `count` of `indices` in the order of `compare`.
fn first(count: u32, indices: impl Iterator<Item = usize>, compare: impl Fn(&usize, &usize) -> Ordering) -> HashSet<usize> {
    let mut indices: Vec<_> = indices.collect();
    indices.sort_by(compare);
    indices.into_iter().take(count as usize).collect()
}

/// The better first; what is no number, or is not there, last.
pub fn by_score(goal: Goal, a: Option<f64>, b: Option<f64>) -> Ordering {
    match (a.filter(|score| !score.is_nan()), b.filter(|score| !score.is_nan())) {
        (Some(a), Some(b)) if goal == Goal::Maximize => b.total_cmp(&a),
        (Some(a), Some(b)) => a.total_cmp(&b),
        (a, b) => b.is_some().cmp(&a.is_some()),
    }
}

/// A state among all that are stored.
#[derive(Clone, Debug, PartialEq)]
pub struct Stored {
    /// Its row.
    pub id: i64,
    /// Its size.
    pub bytes: u64,
    /// When it came, in ms since 1970.
    pub created_ms: i64,
    /// What it is for.
    pub claim: Claim,
}

/// What a state is for.
#[derive(Clone, Debug, PartialEq)]
pub enum Claim {
    /// Its replicate is queued or running and goes on from it.
    Open,
    /// It is the end of a training that has a result.
    Final(Standing),
    /// Nothing goes on from it by itself.
    Other,
}

/// How a trial stands in its sweep.
#[derive(Clone, Debug, PartialEq)]
pub struct Standing {
    /// Row of the sweep, and of the trial.
    pub sweep: i64,
    /// See `sweep`.
    pub trial: i64,
    /// The sweep's metric, the mean over replicates so far.
    pub score: Option<f64>,
    /// Which way is better.
    pub goal: Goal,
    /// Every replicate has ended, so that the score will not change.
    pub is_settled: bool,
    /// [`Retention::keep_final`] of the sweep.
    pub keep_final: Option<u32>,
}

/// The rows that are to be dropped, so that of each sweep the final states of its best trials stay, and all states together have at most
/// `limit` bytes.
///
/// What an open replicate goes on from is never dropped, whatever the limit. Then the final states of the best trials stay longest: first
/// go those that are of no training's end, the oldest first, then final ones, those of the worst trials first. A trial that is not settled
/// yet may still become one of the best, and is not counted out.
pub fn surplus(states: &[Stored], limit: u64) -> Vec<i64> {
    let ranks = ranks(states);
    let (mut dropped, mut ended, mut total) = (Vec::new(), Vec::new(), 0_u64);
    for state in states {
        let rank = match &state.claim {
            Claim::Final(standing) => ranks.get(&(standing.sweep, standing.trial)).copied(),
            Claim::Open | Claim::Other => None,
        };
        if is_counted_out(&state.claim, rank) {
            dropped.push(state.id);
            continue;
        }
        total = total.saturating_add(state.bytes);
        if state.claim != Claim::Open {
            ended.push((rank, state));
        }
    }
    ended.sort_by_key(|(rank, state)| (rank.is_some(), Reverse(*rank), state.created_ms, state.id));
    for (_, state) in ended {
        if total <= limit {
            break;
        }
        total -= state.bytes;
        dropped.push(state.id);
    }
    dropped
}

fn is_counted_out(claim: &Claim, rank: Option<u32>) -> bool {
    match (claim, rank) {
        (Claim::Final(Standing { is_settled: true, keep_final: Some(most), .. }), Some(rank)) => rank >= *most,
        _ => false,
    }
}

/// How many trials of the same sweep are better, among those with a final state; by sweep and trial.
fn ranks(states: &[Stored]) -> HashMap<(i64, i64), u32> {
    let mut standings: Vec<_> = states
        .iter()
        .filter_map(|state| match &state.claim {
            Claim::Final(standing) => Some(standing),
            Claim::Open | Claim::Other => None,
        })
        .collect();
    standings.sort_by(|a, b| a.sweep.cmp(&b.sweep).then(by_score(a.goal, a.score, b.score)).then(a.trial.cmp(&b.trial)));
    standings.dedup_by_key(|standing| (standing.sweep, standing.trial));
    let mut ranks = HashMap::with_capacity(standings.len());
    let (mut sweep, mut rank) = (None, 0);
    for standing in standings {
        rank = if sweep == Some(standing.sweep) { rank + 1 } else { 0 };
        sweep = Some(standing.sweep);
        ranks.insert((standing.sweep, standing.trial), rank);
    }
    ranks
}
