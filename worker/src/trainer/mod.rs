//! One optimiser step, which is one supervision step of the whole batch.

#[cfg(feature = "cuda")]
mod on_gpu;

use candle_core::{Result, Tensor, Var, backprop::GradStore};
use rand_chacha::ChaCha8Rng;

use crate::{
    carry::{Carry, Halting, Row},
    ema::Ema,
    loss::{Graded, Label, Score, grade, grade_continue, surrogate},
    model::{Gradient, Input, Latents, Model, Output},
    optim::{Adam, sign_sgd},
    schedule::Schedule,
    state::{StateError, TrainingState},
};
#[cfg(feature = "cuda")]
use crate::{
    kernels,
    loss::{grade_continue_on_gpu, grade_on_gpu},
};

/// A model in training, with everything that changes from step to step.
#[derive(Debug)]
pub struct Trainer {
    model: Model,
    optimizer: Adam,
    ema: Ema,
    carry: Carry,
    /// Steps that were computed.
    step: usize,
    halting_rng: ChaCha8Rng,
    /// What steps on a GPU read and write there.
    #[cfg(feature = "cuda")]
    on_gpu: Option<on_gpu::OnGpu>,
}

/// A step that was computed, but not yet applied to the weights.
#[derive(Debug)]
pub struct Step {
    /// What the model gave.
    pub output: Output,
    /// How well each example of the batch did.
    pub scores: Vec<Score>,
    gradients: GradStore,
    /// The rows of the puzzle table that the step has read.
    puzzle_rows: Option<Var>,
}

/// What a step is asked.
enum Asked<'a> {
    /// Labels, and which examples must end with the step.
    Here { labels: &'a [Label], last: Vec<bool> },
    /// The same as numbers on a GPU.
    #[cfg(feature = "cuda")]
    OnGpu { labels: &'a Tensor, last: &'a Tensor },
}

/// What one supervision step gives, how well that is, and the gradients of the mean loss over the batch.
fn learn(model: &Model, input: &Input, latents: &Latents, asked: &Asked<'_>) -> Result<(Output, Graded, GradStore)> {
    let config = model.config();
    let output = model.forward(input, latents, Gradient::Recorded)?;
    let mut graded = match asked {
        Asked::Here { labels, .. } => grade(config.loss, &output, labels)?,
        #[cfg(feature = "cuda")]
        Asked::OnGpu { labels, .. } => grade_on_gpu(config.loss, &output, labels)?,
    };
    if config.trains_continue() {
        let next = model.forward(input, &output.latents, Gradient::None)?;
        match asked {
            Asked::Here { last, .. } => grade_continue(&mut graded, &next.q, last)?,
            #[cfg(feature = "cuda")]
            Asked::OnGpu { last, .. } => grade_continue_on_gpu(&graded, &next.q, last)?,
        }
    }
    let gradients = surrogate(&output, &graded, 1.0 / config.train.batch_size as f64)?.backward()?;
    Ok((output, graded, gradients))
}

/// Sums over the examples that ended with a step (and ask for something), as the reference logs them.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Ended {
    /// How many there are.
    pub count: usize,
    /// Sum of their token accuracies.
    pub token_accuracy: f64,
    /// How many are right in every position.
    pub exact: usize,
    /// How many the halting head has judged rightly.
    pub q_halt_right: usize,
    /// Sum of the supervision steps that they had.
    pub steps: usize,
}

impl Step {
    /// The gradient of the mean loss over the batch by a weight.
    pub fn gradient(&self, weight: &Var) -> Option<&Tensor> {
        self.gradients.get(weight)
    }

    /// The gradient by the puzzle vector that each slot has read, `[batch, puzzle_width]`.
    pub fn puzzle_gradient(&self) -> Option<&Tensor> {
        self.puzzle_rows.as_ref().and_then(|rows| self.gradients.get(rows))
    }
}

impl Ended {
    /// Adds up the slots of `carry` that have halted.
    pub fn of(scores: &[Score], carry: &Carry) -> Self {
        let mut sums = Self::default();
        let slots = scores.iter().zip(carry.halted()).zip(carry.steps());
        for ((score, _), steps) in slots.filter(|((score, halted), _)| **halted && score.asked > 0) {
            sums.add(&Self::one(score, *steps));
        }
        sums
    }

    /// One example that ended after `steps` steps.
    pub fn one(score: &Score, steps: usize) -> Self {
        Self {
            count: 1,
            token_accuracy: score.token_accuracy(),
            exact: score.is_exact().into(),
            q_halt_right: score.q_is_right().into(),
            steps,
        }
    }

    /// Adds other sums to these.
    pub fn add(&mut self, other: &Self) {
        self.count += other.count;
        self.token_accuracy += other.token_accuracy;
        self.exact += other.exact;
        self.q_halt_right += other.q_halt_right;
        self.steps += other.steps;
    }
}

impl Trainer {
    /// Starts training `model` as its configuration says; `halting_rng` decides which slots explore.
    ///
    /// # Errors
    /// When a tensor cannot be made.
    pub fn new(model: Model, halting_rng: ChaCha8Rng) -> Result<Self> {
        let train = &model.config().train;
        Ok(Self {
            optimizer: Adam::new(model.parameters(), train)?,
            ema: Ema::new(model.parameters(), train.ema_rate)?,
            carry: Carry::new(&model, train.batch_size)?,
            step: 0,
            halting_rng,
            model,
            #[cfg(feature = "cuda")]
            on_gpu: None,
        })
    }

