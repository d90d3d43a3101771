//! What is said of a program to the coordinator.

use std::{collections::BTreeMap, io, process::ExitStatus, time::Duration};

use tinysweep_proto::v1::{AttemptRef, Completed, FailureKind, LogLines, MetricPoint, Progress, worker_event::Event};
use tokio::sync::mpsc::UnboundedSender;

use super::{ending, said::Said};
use crate::assignment::{Order, Orders, failed, handed_back};

/// Metric points in one message.
const POINTS_PER_MESSAGE: usize = 4000;

/// Says something in the name of an attempt.
pub struct Voice {
    attempt: AttemptRef,
    says: UnboundedSender<(AttemptRef, Event)>,
}

impl Voice {
    /// Speaks in the name of `attempt` by way of `says`.
    pub const fn new(attempt: AttemptRef, says: UnboundedSender<(AttemptRef, Event)>) -> Self {
        Self { attempt, says }
    }

    /// In whose name it speaks.
    pub const fn attempt(&self) -> &AttemptRef {
        &self.attempt
    }

    /// The agent may have left already; then nobody needs to know.
    fn say(&self, event: Event) {
        let _ = self.says.send((self.attempt.clone(), event));
    }

    /// How far it is, and the points of its curves since the last time.
    pub fn progress(&self, step: u64, mut points: Vec<MetricPoint>) {
        loop {
            let rest = points.split_off(points.len().min(POINTS_PER_MESSAGE));
            self.say(Event::Progress(Progress { attempt: Some(self.attempt.clone()), step, points, ..Progress::default() }));
            if rest.is_empty() {
                return;
            }
            points = rest;
        }
    }

    /// Lines for people.
    pub fn log(&self, lines: Vec<String>) {
        self.say(Event::LogLines(LogLines { attempt: Some(self.attempt.clone()), lines }));
    }

    /// It has failed.
    pub fn failed(&self, kind: FailureKind, message: String) {
        self.say(failed(&self.attempt, kind, message));
    }

    /// It is to go on elsewhere.
    pub fn handed_back(&self) {
        self.say(handed_back(&self.attempt));
    }

    /// It has not even begun.
    pub fn given_up(&self, orders: &Orders) {
        if orders.present() < Order::Stop {
            self.handed_back();
        }
    }

    /// It has ended by itself: well, where its status and what it said say so.
    pub fn ended(&self, status: io::Result<ExitStatus>, said: &Said, metric: &str, took: Duration, checkpoint: String) {
        let status = match status {
            Ok(status) => status,
            Err(error) => return self.failed(FailureKind::Other, format!("its end cannot be known: {error}")),
        };
        if let Some((kind, message)) = ending::failure(status, said.log.last_words()) {
            return self.failed(kind, message);
        }
        if let Some(value) = said.tally.diverged() {
            return self.failed(FailureKind::NonFinite, format!("{metric} is {value} at the end, after step {}", said.tally.step()));
        }
        let metrics: BTreeMap<_, _> = said.tally.result();
        // Whether what it must report is there the coordinator judges.
        self.say(Event::Completed(Completed {
            attempt: Some(self.attempt.clone()),
            metrics: metrics.into_iter().collect(),
            wall_seconds: took.as_secs_f64(),
            checkpoint,
            ..Completed::default()
        }));
    }
}
