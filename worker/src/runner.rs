//! One attempt on the thread that calls it. Below this line nothing knows the network.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicU8, Ordering},
    },
    time::{Duration, Instant},
};

use tinysweep_proto::config::TrialConfig;

use crate::{
    checkpoint::{CheckpointError, Saving},
    cost::{Cost, Meter, Power},
    data::Examples,
    device::Device,
    kernels,
    model::Model,
    report::{Directive, Report, Reporter, Wish, Work},
    state::TrainingState,
    train::{Outcome, Task, TrainError, train},
};

/// Everything that a trainer needs.
pub struct Job {
    /// What to train.
    pub config: TrialConfig,
    /// Seeds initial weights, data order and augmentation.
    pub seed: u64,
    /// Puzzles to learn from.
    pub train: Arc<Examples>,
    /// Puzzles to be measured on.
    pub test: Arc<Examples>,
    /// Where the model is computed.
    pub device: Device,
    /// What a device is taken to draw where nothing counts its energy.
    pub power: Power,
    /// The state to go on from; none for a start from nothing.
    pub resume: Option<TrainingState>,
    /// Which states of training are wanted.
    pub states: States,
}

/// Which states of training are wanted of a job, beside the one with which it may be told to end.
#[derive(Clone, Copy, Debug, Default)]
pub struct States {
    /// How often, should the worker be lost; none for never.
    pub every: Option<Duration>,
    /// After each evaluation during training.
    pub after_evaluations: bool,
    /// After the last step, from where training can go on to more steps.
    pub at_end: bool,
}

/// Why a job ended without a result.
#[derive(Debug, thiserror::Error)]
pub enum JobError {
    /// It was told to stop.
    #[error("stopped")]
    Stopped,
    /// Training failed.
    #[error(transparent)]
    Train(TrainError),
    /// The result is there, but could not be kept.
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
    /// A defect in the trainer.
    #[error("the trainer panicked: {0}")]
    Panic(String),
}

impl From<TrainError> for JobError {
    fn from(error: TrainError) -> Self {
        match error {
            TrainError::Stopped => Self::Stopped,
            error => Self::Train(error),
        }
    }
}

/// Tells a running job to end before its time.
#[derive(Clone, Default)]
pub struct StopFlag(Arc<AtomicU8>);

/// [`StopFlag::hand_back`] was called.
const HAND_BACK: u8 = 1;
/// [`StopFlag::raise`] was called.
const STOP: u8 = 2;

impl StopFlag {
    /// Stops the job after its present step, or in the middle of an evaluation.
    pub fn raise(&self) {
        self.0.fetch_max(STOP, Ordering::Relaxed);
    }

    /// Has the job give a state to go on from after its present step, and stop then.
    pub fn hand_back(&self) {
        self.0.fetch_max(HAND_BACK, Ordering::Relaxed);
    }

    fn level(&self) -> u8 {
        self.0.load(Ordering::Relaxed)
    }

    fn is_raised(&self) -> bool {
        self.level() == STOP
    }
}

/// Takes what a job says while it runs, on its thread: it must not block for long.
pub trait Listener {
    /// A report, and the cost so far.
    fn report(&mut self, report: &Report, cost: &Cost);
    /// A line for people.
    fn line(&mut self, line: String);
    /// A state to go on from after `step` steps.
    fn state(&mut self, step: usize, bytes: Vec<u8>);
}

/// Runs `job`, writes the model into the folder `checkpoint`, and tells `listener` how it goes. Gives the result, and what it has cost with
/// or without one; a panic ends the job and nothing else.
pub fn run(job: &Job, checkpoint: &Path, stop: StopFlag, listener: &mut dyn Listener) -> (Result<Outcome, JobError>, Cost) {
    let meter = Meter::start(&job.device, job.power);
    let (last_state, work) = (Instant::now(), Work::default());
    let mut relay = Relay { stop, listener, states: job.states, last_state, is_evaluated: false, checkpoint, saving: None, meter, work };
    let result = catch_unwind(AssertUnwindSafe(|| execute(job, &mut relay)));
    let result = result.unwrap_or_else(|panic| Err(JobError::Panic(panic_message(panic.as_ref()))));
    let cost = relay.meter.finish(result.as_ref().map_or(relay.work, |outcome| outcome.work));
    // The next job in this process may be of another shape, and is to have all the memory that its sweep allows.
    kernels::release_memory();
    (result, cost)
}

fn execute(job: &Job, relay: &mut Relay) -> Result<Outcome, JobError> {
    let task = Task { config: &job.config, seed: job.seed, train: &job.train, test: &job.test, device: &job.device };
    let outcome = train(task, job.resume.as_ref(), relay)?;
    let saving = relay.saving.take().unwrap_or_else(|| Saving::begin(relay.checkpoint, &outcome.model))?;
    saving.finish(&job.config, job.train.task)?;
    if let Some(votes) = &outcome.votes {
        votes.save(relay.checkpoint)?;
    }
    Ok(outcome)
}

struct Relay<'a> {
    stop: StopFlag,
    listener: &'a mut dyn Listener,
    states: States,
    last_state: Instant,
    /// An evaluation has ended since a state was last asked for.
    is_evaluated: bool,
    /// The folder of the model, and the model on its way there.
    checkpoint: &'a Path,
    saving: Option<Result<Saving, CheckpointError>>,
    meter: Meter,
    /// As it was reported last.
    work: Work,
}

impl Reporter for Relay<'_> {
    fn report(&mut self, report: &Report) -> Directive {
        if self.stop.is_raised() {
            return Directive::Stop;
        }
        self.is_evaluated |= report.points.iter().any(|(name, _)| name.starts_with("subset/"));
        self.work = report.work;
        self.listener.report(report, &self.meter.read(report.work));
        // An evaluation may take long, and can be done again from the state before it.
        if self.stop.level() == HAND_BACK && report.evaluation.is_some() { Directive::Stop } else { Directive::Continue }
    }

    fn wish(&mut self, is_end: bool) -> Wish {
        let States { every, after_evaluations, at_end } = self.states;
        let is_evaluated = std::mem::take(&mut self.is_evaluated);
        let is_due = every.is_some_and(|every| self.last_state.elapsed() >= every);
        if self.stop.is_raised() {
            Wish::Stop
        } else if self.stop.level() == HAND_BACK {
            Wish::StateThenStop
        } else if is_due || (after_evaluations && is_evaluated) || (at_end && is_end) {
            Wish::State
        } else {
            Wish::Nothing
        }
    }

    fn say(&mut self, line: String) {
        self.listener.line(line);
    }

    fn trained(&mut self, model: &Model) {
        self.saving = Some(Saving::begin(self.checkpoint, model));
    }

    fn state(&mut self, step: usize, bytes: Vec<u8>) {
        self.last_state = Instant::now();
        self.listener.state(step, bytes);
    }
}

fn panic_message(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_else(|| "without a message".into())
}
