//! What training carries from one step to the next: per slot of the batch, an example and how far its answer has got.

use candle_core::{Result, Tensor, bail};
use rand::{Rng, RngExt};
use tinysweep_proto::{
    config::{HaltRule, TrialConfig},
    dataset::DataShape,
};

use crate::{
    loss::Label,
    model::{Latents, Model},
    state::{StateError, TrainingState},
};

/// One example, as a slot takes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// The question, `seq_len` tokens.
    pub tokens: Vec<u32>,
    /// The answer, position by position.
    pub labels: Vec<Label>,
    /// The puzzle's row in the puzzle table.
    pub identifier: u32,
}

/// The slots of a batch. A slot keeps its example for as many steps as the model wants to think about it.
#[derive(Clone, Debug)]
pub struct Carry {
    /// What a fresh example starts from.
    start: Latents,
    latents: Latents,
    steps: Vec<usize>,
    halted: Vec<bool>,
    tokens: Vec<u32>,
    labels: Vec<Label>,
    identifiers: Vec<u32>,
}

/// When a slot is done with its example.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Halting {
    /// When it may be done early.
    pub rule: HaltRule,
    /// Steps after which it is done in any case.
    pub max_steps: usize,
    /// How often a step draws a random minimum of steps, so that the model also sees what more thinking would have given.
    pub exploration: f64,
}

impl Halting {
    /// What a configuration says.
    pub fn of(config: &TrialConfig) -> Self {
        Self { rule: config.halt_rule, max_steps: config.halt_max_steps, exploration: config.halt_exploration_prob }
    }

    /// Whether the halting head, with these logits, is for being done.
    pub fn wants_to_halt(self, q_halt: f32, q_continue: f32) -> bool {
        match self.rule {
            HaltRule::Positive => q_halt > 0.0,
            HaltRule::OverContinue => q_halt > q_continue,
            HaltRule::Never => false,
        }
    }

    /// Whether a slot that has done `steps` steps halts, in training. Draws from `rng` as often in any case.
    fn decide(self, steps: usize, wants_to_halt: bool, rng: &mut impl Rng) -> bool {
        if self.max_steps == 1 {
            return true;
        }
        let explores = rng.random::<f64>() < self.exploration;
        let drawn = rng.random_range(2..=self.max_steps);
        let least = if explores { drawn } else { 0 };
        (wants_to_halt || steps >= self.max_steps) && steps >= least
    }
}

impl Carry {
    /// `batch` slots that all wait for an example.
    ///
    /// # Errors
    /// When a tensor cannot be made.
    pub fn new(model: &Model, batch: usize) -> Result<Self> {
        let start = model.initial_latents(batch)?;
        let seq_len = model.shape().seq_len;
        Ok(Self {
            latents: start.clone(),
            start,
            steps: vec![0; batch],
            halted: vec![true; batch],
            tokens: vec![0; batch * seq_len],
            labels: vec![None; batch * seq_len],
            identifiers: vec![0; batch],
        })
    }

    /// Gives every slot that has halted the example that `next` has for it, to be started afresh. The others keep theirs.
    ///
    /// # Errors
    /// When a tensor cannot be made.
    pub fn refill(&mut self, next: impl FnMut(usize) -> Row) -> Result<()> {
        self.take_rows(next);
        self.restart_latents()
    }

    /// The same without the latents: who calls it starts those of the halted slots afresh.
    pub fn take_rows(&mut self, mut next: impl FnMut(usize) -> Row) {
        let seq_len = self.tokens.len() / self.halted.len();
        for slot in (0..self.halted.len()).filter(|&slot| self.halted[slot]) {
            let row = next(slot);
            self.tokens[slot * seq_len..][..seq_len].copy_from_slice(&row.tokens);
            self.labels[slot * seq_len..][..seq_len].copy_from_slice(&row.labels);
            self.identifiers[slot] = row.identifier;
            self.steps[slot] = 0;
        }
    }

