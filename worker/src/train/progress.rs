//! What training says of itself, and when.

use std::time::{Duration, Instant};

use tinysweep_proto::{config::TrialConfig, dataset::DataShape};

use super::{TrainError, WINDOWS, labour::Labour, lines};
use crate::{
    loss::Score,
    model::Model,
    report::{Directive, Evaluated, Report, Reporter, Wish},
    state::{StateError, TrainingState},
    trainer::{Ended, Trainer},
};

/// The longest silence between two reports, as long as steps are shorter.
const SILENCE: Duration = Duration::from_millis(500);

/// Every so many windows are also told to people.
const WINDOWS_PER_LINE: usize = 10;

/// When a state of training may be kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Moment {
    /// After a step, and the evaluation that was due then.
    Step,
    /// After the last step, when no evaluation is due; in a longer run there may be one.
    End,
    /// In an evaluation, which is to be done again.
    Evaluation,
}

/// Sums of the training metrics since the last window ended.
#[derive(Debug, Default)]
pub(super) struct Window {
    steps: usize,
    /// Examples in all those steps.
    examples: usize,
    lm_loss: f64,
    q_halt_loss: f64,
    lr: f64,
    ended: Ended,
}

impl Window {
    pub(super) fn add(&mut self, scores: &[Score], trainer: &Trainer) {
        let sum = |value: fn(&Score) -> f64| scores.iter().map(value).sum::<f64>();
        self.steps += 1;
        self.examples += scores.len();
        self.lm_loss += sum(|score| score.lm_loss);
        self.q_halt_loss += sum(|score| score.q_halt_loss);
        self.lr += trainer.lr();
        self.ended.add(&Ended::of(scores, trainer.carry()));
    }

    /// Its sums and counts; the bits of the sums, so that none of them is lost.
    fn to_bits(&self) -> Vec<u64> {
        let Self { steps, examples, lm_loss, q_halt_loss, lr, ended } = self;
        let Ended { count, token_accuracy, exact, q_halt_right, steps: ended_steps } = ended;
        let counts = [*steps, *examples, *count, *exact, *q_halt_right, *ended_steps].map(|count| count as u64);
        counts.into_iter().chain([lm_loss, q_halt_loss, lr, token_accuracy].map(|sum| sum.to_bits())).collect()
    }

    /// The reverse of [`to_bits`](Self::to_bits).
    fn from_bits(bits: &[u64]) -> Option<Self> {
        let [steps, examples, count, exact, q_halt_right, ended_steps, lm_loss, q_halt_loss, lr, token_accuracy] = *bits else {
            return None;
        };
        let [steps, examples, count, exact, q_halt_right, ended_steps] =
            [steps, examples, count, exact, q_halt_right, ended_steps].map(|count| count as usize);
        let [lm_loss, q_halt_loss, lr, token_accuracy] = [lm_loss, q_halt_loss, lr, token_accuracy].map(f64::from_bits);
        let ended = Ended { count, token_accuracy, exact, q_halt_right, steps: ended_steps };
        Some(Self { steps, examples, lm_loss, q_halt_loss, lr, ended })
    }

    /// Losses are means over all slots, accuracies over the examples that ended; without any of those there are no accuracies.
    fn metrics(&self) -> Vec<(String, f64)> {
        let examples = self.examples as f64;
        let mut metrics = vec![
            ("train/lm_loss", self.lm_loss / examples),
            ("train/q_halt_loss", self.q_halt_loss / examples),
            ("train/lr", self.lr / self.steps as f64),
        ];
        if self.ended.count > 0 {
            let count = self.ended.count as f64;
            metrics.extend([
                ("train/exact_accuracy", self.ended.exact as f64 / count),
                ("train/token_accuracy", self.ended.token_accuracy / count),
                ("train/q_halt_accuracy", self.ended.q_halt_right as f64 / count),
                ("train/supervision_steps", self.ended.steps as f64 / count),
            ]);
        }
        metrics.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
    }
}

/// Reports, and when they are due.
pub(super) struct Progress<'a> {
    reporter: &'a mut dyn Reporter,
    total_steps: usize,
    pub(super) window: Window,
    pub(super) labour: Labour,
    /// When this attempt began, and for how long earlier ones have trained.
    started: Instant,
    earlier: Duration,
    /// Steps that earlier attempts have done.
    first_step: usize,
    last_report: Instant,
    /// The step of the last report.
    step: usize,
    /// Examples that were answered at the first report of the evaluation under way, and when that was.
    evaluation_started: Option<(usize, Instant)>,
}

