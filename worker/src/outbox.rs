//! Events on their way to the coordinator: numbered, kept until acknowledged, sent again after a reconnect.

use std::collections::VecDeque;

use tinysweep_proto::v1::{AttemptRef, Progress, WorkerEvent, worker_event::Event};

/// The most metric points that one message carries.
const POINTS_PER_MESSAGE: usize = 5_000;

/// Events that the coordinator has not acknowledged, in the order of their numbers.
///
/// It stays small without a connection too: reports of one attempt merge while they wait, and an attempt
/// has a bounded number of metric points.
#[derive(Debug, Default)]
pub struct Outbox {
    last_seq: u64,
    waiting: VecDeque<WorkerEvent>,
    /// How many at the front have been sent over the present connection.
    sent: usize,
}

impl Outbox {
    /// Adds an event at the end; a report joins the one before it if that still waits.
    pub fn push(&mut self, event: Event) {
        let event = match event {
            Event::Progress(report) => match self.merge(report) {
                None => return,
                Some(report) => Event::Progress(report),
            },
            other => other,
        };
        self.last_seq += 1;
        self.waiting.push_back(WorkerEvent { seq: self.last_seq, event: Some(event) });
    }

    /// Puts `report` into the last event if that is an unsent report of the same attempt with room; else gives it back.
    fn merge(&mut self, report: Progress) -> Option<Progress> {
        if self.sent == self.waiting.len() {
            return Some(report);
        }
        match self.waiting.back_mut().and_then(|last| last.event.as_mut()) {
            Some(Event::Progress(last))
                if last.attempt == report.attempt && last.points.len() + report.points.len() <= POINTS_PER_MESSAGE =>
            {
                let mut points = std::mem::take(&mut last.points);
                points.extend(report.points);
                *last = Progress { points, ..report };
                None
            }
            _ => Some(report),
        }
    }

    /// The next event that this connection has not sent.
    pub fn next_unsent(&mut self) -> Option<WorkerEvent> {
        let event = self.waiting.get(self.sent)?.clone();
        self.sent += 1;
        Some(event)
    }

    /// Forgets what the coordinator has stored.
    pub fn acknowledge(&mut self, seq: u64) {
        while self.waiting.front().is_some_and(|event| event.seq <= seq) {
            self.waiting.pop_front();
            self.sent = self.sent.saturating_sub(1);
        }
    }

    /// A new connection has sent nothing yet.
    pub fn reconnected(&mut self) {
        self.sent = 0;
    }

    /// Whether everything has been acknowledged.
    pub fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// Attempts whose end is not acknowledged: the coordinator still believes that they run.
    pub fn ended_attempts(&self) -> impl Iterator<Item = &AttemptRef> {
        self.waiting.iter().filter_map(|event| match event.event.as_ref()? {
            Event::Completed(completed) => completed.attempt.as_ref(),
            Event::Failed(failed) => failed.attempt.as_ref(),
            _ => None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tinysweep_proto::v1::{Completed, MetricPoint};

    fn attempt(trial: u32) -> AttemptRef {
        AttemptRef { sweep: "s".into(), trial, replicate: 0, attempt: 1 }
    }

    fn progress(trial: u32, step: u64) -> Event {
        let points = vec![MetricPoint { name: "train/lm_loss".into(), step, value: 1.0 }];
        Event::Progress(Progress { attempt: Some(attempt(trial)), step, total_steps: 9, points, ..Progress::default() })
    }

    fn sent(outbox: &mut Outbox) -> Vec<u64> {
        std::iter::from_fn(|| outbox.next_unsent()).map(|event| event.seq).collect()
    }

    #[test]
    fn unacknowledged_events_are_sent_again_under_their_numbers() {
        let mut outbox = Outbox::default();
        for trial in 1..=3 {
            outbox.push(progress(trial, 1));
        }
        assert_eq!(sent(&mut outbox), [1, 2, 3]);
        outbox.acknowledge(1);
        outbox.push(progress(4, 1));
        assert_eq!(sent(&mut outbox), [4]);
        outbox.reconnected();
        assert_eq!(sent(&mut outbox), [2, 3, 4]);
        outbox.acknowledge(4);
        assert!(outbox.is_empty());
        assert_eq!(sent(&mut outbox), [] as [u64; 0]);
    }

    #[test]
    fn waiting_reports_merge_and_sent_ones_do_not() {
        let mut outbox = Outbox::default();
        outbox.push(progress(1, 1));
        outbox.push(progress(1, 2));
        let Some(Event::Progress(merged)) = outbox.next_unsent().unwrap().event else { panic!() };
        assert_eq!((merged.step, merged.points.len()), (2, 2));
        outbox.push(progress(1, 3));
        assert_eq!(outbox.next_unsent().unwrap().seq, 2);
    }

    #[test]
    fn ends_count_as_running_until_acknowledged() {
        let mut outbox = Outbox::default();
        outbox.push(Event::Completed(Completed { attempt: Some(attempt(7)), ..Completed::default() }));
        assert_eq!(outbox.ended_attempts().collect::<Vec<_>>(), [&attempt(7)]);
        outbox.acknowledge(1);
        assert_eq!(outbox.ended_attempts().count(), 0);
    }
}