    fn restart_latents(&mut self) -> Result<()> {
        if self.halted.iter().all(|&halted| halted) {
            self.latents = self.start.clone();
        } else if self.halted.contains(&true) {
            let shape = self.start.answer().dims3()?;
            let mask: Vec<u8> = self.halted.iter().map(|&halted| halted.into()).collect();
            let mask = Tensor::from_vec(mask, (shape.0, 1, 1), self.start.answer().device())?.broadcast_as(shape)?;
            let start = self.start.named();
            let mut start = start.iter();
            self.latents = self.latents.map(|state| match start.next() {
                Some((_, start)) => mask.where_cond(start, state),
                None => bail!("the carry has more states than the model"),
            })?;
        }
        Ok(())
    }

    /// Takes what a step has given, and decides which slots halt: `wants_to_halt` is the halting head's word for each.
    pub fn advance(&mut self, latents: Latents, wants_to_halt: impl Iterator<Item = bool>, halting: Halting, rng: &mut impl Rng) {
        self.latents = latents;
        for (slot, wants_to_halt) in wants_to_halt.enumerate() {
            self.steps[slot] += 1;
            self.halted[slot] = halting.decide(self.steps[slot], wants_to_halt, rng);
        }
    }

    /// The same slots with other latents, as a replay takes them from a recording.
    pub fn with_latents(self, latents: Latents) -> Self {
        Self { latents, ..self }
    }

    /// Writes the slots into `state`.
    ///
    /// # Errors
    /// When a tensor cannot be read.
    pub fn save(&self, state: &mut TrainingState) -> Result<()> {
        for (name, latents) in self.latents.named() {
            state.put_tensor(format!("carry.{name}"), latents)?;
        }
        state.put_integers("carry.steps", self.steps.iter().map(|&steps| steps as u32).collect());
        state.put_integers("carry.halted", self.halted.iter().map(|&halted| halted.into()).collect());
        state.put_integers("carry.tokens", self.tokens.clone());
        // 0 asks for nothing, so that labels move up by one.
        state.put_integers("carry.labels", self.labels.iter().map(|label| label.map_or(0, |label| label + 1)).collect());
        state.put_integers("carry.identifiers", self.identifiers.clone());
        Ok(())
    }

    /// Takes them from `state`; `shape` is the data's.
    ///
    /// # Errors
    /// When they are not those of the same model and data.
    pub fn restore(&mut self, state: &TrainingState, shape: &DataShape) -> std::result::Result<(), StateError> {
        let start = self.start.named();
        let mut start = start.iter();
        let mut missing = None;
        self.latents = self.start.map(|like| {
            let name = start.next().map_or(String::new(), |(name, _)| format!("carry.{name}"));
            match state.floats(&name, like.elem_count()) {
                Ok(values) => Tensor::from_slice(values, like.shape(), like.device()),
                Err(error) => {
                    missing = Some(error);
                    Ok(like.clone())
                }
            }
        })?;
        if let Some(error) = missing {
            return Err(error);
        }
        let integers = |name: &str, count, limit| state.integers(name, Some(count), limit);
        let (batch, cells) = (self.steps.len(), self.tokens.len());
        self.steps = integers("carry.steps", batch, usize::MAX)?.iter().map(|&steps| steps as usize).collect();
        self.halted = integers("carry.halted", batch, 2)?.iter().map(|&halted| halted == 1).collect();
        self.tokens = integers("carry.tokens", cells, shape.vocab_size)?.to_vec();
        self.labels = integers("carry.labels", cells, shape.vocab_size + 1)?.iter().map(|&label| label.checked_sub(1)).collect();
        self.identifiers = integers("carry.identifiers", batch, shape.puzzle_identifiers)?.to_vec();
        Ok(())
    }

    /// What the next step starts from.
    pub fn latents(&self) -> &Latents {
        &self.latents
    }

