//! How well a model answers puzzles, after each supervision step.

use candle_core::Result;

use crate::{
    data::{Examples, Item},
    kernels::slices,
    loss::{Label, Score, grade, most_likely},
    model::{Gradient, Model, Output},
    votes::Votes,
};

/// Means over all examples after one supervision step.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct StepScore {
    /// Share of puzzles with every position right.
    pub exact_accuracy: f64,
    /// Mean share of right positions.
    pub token_accuracy: f64,
    /// Mean over puzzles of the mean loss of their positions.
    pub lm_loss: f64,
    /// Share of puzzles whose halting head knows whether the answer is right.
    pub q_halt_accuracy: f64,
    /// Mean binary cross entropy of the halting head.
    pub q_halt_loss: f64,
}

/// What an evaluation has found.
#[derive(Clone, Debug, PartialEq)]
pub struct Evaluation {
    /// One per supervision step. The last one is the result; the others tell what less thinking would have given.
    pub by_step: Vec<StepScore>,
    /// What ARC's augmented test inputs were answered after the last supervision step; nothing for other tasks.
    pub votes: Option<Votes>,
}

impl Evaluation {
    /// The metrics of [`tinysweep_proto::metric::TEST_METRICS`] that the task has, by name.
    pub fn metrics(&self) -> Vec<(&'static str, f64)> {
        let votes = self.votes.iter().flat_map(Votes::metrics);
        self.last().metrics().into_iter().chain(votes).collect()
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

    /// The scores after the last supervision step.
    pub fn last(&self) -> StepScore {
        self.by_step.last().copied().unwrap_or_default()
    }
}

impl StepScore {
    /// Its metrics, by name.
    fn metrics(&self) -> [(&'static str, f64); 5] {
        [
            ("test/exact_accuracy", self.exact_accuracy),
            ("test/token_accuracy", self.token_accuracy),
            ("test/lm_loss", self.lm_loss),
            ("test/q_halt_accuracy", self.q_halt_accuracy),
            ("test/q_halt_loss", self.q_halt_loss),
        ]
    }

    fn add(&mut self, score: &Score) {
        self.exact_accuracy += f64::from(u8::from(score.is_exact()));
        self.token_accuracy += score.token_accuracy();
        self.lm_loss += score.lm_loss;
        self.q_halt_accuracy += f64::from(u8::from(score.q_is_right()));
        self.q_halt_loss += score.q_halt_loss;
    }

    fn divide(&mut self, count: f64) {
        self.exact_accuracy /= count;
        self.token_accuracy /= count;
        self.lm_loss /= count;
        self.q_halt_accuracy /= count;
        self.q_halt_loss /= count;
    }
}

/// Answers `items` of `examples` with `steps` supervision steps, none halting early, `batch_size` at once.
///
/// # Errors
/// When an example has tokens or an identifier that the model does not know.
pub fn evaluate(model: &Model, examples: &Examples, items: &[Item], batch_size: usize, steps: usize) -> Result<Evaluation> {
    let mut by_step = vec![StepScore::default(); steps];
    let mut votes = Votes::new(examples);
    for items in items.chunks(batch_size) {
        let batch = Batch::read(examples, items);
        let input = model.input(&batch.tokens, &batch.identifiers)?;
        let mut latents = model.initial_latents(batch.identifiers.len())?;
        for (sums, step) in by_step.iter_mut().zip(1..) {
            let output = model.forward(&input, &latents, Gradient::None)?;
            let scores = grade(model.config().loss, &output, &batch.labels)?.scores;
            scores.iter().for_each(|score| sums.add(score));
            if let Some(votes) = votes.as_mut().filter(|_| step == steps) {
                let predictions = predictions(&output)?;
                for ((item, tokens), score) in items.iter().zip(predictions.chunks_exact(examples.task.seq_len())).zip(&scores) {
                    votes.add(examples, *item, tokens, score.q_halt);
                }
            }
            latents = output.latents;
        }
    }
    for sums in &mut by_step {
        sums.divide(items.len().max(1) as f64);
    }
    Ok(Evaluation { by_step, votes })
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
