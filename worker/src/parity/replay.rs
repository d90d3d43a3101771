//! The replay itself.

use std::{collections::HashMap, path::Path};

use candle_core::{Device, Tensor, bail};
use rand::RngExt;

use super::{
    Measure, ParityReport,
    observation::Observation,
    recording::{ParityError, Recording},
    trace::Logged,
};
use crate::{
    carry::{Carry, Row},
    kernels::slices,
    loss::{Score, grade},
    model::{Gradient, Latents, Model, Output, Parameters},
    random::{Stream, generator},
    trainer::{Ended, Step, Trainer},
};

/// Bound of forward values and losses in the first step, relative.
const FIRST_STEP: f64 = 1e-5;
/// Bound of forward values and losses in later steps, relative.
const LATER_STEPS: f64 = 1e-4;
/// Bound of gradients, relative.
const GRADIENT: f64 = 1e-4;
/// Bound of weights at the end, absolute.
const WEIGHT: f64 = 1e-4;
/// Bound of learning rates, relative: both sides compute them in f64.
const LEARNING_RATE: f64 = 1e-12;

/// How many rounding twins are run.
const TWINS: u64 = 8;

/// Replays the recording in `folder`: training step by step, then evaluation from a fresh carry.
///
/// Where a value that has come through several steps strays, the recording is replayed again with its initial weights changed in their
/// last bit. Some recursions multiply such a change a thousandfold within a few steps; no two correct implementations in f32 agree on
/// them to a fixed tolerance. How far the twins stray from the replay is what rounding alone does, and the check says so.
///
/// # Errors
/// When the recording cannot be read or is of something that cannot be replayed. A replay that strays is no error: see `Check::is_ok`.
pub fn replay(folder: &Path, device: &Device) -> Result<ParityReport, ParityError> {
    let recording = Recording::open(folder)?;
    let observed = observe(&recording, device, None)?;
    let mut checks: Vec<_> = observed.iter().map(Observation::check).collect();
    if observed.iter().zip(&checks).any(|(observation, check)| observation.accumulates && !check.is_ok()) {
        for twin in 0..TWINS {
            for ((check, ours), twins) in checks.iter_mut().zip(&observed).zip(observe(&recording, device, Some(twin))?) {
                check.rounding = check.rounding.max(ours.rounding(&twins));
            }
        }
    }
    let mut report = ParityReport { model: recording.trace.model, steps: recording.trace.trace.len(), checks: Vec::new() };
    checks.into_iter().for_each(|check| report.add(check));
    Ok(report)
}

/// Runs the recording once, with its own weights or with those of a rounding twin, and notes every value that it has.
fn observe(recording: &Recording, device: &Device, twin: Option<u64>) -> Result<Vec<Observation>, ParityError> {
    let parameters = Parameters::from_tensors(&recording.config, &recording.shape, recording.tensors("init.safetensors")?)?;
    if let Some(twin) = twin {
        change_last_bits(&parameters, twin)?;
    }
    let model = Model::new(&recording.config, recording.shape, parameters)?.to_device(device)?;
    let batches = recording.batches()?;
    let mut replay = Replay {
        observed: Vec::new(),
        accumulates: false,
        twin,
        recorded: recording.tensors("steps_1_2.safetensors")?,
        trainer: Trainer::new(model, generator(0, Stream::Halting))?,
        recording,
    };
    replay.parameter_count();
    for (index, batch) in batches.iter().enumerate() {
        replay.train(index + 1, batch)?;
    }
    replay.final_weights()?;
    if let Some(last) = batches.last() {
        replay.evaluate(last)?;
    }
    Ok(replay.observed)
}

/// Moves every weight to itself or to one of its two neighbours among the f32 numbers.
fn change_last_bits(parameters: &Parameters, twin: u64) -> Result<(), ParityError> {
    let mut rng = generator(twin, Stream::Weights);
    for entry in parameters.entries() {
        slices::update(&entry.var, |weights| {
            for weight in weights {
                *weight = match rng.random_range(0..3) {
                    0 => weight.next_down(),
                    1 => weight.next_up(),
                    _ => *weight,
                };
            }
        })?;
    }
    Ok(())
}

