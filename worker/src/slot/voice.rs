//! What the process of a slot has to say, as events of its attempt, in frames.

use std::{
    path::Path,
    time::{Duration, Instant},
};

use tinysweep_proto::v1::{AttemptRef, Completed, MetricPoint, Progress, Series, worker_event::Event};

use super::protocol::{Framed, state_head};
use crate::{
    assignment::{Said, log_line},
    cost::{Cost, cost_message, with_cost},
    report::Report,
    runner::Listener,
    train::Outcome,
};

/// What is said within so short a time after something else waits for what comes next: a frame by itself costs a hundredth of a step of the
/// smallest models.
const GATHERING: Duration = Duration::from_millis(20);

/// Speaks for one attempt.
pub struct Voice<S> {
    attempt: AttemptRef,
    say: S,
    /// Frames that are not said yet.
    waiting: Vec<u8>,
    /// When frames were last said.
    spoke: Option<Instant>,
}

impl<S: FnMut(Vec<u8>)> Voice<S> {
    /// Gives bytes of frames to `say`, which must not block for long.
    pub const fn new(attempt: AttemptRef, say: S) -> Self {
        Self { attempt, say, waiting: Vec::new(), spoke: None }
    }

    /// Says how the attempt has ended, and what it has cost where it ever began.
    pub fn end(mut self, event: Event, cost: Option<&Cost>) {
        Said::Event(with_cost(event, cost)).put(&mut self.waiting);
        self.speak();
    }

    fn event(&mut self, event: Event) {
        Said::Event(event).put(&mut self.waiting);
        if self.spoke.is_none_or(|spoke| spoke.elapsed() >= GATHERING) {
            self.speak();
        }
    }

    fn speak(&mut self) {
        (self.say)(std::mem::take(&mut self.waiting));
        self.spoke = Some(Instant::now());
    }
}

impl<S: FnMut(Vec<u8>)> Listener for Voice<S> {
    fn report(&mut self, report: &Report, cost: &Cost) {
        self.event(progress(&self.attempt, report, cost));
    }

    fn line(&mut self, line: String) {
        self.event(log_line(&self.attempt, line));
    }

    fn state(&mut self, step: usize, bytes: Vec<u8>) {
        // It may be large, and is not copied into a frame.
        self.waiting.extend(state_head(step as u64, bytes.len()));
        self.speak();
        (self.say)(bytes);
    }
}

fn progress(attempt: &AttemptRef, report: &Report, cost: &Cost) -> Event {
    let step = report.step as u64;
    Event::Progress(Progress {
        attempt: Some(attempt.clone()),
        step,
        total_steps: report.total_steps as u64,
        points: report.points.iter().map(|(name, value)| MetricPoint { name: name.clone(), step, value: *value }).collect(),
        seconds_left: report.seconds_left,
        evaluated: report.evaluation.map(|evaluated| evaluated.done as u64),
        to_evaluate: report.evaluation.map(|evaluated| evaluated.total as u64),
        cost: Some(cost_message(cost)),
    })
}

/// The end of an attempt that has its result; its model is in `checkpoint`.
pub fn completed(attempt: &AttemptRef, outcome: Outcome, checkpoint: &Path) -> Event {
    Event::Completed(Completed {
        attempt: Some(attempt.clone()),
        metrics: outcome.metrics.into_iter().collect(),
        metrics_by_step: outcome.metrics_by_step.into_iter().map(|(name, values)| Series { name, values }).collect(),
        wall_seconds: outcome.wall_seconds,
        checkpoint: checkpoint.display().to_string(),
        parameters: outcome.parameters as u64,
        cost: None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{cost::Energy, slot::protocol::read};

    #[test]
    fn quick_reports_go_out_together_and_an_end_takes_all_along() {
        let attempt = AttemptRef { sweep: "s".into(), ..AttemptRef::default() };
        let mut written = Vec::new();
        let mut voice = Voice::new(attempt.clone(), |frames| written.extend(frames));
        let report = |step| Report { step, points: vec![("train/lm_loss".into(), 0.1)], ..Report::default() };
        let cost = |joules| Cost { energy: Energy { joules, is_measured: false }, ..Cost::default() };
        voice.report(&report(1), &cost(1.0));
        assert!(voice.waiting.is_empty(), "the first goes out at once");
        voice.report(&report(2), &cost(2.0));
        voice.line("hello".into());
        assert!(!voice.waiting.is_empty());
        voice.state(2, vec![1, 2]);
        voice.report(&report(3), &cost(3.0));
        voice.end(crate::assignment::handed_back(&attempt), Some(&cost(4.0)));

        let mut reader = written.as_slice();
        let all: Vec<Said> = std::iter::from_fn(|| read(&mut reader).unwrap()).collect();
        assert_eq!(all.len(), 6);
        assert_eq!(all[1], Said::Event(progress(&attempt, &report(2), &cost(2.0))));
        assert_eq!(all[3], Said::State { step: 2, bytes: vec![1, 2] });
        let Said::Event(Event::HandedBack(back)) = &all[5] else { panic!("{:?}", all[5]) };
        assert_eq!(back.cost.map(|cost| (cost.joules, cost.joules_estimated)), Some((4.0, 4.0)));
        assert!(all[5].is_end() && all[..5].iter().all(|said| !said.is_end()));
    }
}
