//! Calls of networks that improve states, one after the other, as one operation with a backward pass.
//!
//! The batch is taken some examples at a time, which go through all calls, so that what is between two operations stays in the cache. The
//! last calls may be recorded: only through them goes a gradient, to the input and to the weights. Weights are made ready for products
//! once for all calls.

mod pass;

use std::sync::{Arc, Mutex, PoisonError};

use candle_core::{CpuStorage, CustomOp2, Device, Layout, Result, Shape, Tensor, bail};

use super::{
    choice::is_fused,
    factors::{Factors, Weight},
    half::{Dims, Half},
    slices::{read, read_all},
};
use pass::{Tapes, backward, forward};

/// One call: the state `writes` becomes what a network makes of a sum.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Call {
    /// Which network.
    pub network: usize,
    /// Whether the input is among the summands, the first of them.
    pub input: bool,
    /// The states that are summands, in the order of addition.
    pub reads: Vec<usize>,
    /// The state that is replaced.
    pub writes: usize,
}

/// Networks that are called on states. Each is a sequence of halves of blocks.
#[derive(Debug)]
pub struct Recursion {
    networks: Arc<[Vec<Half>]>,
    /// Of products by weights in the calls that are not recorded.
    unrecorded: Factors,
    /// The same in those that are.
    recorded: Factors,
    /// What stands for all weights in the graph, if they are variables.
    token: Option<Tensor>,
}

/// The weights of every half of every network, made ready.
type Ready = Vec<Vec<[Weight; 2]>>;

impl Recursion {
    /// Networks whose products by weights are in `unrecorded` or in `recorded`, in the calls of either kind.
    ///
    /// # Errors
    /// When an operation fails.
    pub fn new(networks: Vec<Vec<Half>>, unrecorded: Factors, recorded: Factors) -> Result<Self> {
        let tokens = networks.iter().flatten().filter_map(Half::token).cloned();
        let token = tokens.map(Ok).reduce(|sum, token| sum? + token?).transpose()?;
        Ok(Self { networks: networks.into(), unrecorded, recorded, token })
    }

    /// What `calls` make of `states`, `[batch, positions, width]` like the `input`. The last `recorded` of them are recorded: a gradient goes
    /// from the state that the last call has written through them to the input and to the weights, and none to `states`.
    ///
    /// # Errors
    /// When shapes do not fit, or the values are not f32.
    pub fn run(&self, input: &Tensor, states: &[Tensor], calls: &[Call], recorded: usize) -> Result<Vec<Tensor>> {
        let (unrecorded, recorded) = calls.split_at(calls.len() - recorded);
        if !is_fused(input) {
            return self.plain(input, states, [unrecorded, recorded]);
        }
        #[cfg(feature = "cuda")]
        if input.device().is_cuda() {
            return super::cuda::run(self, input, states, [unrecorded, recorded]);
        }
        self.fused(input, states, [unrecorded, recorded])
    }

    fn fused(&self, input: &Tensor, states: &[Tensor], [unrecorded, recorded]: [&[Call]; 2]) -> Result<Vec<Tensor>> {
        let (batch, positions, width) = input.dims3()?;
        let dims = Dims { examples: batch, positions, width };
        if let Some(state) = states.iter().find(|state| state.dims() != input.dims()) {
            bail!("a state of {:?} for an input of {:?}", state.shape(), input.shape());
        }
        let weights = ready(&self.networks, self.unrecorded, false)?;
        let differs = !recorded.is_empty() && self.recorded != self.unrecorded;
        let others = differs.then(|| ready(&self.networks, self.recorded, false)).transpose()?;
        let calls = [(unrecorded, &weights), (recorded, others.as_ref().unwrap_or(&weights))];
        let (mut after, tapes) = read(input, |input| read_all(states, |states| forward(&self.networks, calls, dims, input, states)))???;
        let Some(last) = recorded.last() else {
            return after.into_iter().map(|state| Tensor::from_vec(state, input.shape(), &Device::Cpu)).collect();
        };
        let Some(token) = &self.token else { bail!("the weights are no variables, whose gradient could be recorded") };
        let operation = Recorded {
            networks: Arc::clone(&self.networks),
            factors: self.recorded,
            calls: recorded.to_vec(),
            tapes,
            result: Mutex::new(std::mem::take(&mut after[last.writes])),
        };
        let result = input.apply_op2(token, operation)?;
        let state = |(index, state)| {
            if index == last.writes { Ok(result.clone()) } else { Tensor::from_vec(state, input.shape(), &Device::Cpu) }
        };
        after.into_iter().enumerate().map(state).collect()
    }

