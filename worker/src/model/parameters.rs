//! The weights of a model: what there is, in which order, and how it starts.

use std::collections::HashMap;

use candle_core::{DType, Device, Result, Tensor, Var, bail};
use rand::Rng;
use tinysweep_proto::{
    config::{Networks, PosEncodings, States, TrialConfig, Variant, inner_size},
    dataset::DataShape,
};

use super::{init::CutNormals, latents::state_names};

/// What happens to a tensor in training.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Trained by the main optimiser, and averaged.
    Trained,
    /// Never changed.
    Fixed,
    /// The puzzle table: trained by an optimiser of its own, not averaged.
    PuzzleTable,
}

/// How a tensor starts.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Start {
    /// Truncated normal of this standard deviation.
    Normal(f64),
    Constant(f32),
}

/// One tensor that a model needs.
struct Slot {
    name: String,
    shape: Vec<usize>,
    role: Role,
    start: Start,
}

/// One named tensor of a model.
#[derive(Clone, Debug)]
pub struct Entry {
    /// Its name in the reference's checkpoints.
    pub name: String,
    /// What happens to it in training.
    pub role: Role,
    /// Its values.
    pub var: Var,
}

/// Every tensor of one model, in a fixed order.
#[derive(Clone, Debug)]
pub struct Parameters {
    entries: Vec<Entry>,
}

/// The initial bias of the halting head: a fresh model never wants to halt.
const Q_BIAS: f32 = -5.0;

impl Parameters {
    /// Draws initial weights. They follow from the generator's state alone, of which nothing else should be drawn later.
    ///
    /// # Errors
    /// When a tensor cannot be made.
    pub fn init(config: &TrialConfig, shape: &DataShape, rng: &mut impl Rng) -> Result<Self> {
        let mut normals = CutNormals::new(rng);
        let entries = layout(config, shape).into_iter().map(|slot| {
            let count = slot.shape.iter().product();
            let values = match slot.start {
                Start::Normal(std) => normals.take(count, std),
                Start::Constant(value) => vec![value; count],
            };
            Ok(Entry { var: Var::from_vec(values, slot.shape, &Device::Cpu)?, name: slot.name, role: slot.role })
        });
        Ok(Self { entries: entries.collect::<Result<_>>()? })
    }

    /// Takes stored tensors, by name.
    ///
    /// # Errors
    /// Names every tensor that is missing, not known, of another shape than the configuration says, not of floats, or not finite.
    pub fn from_tensors(config: &TrialConfig, shape: &DataShape, mut tensors: HashMap<String, Tensor>) -> Result<Self> {
        let (mut entries, mut problems) = (Vec::new(), Vec::new());
        for Slot { name, shape, role, .. } in layout(config, shape) {
            match tensors.remove(&name) {
                None => problems.push(format!("tensor `{name}` is missing; its shape is {shape:?}")),
                Some(tensor) => match problem(&tensor, &shape)? {
                    Some(problem) => problems.push(format!("tensor `{name}` {problem}")),
                    None => entries.push(Entry { var: Var::from_tensor(&tensor.to_dtype(DType::F32)?)?, name, role }),
                },
            }
        }
        let mut unknown: Vec<_> = tensors.into_keys().collect();
        unknown.sort();
        problems.extend(unknown.into_iter().map(|name| format!("tensor `{name}` is none of this model's")));
        match problems.as_slice() {
            [] => Ok(Self { entries }),
            [problem] => bail!("{problem}"),
            _ => bail!("{} tensors do not fit the configuration:\n  {}", problems.len(), problems.join("\n  ")),
        }
    }

    /// The same tensors on `device`, but for the puzzle table, which stays where it is.
    ///
    /// # Errors
    /// When the device has no room for them.
    pub fn to_device(self, device: &Device) -> Result<Self> {
        let moved = |entry: Entry| match entry.role {
            Role::Trained | Role::Fixed => {
                Ok(Entry { var: Var::from_tensor(&entry.var.as_detached_tensor().to_device(device)?)?, ..entry })
            }
            Role::PuzzleTable => Ok(entry),
        };
        Ok(Self { entries: self.entries.into_iter().map(moved).collect::<Result<_>>()? })
    }

    /// Where the model is computed: the device of everything but the puzzle table.
    pub fn device(&self) -> &Device {
        self.trained().next().map_or(&Device::Cpu, |entry| entry.var.device())
    }

    /// Every tensor, in order.
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// The tensors that the main optimiser trains, in order.
    pub fn trained(&self) -> impl Iterator<Item = &Entry> {
        self.entries.iter().filter(|entry| entry.role == Role::Trained)
    }

