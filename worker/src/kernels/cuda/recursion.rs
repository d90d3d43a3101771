//! Forward and backward passes of all calls.

use std::sync::{Arc, Mutex, PoisonError};

use candle_core::{CpuStorage, CudaStorage, CustomOp2, Layout, Result, Shape, Tensor, bail};

use super::{
    array::{Array, address},
    gpu::Gpu,
    half::{Given, Kept, Weight},
    operations::{Values, add, sum, swap_axes},
};
use crate::kernels::{
    Factors,
    half::{Dims, Half},
    recursion::{Call, Recursion, states},
};

/// The weights of every half of every network, made ready.
type Ready = Vec<Vec<[Weight; 2]>>;

/// What one call has left.
#[derive(Debug)]
struct Trace {
    /// The sum, and the result of each half.
    values: Vec<Values>,
    /// What each half has kept.
    kept: Vec<Kept>,
}

/// As [`Recursion::run`], with calls without and with a record.
pub fn run(recursion: &Recursion, input: &Tensor, states: &[Tensor], [unrecorded, recorded]: [&[Call]; 2]) -> Result<Vec<Tensor>> {
    let (examples, positions, width) = input.dims3()?;
    let dims = Dims { examples, positions, width };
    let gpu = Gpu::of(input)?;
    let mut passed = Pass { gpu: &gpu, networks: recursion.networks(), dims, input: by_positions(&gpu, dims, input)?, states: Vec::new() };
    for state in states {
        if state.dims() != input.dims() {
            bail!("a state of {:?} for an input of {:?}", state.shape(), input.shape());
        }
        passed.states.push(by_positions(&gpu, dims, state)?);
    }
    let [factors_before, factors] = recursion.factors();
    let before = ready(&gpu, passed.networks, factors_before)?;
    for call in unrecorded {
        passed.call(call, &before, factors_before)?;
    }
    let weights = if factors == factors_before { before } else { ready(&gpu, passed.networks, factors)? };
    let mut tape = Vec::with_capacity(recorded.len());
    for call in recorded {
        tape.push(passed.call(call, &weights, factors)?);
    }
    let mut after = Vec::with_capacity(states.len());
    for state in &passed.states {
        after.push(by_examples(&gpu, dims, state)?.into_tensor(&gpu, input, input.shape())?);
    }
    if let Some(last) = recorded.last() {
        let Some(token) = recursion.token() else { bail!("the weights are no variables, whose gradient could be recorded") };
        let made = Recorded {
            networks: Arc::clone(passed.networks),
            calls: recorded.to_vec(),
            tape,
            weights,
            dims,
            result: Mutex::new(Some(by_examples(&gpu, dims, &passed.states[last.writes])?)),
        };
        after[last.writes] = input.contiguous()?.apply_op2(token, made)?;
    }
    Ok(after)
}

fn by_positions(gpu: &Gpu, dims: Dims, tensor: &Tensor) -> Result<Array> {
    swap_axes(gpu, address(&tensor.contiguous()?)?, [dims.examples, dims.positions, dims.width])
}

fn by_examples(gpu: &Gpu, dims: Dims, array: &Array) -> Result<Array> {
    swap_axes(gpu, array.address(), [dims.positions, dims.examples, dims.width])
}

fn ready(gpu: &Gpu, networks: &[Vec<Half>], factors: Factors) -> Result<Ready> {
    networks.iter().map(|halves| halves.iter().map(|half| half.ready_on(gpu, factors)).collect()).collect()
}

/// The states on their way through the calls.
struct Pass<'a> {
    gpu: &'a Gpu,
    networks: &'a Arc<[Vec<Half>]>,
    dims: Dims,
    input: Array,
    states: Vec<Array>,
}

impl Pass<'_> {
    fn call(&mut self, call: &Call, weights: &Ready, factors: Factors) -> Result<Trace> {
        let summands = call.input.then_some(&self.input).into_iter().chain(call.reads.iter().map(|&read| &self.states[read]));
        let mut trace = Trace { values: vec![sum(self.gpu, factors, &summands.collect::<Vec<_>>())?], kept: Vec::new() };
        for (half, weights) in self.networks[call.network].iter().zip(&weights[call.network]) {
            let (y, kept) = half.forward_on(self.gpu, weights, self.dims, trace.result()?)?;
            trace.values.push(y);
            trace.kept.push(kept);
        }
        self.states[call.writes] = Array::copy(self.gpu, &trace.result()?.full)?;
        Ok(trace)
    }
}