struct Replay<'a> {
    recording: &'a Recording,
    trainer: Trainer,
    /// The rounding twin that this is, if it is one.
    twin: Option<u64>,
    /// Whether what is noted now has come through more than one step.
    accumulates: bool,
    /// Values of the first steps.
    recorded: HashMap<String, Tensor>,
    observed: Vec<Observation>,
}

/// The bound of forward values of a step.
fn forward_bound(step: usize) -> f64 {
    if step == 1 { FIRST_STEP } else { LATER_STEPS }
}

impl Replay<'_> {
    fn parameter_count(&mut self) {
        let ours = self.trainer.model().parameters().trained_count();
        self.number("trainable parameters", "", Measure::Absolute, ours as f64, self.recording.trace.trainable_parameters as f64, 0.0);
    }

    fn train(&mut self, number: usize, batch: &[Row]) -> Result<(), ParityError> {
        self.restart_from_recorded_carry(number, batch)?;
        let step = self.trainer.compute(|slot| batch[slot].clone())?;
        self.accumulates = false;
        self.rates(number);
        self.accumulates = number > 1;
        self.slots(number);
        let row = self.recording.trace.trace[number - 1].logged;
        let ended = Ended::of(&step.scores, self.trainer.carry());
        let prefix = if number == 1 { "step 1: " } else { "" };
        self.logged(prefix, &format!("step {number}"), &step.scores, ended, &row, forward_bound(number));
        self.forward_values(number, &format!("step {number}"), &step.output)?;
        self.gradients(number, &step)?;
        Ok(self.trainer.apply(&step)?)
    }

    /// One step from the latents that were recorded after the step before, which leaves out what rounding has grown to since: a deep
    /// recursion multiplies it from step to step, in the recording as well as here.
    fn restart_from_recorded_carry(&mut self, step: usize, batch: &[Row]) -> Result<(), ParityError> {
        let before = |name: &str| match self.recorded.get(&format!("z_{name}.{}", step - 1)) {
            Some(state) => state.to_device(self.trainer.model().device()),
            None => bail!("z_{name} was not recorded"),
        };
        let Ok(latents) = Latents::from_names(&self.recording.config, before) else { return Ok(()) };
        if !self.recorded.contains_key(&format!("logits.{step}")) {
            return Ok(());
        }
        let mut carry = self.trainer.carry().clone().with_latents(latents);
        carry.refill(|slot| batch[slot].clone())?;
        let model = self.trainer.model();
        let input = model.input(carry.tokens(), carry.identifiers())?;
        let output = model.forward(&input, carry.latents(), Gradient::None)?;
        self.accumulates = false;
        self.forward_values(step, &format!("step {step} from the recorded carry"), &output)
    }

    fn rates(&mut self, step: usize) {
        let place = format!("step {step}");
        let row = &self.recording.trace.trace[step - 1];
        let (lr, puzzle_lr) = (row.lr, row.puzzle_emb_lr);
        self.number("learning rate", &place, Measure::Relative, self.trainer.lr(), lr, LEARNING_RATE);
        if let Some(puzzle_lr) = puzzle_lr {
            self.number("puzzle learning rate", &place, Measure::Relative, self.trainer.puzzle_lr(), puzzle_lr, LEARNING_RATE);
        }
    }

    /// Which slots halted, and how many steps each has done.
    fn slots(&mut self, step: usize) {
        let row = &self.recording.trace.trace[step - 1];
        let carry = self.trainer.carry();
        let differing =
            [("halted", differences(carry.halted(), &row.halted)), ("carry_steps", differences(carry.steps(), &row.carry_steps))];
        for (quantity, count) in differing {
            self.number(quantity, &format!("step {step}"), Measure::Count, count as f64, 0.0, 0.0);
        }
    }

    /// Losses and scores against a logged row; names get `prefix`.
    fn logged(&mut self, prefix: &str, place: &str, scores: &[Score], ended: Ended, row: &Logged, bound: f64) {
        let sum = |value: fn(&Score) -> f64| scores.iter().map(value).sum::<f64>();
        let losses = [
            ("loss_sum", sum(Score::loss), row.loss_sum),
            ("lm_loss", sum(|score| score.lm_loss), row.lm_loss),
            ("q_halt_loss", sum(|score| score.q_halt_loss), row.q_halt_loss),
            // A sum of f32 shares in the recording, and of f64 ones here.
            ("accuracy", ended.token_accuracy, row.accuracy),
        ];
        let continued = row.q_continue_loss.map(|theirs| ("q_continue_loss", sum(|score| score.q_continue_loss), theirs));
        for (name, ours, theirs) in losses.into_iter().chain(continued) {
            self.number(&format!("{prefix}{name}"), place, Measure::Relative, ours, theirs, bound);
        }
        let counts = [
            ("count", ended.count, row.count),
            ("exact_accuracy", ended.exact, row.exact_accuracy),
            ("q_halt_accuracy", ended.q_halt_right, row.q_halt_accuracy),
            ("steps", ended.steps, row.steps),
        ];
        for (name, ours, theirs) in counts {
            self.number(&format!("{prefix}{name}"), place, Measure::Absolute, ours as f64, theirs, 0.0);
        }
    }

    /// What the model gave in `step`, where it was recorded. `when` goes into the names.
    fn forward_values(&mut self, step: usize, when: &str, output: &Output) -> Result<(), ParityError> {
        let mut values = vec![
            ("logits".to_owned(), output.logits.clone()),
            ("q_halt_logits".to_owned(), output.q.narrow(1, 0, 1)?.squeeze(1)?),
            ("q_continue_logits".to_owned(), output.q.narrow(1, 1, 1)?.squeeze(1)?),
        ];
        values.extend(output.latents.named().into_iter().map(|(name, state)| (format!("z_{name}"), state.clone())));
        for (name, ours) in values {
            if let Some(theirs) = self.recorded.get(&format!("{name}.{step}")).cloned() {
                self.tensor(&format!("{when}: {name}"), "", Measure::Relative, &ours, &theirs, forward_bound(step))?;
            }
        }
        Ok(())
    }

    /// Every gradient that was recorded.
    fn gradients(&mut self, step: usize, computed: &Step) -> Result<(), ParityError> {
        let gradients: Vec<_> = self.trainer.model().parameters().trained().cloned().collect();
        for entry in gradients {
            let Some(theirs) = self.recorded.get(&format!("grad.{step}.{}", entry.name)).cloned() else { continue };
            let zeros = entry.var.zeros_like()?;
            let ours = computed.gradient(&entry.var).unwrap_or(&zeros);
            self.tensor(&format!("step {step}: gradient of {}", entry.name), "", Measure::Relative, ours, &theirs, GRADIENT)?;
        }
        if let (Some(ours), Some(theirs)) =
            (computed.puzzle_gradient(), self.recorded.get(&format!("grad.{step}.puzzle_emb.rows")).cloned())
        {
            self.tensor(&format!("step {step}: gradient of puzzle_emb.rows"), "", Measure::Relative, ours, &theirs, GRADIENT)?;
        }
        Ok(())
    }

    /// Weights, buffers and puzzle table after the last step, and the moving average.
    fn final_weights(&mut self) -> Result<(), ParityError> {
        self.accumulates = true;
        let averaged = self.trainer.averaged_model()?;
        for (recorded, quantity, parameters) in [
            (self.recording.tensors("final.safetensors")?, "final weights", self.trainer.model().parameters().clone()),
            (self.recording.averages()?, "final moving average", averaged.parameters().clone()),
        ] {
            let mut recorded: Vec<_> = recorded.into_iter().collect();
            recorded.sort_by(|a, b| a.0.cmp(&b.0));
            for (name, theirs) in recorded {
                let ours = parameters.get(&name)?.as_detached_tensor();
                self.tensor(quantity, &name, Measure::Absolute, &ours, &theirs, WEIGHT)?;
            }
        }
        Ok(())
    }

    /// Evaluates `batch` from a fresh carry, with averaged weights: our own, then the recorded ones, which leave out what rounding has
    /// done to the weights.
    fn evaluate(&mut self, batch: &[Row]) -> Result<(), ParityError> {
        let ours = self.trainer.averaged_model()?;
        self.evaluate_model(&ours, batch, "evaluation: ", true)?;
        let mut recorded = self.recording.tensors("final.safetensors")?;
        recorded.extend(self.recording.averages()?);
        let (config, shape) = (&self.recording.config, self.recording.shape);
        let parameters = Parameters::from_tensors(config, &shape, recorded)?;
        if let Some(twin) = self.twin {
            change_last_bits(&parameters, twin)?;
        }
        let theirs = Model::new(config, shape, parameters)?.to_device(ours.device())?;
        self.evaluate_model(&theirs, batch, "evaluation of the recorded weights: ", false)
    }

    /// Evaluates one model; `grown` says whether rounding has grown in its weights already.
    fn evaluate_model(&mut self, model: &Model, batch: &[Row], prefix: &str, grown: bool) -> Result<(), ParityError> {
        let recorded = self.recording.tensors("eval.safetensors")?;
        let mut carry = Carry::new(model, batch.len())?;
        carry.refill(|slot| batch[slot].clone())?;
        let input = model.input(carry.tokens(), carry.identifiers())?;
        let mut latents = carry.latents().clone();
        let rows = self.recording.trace.eval_steps.clone();
        for (index, row) in rows.iter().enumerate() {
            self.accumulates = grown || index > 0;
            let output = model.forward(&input, &latents, Gradient::None)?;
            let scores = grade(self.recording.config.loss, &output, carry.labels())?.scores()?;
            let is_last = index + 1 == rows.len();
            let ended = if is_last { all_ended(&scores, rows.len()) } else { Ended::default() };
            self.logged(prefix, &format!("supervision step {}", index + 1), &scores, ended, row, LATER_STEPS);
            if is_last {
                let q_halt = output.q.narrow(1, 0, 1)?.squeeze(1)?;
                for (name, ours) in [("logits", &output.logits), ("q_halt_logits", &q_halt)] {
                    let Some(theirs) = recorded.get(name) else { continue };
                    self.tensor(&format!("{prefix}{name}"), "", Measure::Relative, ours, theirs, LATER_STEPS)?;
                }
            }
            latents = output.latents;
        }
        Ok(())
    }

    fn number(&mut self, quantity: &str, place: &str, measure: Measure, ours: f64, theirs: f64, tolerance: f64) {
        self.note(quantity, place, measure, vec![ours], vec![theirs], tolerance);
    }

    fn tensor(
        &mut self,
        quantity: &str,
        place: &str,
        measure: Measure,
        ours: &Tensor,
        theirs: &Tensor,
        tolerance: f64,
    ) -> Result<(), ParityError> {
        if ours.dims() != theirs.dims() {
            let message = format!("{quantity}: the recording has shape {:?}, the replay {:?}", theirs.dims(), ours.dims());
            return Err(candle_core::Error::msg(message).into());
        }
        let read = |tensor: &Tensor| slices::read(tensor, |values| values.iter().map(|&value| f64::from(value)).collect());
        self.note(quantity, place, measure, read(ours)?, read(theirs)?, tolerance);
        Ok(())
    }

    fn note(&mut self, quantity: &str, place: &str, measure: Measure, ours: Vec<f64>, theirs: Vec<f64>, tolerance: f64) {
        let (quantity, place, accumulates) = (quantity.to_owned(), place.to_owned(), self.accumulates);
        self.observed.push(Observation { quantity, place, measure, ours, theirs, tolerance, accumulates });
    }
}

fn differences<T: PartialEq>(ours: &[T], theirs: &[T]) -> usize {
    ours.len().abs_diff(theirs.len()) + ours.iter().zip(theirs).filter(|(ours, theirs)| ours != theirs).count()
}

/// Sums over every example that asks for something: in evaluation all end at the last step.
fn all_ended(scores: &[Score], steps: usize) -> Ended {
    let mut sums = Ended::default();
    for score in scores.iter().filter(|score| score.asked > 0) {
        sums.add(&Ended::one(score, steps));
    }
    sums
}