    /// Steps that each slot has done on its example.
    pub fn steps(&self) -> &[usize] {
        &self.steps
    }

    /// Which slots are done with their example.
    pub fn halted(&self) -> &[bool] {
        &self.halted
    }

    /// The questions, `[batch, seq_len]`.
    pub fn tokens(&self) -> &[u32] {
        &self.tokens
    }

    /// The answers, `[batch, seq_len]`.
    pub fn labels(&self) -> &[Label] {
        &self.labels
    }

    /// Each slot's row in the puzzle table.
    pub fn identifiers(&self) -> &[u32] {
        &self.identifiers
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::{Stream, generator};

    #[test]
    fn slots_halt_at_the_last_step_and_when_they_want_to() {
        let mut rng = generator(0, Stream::Halting);
        let halting = Halting { rule: HaltRule::Positive, max_steps: 4, exploration: 0.0 };
        assert!(!halting.decide(3, false, &mut rng));
        assert!(halting.decide(1, true, &mut rng));
        assert!(halting.decide(4, false, &mut rng));
    }

    #[test]
    fn each_rule_reads_the_halting_head_its_way() {
        for (rule, wants) in
            [(HaltRule::Positive, [true, false, true]), (HaltRule::OverContinue, [false, true, true]), (HaltRule::Never, [false; 3])]
        {
            let halting = Halting { rule, max_steps: 4, exploration: 0.0 };
            assert_eq!([(1.0, 2.0), (-2.0, -3.0), (1.0, 0.0)].map(|(halt, go_on)| halting.wants_to_halt(halt, go_on)), wants);
        }
    }

    #[test]
    fn exploration_only_postpones() {
        let mut rng = generator(0, Stream::Halting);
        let halting = Halting { rule: HaltRule::Positive, max_steps: 4, exploration: 1.0 };
        assert!(!(0..200).any(|_| halting.decide(1, true, &mut rng)), "the least that is drawn is 2");
        let at_two = (0..3000).filter(|_| halting.decide(2, true, &mut rng)).count();
        assert!((900..1100).contains(&at_two), "one of three minimums lets a slot go at 2: {at_two}");
        assert!((0..200).all(|_| halting.decide(4, false, &mut rng)), "the last step is the last");
        assert!(!(0..200).any(|_| halting.decide(3, false, &mut rng)));
    }

    #[test]
    fn only_halted_slots_take_a_row() {
        let config = TrialConfig { hidden_size: 8, layers: 1, halt_max_steps: 3, puzzle_emb_len: 1, ..TrialConfig::default() };
        let shape = DataShape { seq_len: 2, vocab_size: 4, puzzle_identifiers: 1 };
        let mut rng = generator(0, Stream::Weights);
        let model = Model::init(&config, shape, &mut rng).unwrap();
        let mut carry = Carry::new(&model, 2).unwrap();
        let row = |token| Row { tokens: vec![token; 2], labels: vec![Some(token); 2], identifier: 0 };
        carry.refill(|slot| row(slot as u32)).unwrap();
        assert_eq!(carry.tokens(), [0, 0, 1, 1]);

        let latents = carry.latents().map(Tensor::ones_like).unwrap();
        carry.advance(latents, [false, true].into_iter(), Halting { rule: HaltRule::Positive, max_steps: 3, exploration: 0.0 }, &mut rng);
        assert_eq!((carry.halted(), carry.steps()), (&[false, true][..], &[1, 1][..]));
        carry.refill(|_| row(3)).unwrap();
        assert_eq!(carry.tokens(), [0, 0, 3, 3]);
        assert_eq!(carry.steps(), [1, 0]);
        let rows: Vec<Vec<Vec<f32>>> = carry.latents().answer().to_vec3().unwrap();
        assert_eq!(rows[0][1], [1.0; 8]);
        assert_eq!(rows[1], model.initial_latents(1).unwrap().answer().to_vec3::<f32>().unwrap()[0]);
    }
}
