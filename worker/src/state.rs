//! A state of training: everything that is needed to go on after a step as if nothing had happened.
//!
//! Weights, moments of the optimiser, their averages, the carry, the sampler's place, both generators, the counters, and the metric window
//! under way. On a CPU, with one thread, a run that goes on from here ends with the same bits as one that was never cut.
//!
//! As bytes it is a safetensors file: one-dimensional F32 and U32 tensors, and [`Facts`] as JSON under `facts` in its metadata. It comes back
//! over the network, so that nothing in it is believed: every part checks what it takes.

use std::{
    borrow::Cow,
    collections::{BTreeMap, HashMap},
};

use candle_core::{Tensor, Var};
use rand_chacha::ChaCha8Rng;
use safetensors::{Dtype, SafeTensors, View};
use serde::{Deserialize, Serialize};

use crate::kernels::slices;

/// Changes with the meaning of what is stored; another one is refused.
const VERSION: u32 = 2;
/// Bytes of a number.
const WORD_BYTES: usize = 4;

/// A state of training.
#[derive(Clone, Debug, PartialEq)]
pub struct TrainingState {
    /// What is not an array.
    pub facts: Facts,
    floats: BTreeMap<String, Vec<f32>>,
    integers: BTreeMap<String, Vec<u32>>,
}

/// The part of a state that is not arrays.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Facts {
    version: u32,
    /// Hash of the configuration that is trained, whatever its number of steps.
    pub course_hash: String,
    /// The seed that it is trained with.
    pub seed: u64,
    /// Steps done.
    pub step: usize,
    /// Whether the evaluation that is due after that step, if one is, has been done.
    pub is_evaluated: bool,
    /// Steps of the optimiser, which its bias correction counts.
    pub optimizer_steps: i32,
    /// Decides which slots explore.
    pub halting_rng: ChaCha8Rng,
    /// Orders and changes the examples.
    pub sampler_rng: ChaCha8Rng,
    /// Groups of this epoch that were begun.
    pub sampler_begun: usize,
    /// Epochs that are over.
    pub sampler_epoch: usize,
    /// The metric window under way: its sums as the bits of their f64, which a decimal form could change, and counts as they are.
    pub window: Vec<u64>,
    /// Training time so far, of all attempts.
    pub wall_seconds: f64,
}

impl Facts {
    /// Facts of a run that has not begun.
    pub fn new(course_hash: String, seed: u64, generator: &ChaCha8Rng) -> Self {
        Self {
            version: VERSION,
            course_hash,
            seed,
            step: 0,
            is_evaluated: false,
            optimizer_steps: 0,
            halting_rng: generator.clone(),
            sampler_rng: generator.clone(),
            sampler_begun: 0,
            sampler_epoch: 0,
            window: Vec::new(),
            wall_seconds: 0.0,
        }
    }
}

/// Why a state cannot be gone on from.
#[derive(Debug, thiserror::Error)]
pub enum StateError {
    /// The bytes are no state.
    #[error("the checkpoint is no state of training: {0}")]
    Malformed(String),
    /// A state of something else.
    #[error("the checkpoint is of another {what}")]
    Other {
        /// What differs.
        what: &'static str,
    },
    /// An array is missing, or does not fit.
    #[error("`{name}` in the checkpoint {problem}")]
    Array {
        /// Its name.
        name: String,
        /// What is wrong with it.
        problem: String,
    },
    /// A tensor operation failed.
    #[error("a tensor operation failed: {0}")]
    Tensor(#[from] candle_core::Error),
}

impl TrainingState {
    /// A state without arrays.
    pub fn new(facts: Facts) -> Self {
        Self { facts, floats: BTreeMap::new(), integers: BTreeMap::new() }
    }

    /// Adds floats.
    pub fn put_floats(&mut self, name: impl Into<String>, values: &[f32]) {
        self.floats.insert(name.into(), values.to_vec());
    }