    /// How many numbers the main optimiser trains.
    pub fn trained_count(&self) -> usize {
        self.trained().map(|entry| entry.var.elem_count()).sum()
    }

    /// The puzzle table `[puzzle_identifiers, puzzle_width]`, where there is one.
    pub fn puzzle_table(&self) -> Option<&Var> {
        self.entries.iter().find(|entry| entry.role == Role::PuzzleTable).map(|entry| &entry.var)
    }

    /// The tensor of that name.
    ///
    /// # Errors
    /// When there is none.
    pub fn get(&self, name: &str) -> Result<&Var> {
        match self.entries.iter().find(|entry| entry.name == name) {
            Some(entry) => Ok(&entry.var),
            None => bail!("the model has no tensor `{name}`"),
        }
    }

    /// The same tensors; the trained ones have values of their own. The rest stays shared: a puzzle table may have a thousand times the
    /// numbers of all weights together, and a change of it is seen by both.
    ///
    /// # Errors
    /// When one cannot be copied.
    pub fn with_own_weights(&self) -> Result<Self> {
        let copy = |entry: &Entry| match entry.role {
            // A tensor that is no variable is copied when it is made one.
            Role::Trained => Ok(Entry { var: Var::from_tensor(&entry.var.as_detached_tensor())?, ..entry.clone() }),
            Role::Fixed | Role::PuzzleTable => Ok(entry.clone()),
        };
        Ok(Self { entries: self.entries.iter().map(copy).collect::<Result<_>>()? })
    }
}

/// Why a stored tensor cannot be the weight of that shape, if it cannot.
fn problem(tensor: &Tensor, shape: &[usize]) -> Result<Option<String>> {
    if !matches!(tensor.dtype(), DType::F32 | DType::F16 | DType::BF16 | DType::F64) {
        return Ok(Some(format!("is of type {:?}; weights are of f32, f16, bf16 or f64", tensor.dtype())));
    }
    if tensor.dims() != shape {
        return Ok(Some(format!("has shape {:?}; the configuration asks for {shape:?}", tensor.dims())));
    }
    // A number that is not finite makes the sum of the magnitudes so; if the sum itself overflows, the weights are none either.
    let total: f32 = tensor.to_dtype(DType::F32)?.abs()?.sum_all()?.to_scalar()?;
    Ok((!total.is_finite()).then(|| "has values that are not finite".to_owned()))
}

/// What a model of `config` is made of. Names are the reference's; a matrix of a linear map is `[out, in]`.
fn layout(config: &TrialConfig, shape: &DataShape) -> Vec<Slot> {
    let width = config.hidden_size;
    let positions = config.prefix_len() + shape.seq_len;
    let embedding_std = 1.0 / (width as f64).sqrt();
    let slot = |name: &str, shape: &[usize], role, start| Slot { name: name.to_owned(), shape: shape.to_vec(), role, start };
    let start = |state: String| slot(&format!("{state}_init"), &[width], Role::Fixed, Start::Normal(1.0));
    let mut slots: Vec<_> = state_names(config).into_iter().map(start).collect();
    slots.push(slot("embed_tokens.embedding_weight", &[shape.vocab_size, width], Role::Trained, Start::Normal(embedding_std)));
    if config.positions() == PosEncodings::Learned {
        slots.push(slot("embed_pos.embedding_weight", &[positions, width], Role::Trained, Start::Normal(embedding_std)));
    }
    if config.puzzle_width() > 0 {
        let table = [shape.puzzle_identifiers, config.puzzle_width()];
        slots.push(slot("puzzle_emb.weights", &table, Role::PuzzleTable, Start::Constant(0.0)));
    }
    slots.push(linear("lm_head", shape.vocab_size, width));
    slots.push(slot("q_head.weight", &[2, width], Role::Trained, Start::Constant(0.0)));
    slots.push(slot("q_head.bias", &[2], Role::Trained, Start::Constant(Q_BIAS)));
    let (latent, answer) = levels(config);
    for level in std::iter::once(latent).chain(answer) {
        slots.extend((0..level.layers).flat_map(|layer| block(&level.layer(layer), config, positions)));
    }
    slots
}

/// The weights of one network.
pub struct Level {
    /// What their names start with.
    name: &'static str,
    /// Blocks.
    pub layers: usize,
}

impl Level {
    /// What the names of one block's weights start with.
    pub fn layer(&self, layer: usize) -> String {
        format!("{}.layers.{layer}", self.name)
    }
}

/// The network for the latent, and the answer's own where it has one. What has no latent is the answer's, in the reference's names.
pub fn levels(config: &TrialConfig) -> (Level, Option<Level>) {
    let level = |name, layers| Level { name, layers };
    match (config.states, config.networks) {
        (States::Direct, _) => (level("H_level", config.layers), None),
        (_, Networks::Shared) => (level("L_level", config.layers), None),
        (_, Networks::Separate) => (level("L_level", config.layers), Some(level("H_level", config.answer_layers()))),
    }
}