impl<'a> Progress<'a> {
    pub(super) fn new(config: &TrialConfig, shape: &DataShape, reporter: &'a mut dyn Reporter) -> Self {
        let now = Instant::now();
        Self {
            reporter,
            total_steps: config.train.steps,
            window: Window::default(),
            labour: Labour::new(config, shape),
            started: now,
            earlier: Duration::ZERO,
            first_step: 0,
            last_report: now,
            step: 0,
            evaluation_started: None,
        }
    }

    /// Reports the window that ends with `step`, and starts the next.
    pub(super) fn report_window(&mut self, step: usize) -> Result<(), TrainError> {
        let metrics = std::mem::take(&mut self.window).metrics();
        if step.is_multiple_of(self.total_steps.div_ceil(WINDOWS) * WINDOWS_PER_LINE) {
            self.say(lines::window(step, &metrics));
        }
        self.report(step, metrics)
    }

    /// Reports how far training is, if that has not been said for long.
    pub(super) fn break_silence(&mut self, step: usize) -> Result<(), TrainError> {
        if self.last_report.elapsed() < SILENCE { Ok(()) } else { self.report(step, Vec::new()) }
    }

    /// Reports that `done` of `total` test examples are answered, if nothing has been said for long.
    pub(super) fn break_evaluations_silence(&mut self, done: usize, total: usize) -> Result<(), TrainError> {
        if self.last_report.elapsed() < SILENCE {
            return Ok(());
        }
        self.last_report = Instant::now();
        let seconds = self.evaluation_started.get_or_insert((done, self.last_report));
        let left = |(first, start): (usize, Instant)| {
            (done > first).then(|| start.elapsed().as_secs_f64() / (done - first) as f64 * (total - done) as f64)
        };
        let report = Report {
            step: self.step,
            total_steps: self.total_steps,
            points: Vec::new(),
            seconds_left: left(*seconds),
            evaluation: Some(Evaluated { done, total }),
            work: self.labour.done(),
        };
        self.send(&report)
    }

    pub(super) fn report(&mut self, step: usize, points: Vec<(String, f64)>) -> Result<(), TrainError> {
        self.last_report = Instant::now();
        (self.step, self.evaluation_started) = (step, None);
        let done = step.saturating_sub(self.first_step);
        let a_step = (done > 0).then(|| self.started.elapsed().as_secs_f64() / done as f64);
        let seconds_left = a_step.map(|seconds| seconds * (self.total_steps - step) as f64);
        self.send(&Report { step, total_steps: self.total_steps, points, seconds_left, evaluation: None, work: self.labour.done() })
    }

    /// Shows the trained model.
    pub(super) fn trained(&mut self, model: &Model) {
        self.reporter.trained(model);
    }

    /// Says something to people.
    pub(super) fn say(&mut self, line: String) {
        self.reporter.say(line);
    }

    /// Time of training so far, that of earlier attempts included.
    pub(super) fn wall_seconds(&self) -> f64 {
        (self.earlier + self.started.elapsed()).as_secs_f64()
    }

    /// Writes what is under way into `state`.
    pub(super) fn save(&self, state: &mut TrainingState) {
        state.facts.window = self.window.to_bits();
        state.facts.wall_seconds = self.wall_seconds();
    }

    /// Takes it from `state`.
    ///
    /// # Errors
    /// When it is no window of this program.
    pub(super) fn restore(&mut self, state: &TrainingState) -> Result<(), StateError> {
        self.window = Window::from_bits(&state.facts.window).ok_or_else(|| StateError::Malformed("its metric window is none".into()))?;
        self.earlier = Duration::try_from_secs_f64(state.facts.wall_seconds).unwrap_or_default();
        (self.step, self.first_step) = (state.facts.step, state.facts.step);
        Ok(())
    }

    /// Hands a state of training on where one is wished for now, and stops where that is wished for too; `make` writes the state, if there
    /// can be one.
    pub(super) fn keep_state(
        &mut self,
        moment: Moment,
        make: impl FnOnce(&Self) -> Result<Option<TrainingState>, TrainError>,
    ) -> Result<(), TrainError> {
        let wish = self.reporter.wish(moment == Moment::End);
        if matches!(wish, Wish::State | Wish::StateThenStop)
            && let Some(state) = make(self)?
        {
            self.reporter.state(state.facts.step, state.to_bytes());
        }
        match wish {
            Wish::StateThenStop => {
                // All that was done until here is to be known.
                self.report(self.first_step + self.labour.done().steps as usize, Vec::new())?;
                Err(TrainError::Stopped)
            }
            Wish::Stop => Err(TrainError::Stopped),
            Wish::State | Wish::Nothing => Ok(()),
        }
    }

    fn send(&mut self, report: &Report) -> Result<(), TrainError> {
        match self.reporter.report(report) {
            Directive::Continue => Ok(()),
            Directive::Stop => Err(TrainError::Stopped),
        }
    }
}
