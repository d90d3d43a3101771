//! How well a model answers puzzles, after each supervision step.

mod groups;
mod step;

use std::collections::BTreeMap;

use candle_core::Result;
use tinysweep_proto::{config::TrialConfig, dataset::Rules};

pub use step::StepScore;

use crate::{
    carry::Halting,
    data::{Examples, Item, maze},
    kernels::slices,
    loss::{Label, Score, grade, most_likely},
    model::{Gradient, Model, Output},
    votes::Votes,
};
use groups::Groups;
use step::Halt;

/// What an evaluation has found.
#[derive(Clone, Debug, PartialEq)]
pub struct Evaluation {
    /// One per supervision step. One of them is the result; the others tell what less or more thinking would have given.
    pub by_step: Vec<StepScore>,
    /// The step that is the result, from 1.
    result_step: usize,
    /// Whether the task asks for paths.
    has_paths: bool,
    /// Exact accuracy of parts of the test set, and how large they are.
    groups: Vec<(String, f64)>,
    /// What ARC's augmented test inputs were answered after the step that is the result; nothing for other tasks.
    pub votes: Option<Votes>,
}

impl Evaluation {
    /// The metrics of [`tinysweep_proto::metric::TEST_METRICS`] that the task has, and those of parts of the test set, by name.
    pub fn metrics(&self) -> BTreeMap<String, f64> {
        let votes = self.votes.iter().flat_map(Votes::metrics);
        let whole = self.result().metrics(self.has_paths).into_iter().chain(votes).map(|(name, value)| (name.to_owned(), value));
        whole.chain(self.groups.iter().cloned()).collect()
    }

    /// Each metric after supervision step 1, 2, …, by name.
    pub fn metrics_by_step(&self) -> BTreeMap<String, Vec<f64>> {
        let mut series: BTreeMap<String, Vec<f64>> = BTreeMap::new();
        for (name, value) in self.by_step.iter().flat_map(|score| score.metrics(self.has_paths)) {
            series.entry(name.to_owned()).or_default().push(value);
        }
        series
    }

    /// Adds the votes of `earlier` evaluations, and these to them. So the reference logs its pass@K during training: as what an ensemble of
    /// all checkpoints so far would reach.
    pub fn accumulate(&mut self, earlier: &mut Option<Votes>) {
        let mut all = earlier.take();
        match (&mut all, self.votes.take()) {
            (Some(all), Some(votes)) => all.absorb(votes),
            (_, votes) => all = votes,
        }
        self.votes.clone_from(&all);
        *earlier = all;
    }

    /// The scores after the step that is the result.
    pub fn result(&self) -> StepScore {
        self.by_step.get(self.result_step.saturating_sub(1)).copied().unwrap_or_default()
    }
}

/// How an evaluation is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Puzzles that are answered at once.
    pub batch_size: usize,
    /// Supervision steps; none halts a puzzle early.
    pub steps: usize,
    /// The step whose answers are the result. Later ones tell what more thinking would give.
    pub result_step: usize,
}

impl Settings {
    /// As training measures a model of `config`: the result is read after as many steps as in training.
    pub fn of(config: &TrialConfig) -> Self {
        let (batch_size, result_step) = (config.evaluation.batch_size, config.halt_max_steps);
        Self { batch_size, steps: config.evaluation.steps.unwrap_or(result_step).max(result_step), result_step }
    }
}

/// Answers `items` of `examples` as `settings` say. `goes_on` is told how many are answered, after each batch; once it denies, there is no
/// result.
///
/// # Errors
/// When an example has tokens or an identifier that the model does not know.
pub fn evaluate(
    model: &Model,
    examples: &Examples,
    items: &[Item],
    settings: Settings,
    mut goes_on: impl FnMut(usize) -> bool,
) -> Result<Option<Evaluation>> {
    let mut sums = Sums::new(examples, settings);
    for (batch, done) in items.chunks(settings.batch_size).zip((1..).map(|batches| batches * settings.batch_size)) {
        sums.answer(model, batch)?;
        if !goes_on(done.min(items.len())) {
            return Ok(None);
        }
    }
    Ok(Some(sums.means(items.len())))
}

/// What has been counted so far.
struct Sums<'a> {
    examples: &'a Examples,
    settings: Settings,
    by_step: Vec<StepScore>,
    groups: Groups,
    votes: Option<Votes>,
}

