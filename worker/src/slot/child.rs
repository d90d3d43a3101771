//! The process of one slot: trains what it is told to, one attempt after the other, and never outlives its worker.
//!
//! Data stay in memory from one attempt to the next. Standard input is read by a thread of its own, so that orders are heard while a step is
//! computed; its end is the worker's, and ends the process there and then. Standard output is written by another, so that training goes on
//! while a state of it leaves.

use std::{
    io::{self, Read, Write},
    process,
    sync::mpsc,
    thread,
    time::Duration,
};

use tinysweep_proto::{
    Malformed, config,
    dataset::Dataset,
    v1::{FailureKind, Lease},
};

use super::{
    library::Library,
    memory,
    protocol::{FrameError, Told, read},
    voice::{Voice, completed},
};
use crate::{
    assignment::{failed, handed_back},
    cost::Power,
    data::{DataError, Split},
    device::Device,
    folders::Folders,
    runner::{self, Job, JobError, Listener, States, StopFlag},
    state::{StateError, TrainingState},
    train::TrainError,
};

/// What the reading thread hands over: a lease, the state to go on from, and the flag that later orders raise.
type Errand = (Lease, Option<Vec<u8>>, StopFlag);

/// Frames, or states, that wait to be written. As training goes on it may get so far ahead, and no further.
const UNWRITTEN: usize = 16;

/// An attempt that has no result.
#[derive(Debug, thiserror::Error)]
enum AttemptError {
    #[error("the configuration is wrong: {0}")]
    Config(String),
    #[error("the lease names no data set")]
    NoDataset,
    #[error(transparent)]
    Malformed(#[from] Malformed),
    #[error(transparent)]
    Data(#[from] DataError),
    #[error("cannot go on from the checkpoint: {0}")]
    State(#[from] StateError),
    #[error(transparent)]
    Job(#[from] JobError),
}

impl AttemptError {
    fn kind(&self) -> FailureKind {
        match self {
            Self::NoDataset | Self::Malformed(_) | Self::Data(_) => FailureKind::Data,
            Self::State(_) => FailureKind::Checkpoint,
            Self::Config(_) => FailureKind::Other,
            Self::Job(error) => match error {
                JobError::Train(TrainError::NonFinite { .. }) => FailureKind::NonFinite,
                JobError::Train(TrainError::Data(_)) => FailureKind::Data,
                JobError::Train(TrainError::Tensor(error)) if is_out_of_memory(&error.to_string()) => FailureKind::OutOfMemory,
                JobError::Checkpoint(_) | JobError::Train(TrainError::State(_)) => FailureKind::Checkpoint,
                JobError::Panic(_) => FailureKind::Panic,
                JobError::Train(_) | JobError::Stopped => FailureKind::Other,
            },
        }
    }
}

/// A GPU's driver says so in words only; the machine's own memory ends the process instead.
fn is_out_of_memory(message: &str) -> bool {
    let message = message.to_lowercase();
    message.contains("out of memory") || message.contains("out_of_memory")
}

/// Trains what comes in by standard input; what is to be said goes to standard output, in frames. Ends the process when the input ends.
///
/// # Errors
/// The system has no thread left.
pub fn serve(folders: Folders, device: Device, power: Power) -> io::Result<()> {
    memory::volunteer();
    let (errands, taken) = mpsc::channel();
    thread::Builder::new().name("orders".into()).spawn(move || {
        let heard = listen(&mut io::stdin().lock(), &errands);
        process::exit(heard.map_or_else(
            |error| {
                eprintln!("orders: {error}");
                2
            },
            |()| 0,
        ));
    })?;
    let (frames, unwritten) = mpsc::sync_channel(UNWRITTEN);
    thread::Builder::new().name("voice".into()).spawn(move || write(&mut io::stdout().lock(), unwritten))?;
    let mut slot = Slot { library: Library::new(folders.clone()), folders, device, power, frames };
    taken.into_iter().for_each(|errand| slot.attend(errand));
    Ok(())
}

/// Hears what is told, until the end of `input`.
fn listen(input: &mut impl Read, errands: &mpsc::Sender<Errand>) -> Result<(), FrameError> {
    let (mut stop, mut resume) = (StopFlag::default(), None);
    while let Some(told) = read(input)? {
        match told {
            Told::Resume(state) => resume = Some(state),
            Told::Start(lease) => {
                // Orders that came before were for the attempt before.
                stop = StopFlag::default();
                if errands.send((*lease, resume.take(), stop.clone())).is_err() {
                    break; // the process is about to end
                }
            }
            Told::HandBack => stop.hand_back(),
            Told::Stop => stop.raise(),
        }
    }
    Ok(())
}

/// Writes what is said. Nobody who listens any more is the end of the worker, and so of this process.
fn write(output: &mut impl Write, unwritten: mpsc::Receiver<Vec<u8>>) {
    for bytes in unwritten {
        if output.write_all(&bytes).and_then(|()| output.flush()).is_err() {
            process::exit(0);
        }
    }
}

struct Slot {
    folders: Folders,
    device: Device,
    power: Power,
    library: Library,
    /// Bytes for standard output.
    frames: mpsc::SyncSender<Vec<u8>>,
}

impl Slot {
    /// One attempt, from its lease to its end.
    fn attend(&mut self, (lease, resume, stop): Errand) {
        let attempt = lease.attempt.clone().unwrap_or_default();
        let checkpoint = self.folders.checkpoint(&attempt);
        let frames = self.frames.clone();
        // Where they cannot be written any more, this process is about to end.
        let mut voice = Voice::new(attempt.clone(), move |bytes| _ = frames.send(bytes));
        let (result, cost) = match self.job(lease, resume) {
            Ok(job) => {
                let (result, cost) = runner::run(&job, &checkpoint, stop, &mut voice);
                (result.map_err(AttemptError::from), Some(cost))
            }
            Err(error) => (Err(error), None),
        };
        let end = match result {
            Ok(outcome) => completed(&attempt, outcome, &checkpoint),
            Err(AttemptError::Job(JobError::Stopped)) => handed_back(&attempt),
            Err(error) => {
                voice.line(format!("failed: {error}"));
                failed(&attempt, error.kind(), error.to_string())
            }
        };
        voice.end(end, cost.as_ref());
    }

    fn job(&mut self, lease: Lease, resume: Option<Vec<u8>>) -> Result<Job, AttemptError> {
        let config = config::parse(&lease.config_json).map_err(AttemptError::Config)?;
        if let Some(error) = config::check(&config).first() {
            return Err(AttemptError::Config(error.to_string()));
        }
        let resume = resume.map(|bytes| TrainingState::from_bytes(&bytes)).transpose()?;
        let dataset = Dataset::try_from(lease.dataset.ok_or(AttemptError::NoDataset)?)?;
        Ok(Job {
            config,
            seed: lease.seed,
            train: self.library.get(&dataset.train, dataset.task, Split::Train)?,
            test: self.library.get(&dataset.test, dataset.task, Split::Test)?,
            device: self.device.clone(),
            power: self.power,
            resume,
            states: States {
                every: (lease.checkpoint_secs > 0).then(|| Duration::from_secs(lease.checkpoint_secs.into())),
                after_evaluations: lease.checkpoint_evaluations,
                at_end: lease.checkpoint_end,
            },
        })
    }
}
