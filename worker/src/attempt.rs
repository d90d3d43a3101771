//! From a lease to its end: fetches the data and the state to go on from, runs the job, and turns what it says into events.
//!
//! The job runs on a thread of its own and never waits for the network. States that it gives are put into the coordinator's store beside it;
//! one that is overtaken by a newer one before its turn is dropped. A result waits a while for the state at the end of training, so that
//! training can go on from there, and comes without it should that take too long.

use std::{path::PathBuf, sync::Arc, time::Duration};

use tinysweep_proto::{
    Malformed, config,
    connect::Connection,
    dataset::Dataset,
    v1::{
        AttemptRef, Checkpointed, Completed, Failed, FailureKind, HandedBack, Lease, LogLines, MetricPoint, Progress, Series,
        worker_event::Event,
    },
};
use tokio::{
    sync::mpsc::{self, UnboundedReceiver, UnboundedSender},
    time::{Instant, sleep},
};

use crate::{
    data::Split,
    datasets::{Datasets, FetchError},
    device::Device,
    handoff::{self, HandoffError},
    report::Report,
    runner::{self, Job, JobError, Listener, States, StopFlag},
    state::{StateError, TrainingState},
    train::{Outcome, TrainError},
};

/// Pause before a fetch from a coordinator that was away is tried again.
const AWAY_PAUSE: Duration = Duration::from_millis(500);
/// The longest that a result waits for the state at the end of training to be handed on.
const LAST_STATE_PATIENCE: Duration = Duration::from_secs(60);
/// How often it looks whether it may wait any longer.
const GLANCE: Duration = Duration::from_millis(250);

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
    #[error("cannot go on from the checkpoint: {0}")]
    Resume(#[from] HandoffError),
    #[error("cannot go on from the checkpoint: {0}")]
    State(#[from] StateError),
    #[error("cannot start a thread: {0}")]
    Thread(#[from] std::io::Error),
}

impl LeaseError {
    fn kind(&self) -> FailureKind {
        match self {
            Self::Fetch(_) | Self::NoDataset | Self::Malformed(_) => FailureKind::Data,
            Self::Resume(_) | Self::State(_) => FailureKind::Checkpoint,
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
    says: UnboundedSender<(AttemptRef, Event)>,
) {
    if let Err(error) = try_start(&attempt, lease, connection, &surroundings, stop, says.clone()).await {
        say(&says, &attempt, failed(&attempt, error.kind(), error.to_string()));
    }
}

async fn try_start(
    attempt: &AttemptRef,
    lease: Lease,
    connection: Connection,
    surroundings: &Surroundings,
    stop: StopFlag,
    says: UnboundedSender<(AttemptRef, Event)>,
) -> Result<(), LeaseError> {
    let config = config::parse(&lease.config_json).map_err(LeaseError::Config)?;
    if let Some(error) = config::check(&config).first() {
        return Err(LeaseError::Config(error.to_string()));
    }
    let resume = match &lease.resume {
        Some(checkpoint) => {
            let bytes = patiently(&stop, HandoffError::is_away, || handoff::get(&connection, checkpoint)).await?;
            Some(TrainingState::from_bytes(&bytes)?)
        }
        None => None,
    };
    let dataset = Dataset::try_from(lease.dataset.ok_or(LeaseError::NoDataset)?)?;
    let examples = |file, split| surroundings.datasets.get(&connection, file, dataset.task, split);
    let job = Job {
        config,
        seed: lease.seed,
        train: patiently(&stop, FetchError::is_away, || examples(&dataset.train, Split::Train)).await?,
        test: patiently(&stop, FetchError::is_away, || examples(&dataset.test, Split::Test)).await?,
        device: surroundings.device.clone(),
        checkpoint: surroundings.checkpoints.join(folder_name(attempt)),
        resume,
        states: States {
            every: (lease.checkpoint_secs > 0).then(|| Duration::from_secs(lease.checkpoint_secs.into())),
            after_evaluations: lease.checkpoint_evaluations,
            at_end: lease.checkpoint_end,
        },
    };
    let checkpoint = format!("{}:{}", surroundings.host, job.checkpoint.display());
    let (steps, taken) = mpsc::unbounded_channel();
    let voice = Voice { attempt: attempt.clone(), says, checkpoint, last_step: job.states.at_end.then_some(job.config.train.steps) };
    runner::spawn(job, stop.clone(), Ears { voice: voice.clone(), steps })?;
    relay(taken, connection, voice, stop, lease.timeout_secs).await;
    Ok(())
}

/// Fetches again and again while the coordinator is away: its restart is no fault of the attempt.
async fn patiently<T, E, F: Future<Output = Result<T, E>>>(
    stop: &StopFlag,
    is_away: fn(&E) -> bool,
    fetch: impl Fn() -> F,
) -> Result<T, E> {
    loop {
        match fetch().await {
            Err(error) if is_away(&error) && !stop.is_raised() => sleep(AWAY_PAUSE).await,
            result => return result,
        }
    }
}

/// What comes from the job's thread and takes time to pass on.
enum Step {
    State(usize, Vec<u8>),
    End(Result<Box<Outcome>, JobError>),
}

/// The job's listener: reports go straight on, the rest to [`relay`].
struct Ears {
    voice: Voice,
    steps: UnboundedSender<Step>,
}

impl Listener for Ears {
    fn report(&mut self, report: &Report) {
        self.voice.say(progress(&self.voice.attempt, report));
    }

    fn state(&mut self, step: usize, bytes: Vec<u8>) {
        // Where nobody listens any more, the attempt has timed out.
        let _ = self.steps.send(Step::State(step, bytes));
    }

    fn end(&mut self, result: Result<Outcome, JobError>) {
        let _ = self.steps.send(Step::End(result.map(Box::new)));
    }
}

/// Says something in the name of an attempt.
#[derive(Clone)]
struct Voice {
    attempt: AttemptRef,
    says: UnboundedSender<(AttemptRef, Event)>,
    /// Where the trained model goes, for people.
    checkpoint: String,
    /// With which training ends, where the state after it is wanted.
    last_step: Option<usize>,
}

impl Voice {
    fn say(&self, event: Event) {
        say(&self.says, &self.attempt, event);
    }

    fn end(&self, result: Result<Outcome, JobError>) {
        self.say(ended(&self.attempt, result, self.checkpoint.clone()));
    }

    fn note(&self, line: String) {
        self.say(Event::LogLines(LogLines { attempt: Some(self.attempt.clone()), lines: vec![line] }));
    }

    /// Puts a state into the coordinator's store. A failure costs the steps since the state before, if the worker should be lost; for the
    /// last state there is no other, and it is tried until the coordinator is there.
    async fn hand_on(&self, connection: &Connection, stop: &StopFlag, (step, bytes): (usize, Vec<u8>)) {
        let put = || handoff::put(connection, step, &bytes);
        let handed_on = if Some(step) == self.last_step { patiently(stop, HandoffError::is_away, put).await } else { put().await };
        match handed_on {
            Ok(checkpoint) => {
                let event = Checkpointed { attempt: Some(self.attempt.clone()), checkpoint: Some(checkpoint) };
                self.say(Event::Checkpointed(event));
            }
            Err(error) => self.note(format!("the state after step {step} is not kept: {error}")),
        }
    }
}

/// Passes on what the job gives until it ends, or has taken too long. States are handed on one at a time, all that wait before the end.
async fn relay(mut steps: UnboundedReceiver<Step>, connection: Connection, voice: Voice, stop: StopFlag, timeout_secs: u64) {
    // Thirty years stand for no limit.
    let timeout = sleep(Duration::from_secs(if timeout_secs == 0 { 1 << 30 } else { timeout_secs }));
    tokio::pin!(timeout);
    let (mut waiting, mut ended) = (None, None::<(Instant, Result<Box<Outcome>, JobError>)>);
    loop {
        let state: Option<(usize, Vec<u8>)> = waiting.take();
        let is_busy = state.is_some();
        if let Some((_, result)) = ended.take_if(|_| !is_busy) {
            return voice.end(result.map(|outcome| *outcome));
        }
        let handed_on = async {
            if let Some(state) = state {
                voice.hand_on(&connection, &stop, state).await;
            }
        };
        tokio::pin!(handed_on);
        loop {
            tokio::select! {
                () = &mut handed_on, if is_busy => break,
                step = steps.recv(), if ended.is_none() => match step {
                    None => return,
                    // What nobody wants the last state of needs no other to go on from.
                    Some(Step::End(Ok(outcome))) if voice.last_step.is_none() => return voice.end(Ok(*outcome)),
                    Some(Step::End(result)) => ended = Some((Instant::now(), result)),
                    Some(Step::State(step, bytes)) => waiting = Some((step, bytes)),
                },
                () = sleep(GLANCE), if ended.is_some() => {
                    let waits_long = |since: &Instant| stop.is_set() || since.elapsed() > LAST_STATE_PATIENCE;
                    if let Some((_, Ok(outcome))) = ended.take_if(|(since, result)| result.is_ok() && waits_long(since)) {
                        voice.note("the state at the end of training is not kept: handing it on took too long".to_owned());
                        return voice.end(Ok(*outcome));
                    }
                }
                () = &mut timeout, if ended.is_none() => {
                    stop.raise();
                    let message = format!("it ran for {timeout_secs} s, all that its sweep allows");
                    return voice.say(failed(&voice.attempt, FailureKind::Timeout, message));
                }
            }
            if !is_busy {
                break;
            }
        }
    }
}

/// The agent may have left already; then nobody needs to know.
fn say(says: &UnboundedSender<(AttemptRef, Event)>, attempt: &AttemptRef, event: Event) {
    let _ = says.send((attempt.clone(), event));
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

fn ended(attempt: &AttemptRef, result: Result<Outcome, JobError>, checkpoint: String) -> Event {
    match result {
        Ok(outcome) => Event::Completed(Completed {
            attempt: Some(attempt.clone()),
            metrics: outcome.metrics.into_iter().collect(),
            metrics_by_step: outcome.metrics_by_step.into_iter().map(|(name, values)| Series { name, values }).collect(),
            wall_seconds: outcome.wall_seconds,
            checkpoint,
            parameters: outcome.parameters as u64,
        }),
        // An agent that has told it to stop does not pass this on.
        Err(JobError::Stopped) => {
            Event::HandedBack(HandedBack { attempt: Some(attempt.clone()), reason: "its worker was told to leave".into() })
        }
        Err(error) => failed(attempt, kind_of(&error), error.to_string()),
    }
}

fn kind_of(error: &JobError) -> FailureKind {
    match error {
        JobError::Train(TrainError::NonFinite { .. }) => FailureKind::NonFinite,
        JobError::Train(TrainError::Data(_)) => FailureKind::Data,
        JobError::Train(TrainError::Tensor(error)) if is_out_of_memory(&error.to_string()) => FailureKind::OutOfMemory,
        JobError::Checkpoint(_) | JobError::Train(TrainError::State(_)) => FailureKind::Checkpoint,
        JobError::Panic(_) => FailureKind::Panic,
        JobError::Train(_) | JobError::Stopped => FailureKind::Other,
    }
}

/// A GPU's driver says so in words only; the machine's own memory ends the process instead.
fn is_out_of_memory(message: &str) -> bool {
    let message = message.to_lowercase();
    message.contains("out of memory") || message.contains("out_of_memory")
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
