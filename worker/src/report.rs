//! How training talks to whoever runs it.

use crate::model::Model;

/// What training says of itself every so often.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Report {
    /// Optimiser steps done.
    pub step: usize,
    /// Optimiser steps to do.
    pub total_steps: usize,
    /// Metrics since the last report, as `(name, value)` at `step`; names as `train/lm_loss`, `test/exact_accuracy`.
    pub points: Vec<(String, f64)>,
    /// Of training, or of the evaluation under way, by the speed so far; none before it is known.
    pub seconds_left: Option<f64>,
    /// How far the evaluation under way is; none while training.
    pub evaluation: Option<Evaluated>,
    /// All that was done so far.
    pub work: Work,
}

/// What a training has done, by count. Of this attempt alone: what was done before the state that it went on from is not in it.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Work {
    /// Optimiser steps.
    pub steps: u64,
    /// Examples in them.
    pub samples: u64,
    /// Time that they took. Evaluations are not in it: they would blur how fast training is.
    pub training_seconds: f64,
    /// Puzzles that evaluations have answered.
    pub answered: u64,
    /// Analytic operations of steps and answers, as `tinysweep_proto::config::size` counts them.
    pub flops: f64,
}

/// How far an evaluation is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Evaluated {
    /// Examples answered.
    pub done: usize,
    /// Examples to answer.
    pub total: usize,
}

/// What training does next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Directive {
    /// Go on.
    Continue,
    /// End now, without a result.
    Stop,
}

/// What whoever runs a training wants of it beside the result.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wish {
    /// Nothing.
    Nothing,
    /// A state to go on from, if the worker should be lost.
    State,
    /// A state to go on from elsewhere, and then its end.
    StateThenStop,
    /// Its end.
    Stop,
}

/// Takes reports and answers each with a directive. Called on the training thread: it must not block for long.
pub trait Reporter {
    /// Takes one report.
    fn report(&mut self, report: &Report) -> Directive;

    /// Takes a line for people.
    fn say(&mut self, line: String) {
        let _ = line;
    }

    /// What is wished for now. Asked after every step, `is_end` after the last; the answer changes nothing in what training computes.
    fn wish(&mut self, is_end: bool) -> Wish {
        let _ = is_end;
        Wish::Nothing
    }

    /// Takes the trained model, before it is measured on the whole test set.
    fn trained(&mut self, model: &Model) {
        let _ = model;
    }

    /// Takes the state after `step` steps, from which training can go on elsewhere.
    fn state(&mut self, step: usize, bytes: Vec<u8>) {
        let _ = (step, bytes);
    }
}
