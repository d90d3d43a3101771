//! What a run is like, drawn from its seed.

use std::time::Duration;

use crate::dice::Dice;

/// A fault that is planted, to see whether it is found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Trials that are to go on from a state go on with another one.
    ForgetsState,
    /// Once the storm has begun, the coordinator's disk says that it has synced, and has not.
    LiesAboutSync,
    /// The store forgets which events it has taken.
    ForgetsEvents,
}

/// What a run is like.
#[derive(Clone, Debug)]
pub struct Plan {
    pub seed: u64,
    pub workers: usize,
    pub slots: usize,
    /// Silence after which a worker counts as lost.
    pub lease_secs: u32,
    /// Sweeps beside the one that is not disturbed.
    pub sweeps: u32,
    /// Replicates of each of its two trials.
    pub replicates: u32,
    /// How long a step of training takes at most.
    pub step_ms: u64,
    /// How often trials give a state; 0 for never.
    pub checkpoint_secs: u32,
    /// How long an attempt may run; 0 for no limit, and then none hangs.
    pub timeout_secs: u64,
    /// Of a thousand attempts, those that fail by themselves.
    pub failing: u64,
    /// The longest that a message is on its way, once the storm has begun.
    pub latency: Duration,
    /// Of as many messages one takes all on its link with it.
    pub loss: Option<u64>,
    /// The longest that the disk takes for one thing.
    pub disk_ms: u64,
    /// How long the storm lasts.
    pub storm: Duration,
    /// The longest time between two strikes.
    pub calm_ms: u64,
    /// Crashes of the coordinator may be power cuts, which take what is not on the disk.
    pub has_power_cuts: bool,
    pub fault: Option<Fault>,
}

impl Plan {
    /// The plan of a seed.
    pub fn of(seed: u64) -> Self {
        let mut dice = Dice(seed.wrapping_mul(0x2545_f491_4f6c_dd1d));
        let mut one_of = |choices: &[u64]| choices[dice.below(choices.len() as u64) as usize];
        Self {
            seed,
            workers: one_of(&[1, 2, 2, 3, 3, 4]) as usize,
            slots: one_of(&[1, 1, 2, 3]) as usize,
            lease_secs: one_of(&[3, 3, 4, 6, 10]) as u32,
            sweeps: one_of(&[1, 2, 2, 3]) as u32,
            replicates: one_of(&[1, 2, 3, 5]) as u32,
            step_ms: one_of(&[20, 60, 200]),
            checkpoint_secs: one_of(&[0, 1, 1, 2]) as u32,
            timeout_secs: one_of(&[0, 0, 10]),
            failing: one_of(&[0, 50, 200, 400]),
            latency: Duration::from_millis(one_of(&[5, 30, 100, 400])),
            loss: [None, Some(2000), Some(500), Some(100)][one_of(&[0, 1, 2, 3]) as usize],
            disk_ms: one_of(&[0, 2, 2, 20]),
            storm: Duration::from_secs(one_of(&[5, 10, 15, 25])),
            calm_ms: one_of(&[300, 1000, 2500]),
            has_power_cuts: one_of(&[0, 0, 1]) == 1,
            fault: None,
        }
    }
}
