//! Forward and backward passes, some examples at a time.

use candle_core::{Result, bail};

use super::{Call, Ready, states};
use crate::kernels::{
    buffer::Buffer,
    factors::Factors,
    half::{Dims, Given, Half, Kept},
    runs::{self, run_len},
};

/// Tokens that go through all calls at once, as far as one example does not have more: few enough for the second-level cache, many enough
/// that it matters little that weights do not stay there.
const TOKENS: usize = 512;

/// What the recorded calls on one part of the batch have left for the backward pass.
pub type Tape = Vec<Trace>;

/// The tapes of the parts of a run of examples.
pub type Tapes = Vec<Tape>;

/// What one call has left.
#[derive(Debug)]
pub struct Trace {
    /// The sum, and the result of each half.
    values: Vec<Buffer>,
    /// What each half has kept.
    kept: Vec<Kept>,
}

/// The states after `calls`, those without and those with a record, each with its weights, and the tapes of each run.
pub fn forward(
    networks: &[Vec<Half>],
    calls: [(&[Call], &Ready); 2],
    dims: Dims,
    input: &[f32],
    states: &[&[f32]],
) -> Result<(Vec<Vec<f32>>, Vec<Tapes>)> {
    let size = run_len(dims.examples) * dims.positions * dims.width;
    let run = |(index, input): (usize, _)| -> (&[f32], Vec<&[f32]>) {
        (input, states.iter().map(|state| &state[index * size..][..input.len()]).collect())
    };
    let runs = input.chunks(size).enumerate().map(run).collect();
    let results = runs::each(runs, |(input, states)| forward_run(networks, calls, dims.of(input.len()), input, &states));
    let (mut after, mut tapes) = (vec![Vec::new(); states.len()], Vec::new());
    for result in results {
        let (states, tapes_of_run) = result?;
        after.iter_mut().zip(states).for_each(|(after, state)| append(after, state));
        tapes.push(tapes_of_run);
    }
    Ok((after, tapes))
}

/// The same of one run, with the tape of each of its parts.
fn forward_run(
    networks: &[Vec<Half>],
    [(unrecorded, weights), (recorded, recorded_weights)]: [(&[Call], &Ready); 2],
    dims: Dims,
    input: &[f32],
    states: &[&[f32]],
) -> Result<(Vec<Vec<f32>>, Tapes)> {
    let mut after: Vec<_> = states.iter().map(|state| Vec::with_capacity(state.len())).collect();
    let mut tapes = Vec::new();
    let size = part_len(dims);
    for (index, input) in input.chunks(size).enumerate() {
        let mut states: Vec<_> = states.iter().map(|state| Buffer::of(&state[index * size..][..input.len()])).collect();
        let dims = dims.of(input.len());
        for call in unrecorded {
            let mut x = sum(call, input, &states)?;
            for (half, weights) in networks[call.network].iter().zip(&weights[call.network]) {
                half.forward(weights, dims, &mut x, false)?;
            }
            states[call.writes] = x;
        }
        let mut tape = Vec::with_capacity(recorded.len());
        for call in recorded {
            let mut trace = Trace { values: vec![sum(call, input, &states)?], kept: Vec::new() };
            for (half, weights) in networks[call.network].iter().zip(&recorded_weights[call.network]) {
                let mut x = Buffer::of(trace.result());
                trace.kept.extend(half.forward(weights, dims, &mut x, true)?);
                trace.values.push(x);
            }
            states[call.writes].copy_from_slice(trace.result());
            tape.push(trace);
        }
        tapes.push(tape);
        for (after, state) in after.iter_mut().zip(&states) {
            after.extend_from_slice(state);
        }
    }
    Ok((after, tapes))
}

/// What the backward pass goes through.
pub struct Recorded<'a> {
    pub networks: &'a [Vec<Half>],
    pub factors: Factors,
    pub calls: &'a [Call],
    pub transposed: Ready,
}