    /// Fills free slots by `next`, computes one supervision step, and applies it: what [`compute`](Self::compute) and
    /// [`apply`](Self::apply) do, on a GPU as one piece of work. Gives how well each example did.
    ///
    /// # Errors
    /// When a token is outside the vocabulary, or a weight has no gradient.
    pub fn step(&mut self, next: impl FnMut(usize) -> Row) -> Result<Vec<Score>> {
        #[cfg(feature = "cuda")]
        if self.model.device().is_cuda() && kernels::is_fused(self.carry.latents().answer()) {
            return self.step_on_gpu(next);
        }
        let step = self.compute(next)?;
        self.apply(&step)?;
        Ok(step.scores)
    }

    /// Fills free slots by `next`, then computes losses and gradients of one supervision step and moves the slots on.
    ///
    /// # Errors
    /// When a token is outside the vocabulary.
    pub fn compute(&mut self, next: impl FnMut(usize) -> Row) -> Result<Step> {
        self.carry.refill(next)?;
        let mut input = self.model.input(self.carry.tokens(), self.carry.identifiers())?;
        let puzzle_rows = input.puzzle_rows.map(|rows| Var::from_tensor(&rows)).transpose()?;
        input.puzzle_rows = puzzle_rows.as_ref().map(|rows| rows.as_tensor().clone());

        let asked = Asked::Here { labels: self.carry.labels(), last: self.last().collect() };
        let (output, graded, gradients) = learn(&self.model, &input, self.carry.latents(), &asked)?;
        let scores = graded.scores()?;
        self.advance(output.latents.clone(), &scores);
        self.step += 1;
        Ok(Step { output, scores, gradients, puzzle_rows })
    }

    /// Which examples must end with this step.
    fn last(&self) -> impl Iterator<Item = bool> {
        let most = self.model.config().halt_max_steps;
        self.carry.steps().iter().map(move |steps| steps + 1 >= most)
    }

    /// Moves the slots on.
    fn advance(&mut self, latents: Latents, scores: &[Score]) {
        let halting = Halting::of(self.model.config());
        let wants_to_halt = scores.iter().map(|score| halting.wants_to_halt(score.q_halt, score.q_continue));
        self.carry.advance(latents, wants_to_halt, halting, &mut self.halting_rng);
    }

    /// Moves the puzzle table, then the weights, then their average.
    ///
    /// # Errors
    /// When a weight has no gradient.
    pub fn apply(&mut self, step: &Step) -> Result<()> {
        self.move_puzzle_table(step.puzzle_gradient())?;
        let parameters = self.model.parameters();
        self.optimizer.begin_step(self.lr())?;
        self.optimizer.step(parameters, &step.gradients)?;
        self.ema.update(parameters)
    }

    /// By the gradient of the rows that the step has read; there is none where the model has no table.
    fn move_puzzle_table(&self, gradient: Option<&Tensor>) -> Result<()> {
        let (Some(table), Some(gradient)) = (self.model.parameters().puzzle_table(), gradient) else { return Ok(()) };
        let decay = self.model.config().train.puzzle_emb_weight_decay;
        sign_sgd(table, self.carry.identifiers(), gradient, self.puzzle_lr(), decay)
    }

    /// Writes everything that changes from step to step into `state`.
    ///
    /// # Errors
    /// When a tensor cannot be read.
    pub fn save(&self, state: &mut TrainingState) -> Result<()> {
        state.facts.step = self.step;
        state.facts.halting_rng = self.halting_rng.clone();
        for entry in self.model.parameters().entries() {
            state.put_tensor(format!("model.{}", entry.name), &entry.var)?;
        }
        self.optimizer.save(state)?;
        self.ema.save(state)?;
        self.carry.save(state)
    }

    /// Takes it from `state`.
    ///
    /// # Errors
    /// When it is the state of another model or of other data; then this trainer is of no use any more.
    pub fn restore(&mut self, state: &TrainingState) -> std::result::Result<(), StateError> {
        for entry in self.model.parameters().entries() {
            state.copy_into(&format!("model.{}", entry.name), &entry.var)?;
        }
        self.optimizer.restore(state)?;
        self.ema.restore(state)?;
        self.carry.restore(state, self.model.shape())?;
        self.step = state.facts.step;
        self.halting_rng = state.facts.halting_rng.clone();
        Ok(())
    }

    /// Steps that were computed.
    pub const fn steps(&self) -> usize {
        self.step
    }

    /// The learning rate of the weights in the step that was computed last.
    pub fn lr(&self) -> f64 {
        self.rate(self.model.config().train.lr)
    }

    /// The learning rate of the puzzle table in the step that was computed last.
    pub fn puzzle_lr(&self) -> f64 {
        self.rate(self.model.config().train.puzzle_emb_lr)
    }

    fn rate(&self, base: f64) -> f64 {
        Schedule::of(&self.model.config().train).rate(base, self.step)
    }

    /// The model, with the weights of the moment.
    pub fn model(&self) -> &Model {
        &self.model
    }

    /// The slots, as the last step has left them.
    pub fn carry(&self) -> &Carry {
        &self.carry
    }

    /// A model with averaged weights. Its puzzle table is the one that is in training: it sees later steps, and is not copied.
    ///
    /// # Errors
    /// When a tensor cannot be copied.
    pub fn averaged_model(&self) -> Result<Model> {
        Model::new(self.model.config(), *self.model.shape(), self.ema.weights(self.model.parameters())?)
    }
}

#[cfg(test)]
mod tests;
