//! One configuration from initial weights to final metrics.
//!
//! Same configuration, seed and data: same weights and metrics, to the last bit, on the same machine. Nothing here depends on the time
//! that passes, except when reports are sent.

mod labour;
mod lines;
mod progress;
mod source;

use std::{collections::BTreeMap, time::Instant};

use rand::Rng;
use tinysweep_proto::{
    config::{ConfigError, TrainConfig, TrialConfig, check},
    dataset::DataShape,
};

use crate::{
    data::{Examples, Item, sampler::Sampler},
    device::Device,
    eval::{Evaluation, Settings, evaluate},
    loss::Score,
    model::Model,
    random::{Stream, generator},
    report::{Reporter, Work},
    state::{Facts, StateError, TrainingState},
    trainer::Trainer,
    votes::Votes,
};
use progress::{Moment, Progress};
use source::Source;

/// Training metrics are means over windows of this share of the run.
const WINDOWS: usize = 100;

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
    /// What this attempt has done.
    pub work: Work,
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
    /// The state to go on from is of something else, or none.
    #[error(transparent)]
    State(#[from] StateError),
    /// A tensor operation failed.
    #[error("a tensor operation failed: {0}")]
    Tensor(#[from] candle_core::Error),
}

/// What is to be trained, and on what.
#[derive(Clone, Copy, Debug)]
pub struct Task<'a> {
    /// The configuration.
    pub config: &'a TrialConfig,
    /// Seeds initial weights, data order and augmentation.
    pub seed: u64,
    /// Puzzles to learn from.
    pub train: &'a Examples,
    /// Puzzles to be measured on.
    pub test: &'a Examples,
    /// Where the model is computed.
    pub device: &'a Device,
}

/// Trains a model as `task` says, measures it, and tells `reporter` how it goes; from the start, or from a state that an earlier run has
/// given its reporter. From there it ends as that run would have, on a CPU to the last bit.
///
/// That run may have been of fewer steps: nothing but the learning rate, where its schedule falls, depends on how many steps there are, so
/// that one may go on from its end as if more had been asked for from the start. Only the windows of the training metrics may begin
/// elsewhere.
///
/// # Errors
/// When `reporter` says stop, the loss stops being finite, configuration or examples are wrong, or the state is of something else.
pub fn train(task: Task, from: Option<&TrainingState>, reporter: &mut dyn Reporter) -> Result<Outcome, TrainError> {
    check_input(task.config, task.train, task.test)?;
    let mut run = Run::new(task, reporter)?;
    if let Some(state) = from {
        run.restore(state)?;
    }
    let first = run.trainer.steps();
    let parameters = run.trainer.model().parameters().trained_count();
    run.progress.say(lines::beginning(&task, parameters, first));
    run.progress.report(first, Vec::new())?;
    if from.is_some_and(|state| !state.facts.is_evaluated) {
        run.evaluate_if_due(first)?;
    }
    for step in first + 1..=task.config.train.steps {
        run.step(step)?;
        run.evaluate_if_due(step)?;
        run.keep_state(if step < task.config.train.steps { Moment::Step } else { Moment::End })?;
        run.progress.break_silence(step)?;
    }
    run.outcome()
}

/// A run under way.
struct Run<'a> {
    task: Task<'a>,
    trainer: Trainer,
    source: Source<'a>,
    /// The test puzzles that are measured during training.
    subset: Vec<Item>,
    /// What ARC's inputs were answered in earlier evaluations.
    votes: Option<Votes>,
    progress: Progress<'a>,
}

impl<'a> Run<'a> {
    fn new(task: Task<'a>, reporter: &'a mut dyn Reporter) -> Result<Self, TrainError> {
        let Task { config, seed, train, test, device } = task;
        let model = Model::init(config, train.shape(), &mut generator(seed, Stream::Weights))?.to_device(device)?;
        let sampler = Sampler::new(train, config.augmentation(train.task), generator(seed, Stream::Data).next_u64());
        Ok(Self {
            trainer: Trainer::new(model, generator(seed, Stream::Halting))?,
            source: Source::new(sampler, train),
            subset: subset(test, config.evaluation.examples, config.evaluation.subset_seed),
            votes: None,
            progress: Progress::new(config, &train.shape(), reporter),
            task,
        })
    }

    fn restore(&mut self, state: &TrainingState) -> Result<(), TrainError> {
        let facts = &state.facts;
        if facts.course_hash != course_hash(self.task.config) {
            return Err(StateError::Other { what: "configuration" }.into());
        }
        if facts.seed != self.task.seed || facts.step > self.task.config.train.steps {
            return Err(StateError::Other { what: "run" }.into());
        }
        self.trainer.restore(state)?;
        self.source.sampler.restore(state)?;
        Ok(self.progress.restore(state)?)
    }