/// The gradient by the input, from that by the state that the last call has written, for examples of `positions` by `width`; those by the
/// weights are added up where the halves have them.
pub fn backward(recorded: &Recorded<'_>, tapes: &[Tapes], [positions, width]: [usize; 2], gradient: &[f32]) -> Result<Vec<f32>> {
    let dims = Dims { examples: gradient.len() / (positions * width), positions, width };
    // The runs of the forward pass, which were as even as they could be.
    let size = dims.examples.div_ceil(tapes.len().max(1)) * positions * width;
    let runs = tapes.iter().zip(gradient.chunks(size)).enumerate().collect();
    let backward =
        |(run, (tapes, gradient)): (usize, (&Tapes, &[f32]))| recorded.backward_run(run, tapes, dims.of(gradient.len()), gradient);
    let mut by_input = Vec::new();
    for result in runs::each(runs, backward) {
        append(&mut by_input, result?);
    }
    Ok(by_input)
}

impl Recorded<'_> {
    fn backward_run(&self, run: usize, tapes: &[Tape], dims: Dims, gradient: &[f32]) -> Result<Vec<f32>> {
        let mut by_input = Vec::with_capacity(gradient.len());
        for (tape, gradient) in tapes.iter().zip(gradient.chunks(part_len(dims))) {
            let start = by_input.len();
            by_input.resize(start + gradient.len(), 0.0);
            self.backward_part(run, tape, dims.of(gradient.len()), gradient, &mut by_input[start..])?;
        }
        Ok(by_input)
    }

    /// Adds to `by_input`.
    fn backward_part(&self, run: usize, tape: &Tape, dims: Dims, gradient: &[f32], by_input: &mut [f32]) -> Result<()> {
        // By each state as it was at this point; none where nothing that follows depends on it.
        let mut by_states: Vec<Option<Buffer>> = (0..states(self.calls)).map(|_| None).collect();
        if let Some(last) = self.calls.last() {
            by_states[last.writes] = Some(Buffer::of(gradient));
        }
        for (call, trace) in self.calls.iter().zip(tape).rev() {
            // What the call has replaced has no other use.
            let Some(mut by_sum) = by_states[call.writes].take() else { continue };
            let halves = self.networks[call.network].iter().zip(&self.transposed[call.network]).zip(&trace.kept);
            for (((half, transposed), kept), values) in halves.zip(trace.values.windows(2)).rev() {
                let given = Given { x: &values[0], y: &values[1], run };
                half.backward(self.factors, transposed, dims, given, kept, &mut by_sum)?;
            }
            if call.input {
                add(by_input, &by_sum);
            }
            for &read in &call.reads {
                match &mut by_states[read] {
                    Some(by_state) => add(by_state, &by_sum),
                    none => *none = Some(Buffer::of(&by_sum)),
                }
            }
        }
        Ok(())
    }
}

impl Trace {
    fn result(&self) -> &[f32] {
        self.values.last().map_or(&[], |values| values)
    }
}

impl Dims {
    /// The same for the part that has `values` values.
    fn of(self, values: usize) -> Self {
        Self { examples: values / (self.positions * self.width), ..self }
    }
}

/// Values of the examples that are taken at once.
fn part_len(Dims { examples, positions, width }: Dims) -> usize {
    (TOKENS / positions).clamp(1, examples) * positions * width
}

/// Appends `values`; to nothing without a copy.
fn append(to: &mut Vec<f32>, mut values: Vec<f32>) {
    if to.is_empty() { *to = values } else { to.append(&mut values) }
}

/// What `call` is made on.
fn sum(call: &Call, input: &[f32], states: &[Buffer]) -> Result<Buffer> {
    let mut summands = call.input.then_some(input).into_iter().chain(call.reads.iter().map(|&read| &*states[read]));
    let Some(first) = summands.next() else { bail!("a call without summands") };
    let mut sum = Buffer::of(first);
    for summand in summands {
        add(&mut sum, summand);
    }
    Ok(sum)
}

fn add(to: &mut [f32], values: &[f32]) {
    for (to, value) in to.iter_mut().zip(values) {
        *to += value;
    }
}