    /// Adds the values of a tensor.
    ///
    /// # Errors
    /// When they cannot be read.
    pub fn put_tensor(&mut self, name: impl Into<String>, tensor: &Tensor) -> candle_core::Result<()> {
        let values = slices::read(tensor, <[f32]>::to_vec)?;
        self.floats.insert(name.into(), values);
        Ok(())
    }

    /// Adds whole numbers.
    pub fn put_integers(&mut self, name: impl Into<String>, values: Vec<u32>) {
        self.integers.insert(name.into(), values);
    }

    /// The `count` floats under `name`.
    ///
    /// # Errors
    /// They are not there, or not so many.
    pub fn floats(&self, name: &str, count: usize) -> Result<&[f32], StateError> {
        find(&self.floats, name, Some(count))
    }

    /// Copies the floats under `name` into `target`.
    ///
    /// # Errors
    /// They are not there, or not as many.
    pub fn copy_floats(&self, name: &str, target: &mut [f32]) -> Result<(), StateError> {
        target.copy_from_slice(self.floats(name, target.len())?);
        Ok(())
    }

    /// Copies the floats under `name` into `var`.
    ///
    /// # Errors
    /// They are not there, or not as many, or the tensor cannot be changed.
    pub fn copy_into(&self, name: &str, var: &Var) -> Result<(), StateError> {
        let values = self.floats(name, var.elem_count())?;
        Ok(slices::update(var, |target| target.copy_from_slice(values))?)
    }

    /// The whole numbers under `name`, each below `limit`; `count` of them, or any number.
    ///
    /// # Errors
    /// They are not there, not so many, or too large.
    pub fn integers(&self, name: &str, count: Option<usize>, limit: usize) -> Result<&[u32], StateError> {
        let values = find(&self.integers, name, count)?;
        match values.iter().find(|value| **value as usize >= limit) {
            Some(value) => Err(array(name, format!("has {value}, which must be below {limit}"))),
            None => Ok(values),
        }
    }

    /// The state as a safetensors file.
    pub fn to_bytes(&self) -> Vec<u8> {
        let floats = self.floats.iter().map(|(name, values)| (name, Array { shape: [values.len()], numbers: Numbers::Floats(values) }));
        let integers =
            self.integers.iter().map(|(name, values)| (name, Array { shape: [values.len()], numbers: Numbers::Integers(values) }));
        let facts = serde_json::to_string(&self.facts).expect("numbers and texts have a JSON form");
        let metadata = HashMap::from([("facts".to_owned(), facts)]);
        safetensors::serialize(floats.chain(integers), Some(metadata)).expect("arrays with names of their own can be written")
    }

    /// A state from the bytes of [`to_bytes`](Self::to_bytes).
    ///
    /// # Errors
    /// They are no such bytes, or of another version of this program.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, StateError> {
        let malformed = |problem: String| StateError::Malformed(problem);
        let (_, metadata) = SafeTensors::read_metadata(bytes).map_err(|error| malformed(error.to_string()))?;
        let facts = metadata.metadata().as_ref().and_then(|metadata| metadata.get("facts"));
        let facts = facts.ok_or_else(|| malformed("it has no facts".into()))?;
        let facts: Facts = serde_json::from_str(facts).map_err(|error| malformed(error.to_string()))?;
        if facts.version != VERSION {
            return Err(malformed(format!("it has version {}, this program reads {VERSION}", facts.version)));
        }
        let mut state = Self::new(facts);
        let file = SafeTensors::deserialize(bytes).map_err(|error| malformed(error.to_string()))?;
        for (name, view) in file.iter() {
            let words = view.data().as_chunks::<WORD_BYTES>().0.iter().copied();
            match view.dtype() {
                Dtype::F32 => _ = state.floats.insert(name.to_owned(), words.map(f32::from_le_bytes).collect()),
                Dtype::U32 => _ = state.integers.insert(name.to_owned(), words.map(u32::from_le_bytes).collect()),
                other => return Err(array(name, format!("has numbers of kind {other:?}"))),
            }
        }
        Ok(state)
    }
}