    /// The same as a graph of Candle's own operations, on any device.
    fn plain(&self, input: &Tensor, states: &[Tensor], [unrecorded, recorded]: [&[Call]; 2]) -> Result<Vec<Tensor>> {
        let mut states: Vec<_> = states.iter().map(Tensor::detach).collect();
        let still = input.detach();
        let calls = unrecorded.iter().map(|call| (call, &still, self.unrecorded, false));
        for (call, input, factors, is_recorded) in calls.chain(recorded.iter().map(|call| (call, input, self.recorded, true))) {
            let summands = call.input.then_some(input).into_iter().chain(call.reads.iter().map(|&read| &states[read]));
            let sum = summands.cloned().map(Ok).reduce(|sum, summand| sum? + summand?).transpose()?;
            let Some(mut x) = sum else { bail!("a call without summands") };
            for half in &self.networks[call.network] {
                x = half.plain(factors, &x, is_recorded)?;
            }
            states[call.writes] = x;
        }
        Ok(states)
    }
}

#[cfg(feature = "cuda")]
impl Recursion {
    pub(super) fn networks(&self) -> &Arc<[Vec<Half>]> {
        &self.networks
    }

    /// Of products in the calls that are not recorded, and in those that are.
    pub(super) fn factors(&self) -> [Factors; 2] {
        [self.unrecorded, self.recorded]
    }

    pub(super) fn token(&self) -> Option<&Tensor> {
        self.token.as_ref()
    }
}

/// How many states there are, as far as `calls` have to do with them.
pub(super) fn states(calls: &[Call]) -> usize {
    calls.iter().flat_map(|call| call.reads.iter().chain([&call.writes])).max().map_or(0, |last| last + 1)
}

/// The weights of `networks`, made ready for products in `factors`.
fn ready(networks: &[Vec<Half>], factors: Factors, is_transposed: bool) -> Result<Ready> {
    let network = |halves: &Vec<Half>| halves.iter().map(|half| half.ready(factors, is_transposed)).collect();
    networks.iter().map(network).collect()
}

/// Calls that were made, as an operation on the input and the weights' token whose result is known.
struct Recorded {
    networks: Arc<[Vec<Half>]>,
    factors: Factors,
    calls: Vec<Call>,
    /// Of each part of each run of examples.
    tapes: Vec<Tapes>,
    result: Mutex<Vec<f32>>,
}

impl CustomOp2 for Recorded {
    fn name(&self) -> &'static str {
        "recursion"
    }

    fn cpu_fwd(&self, _: &CpuStorage, at: &Layout, _: &CpuStorage, _: &Layout) -> Result<(CpuStorage, Shape)> {
        let result = std::mem::take(&mut *self.result.lock().unwrap_or_else(PoisonError::into_inner));
        Ok((CpuStorage::F32(result), at.shape().clone()))
    }

    fn bwd(&self, input: &Tensor, token: &Tensor, _: &Tensor, g: &Tensor) -> Result<(Option<Tensor>, Option<Tensor>)> {
        let (_, positions, width) = input.dims3()?;
        let transposed = ready(&self.networks, self.factors, true)?;
        let recorded = pass::Recorded { networks: &self.networks, factors: self.factors, calls: &self.calls, transposed };
        let by_input = read(g, |g| backward(&recorded, &self.tapes, [positions, width], g))??;
        Ok((Some(Tensor::from_vec(by_input, input.shape(), &Device::Cpu)?), Some(token.zeros_like()?)))
    }
}

#[cfg(test)]
mod tests;
