//! One configuration from initial weights to final metrics.
//!
//! Same configuration, seed and data: same weights and metrics, to the last bit, on the same machine. Nothing here depends on the time
//! that passes, except when reports are sent.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use rand::Rng;
use tinysweep_proto::config::{ConfigError, TrialConfig, check};

use crate::{
    carry::Row,
    data::{Examples, Item, sampler::Sampler},
    device::Device,
    eval::{Evaluation, Settings, evaluate, label},
    loss::Score,
    model::Model,
    random::{Stream, generator},
    report::{Directive, Evaluated, Report, Reporter},
    trainer::{Ended, Step, Trainer},
    votes::Votes,
};

/// Training metrics are means over windows of this share of the run.
const WINDOWS: usize = 100;
/// The longest silence between two reports, as long as steps are shorter.
const SILENCE: Duration = Duration::from_millis(500);

/// What a trained trial has to show.
#[derive(Debug)]
pub struct Outcome {
    /// The test metrics, on the whole test set after as many supervision steps as in training.
    pub metrics: BTreeMap<String, f64>,
    /// The same after each supervision step, those beyond training's included where the configuration asks for them.
    pub metrics_by_step: BTreeMap<String, Vec<f64>>,
    /// Optimiser steps done.
    pub steps: usize,
    /// Time from start to end, evaluation included.
    pub wall_seconds: f64,
    /// Trained numbers, the puzzle table excluded.
    pub parameters: usize,
    /// What ARC's augmented test inputs were answered; nothing for other tasks.
    pub votes: Option<Votes>,
    /// The model with averaged weights, which was measured.
    pub model: Model,
}

/// Why a trial has nothing to show.
#[derive(Debug, thiserror::Error)]
pub enum TrainError {
    /// The reporter said so.
    #[error("stopped on request")]
    Stopped,
    /// The loss is infinite or not a number. Training cannot recover from that.
    #[error("the loss is not finite at step {step}; a lower train.lr may help")]
    NonFinite {
        /// The step.
        step: usize,
    },
    /// The configuration is out of range.
    #[error("the configuration is wrong: {0}")]
    Config(#[from] ConfigError),
    /// The examples cannot be trained on.
    #[error("{0}")]
    Data(String),
    /// A tensor operation failed.
    #[error("a tensor operation failed: {0}")]
    Tensor(#[from] candle_core::Error),
}

/// Trains a fresh model on `train` and on `device`, measures it on `test`, and tells `reporter` how it goes.
///
/// # Errors
/// When `reporter` says stop, the loss stops being finite, or configuration or examples are wrong.
pub fn train(
    config: &TrialConfig,
    seed: u64,
    train: &Examples,
    test: &Examples,
    device: &Device,
    reporter: &mut dyn Reporter,
) -> Result<Outcome, TrainError> {
    check_input(config, train, test)?;
    let model = Model::init(config, train.shape(), &mut generator(seed, Stream::Weights))?.to_device(device)?;
    let mut trainer = Trainer::new(model, generator(seed, Stream::Halting))?;
    let mut source = Source::new(Sampler::new(train, config.augmentation(train.task), generator(seed, Stream::Data).next_u64()), train);
    let subset = subset(test, config.evaluation.examples, config.evaluation.subset_seed);
    let whole: Vec<Item> = test.items().collect();
    let mut progress = Progress::new(config, reporter);
    let mut earlier = None;
    let mut measure = |model: &Model, items: &[Item], progress: &mut Progress| {
        let mut stopped = Ok(());
        let goes_on = |done| {
            stopped = progress.break_evaluations_silence(done, items.len());
            stopped.is_ok()
        };
        let evaluation = evaluate(model, test, items, Settings::of(config), goes_on)?;
        stopped?;
        let mut evaluation = evaluation.ok_or(TrainError::Stopped)?;
        if config.evaluation.arc_accumulate_votes {
            evaluation.accumulate(&mut earlier);
        }
        Ok::<_, TrainError>(evaluation)
    };
    progress.report(0, Vec::new())?;

    for step in 1..=config.train.steps {
        let computed = trainer.compute(|_| source.next())?;
        if !computed.loss_sum().is_finite() {
            return Err(TrainError::NonFinite { step });
        }
        trainer.apply(&computed)?;
        progress.window.add(&computed, &trainer);
        if step % config.train.steps.div_ceil(WINDOWS) == 0 {
            progress.report_window(step)?;
        }
        let every = config.evaluation.every;
        if every > 0 && step % every == 0 && step < config.train.steps {
            let evaluation = measure(&trainer.averaged_model()?, &subset, &mut progress)?;
            progress.report(step, of_subset(&evaluation))?;
        }
        progress.break_silence(step)?;
    }

    let model = trainer.averaged_model()?;
    let evaluation = measure(&model, &whole, &mut progress)?;
    Ok(Outcome {
        metrics: evaluation.metrics(),
        metrics_by_step: evaluation.metrics_by_step(),
        steps: config.train.steps,
        wall_seconds: progress.started.elapsed().as_secs_f64(),
        parameters: model.parameters().trained_count(),
        votes: evaluation.votes,
        model,
    })
}

/// The metrics as they are reported during training: `subset/` stands for `test/`, since they are of a part of the test set. Groups of so
/// few puzzles say nothing and are left out.
fn of_subset(evaluation: &Evaluation) -> Vec<(String, f64)> {
    let whole = evaluation.metrics().into_iter().filter(|(name, _)| !name.contains('['));
    whole.map(|(name, value)| (name.replacen("test/", "subset/", 1), value)).collect()
}

fn check_input(config: &TrialConfig, train: &Examples, test: &Examples) -> Result<(), TrainError> {
    if let Some(error) = check(config).into_iter().next() {
        return Err(error.into());
    }
    if train.task != test.task {
        return Err(TrainError::Data(format!("the training puzzles are {}, the test puzzles {}", train.task.name(), test.task.name())));
    }
    if train.puzzle_identifiers != test.puzzle_identifiers {
        let (train, test) = (train.puzzle_identifiers, test.puzzle_identifiers);
        return Err(TrainError::Data(format!(
            "the training puzzles have {train} identifiers, the test puzzles {test}; they share one table"
        )));
    }
    for (split, examples) in [("training", train), ("test", test)] {
        if examples.is_empty() {
            return Err(TrainError::Data(format!("there is no {split} puzzle; at least one is needed")));
        }
        if examples.inputs.len() != examples.labels.len() || examples.inputs.len() % examples.task.seq_len() != 0 {
            return Err(TrainError::Data(format!("the {split} puzzles have questions or answers that are not whole")));
        }
        let vocabulary = examples.task.vocab_size();
        if let Some(token) = examples.inputs.iter().chain(&examples.labels).find(|token| usize::from(**token) >= vocabulary) {
            return Err(TrainError::Data(format!("the {split} puzzles have token {token}; tokens are below {vocabulary}")));
        }
    }
    Ok(())
}

/// `count` examples, drawn by `seed`, in the order of the examples.
fn subset(examples: &Examples, count: usize, seed: u64) -> Vec<Item> {
    let len = examples.len();
    let mut picks = rand::seq::index::sample(&mut generator(seed, Stream::Subset), len, count.min(len)).into_vec();
    picks.sort_unstable();
    let mut picks = picks.into_iter().peekable();
    examples.items().enumerate().filter(|(index, _)| picks.next_if_eq(index).is_some()).map(|(_, item)| item).collect()
}

/// Training examples as slots take them.
struct Source<'a> {
    sampler: Sampler<'a>,
    input: Vec<u8>,
    label: Vec<u8>,
}

impl<'a> Source<'a> {
    fn new(sampler: Sampler<'a>, examples: &Examples) -> Self {
        let seq_len = examples.task.seq_len();
        Self { sampler, input: vec![0; seq_len], label: vec![0; seq_len] }
    }