fn block(prefix: &str, config: &TrialConfig, positions: usize) -> Vec<Slot> {
    let width = config.hidden_size;
    let mut slots = match config.variant {
        Variant::Mlp => swiglu(&format!("{prefix}.mlp_t"), config, positions).into(),
        Variant::Att => {
            let attention = config.num_heads * config.head_width();
            let qkv = linear(&format!("{prefix}.self_attn.qkv_proj"), 3 * attention, width);
            vec![qkv, linear(&format!("{prefix}.self_attn.o_proj"), width, attention)]
        }
    };
    slots.extend(swiglu(&format!("{prefix}.mlp"), config, width));
    slots
}

fn swiglu(name: &str, config: &TrialConfig, outer: usize) -> [Slot; 2] {
    let inner = inner_size(config, outer);
    [linear(&format!("{name}.gate_up_proj"), 2 * inner, outer), linear(&format!("{name}.down_proj"), outer, inner)]
}

fn linear(name: &str, outputs: usize, inputs: usize) -> Slot {
    Slot {
        name: format!("{name}.weight"),
        shape: vec![outputs, inputs],
        role: Role::Trained,
        start: Start::Normal(1.0 / (inputs as f64).sqrt()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::{Stream, generator};
    use tinysweep_proto::config::size;

    fn shape() -> DataShape {
        DataShape { seq_len: 16, vocab_size: 6, puzzle_identifiers: 3 }
    }

    #[test]
    fn counts_agree_with_the_size_that_the_coordinator_computes() {
        for variant in [Variant::Mlp, Variant::Att] {
            for positions in [None, Some(PosEncodings::Learned)] {
                let config = TrialConfig { variant, pos_encodings: positions, hidden_size: 64, ..TrialConfig::default() };
                let parameters = Parameters::init(&config, &shape(), &mut generator(0, Stream::Weights)).unwrap();
                assert_eq!(parameters.trained_count() as u64, size(&config, &shape()).parameters);
            }
        }
    }

    #[test]
    fn stored_tensors_are_checked_all_at_once() {
        let config = TrialConfig { hidden_size: 32, ..TrialConfig::default() };
        let parameters = Parameters::init(&config, &shape(), &mut generator(0, Stream::Weights)).unwrap();
        let stored: HashMap<_, _> = parameters.entries().iter().map(|entry| (entry.name.clone(), entry.var.as_tensor().clone())).collect();
        let read = |tensors| Parameters::from_tensors(&config, &shape(), tensors);
        assert_eq!(read(stored.clone()).unwrap().trained_count(), parameters.trained_count());

        let mut wrong = stored.clone();
        wrong.remove("lm_head.weight");
        // A message may be followed by a backtrace.
        let refuses = |tensors, message: &str| {
            let error = read(tensors).unwrap_err().to_string();
            assert!(error.starts_with(message), "{error}");
        };
        refuses(wrong.clone(), "tensor `lm_head.weight` is missing; its shape is [6, 32]");
        let zeros = |dtype| Tensor::zeros(3, dtype, &Device::Cpu).unwrap();
        wrong.insert("q_head.bias".into(), zeros(DType::F32));
        wrong.insert("H_init".into(), zeros(DType::U8));
        wrong.insert("L_init".into(), Tensor::full(f32::NAN, 32, &Device::Cpu).unwrap());
        wrong.insert("z".into(), zeros(DType::F32));
        refuses(
            wrong,
            "5 tensors do not fit the configuration:\n  \
             tensor `H_init` is of type U8; weights are of f32, f16, bf16 or f64\n  \
             tensor `L_init` has values that are not finite\n  \
             tensor `lm_head.weight` is missing; its shape is [6, 32]\n  \
             tensor `q_head.bias` has shape [3]; the configuration asks for [2]\n  \
             tensor `z` is none of this model's",
        );
    }

    #[test]
    fn stored_tensors_of_other_precision_are_converted() {
        let config = TrialConfig { hidden_size: 32, ..TrialConfig::default() };
        let parameters = Parameters::init(&config, &shape(), &mut generator(0, Stream::Weights)).unwrap();
        let half = |entry: &Entry| (entry.name.clone(), entry.var.as_tensor().to_dtype(DType::BF16).unwrap());
        let read = Parameters::from_tensors(&config, &shape(), parameters.entries().iter().map(half).collect()).unwrap();
        assert!(read.entries().iter().all(|entry| entry.var.dtype() == DType::F32));
    }
}