impl Trace {
    fn result(&self) -> Result<&Values> {
        self.values.last().ok_or_else(|| candle_core::Error::msg("a call has lost its sum"))
    }
}

/// Calls that were made, as an operation on the input and the weights' token whose result is known.
struct Recorded {
    networks: Arc<[Vec<Half>]>,
    calls: Vec<Call>,
    tape: Vec<Trace>,
    weights: Ready,
    dims: Dims,
    result: Mutex<Option<Array>>,
}

impl CustomOp2 for Recorded {
    fn name(&self) -> &'static str {
        "recursion"
    }

    fn cpu_fwd(&self, _: &CpuStorage, _: &Layout, _: &CpuStorage, _: &Layout) -> Result<(CpuStorage, Shape)> {
        bail!("the calls were made on a GPU")
    }

    fn cuda_fwd(&self, input: &CudaStorage, at: &Layout, _: &CudaStorage, _: &Layout) -> Result<(CudaStorage, Shape)> {
        let Some(result) = self.result.lock().unwrap_or_else(PoisonError::into_inner).take() else { bail!("the result was taken already") };
        Ok((result.into_storage(&Gpu::with(&input.device))?, at.shape().clone()))
    }

    fn bwd(&self, input: &Tensor, token: &Tensor, _: &Tensor, g: &Tensor) -> Result<(Option<Tensor>, Option<Tensor>)> {
        let gpu = Gpu::of(input)?;
        let by_input = self.backward(&gpu, by_positions(&gpu, self.dims, g)?)?;
        let by_input = by_examples(&gpu, self.dims, &by_input)?.into_tensor(&gpu, input, input.shape())?;
        Ok((Some(by_input), Some(token.zeros_like()?)))
    }
}

impl Recorded {
    /// The gradient by the input, from that by the state that the last call has written; those by the weights are handed over.
    fn backward(&self, gpu: &Gpu, gradient: Array) -> Result<Array> {
        let zeros = |halves: &Vec<Half>| halves.iter().map(|half| half.zeros_on(gpu)).collect::<Result<Vec<_>>>();
        let by_weights = self.networks.iter().map(zeros).collect::<Result<Vec<_>>>()?;
        let mut by_input = Array::zeros(gpu, gradient.len())?;
        // By each state as it was at this point; none where nothing that follows depends on it.
        let mut by_states: Vec<Option<Array>> = (0..states(&self.calls)).map(|_| None).collect();
        if let Some(last) = self.calls.last() {
            by_states[last.writes] = Some(gradient);
        }
        for (call, trace) in self.calls.iter().zip(&self.tape).rev() {
            // What the call has replaced has no other use.
            let Some(by_result) = by_states[call.writes].take() else { continue };
            let by_sum = self.backward_call(gpu, call, trace, &by_weights[call.network], by_result)?;
            if call.input {
                add(gpu, &mut by_input, &by_sum)?;
            }
            for &read in &call.reads {
                match &mut by_states[read] {
                    Some(by_state) => add(gpu, by_state, &by_sum)?,
                    none => *none = Some(Array::copy(gpu, &by_sum)?),
                }
            }
        }
        for (halves, by_weights) in self.networks.iter().zip(by_weights) {
            for (half, by_weights) in halves.iter().zip(by_weights) {
                half.hand_over(gpu, by_weights)?;
            }
        }
        Ok(by_input)
    }

    /// The gradient by the sum, from that by what the call has made of it.
    fn backward_call(&self, gpu: &Gpu, call: &Call, trace: &Trace, by_weights: &[[Array; 2]], by_result: Array) -> Result<Array> {
        let halves = self.networks[call.network].iter().zip(&self.weights[call.network]).zip(by_weights).zip(&trace.kept);
        let mut by_values = by_result;
        for ((((half, weights), by_weights), kept), values) in halves.zip(trace.values.windows(2)).rev() {
            let given = Given { x: &values[0], y: &values[1], weights, by_weights, dims: self.dims };
            by_values = half.backward_on(gpu, given, kept, by_values)?;
        }
        Ok(by_values)
    }
}
