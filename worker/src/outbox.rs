//! Events on their way to the coordinator: numbered, kept until acknowledged, sent again after a reconnect.

use std::collections::VecDeque;

use tinysweep_proto::v1::{AttemptRef, Checkpointed, LogLines, Progress, WorkerEvent, worker_event::Event};
use tracing::{debug, warn};

/// The most metric points that one message carries.
const POINTS_PER_MESSAGE: usize = 5_000;

/// The most metric points that wait without a connection: hours of a fast trial's.
const POINTS_WAITING: usize = 200_000;

/// The most bytes of lines for people that wait without a connection; a coordinator keeps no more of them either.
const LOG_BYTES_WAITING: usize = 16 << 20;

/// What a line takes besides its characters, so that empty ones are bounded too.
const LINE_OVERHEAD: usize = 32;

/// Events that the coordinator has not acknowledged, in the order of their numbers.
///
/// It stays small without a connection too: reports of one attempt merge while they wait, whatever others say between them, of an attempt's
/// states of training the last one waits, and beyond `POINTS_WAITING` metric points and `LOG_BYTES_WAITING` of lines no further ones are
/// taken. Ends of attempts always are.
#[derive(Debug, Default)]
pub struct Outbox {
    last_seq: u64,
    waiting: VecDeque<WorkerEvent>,
    /// How many at the front have been sent over the present connection.
    sent: usize,
    /// Metric points in `waiting`.
    points: usize,
    /// Points that were not taken.
    dropped: usize,
    /// Bytes of lines in `waiting`.
    log_bytes: usize,
}

fn log_bytes(event: &LogLines) -> usize {
    event.lines.iter().map(|line| line.len() + LINE_OVERHEAD).sum()
}

impl Outbox {
    /// Adds an event at the end; a report joins the one of its attempt before it if that still waits.
    pub fn push(&mut self, event: Event) {
        let event = match event {
            Event::Progress(mut report) => {
                self.bound(&mut report);
                match self.merge(report) {
                    None => return,
                    Some(report) => Event::Progress(report),
                }
            }
            Event::Checkpointed(checkpointed) => {
                self.forget_older(&checkpointed);
                Event::Checkpointed(checkpointed)
            }
            Event::LogLines(lines) => {
                let bytes = log_bytes(&lines);
                if self.log_bytes + bytes > LOG_BYTES_WAITING {
                    return;
                }
                self.log_bytes += bytes;
                Event::LogLines(lines)
            }
            other => other,
        };
        self.last_seq += 1;
        self.waiting.push_back(WorkerEvent { seq: self.last_seq, event: Some(event) });
    }

    /// Leaves the points out of a report for which there is no room.
    fn bound(&mut self, report: &mut Progress) {
        let count = report.points.len();
        if self.points + count > POINTS_WAITING {
            if self.dropped == 0 {
                warn!(limit = POINTS_WAITING, "the coordinator has been away for long; metrics of training are dropped until it is back");
            }
            self.dropped += count;
            report.points.clear();
        } else {
            self.points += count;
            self.dropped = 0;
        }
    }

    /// A state of training that waits is of no use once there is a newer one of its attempt.
    fn forget_older(&mut self, newer: &Checkpointed) {
        let sent = self.sent;
        let mut index = 0;
        self.waiting.retain(|waiting| {
            index += 1;
            index <= sent || !matches!(&waiting.event, Some(Event::Checkpointed(older)) if older.attempt == newer.attempt)
        });
    }

    /// Puts `report` into the last unsent report of the same attempt if there is one with room; else gives it back.
    fn merge(&mut self, report: Progress) -> Option<Progress> {
        let reports = self.waiting.range_mut(self.sent..).rev().filter_map(|waiting| match &mut waiting.event {
            Some(Event::Progress(waiting)) => Some(waiting),
            _ => None,
        });
        match { reports }.find(|waiting| waiting.attempt == report.attempt) {
            Some(last) if last.points.len() + report.points.len() <= POINTS_PER_MESSAGE => {
                let mut points = std::mem::take(&mut last.points);
                points.extend(report.points);
                *last = Progress { points, ..report };
                None
            }
            _ => Some(report),
        }
    }

    /// Whether there is one that this connection has not sent.
    pub fn has_unsent(&self) -> bool {
        self.sent < self.waiting.len()
    }

    /// The next event that this connection has not sent.
    pub fn next_unsent(&mut self) -> Option<WorkerEvent> {
        let event = self.waiting.get(self.sent)?.clone();
        self.sent += 1;
        Some(event)
    }

