//! What is said of a program to the coordinator.

use std::{collections::BTreeMap, io, process::ExitStatus};

use tinysweep_proto::v1::{AttemptRef, Completed, FailureKind, LogLines, MetricPoint, Progress, worker_event::Event};
use tokio::sync::mpsc::UnboundedSender;

use super::{ending, said::Said};
use crate::{
    assignment::{Order, Orders, failed, handed_back},
    cost::{Cost, cost_message, with_cost},
};

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

    /// How far it is, the points of its curves since the last time, and what it has cost so far.
    pub fn progress(&self, step: u64, mut points: Vec<MetricPoint>, cost: &Cost) {
        let cost = Some(cost_message(cost));
        loop {
            let rest = points.split_off(points.len().min(POINTS_PER_MESSAGE));
            self.say(Event::Progress(Progress { attempt: Some(self.attempt.clone()), step, points, cost, ..Progress::default() }));
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
    pub fn failed(&self, kind: FailureKind, message: String, cost: Option<&Cost>) {
        self.say(with_cost(failed(&self.attempt, kind, message), cost));
    }

    /// It is to go on elsewhere.
    pub fn handed_back(&self, cost: Option<&Cost>) {
        self.say(with_cost(handed_back(&self.attempt), cost));
    }

    /// It has not even begun.
    pub fn given_up(&self, orders: &Orders) {
        if orders.present() < Order::Stop {
            self.handed_back(None);
        }
    }

    /// It has ended by itself: well, where its status and what it said say so.
    pub fn ended(&self, status: io::Result<ExitStatus>, said: &Said, metric: &str, cost: &Cost, checkpoint: String) {
        let status = match status {
            Ok(status) => status,
            Err(error) => return self.failed(FailureKind::Other, format!("its end cannot be known: {error}"), Some(cost)),
        };
        if let Some((kind, message)) = ending::failure(status, said.log.last_words()) {
            return self.failed(kind, message, Some(cost));
        }
        if let Some(value) = said.tally.diverged() {
            let message = format!("{metric} is {value} at the end, after step {}", said.tally.step());
            return self.failed(FailureKind::NonFinite, message, Some(cost));
        }
        let metrics: BTreeMap<_, _> = said.tally.result();
        // Whether what it must report is there the coordinator judges.
        self.say(Event::Completed(Completed {
            attempt: Some(self.attempt.clone()),
            metrics: metrics.into_iter().collect(),
            wall_seconds: cost.wall_seconds,
            checkpoint,
            cost: Some(cost_message(cost)),
            ..Completed::default()
        }));
    }
}
