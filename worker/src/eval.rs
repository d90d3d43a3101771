//! How well a model answers puzzles, after each supervision step.

use candle_core::Result;

use crate::{
    data::Examples,
    loss::{Label, Score, grade},
    model::{Gradient, Model},
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
}

impl Evaluation {
    /// The scores after the last supervision step.
    pub fn last(&self) -> StepScore {
        self.by_step.last().copied().unwrap_or_default()
    }
}

impl StepScore {
    /// The metrics of [`tinysweep_proto::metric::TEST_METRICS`], by name.
    pub fn metrics(&self) -> [(&'static str, f64); 5] {
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

/// Answers every example with `steps` supervision steps, none halting early, `batch_size` at once.
///
/// # Errors
/// When an example has tokens that the model does not know.
pub fn evaluate(model: &Model, examples: &Examples, batch_size: usize, steps: usize) -> Result<Evaluation> {
    let mut by_step = vec![StepScore::default(); steps];
    let seq_len = model.shape().seq_len;
    for (inputs, labels) in examples.inputs.chunks(batch_size * seq_len).zip(examples.labels.chunks(batch_size * seq_len)) {
        let tokens: Vec<u32> = inputs.iter().map(|&token| token.into()).collect();
        let labels: Vec<Label> = labels.iter().map(|&token| label(token)).collect();
        let batch = tokens.len() / seq_len;
        let input = model.input(&tokens, &vec![0; batch])?;
        let mut latents = model.initial_latents(batch)?;
        for sums in &mut by_step {
            let output = model.forward(&input, &latents, Gradient::None)?;
            for score in grade(model.config().loss, &output, &labels)?.scores {
                sums.add(&score);
            }
            latents = output.latents;
        }
    }
    for sums in &mut by_step {
        sums.divide(examples.len().max(1) as f64);
    }
    Ok(Evaluation { by_step })
}

/// What a token of an answer asks for: 0 is padding, which asks for nothing.
pub fn label(token: u8) -> Label {
    (token != 0).then_some(token.into())
}