/// One array of a state, as it is written into a file: as bytes there are no two at once.
struct Array<'a> {
    shape: [usize; 1],
    numbers: Numbers<'a>,
}

enum Numbers<'a> {
    Floats(&'a [f32]),
    Integers(&'a [u32]),
}

impl View for Array<'_> {
    fn dtype(&self) -> Dtype {
        match self.numbers {
            Numbers::Floats(_) => Dtype::F32,
            Numbers::Integers(_) => Dtype::U32,
        }
    }

    fn shape(&self) -> &[usize] {
        &self.shape
    }

    fn data(&self) -> Cow<'_, [u8]> {
        match self.numbers {
            Numbers::Floats(values) => bytes_of(values, |value| value.to_le_bytes()).into(),
            Numbers::Integers(values) => bytes_of(values, |value| value.to_le_bytes()).into(),
        }
    }

    fn data_len(&self) -> usize {
        self.shape[0] * WORD_BYTES
    }
}

fn bytes_of<T: Copy>(values: &[T], word: impl Fn(T) -> [u8; WORD_BYTES]) -> Vec<u8> {
    let mut bytes = vec![0; values.len() * WORD_BYTES];
    bytes.as_chunks_mut().0.iter_mut().zip(values).for_each(|(bytes, value)| *bytes = word(*value));
    bytes
}

fn find<'a, T>(arrays: &'a BTreeMap<String, Vec<T>>, name: &str, count: Option<usize>) -> Result<&'a [T], StateError> {
    let values = arrays.get(name).ok_or_else(|| array(name, "is missing".into()))?;
    match count {
        Some(count) if values.len() != count => Err(array(name, format!("has {} numbers, not {count}", values.len()))),
        _ => Ok(values),
    }
}

/// Says what is wrong with an array.
pub fn array(name: &str, problem: String) -> StateError {
    StateError::Array { name: name.to_owned(), problem }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::{Stream, generator};

    fn state() -> TrainingState {
        let mut facts = Facts::new("hash".into(), 7, &generator(7, Stream::Data));
        facts.window = vec![(0.1 + 0.2_f64).to_bits()];
        let mut state = TrainingState::new(facts);
        state.put_floats("a", &[1.5, -0.0, f32::MIN_POSITIVE / 2.0]);
        state.put_integers("b", vec![0, u32::MAX]);
        state
    }

    #[test]
    fn bytes_keep_every_bit() {
        let back = TrainingState::from_bytes(&state().to_bytes()).unwrap();
        assert_eq!(back, state());
        assert!(back.floats("a", 3).unwrap()[1].is_sign_negative());
    }

    #[test]
    fn what_does_not_fit_is_named() {
        let state = state();
        let says = |result: Result<&[u32], StateError>| result.unwrap_err().to_string();
        assert_eq!(state.floats("x", 1).unwrap_err().to_string(), "`x` in the checkpoint is missing");
        assert_eq!(state.floats("a", 2).unwrap_err().to_string(), "`a` in the checkpoint has 3 numbers, not 2");
        assert_eq!(says(state.integers("b", None, 9)), "`b` in the checkpoint has 4294967295, which must be below 9");
    }

    #[test]
    fn bytes_from_elsewhere_are_refused() {
        let good = state().to_bytes();
        for wrong in [&b""[..], b"x", &good[..good.len() - 1], &good[..40], b"\x02\0\0\0\0\0\0\0{}"] {
            assert!(matches!(TrainingState::from_bytes(wrong), Err(StateError::Malformed(_))), "{wrong:?}");
        }
        let mut newer = state();
        newer.facts.version = 3;
        assert!(TrainingState::from_bytes(&newer.to_bytes()).unwrap_err().to_string().contains("version 3"));
    }
}