    fn step(&mut self, step: usize) -> Result<(), TrainError> {
        let started = Instant::now();
        let scores = self.trainer.step(|_| self.source.next())?;
        if !scores.iter().map(Score::loss).sum::<f64>().is_finite() {
            return Err(TrainError::NonFinite { step });
        }
        self.progress.labour.step(started.elapsed());
        self.progress.window.add(&scores, &self.trainer);
        if step.is_multiple_of(self.task.config.train.steps.div_ceil(WINDOWS)) { self.progress.report_window(step) } else { Ok(()) }
    }

    fn evaluate_if_due(&mut self, step: usize) -> Result<(), TrainError> {
        let every = self.task.config.evaluation.every;
        if every == 0 || step == 0 || !step.is_multiple_of(every) || step >= self.task.config.train.steps {
            return Ok(());
        }
        let items = std::mem::take(&mut self.subset);
        let evaluation = self.measure(&self.trainer.averaged_model()?, &items);
        let puzzles = items.len();
        self.subset = items;
        let metrics = of_subset(&evaluation?);
        self.progress.say(lines::evaluation(step, puzzles, &metrics));
        self.progress.report(step, metrics)
    }

    /// Measures `model`. Where that is to stop, a state of the moment before is kept if one is wanted.
    fn measure(&mut self, model: &Model, items: &[Item]) -> Result<Evaluation, TrainError> {
        let (mut stopped, mut before) = (Ok(()), 0);
        let goes_on = |done| {
            self.progress.labour.answer(done - before);
            before = done;
            stopped = self.progress.break_evaluations_silence(done, items.len());
            stopped.is_ok()
        };
        let evaluation = evaluate(model, self.task.test, items, Settings::of(self.task.config), goes_on)?;
        if stopped.is_err() {
            self.keep_state(Moment::Evaluation)?;
        }
        stopped?;
        let mut evaluation = evaluation.ok_or(TrainError::Stopped)?;
        if self.task.config.evaluation.arc_accumulate_votes {
            evaluation.accumulate(&mut self.votes);
        }
        Ok(evaluation)
    }

    /// Keeps a state where one is wanted.
    ///
    /// Votes that add up over evaluations are not in a state, so that a run that adds them up keeps none: it would end with others.
    fn keep_state(&mut self, moment: Moment) -> Result<(), TrainError> {
        let Self { task, trainer, source, progress, .. } = self;
        progress.keep_state(moment, |progress| {
            if task.config.evaluation.arc_accumulate_votes {
                return Ok(None);
            }
            let mut state = TrainingState::new(Facts::new(course_hash(task.config), task.seed, &generator(task.seed, Stream::Data)));
            state.facts.is_evaluated = moment == Moment::Step;
            trainer.save(&mut state)?;
            source.sampler.save(&mut state);
            progress.save(&mut state);
            Ok(Some(state))
        })
    }

    fn outcome(mut self) -> Result<Outcome, TrainError> {
        let model = self.trainer.averaged_model()?;
        self.progress.trained(&model);
        let whole: Vec<Item> = self.task.test.items().collect();
        let evaluation = self.measure(&model, &whole)?;
        let metrics = evaluation.metrics();
        let shown: Vec<_> = metrics.clone().into_iter().collect();
        self.progress.say(format!("the end, {}", lines::evaluation(self.task.config.train.steps, whole.len(), &shown)));
        Ok(Outcome {
            metrics,
            metrics_by_step: evaluation.metrics_by_step(),
            steps: self.task.config.train.steps,
            wall_seconds: self.progress.wall_seconds(),
            parameters: model.parameters().trained_count(),
            work: self.progress.labour.done(),
            votes: evaluation.votes,
            model,
        })
    }
}

/// The model with averaged weights, as a run of `config` has it after the steps of `state`.
///
/// # Errors
/// It is the state of something else.
pub fn averaged_model(config: &TrialConfig, shape: DataShape, state: &TrainingState) -> Result<Model, TrainError> {
    if state.facts.course_hash != course_hash(config) {
        return Err(StateError::Other { what: "configuration" }.into());
    }
    let model = Model::init(config, shape, &mut generator(state.facts.seed, Stream::Weights))?;
    let mut trainer = Trainer::new(model, generator(state.facts.seed, Stream::Halting))?;
    trainer.restore(state)?;
    Ok(trainer.averaged_model()?)
}

/// What tells the course of a run from others: its configuration, whatever its number of steps. A longer run takes the same course.
fn course_hash(config: &TrialConfig) -> String {
    TrialConfig { train: TrainConfig { steps: 0, ..config.train.clone() }, ..config.clone() }.hash()
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