    /// Forgets what the coordinator has stored.
    pub fn acknowledge(&mut self, seq: u64) {
        while let Some(event) = self.waiting.pop_front_if(|event| event.seq <= seq) {
            self.sent = self.sent.saturating_sub(1);
            match event.event {
                Some(Event::Progress(report)) => self.points -= report.points.len(),
                Some(Event::LogLines(lines)) => self.log_bytes -= log_bytes(&lines),
                Some(Event::Checkpointed(Checkpointed { attempt: Some(attempt), checkpoint: Some(checkpoint) })) => {
                    debug!(%attempt, token = attempt.token, step = checkpoint.step, "a state is acknowledged");
                }
                Some(other) => {
                    if let Some(attempt) = ended_attempt(&other) {
                        debug!(%attempt, token = attempt.token, "an end is acknowledged");
                    }
                }
                None => {}
            }
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
        self.waiting.iter().filter_map(|event| ended_attempt(event.event.as_ref()?))
    }
}

/// The attempt whose end an event is.
fn ended_attempt(event: &Event) -> Option<&AttemptRef> {
    match event {
        Event::Completed(completed) => completed.attempt.as_ref(),
        Event::Failed(failed) => failed.attempt.as_ref(),
        Event::HandedBack(back) => back.attempt.as_ref(),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tinysweep_proto::v1::{Completed, MetricPoint};

    fn attempt(trial: u32) -> AttemptRef {
        AttemptRef { sweep: "s".into(), trial, replicate: 0, attempt: 1, token: 1 }
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
    fn reports_of_several_attempts_merge_each_with_its_own() {
        let mut outbox = Outbox::default();
        for step in 1..=100 {
            for trial in 1..=3 {
                outbox.push(progress(trial, step));
                outbox.push(Event::Checkpointed(Checkpointed { attempt: Some(attempt(trial)), checkpoint: None }));
            }
        }
        let waiting = |outbox: &Outbox| {
            let report = |event: &WorkerEvent| if let Some(Event::Progress(report)) = &event.event { Some(report.clone()) } else { None };
            outbox.waiting.iter().filter_map(report).map(|report| (report.step, report.points.len())).collect::<Vec<_>>()
        };
        assert_eq!((waiting(&outbox), outbox.waiting.len()), (vec![(100, 100); 3], 6), "each attempt's reports, and its last state");
    }

    #[test]
    fn of_many_points_the_first_are_kept_and_ends_always() {
        let mut outbox = Outbox::default();
        for step in 0..2 * POINTS_WAITING as u64 {
            outbox.push(progress(1, step));
        }
        outbox.push(Event::Completed(Completed { attempt: Some(attempt(1)), ..Completed::default() }));
        let count = |outbox: &Outbox| {
            let points = |event: &WorkerEvent| if let Some(Event::Progress(report)) = &event.event { report.points.len() } else { 0 };
            outbox.waiting.iter().map(points).sum::<usize>()
        };
        assert_eq!((count(&outbox), outbox.ended_attempts().count()), (POINTS_WAITING, 1));
        outbox.acknowledge(u64::MAX);
        outbox.push(progress(2, 1));
        assert_eq!((count(&outbox), outbox.points), (1, 1));
    }

    #[test]
    fn of_many_lines_the_first_are_kept() {
        let mut outbox = Outbox::default();
        for line in ["x".repeat((1 << 20) - LINE_OVERHEAD), String::new()] {
            for _ in 0..2 * LOG_BYTES_WAITING / (line.len() + LINE_OVERHEAD) {
                outbox.push(Event::LogLines(LogLines { attempt: Some(attempt(1)), lines: vec![line.clone()] }));
            }
            assert_eq!((outbox.waiting.len(), outbox.log_bytes), (LOG_BYTES_WAITING / (line.len() + LINE_OVERHEAD), LOG_BYTES_WAITING));
            outbox.acknowledge(u64::MAX);
            assert_eq!(outbox.log_bytes, 0);
        }
    }

    #[test]
    fn of_states_that_wait_the_newest_stays() {
        let mut outbox = Outbox::default();
        let state = |trial| Event::Checkpointed(Checkpointed { attempt: Some(attempt(trial)), checkpoint: None });
        for trial in [1, 2, 1, 1] {
            outbox.push(state(trial));
        }
        assert_eq!(sent(&mut outbox), [2, 4]);
        outbox.push(state(1));
        assert_eq!(sent(&mut outbox), [5], "what was sent may be on its way");
        outbox.reconnected();
        assert_eq!(sent(&mut outbox), [2, 4, 5]);
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