impl<'a> Sums<'a> {
    fn new(examples: &'a Examples, settings: Settings) -> Self {
        let by_step = vec![StepScore::default(); settings.steps];
        Self { examples, settings, by_step, groups: Groups::of(examples), votes: Votes::new(examples) }
    }

    /// Answers one batch, step by step.
    fn answer(&mut self, model: &Model, items: &[Item]) -> Result<()> {
        let batch = Batch::read(self.examples, items);
        let halting = Halting::of(model.config());
        let input = model.input(&batch.tokens, &batch.identifiers)?;
        let mut latents = model.initial_latents(items.len())?;
        let mut halts = vec![None; items.len()];
        for step in 1..=self.settings.steps {
            let output = model.forward(&input, &latents, Gradient::None)?;
            let scores = grade(model.config().loss, &output, &batch.labels)?.scores()?;
            let optimal = self.optimal_paths(&output, items)?;
            for (index, (score, halt)) in scores.iter().zip(&mut halts).enumerate() {
                *halt = Halt::after(*halt, step, score, halting.wants_to_halt(score.q_halt, score.q_continue));
                self.by_step[step - 1].add(step, score, *halt, optimal.get(index).is_some_and(|is_optimal| *is_optimal));
            }
            if step == self.settings.result_step {
                self.conclude(&output, items, &scores)?;
            }
            latents = output.latents;
        }
        Ok(())
    }

    /// Whether each answer is a maze with a shortest path; nothing for other tasks.
    fn optimal_paths(&self, output: &Output, items: &[Item]) -> Result<Vec<bool>> {
        let Rules::Maze(side) = self.examples.task.rules() else { return Ok(Vec::new()) };
        let answers = predictions(output)?;
        let pairs = items.iter().zip(answers.chunks_exact(self.examples.task.seq_len()));
        Ok(pairs.map(|(item, answer)| maze::is_optimal(side, self.examples.question(item.row as usize), answer)).collect())
    }

    /// Counts what only the answers that are the result count for.
    fn conclude(&mut self, output: &Output, items: &[Item], scores: &[Score]) -> Result<()> {
        for (item, score) in items.iter().zip(scores) {
            self.groups.add(item.row as usize, score.is_exact());
        }
        let Some(votes) = &mut self.votes else { return Ok(()) };
        let predictions = predictions(output)?;
        for ((item, tokens), score) in items.iter().zip(predictions.chunks_exact(self.examples.task.seq_len())).zip(scores) {
            votes.add(self.examples, *item, tokens, score.q_halt);
        }
        Ok(())
    }

    fn means(mut self, count: usize) -> Evaluation {
        self.by_step.iter_mut().for_each(|sums| sums.divide(count.max(1) as f64));
        Evaluation {
            by_step: self.by_step,
            result_step: self.settings.result_step,
            has_paths: matches!(self.examples.task.rules(), Rules::Maze(_)),
            groups: self.groups.metrics(),
            votes: self.votes,
        }
    }
}

/// The most likely token at each position, `[batch · seq_len]`.
fn predictions(output: &Output) -> Result<Vec<u8>> {
    let vocabulary = output.logits.dims3()?.2;
    slices::read(&output.logits, |logits| logits.chunks_exact(vocabulary).map(|logits| most_likely(logits) as u8).collect())
}

/// Examples that are answered at once.
struct Batch {
    tokens: Vec<u32>,
    labels: Vec<Label>,
    identifiers: Vec<u32>,
}

impl Batch {
    fn read(examples: &Examples, items: &[Item]) -> Self {
        let seq_len = examples.task.seq_len();
        let (mut input, mut answer) = (vec![0; seq_len], vec![0; seq_len]);
        let mut batch = Self { tokens: Vec::new(), labels: Vec::new(), identifiers: Vec::new() };
        for item in items {
            examples.read(*item, &mut input, &mut answer);
            batch.tokens.extend(input.iter().map(|&token| u32::from(token)));
            batch.labels.extend(answer.iter().map(|&token| label(token)));
            batch.identifiers.push(examples.identifier(*item));
        }
        batch
    }
}

/// What a token of an answer asks for: 0 is padding, which asks for nothing.
pub fn label(token: u8) -> Label {
    (token != 0).then_some(token.into())
}
