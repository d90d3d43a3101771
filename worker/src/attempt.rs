//! From a lease to its end: fetches the data and the state to go on from, has it trained, and passes on what that says.
//!
//! Training never waits for the network. States that it gives are put into the coordinator's store beside it; one that is overtaken by a
//! newer one before its turn is dropped. A result waits a while for the state at the end of training, so that training can go on from there,
//! and comes without it should that take too long.

use std::{sync::Arc, time::Duration};

use tinysweep_proto::{
    Malformed, config,
    connect::Connection,
    dataset::Dataset,
    v1::{AttemptRef, Checkpointed, FailureKind, Lease, worker_event::Event},
};
use tokio::{
    sync::mpsc::{self, UnboundedReceiver, UnboundedSender},
    time::{Instant, sleep},
};

use crate::{
    assignment::{Assignment, Order, Orders, Said, Trainers, failed, log_line},
    datasets::{Datasets, FetchError},
    handoff::{self, HandoffError},
    program::{self, Programs},
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
    /// Whoever trains.
    pub trainers: Arc<dyn Trainers>,
    /// Of this machine, for people who look for a checkpoint.
    pub host: String,
    /// What runs programs; none where the owner of this worker allows none.
    pub programs: Option<Arc<Programs>>,
}

/// A lease that cannot be run as it stands.
#[derive(Debug, thiserror::Error)]
enum LeaseError {
    #[error("the lease names no data set")]
    NoDataset,
    #[error(transparent)]
    Malformed(#[from] Malformed),
    #[error(transparent)]
    Fetch(#[from] FetchError),
    #[error("cannot go on from the checkpoint: {0}")]
    Resume(#[from] HandoffError),
}

impl LeaseError {
    fn kind(&self) -> FailureKind {
        match self {
            Self::Fetch(_) | Self::NoDataset | Self::Malformed(_) => FailureKind::Data,
            Self::Resume(_) => FailureKind::Checkpoint,
        }
    }
}

/// Runs the attempt that `lease` describes and names, to its end. All that it says goes to `says`, with its name.
pub async fn run(
    attempt: AttemptRef,
    lease: Lease,
    connection: Connection,
    surroundings: Arc<Surroundings>,
    orders: Orders,
    says: UnboundedSender<(AttemptRef, Event)>,
) {
    if lease.program.is_some() {
        return program::run(attempt, lease, surroundings.programs.clone(), &surroundings.host, orders, says).await;
    }
    // A configuration that cannot be read has no last state either; whoever trains will say so.
    let last_step = config::parse(&lease.config_json).ok().filter(|_| lease.checkpoint_end).map(|config| config.train.steps as u64);
    let voice = Voice { attempt, says, host: surroundings.host.clone(), last_step };
    let timeout_secs = lease.timeout_secs;
    match begin(lease, &connection, &surroundings, &orders).await {
        Ok(said) => relay(said, connection, voice, orders, timeout_secs).await,
        Err(error) => voice.say(failed(&voice.attempt, error.kind(), error.to_string())),
    }
}

/// Gets everything that the attempt needs, and has it trained; what that says comes back.
async fn begin(
    lease: Lease,
    connection: &Connection,
    surroundings: &Surroundings,
    orders: &Orders,
) -> Result<UnboundedReceiver<Said>, LeaseError> {
    let resume = match &lease.resume {
        Some(checkpoint) => Some(patiently(orders, HandoffError::is_away, || handoff::get(connection, checkpoint)).await?),
        None => None,
    };
    let dataset = Dataset::try_from(lease.dataset.clone().ok_or(LeaseError::NoDataset)?)?;
    for file in [&dataset.train, &dataset.test] {
        patiently(orders, FetchError::is_away, || surroundings.datasets.ensure(connection, file)).await?;
    }
    let (says, said) = mpsc::unbounded_channel();
    surroundings.trainers.take(Assignment { lease, resume, orders: orders.heard(), says });
    Ok(said)
}

/// Fetches again and again while the coordinator is away: its restart is no fault of the attempt.
async fn patiently<T, E, F: Future<Output = Result<T, E>>>(
    orders: &Orders,
    is_away: fn(&E) -> bool,
    fetch: impl Fn() -> F,
) -> Result<T, E> {
    loop {
        match fetch().await {
            Err(error) if is_away(&error) && orders.present() < Order::Stop => sleep(AWAY_PAUSE).await,
            result => return result,
        }
    }
}

/// Says something in the name of an attempt.
struct Voice {
    attempt: AttemptRef,
    says: UnboundedSender<(AttemptRef, Event)>,
    host: String,
    /// With which training ends, where the state after it is wanted.
    last_step: Option<u64>,
}

impl Voice {
    /// The agent may have left already; then nobody needs to know.
    fn say(&self, event: Event) {
        let _ = self.says.send((self.attempt.clone(), event));
    }

    /// Says how the attempt has ended; where its checkpoint is, is of use to people only with the machine's name.
    fn end(&self, event: Event) {
        self.say(match event {
            Event::Completed(mut completed) => {
                completed.checkpoint = format!("{}:{}", self.host, completed.checkpoint);
                Event::Completed(completed)
            }
            other => other,
        });
    }

    fn note(&self, line: String) {
        self.say(log_line(&self.attempt, line));
    }

    /// Puts a state into the coordinator's store. A failure costs the steps since the state before, if the worker should be lost; for the
    /// last state there is no other, and it is tried until the coordinator is there.
    async fn hand_on(&self, connection: &Connection, orders: &Orders, step: u64, bytes: &[u8]) {
        let put = || handoff::put(connection, step, bytes);
        let handed_on = if Some(step) == self.last_step { patiently(orders, HandoffError::is_away, put).await } else { put().await };
        match handed_on {
            Ok(checkpoint) => {
                self.note(format!("the state after step {step}, of {} KiB, is with the coordinator", bytes.len().div_ceil(1024)));
                let event = Checkpointed { attempt: Some(self.attempt.clone()), checkpoint: Some(checkpoint) };
                self.say(Event::Checkpointed(event));
            }
            Err(error) => self.note(format!("the state after step {step} is not kept: {error}")),
        }
    }
}

/// Passes on what the attempt says until its end, or until it has taken too long. States are handed on one at a time, all that wait before
/// the end.
async fn relay(mut said: UnboundedReceiver<Said>, connection: Connection, voice: Voice, orders: Orders, timeout_secs: u64) {
    // Thirty years stand for no limit.
    let timeout = sleep(Duration::from_secs(if timeout_secs == 0 { 1 << 30 } else { timeout_secs }));
    tokio::pin!(timeout);
    let (mut waiting, mut ended) = (None, None::<(Instant, Event)>);
    loop {
        let state: Option<(u64, Vec<u8>)> = waiting.take();
        let is_busy = state.is_some();
        if let Some((_, end)) = ended.take_if(|_| !is_busy) {
            return voice.end(end);
        }
        let handed_on = async {
            if let Some((step, bytes)) = state {
                voice.hand_on(&connection, &orders, step, &bytes).await;
            }
        };
        tokio::pin!(handed_on);
        loop {
            tokio::select! {
                biased; // a result that is there counts, also where its time is up
                () = &mut handed_on, if is_busy => break,
                said = said.recv(), if ended.is_none() => match said {
                    None => return,
                    Some(Said::State { step, bytes }) => waiting = Some((step, bytes)),
                    // What nobody wants the last state of needs no other to go on from.
                    Some(Said::Event(event @ Event::Completed(_))) if voice.last_step.is_none() => return voice.end(event),
                    Some(Said::Event(event @ (Event::Completed(_) | Event::Failed(_) | Event::HandedBack(_)))) => {
                        ended = Some((Instant::now(), event));
                    }
                    Some(Said::Event(event)) => voice.say(event),
                },
                () = sleep(GLANCE), if ended.is_some() => {
                    let waits_long = |since: &Instant| orders.present() > Order::GoOn || since.elapsed() > LAST_STATE_PATIENCE;
                    if let Some((_, end)) = ended.take_if(|(since, end)| matches!(end, Event::Completed(_)) && waits_long(since)) {
                        voice.note("the state at the end of training is not kept: handing it on took too long".to_owned());
                        return voice.end(end);
                    }
                }
                () = &mut timeout, if ended.is_none() => {
                    orders.give(Order::Stop);
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
