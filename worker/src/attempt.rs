//! From a lease to its end: fetches the data, runs the job, and turns what it says into events.

use std::{path::PathBuf, sync::Arc};

use tinysweep_proto::{
    Malformed, config,
    connect::Connection,
    dataset::Dataset,
    v1::{AttemptRef, Completed, Failed, FailureKind, Lease, MetricPoint, Progress, Series, worker_event::Event},
};
use tokio::sync::mpsc::UnboundedSender;

use crate::{
    data::Split,
    datasets::{Datasets, FetchError},
    device::Device,
    report::Report,
    runner::{self, Job, JobError, StopFlag},
    train::{Outcome, TrainError},
};

/// What an attempt says to its agent.
pub enum Said {
    /// Something for the coordinator; after `Completed` or `Failed` there is nothing more.
    Event(Event),
    /// It has stopped, as it was told.
    Stopped,
}

/// Where attempts find what they need.
pub struct Surroundings {
    /// Data sets of this worker.
    pub datasets: Datasets,
    /// Checkpoints go into a folder each below this one.
    pub checkpoints: PathBuf,
    /// Where models are computed.
    pub device: Device,
    /// Of this machine, for people who look for a checkpoint.
    pub host: String,
}

/// A lease that cannot be run as it stands.
#[derive(Debug, thiserror::Error)]
enum LeaseError {
    #[error("the configuration is wrong: {0}")]
    Config(String),
    #[error("the lease names no data set")]
    NoDataset,
    #[error(transparent)]
    Malformed(#[from] Malformed),
    #[error(transparent)]
    Fetch(#[from] FetchError),
    #[error("cannot start a thread: {0}")]
    Thread(#[from] std::io::Error),
}

impl LeaseError {
    fn kind(&self) -> FailureKind {
        match self {
            Self::Fetch(_) | Self::NoDataset | Self::Malformed(_) => FailureKind::Data,
            Self::Config(_) | Self::Thread(_) => FailureKind::Other,
        }
    }
}

/// Starts the attempt that `lease` describes. All that it says goes to `says`, with its name.
pub async fn start(
    attempt: AttemptRef,
    lease: Lease,
    connection: Connection,
    surroundings: Arc<Surroundings>,
    stop: StopFlag,
    says: UnboundedSender<(AttemptRef, Said)>,
) {
    if let Err(error) = try_start(&attempt, lease, connection, &surroundings, stop, says.clone()).await {
        say(&says, &attempt, Said::Event(failed(&attempt, error.kind(), error.to_string())));
    }
}

async fn try_start(
    attempt: &AttemptRef,
    lease: Lease,
    connection: Connection,
    surroundings: &Surroundings,
    stop: StopFlag,
    says: UnboundedSender<(AttemptRef, Said)>,
) -> Result<(), LeaseError> {
    let config = config::parse(&lease.config_json).map_err(LeaseError::Config)?;
    if let Some(error) = config::check(&config).first() {
        return Err(LeaseError::Config(error.to_string()));
    }
    let dataset = Dataset::try_from(lease.dataset.ok_or(LeaseError::NoDataset)?)?;
    let job = Job {
        config,
        seed: lease.seed,
        train: surroundings.datasets.get(&connection, &dataset.train, dataset.task, Split::Train).await?,
        test: surroundings.datasets.get(&connection, &dataset.test, dataset.task, Split::Test).await?,
        device: surroundings.device.clone(),
        checkpoint: surroundings.checkpoints.join(folder_name(attempt)),
    };
    let checkpoint = format!("{}:{}", surroundings.host, job.checkpoint.display());
    let (for_report, for_end) = ((attempt.clone(), says.clone()), (attempt.clone(), says));
    runner::spawn(
        job,
        stop,
        move |report| say(&for_report.1, &for_report.0, Said::Event(progress(&for_report.0, report))),
        move |result| say(&for_end.1, &for_end.0, ended(&for_end.0, result, checkpoint)),
    )?;
    Ok(())
}

/// The agent may have left already; then nobody needs to know.
fn say(says: &UnboundedSender<(AttemptRef, Said)>, attempt: &AttemptRef, said: Said) {
    let _ = says.send((attempt.clone(), said));
}

/// A sweep's id is the coordinator's to choose: only letters, digits and dashes of it become part of a path.
fn folder_name(attempt: &AttemptRef) -> String {
    let sweep: String = attempt.sweep.chars().filter(|c| c.is_ascii_alphanumeric() || *c == '-').collect();
    format!("{sweep}-{}-{}", attempt.trial, attempt.replicate)
}

fn progress(attempt: &AttemptRef, report: &Report) -> Event {
    let step = report.step as u64;
    Event::Progress(Progress {
        attempt: Some(attempt.clone()),
        step,
        total_steps: report.total_steps as u64,
        points: report.points.iter().map(|(name, value)| MetricPoint { name: name.clone(), step, value: *value }).collect(),
        seconds_left: report.seconds_left,
        evaluated: report.evaluation.map(|evaluated| evaluated.done as u64),
        to_evaluate: report.evaluation.map(|evaluated| evaluated.total as u64),
    })
}

fn ended(attempt: &AttemptRef, result: Result<Outcome, JobError>, checkpoint: String) -> Said {
    match result {
        Ok(outcome) => Said::Event(Event::Completed(Completed {
            attempt: Some(attempt.clone()),
            metrics: outcome.metrics.into_iter().collect(),
            metrics_by_step: outcome.metrics_by_step.into_iter().map(|(name, values)| Series { name, values }).collect(),
            wall_seconds: outcome.wall_seconds,
            checkpoint,
            parameters: outcome.parameters as u64,
        })),
        Err(JobError::Stopped) => Said::Stopped,
        Err(error) => Said::Event(failed(attempt, kind_of(&error), error.to_string())),
    }
}

fn kind_of(error: &JobError) -> FailureKind {
    match error {
        JobError::Train(TrainError::NonFinite { .. }) => FailureKind::NonFinite,
        JobError::Train(TrainError::Data(_)) => FailureKind::Data,
        JobError::Checkpoint(_) => FailureKind::Checkpoint,
        JobError::Panic(_) => FailureKind::Panic,
        JobError::Train(_) | JobError::Stopped => FailureKind::Other,
    }
}

fn failed(attempt: &AttemptRef, kind: FailureKind, message: String) -> Event {
    Event::Failed(Failed { attempt: Some(attempt.clone()), kind: kind.into(), message })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sweep_id_cannot_leave_the_checkpoint_folder() {
        let attempt = AttemptRef { sweep: "../../etc/x".into(), trial: 1, replicate: 2, attempt: 3 };
        assert_eq!(folder_name(&attempt), "etcx-1-2");
    }
}