    fn next(&mut self) -> Row {
        let identifier = self.sampler.next(&mut self.input, &mut self.label);
        Row {
            tokens: self.input.iter().map(|&token| token.into()).collect(),
            labels: self.label.iter().map(|&token| label(token)).collect(),
            identifier,
        }
    }
}

/// Sums of the training metrics since the last window ended.
#[derive(Debug, Default)]
struct Window {
    steps: usize,
    /// Examples in all those steps.
    examples: usize,
    lm_loss: f64,
    q_halt_loss: f64,
    lr: f64,
    ended: Ended,
}

impl Window {
    fn add(&mut self, step: &Step, trainer: &Trainer) {
        let sum = |value: fn(&Score) -> f64| step.graded.scores.iter().map(value).sum::<f64>();
        self.steps += 1;
        self.examples += step.graded.scores.len();
        self.lm_loss += sum(|score| score.lm_loss);
        self.q_halt_loss += sum(|score| score.q_halt_loss);
        self.lr += trainer.lr();
        self.ended.add(&Ended::of(&step.graded.scores, trainer.carry()));
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
struct Progress<'a> {
    reporter: &'a mut dyn Reporter,
    total_steps: usize,
    window: Window,
    started: Instant,
    last_report: Instant,
    /// The step of the last report.
    step: usize,
    /// Examples that were answered at the first report of the evaluation under way, and when that was.
    evaluation_started: Option<(usize, Instant)>,
}

impl<'a> Progress<'a> {
    fn new(config: &TrialConfig, reporter: &'a mut dyn Reporter) -> Self {
        let now = Instant::now();
        Self {
            reporter,
            total_steps: config.train.steps,
            window: Window::default(),
            started: now,
            last_report: now,
            step: 0,
            evaluation_started: None,
        }
    }

    /// Reports the window that ends with `step`, and starts the next.
    fn report_window(&mut self, step: usize) -> Result<(), TrainError> {
        let window = std::mem::take(&mut self.window);
        self.report(step, window.metrics())
    }

    /// Reports how far training is, if that has not been said for long.
    fn break_silence(&mut self, step: usize) -> Result<(), TrainError> {
        if self.last_report.elapsed() < SILENCE { Ok(()) } else { self.report(step, Vec::new()) }
    }

    /// Reports that `done` of `total` test examples are answered, if nothing has been said for long.
    fn break_evaluations_silence(&mut self, done: usize, total: usize) -> Result<(), TrainError> {
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
        };
        self.send(&report)
    }

    fn report(&mut self, step: usize, points: Vec<(String, f64)>) -> Result<(), TrainError> {
        self.last_report = Instant::now();
        (self.step, self.evaluation_started) = (step, None);
        let a_step = (step > 0).then(|| self.started.elapsed().as_secs_f64() / step as f64);
        let seconds_left = a_step.map(|seconds| seconds * (self.total_steps - step) as f64);
        self.send(&Report { step, total_steps: self.total_steps, points, seconds_left, evaluation: None })
    }

    fn send(&mut self, report: &Report) -> Result<(), TrainError> {
        match self.reporter.report(report) {
            Directive::Continue => Ok(()),
            Directive::Stop => Err(TrainError::Stopped),
        }
    }
}
