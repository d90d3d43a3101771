//! One attempt on a thread of its own. Below this line nothing knows the network.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
};

use tinysweep_proto::config::TrialConfig;

use crate::{
    checkpoint,
    data::Examples,
    device::Device,
    report::{Directive, Report, Reporter},
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
    /// Where the checkpoint goes.
    pub checkpoint: PathBuf,
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
    Checkpoint(#[from] checkpoint::CheckpointError),
    /// A defect in the trainer; the other slots go on.
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

/// Tells a running job to stop at its next report.
#[derive(Clone, Default)]
pub struct StopFlag(Arc<AtomicBool>);

impl StopFlag {
    /// Stops the job.
    pub fn raise(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    /// Whether the job is to stop.
    pub fn is_raised(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// Runs `job` on a new thread. `on_report` is called there with each report, `on_end` with the result.
///
/// # Errors
/// The system has no thread left.
pub fn spawn(
    job: Job,
    stop: StopFlag,
    on_report: impl FnMut(&Report) + Send + 'static,
    on_end: impl FnOnce(Result<Outcome, JobError>) + Send + 'static,
) -> std::io::Result<()> {
    thread::Builder::new().name("trainer".into()).spawn(move || {
        let mut reporter = Relay { stop, on_report };
        let result = catch_unwind(AssertUnwindSafe(|| execute(&job, &mut reporter)));
        on_end(result.unwrap_or_else(|panic| Err(JobError::Panic(panic_message(panic.as_ref())))));
    })?;
    Ok(())
}

fn execute(job: &Job, reporter: &mut dyn Reporter) -> Result<Outcome, JobError> {
    let task = Task { config: &job.config, seed: job.seed, train: &job.train, test: &job.test, device: &job.device };
    let outcome = train(task, None, reporter)?;
    checkpoint::save(&job.checkpoint, &outcome.model, &job.config, job.train.task)?;
    if let Some(votes) = &outcome.votes {
        votes.save(&job.checkpoint)?;
    }
    Ok(outcome)
}

struct Relay<F> {
    stop: StopFlag,
    on_report: F,
}

impl<F: FnMut(&Report)> Reporter for Relay<F> {
    fn report(&mut self, report: &Report) -> Directive {
        if self.stop.is_raised() {
            return Directive::Stop;
        }
        (self.on_report)(report);
        Directive::Continue
    }
}

fn panic_message(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_else(|| "without a message".into())
}
