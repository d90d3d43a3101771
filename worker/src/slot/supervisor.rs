//! One slot as its worker sees it: its process is started when there is something to train, kept for what follows, and replaced when it dies.

use std::{io, sync::Arc, time::Duration};

use tinysweep_proto::v1::{AttemptRef, FailureKind, worker_event::Event};
use tokio::{
    sync::watch,
    time::{Instant, sleep_until},
};
use tracing::warn;

use super::{
    Launch,
    diagnosis::{Remains, diagnose},
    memory,
    process::Process,
    protocol::{FrameError, Told},
};
use crate::assignment::{Assignment, Order, Said, failed, handed_back};

/// Time in which a process that is told to stop has to end what it trains: a step, or a batch of an evaluation.
const STOP_TIME: Duration = Duration::from_secs(5);
/// Pause before a process is started in place of one that has died; doubles with each that does so before it has an end to report.
const FIRST_PAUSE: Duration = Duration::from_millis(250);
/// The longest pause.
const LONGEST_PAUSE: Duration = Duration::from_secs(10);

/// One slot.
pub struct Slot {
    /// For people.
    index: usize,
    launch: Arc<Launch>,
    process: Option<Process>,
    /// Processes in a row that have died.
    deaths: u32,
    /// When the next process may be started.
    rested: Instant,
}

/// Why an attempt has no end that its process has reported.
enum Loss {
    /// Nobody waits for it any more.
    Unwanted,
    /// The process is gone.
    Died,
    /// The process speaks in riddles.
    Confused(FrameError),
    /// There is no process.
    NotStarted(io::Error),
}

impl Slot {
    /// A slot at rest.
    pub fn new(index: usize, launch: Arc<Launch>) -> Self {
        Self { index, launch, process: None, deaths: 0, rested: Instant::now() }
    }

    /// Has its process train, and passes on what that says, until there is an end.
    pub async fn train(&mut self, mut assignment: Assignment) {
        let (kills, attempt) = (memory::kills(), assignment.lease.attempt.clone().unwrap_or_default());
        let memory_mib = assignment.lease.memory_mib;
        let ended = match self.ready(memory_mib, &mut assignment.orders).await {
            Ok(process) => converse(process, &mut assignment).await,
            Err(loss) => Err(loss),
        };
        match ended {
            Ok(()) => self.deaths = 0,
            Err(loss) => {
                let end = self.mourn(loss, kills, memory_mib, &attempt).await;
                _ = assignment.says.send(Said::Event(end));
            }
        }
    }

    /// A process that runs: the one that has trained before, or a new one where that has ended or may take more or less memory.
    async fn ready(&mut self, memory_mib: u64, orders: &mut watch::Receiver<Order>) -> Result<&mut Process, Loss> {
        if self.process.as_mut().is_some_and(Process::is_gone) {
            warn!(slot = self.index, "its process has ended while it had nothing to do");
            self.process = None;
        }
        self.process.take_if(|process| process.memory_mib != memory_mib);
        match &mut self.process {
            Some(process) => Ok(process),
            none => {
                tokio::select! {
                    biased;
                    _ = orders.wait_for(|order| *order >= Order::HandBack) => return Err(Loss::Unwanted),
                    () = sleep_until(self.rested) => {}
                }
                Ok(none.insert(Process::start(self.index, &self.launch, memory_mib).map_err(Loss::NotStarted)?))
            }
        }
    }

    /// The end of an attempt that its process has not reported, and of that process; `kills` is the system's count of before.
    async fn mourn(&mut self, loss: Loss, kills: u64, memory_mib: u64, attempt: &AttemptRef) -> Event {
        let process = self.process.take();
        let (kind, message) = match loss {
            Loss::Unwanted => return handed_back(attempt),
            Loss::NotStarted(error) => (FailureKind::Crashed, format!("its process cannot be started: {error}")),
            Loss::Confused(error) => (FailureKind::Crashed, format!("its process makes no sense: {error}")),
            Loss::Died => {
                let (status, last_words) = match process {
                    Some(process) => process.end().await,
                    None => (None, String::new()),
                };
                diagnose(Remains { status, memory_ran_out: memory::kills() > kills, memory_mib, last_words: &last_words })
            }
        };
        let pause = pause(self.deaths);
        self.deaths += 1;
        self.rested = Instant::now() + pause;
        warn!(slot = self.index, trial = attempt.trial, reason = message, pause_ms = pause.as_millis() as u64, "a process is lost");
        failed(attempt, kind, message)
    }
}

/// The pause after so many deaths in a row before this one.
fn pause(deaths: u32) -> Duration {
    FIRST_PAUSE.saturating_mul(1 << deaths.min(16)).min(LONGEST_PAUSE)
}

/// Has `process` train, and passes on what it says and is told, until there is an end.
async fn converse(process: &mut Process, Assignment { lease, resume, orders, says }: &mut Assignment) -> Result<(), Loss> {
    if let Some(state) = resume.take() {
        process.tell(&Told::Resume(state));
    }
    process.tell(&Told::Start(Box::new(std::mem::take(lease))));
    let (mut told, mut deadline) = (Order::GoOn, None);
    loop {
        let order = async {
            // Nobody is left to give one: nobody wants the result.
            orders.wait_for(|order| *order > told).await.map_or(Order::Stop, |order| *order)
        };
        tokio::select! {
            said = process.hear() => match said {
                Some(Ok(said)) => {
                    let is_end = said.is_end();
                    // After a timeout nobody listens; the process is told to stop and will say when it has.
                    _ = says.send(said);
                    if is_end {
                        return Ok(());
                    }
                }
                Some(Err(error)) => return Err(Loss::Confused(error)),
                None => return Err(Loss::Died),
            },
            order = order, if told < Order::Stop => {
                told = order;
                process.tell(if order == Order::Stop { &Told::Stop } else { &Told::HandBack });
                deadline = (order == Order::Stop).then(|| Instant::now() + STOP_TIME);
            }
            () = sleep_until(deadline.unwrap_or_else(Instant::now)), if deadline.is_some() => return Err(Loss::Unwanted),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_ten_seconds() {
        assert_eq!([0, 1, 2, 5, 6, 40, u32::MAX].map(|deaths| pause(deaths).as_millis()), [250, 500, 1000, 8000, 10_000, 10_000, 10_000]);
    }
}
