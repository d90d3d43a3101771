//! The files of a recorded run.

use std::{
    collections::HashMap,
    path::{Path, PathBuf},
};

use candle_core::{DType, Device, Tensor};
use serde::Deserialize;
use tinysweep_proto::{
    config::{EvaluationConfig, Loss, PosEncodings, TrainConfig, TrialConfig, Variant},
    dataset::DataShape,
};

use crate::{carry::Row, loss::Label};

/// The label of a position that is not asked, in recordings.
const IGNORED: i64 = -100;

/// Why a recording could not be replayed.
#[derive(Debug, thiserror::Error)]
pub enum ParityError {
    /// A file could not be read.
    #[error("cannot read {path}: {source}")]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A file is not what it should be.
    #[error("{path}: {message}")]
    Malformed {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        message: String,
    },
    /// The recording uses what this implementation does not have; a replay would compare different things.
    #[error("{path}: {message}")]
    Unsupported {
        /// The file.
        path: PathBuf,
        /// What it uses, and what can be replayed.
        message: String,
    },
    /// A tensor operation failed: the recording's parts do not fit each other.
    #[error("the recording's parts do not fit each other: {0}")]
    Tensor(#[from] candle_core::Error),
}

/// `trace.json`.
#[derive(Debug, Deserialize)]
pub struct Trace {
    /// The model's name.
    pub model: String,
    config: ReferenceConfig,
    optim: ReferenceOptim,
    loss_type: String,
    /// How many numbers the main optimiser trains.
    pub trainable_parameters: usize,
    /// One row per training step.
    pub trace: Vec<StepRow>,
    /// One row per supervision step of evaluation.
    #[serde(default)]
    pub eval_steps: Vec<Logged>,
}

/// The reference's own keys and defaults; a key that is not here is an error.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[allow(non_snake_case, reason = "the reference's own key names")]
struct ReferenceConfig {
    batch_size: usize,
    seq_len: usize,
    #[serde(default)]
    puzzle_emb_ndim: usize,
    num_puzzle_identifiers: usize,
    vocab_size: usize,
    H_cycles: usize,
    L_cycles: usize,
    /// The reference reads it and ignores it.
    #[serde(default, rename = "H_layers")]
    _h_layers: usize,
    L_layers: usize,
    hidden_size: usize,
    expansion: f64,
    num_heads: usize,
    pos_encodings: PosEncodings,
    #[serde(default = "default_rms_norm_eps")]
    rms_norm_eps: f64,
    #[serde(default = "default_rope_theta")]
    rope_theta: f64,
    halt_max_steps: usize,
    halt_exploration_prob: f64,
    #[serde(default = "default_forward_dtype")]
    forward_dtype: String,
    #[serde(default)]
    mlp_t: bool,
    #[serde(default = "default_puzzle_emb_len")]
    puzzle_emb_len: usize,
    #[serde(default = "default_no_act_continue")]
    no_ACT_continue: bool,
}

fn default_rms_norm_eps() -> f64 {
    1e-5
}
fn default_rope_theta() -> f64 {
    10_000.0
}
fn default_forward_dtype() -> String {
    "bfloat16".to_owned()
}
fn default_puzzle_emb_len() -> usize {
    16
}
fn default_no_act_continue() -> bool {
    true
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct ReferenceOptim {
    lr: f64,
    weight_decay: f64,
    betas: (f64, f64),
    #[serde(default)]
    puzzle_emb_lr: f64,
    #[serde(default)]
    puzzle_emb_weight_decay: f64,
    lr_warmup_steps: usize,
    total_steps: usize,
    lr_min_ratio: f64,
    #[serde(default)]
    ema_rate: f64,
}

/// One training step, as logged.
#[derive(Debug, Deserialize)]
pub struct StepRow {
    /// Learning rate of the weights.
    pub lr: f64,
    /// Learning rate of the puzzle table.
    pub puzzle_emb_lr: Option<f64>,
    /// Which slots halted.
    pub halted: Vec<bool>,
    /// Supervision steps of each slot's example.
    pub carry_steps: Vec<usize>,
    /// Losses and scores.
    #[serde(flatten)]
    pub logged: Logged,
}

/// Losses, summed over the batch, and scores, summed over the examples that ended.
#[derive(Clone, Copy, Debug, Deserialize)]
pub struct Logged {
    /// What was minimised, before it was divided by the batch size.
    pub loss_sum: f64,
    /// The part of the answer's tokens.
    pub lm_loss: f64,
    /// The part of the halting head, before it is halved.
    pub q_halt_loss: f64,
    /// Examples that ended.
    pub count: f64,
    /// Their token accuracies.
    pub accuracy: f64,
    /// How many of them are right.
    pub exact_accuracy: f64,
    /// How many of them the halting head has judged rightly.
    pub q_halt_accuracy: f64,
    /// The supervision steps that they had.
    pub steps: f64,
}

/// A folder with a recording.
#[derive(Debug)]
pub struct Recording {
    folder: PathBuf,
    /// What `trace.json` says.
    pub trace: Trace,
    /// The configuration, in this program's terms.
    pub config: TrialConfig,
    /// The recording's data.
    pub shape: DataShape,
}

impl Recording {
    /// Reads `trace.json` in `folder`.
    ///
    /// # Errors
    /// When it cannot be read, or says what cannot be replayed.
    pub fn open(folder: &Path) -> Result<Self, ParityError> {
        let path = folder.join("trace.json");
        let text = std::fs::read_to_string(&path).map_err(|source| ParityError::Read { path: path.clone(), source })?;
        let malformed = |error: serde_json::Error| ParityError::Malformed { path: path.clone(), message: error.to_string() };
        // The model decides which keys there are, so it is looked at before them.
        let value: serde_json::Value = serde_json::from_str(&text).map_err(malformed)?;
        let unsupported = |message| ParityError::Unsupported { path: path.clone(), message };
        check_model(value["model"].as_str().unwrap_or_default()).map_err(unsupported)?;
        let trace: Trace = serde_json::from_str(&text).map_err(malformed)?;
        let config = trial_config(&trace).map_err(unsupported)?;
        let shape = DataShape {
            seq_len: trace.config.seq_len,
            vocab_size: trace.config.vocab_size,
            puzzle_identifiers: trace.config.num_puzzle_identifiers,
        };
        Ok(Self { folder: folder.to_owned(), trace, config, shape })
    }

    /// The tensors of one file, by name.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn tensors(&self, file: &str) -> Result<HashMap<String, Tensor>, ParityError> {
        let path = self.folder.join(file);
        let bytes = std::fs::read(&path).map_err(|source| ParityError::Read { path: path.clone(), source })?;
        candle_core::safetensors::load_buffer(&bytes, &Device::Cpu)
            .map_err(|error| ParityError::Malformed { path, message: error.to_string() })
    }

    /// The batch that was offered in each training step, row by row.
    ///
    /// # Errors
    /// When one is missing, of another shape than the configuration says, or has a token outside the vocabulary.
    pub fn batches(&self) -> Result<Vec<Vec<Row>>, ParityError> {
        let tensors = self.tensors("batches.safetensors")?;
        let malformed = |message| ParityError::Malformed { path: self.folder.join("batches.safetensors"), message };
        (1..=self.trace.trace.len()).map(|step| self.batch(&tensors, step).map_err(malformed)).collect()
    }

    fn batch(&self, tensors: &HashMap<String, Tensor>, step: usize) -> Result<Vec<Row>, String> {
        let (batch, seq_len) = (self.config.train.batch_size, self.shape.seq_len);
        let tokens = integers(tensors, &format!("inputs.{step}"), batch * seq_len)?;
        let labels = integers(tensors, &format!("labels.{step}"), batch * seq_len)?;
        let identifiers = integers(tensors, &format!("puzzle_identifiers.{step}"), batch)?;
        let limit = self.shape.vocab_size;
        let rows = tokens.chunks(seq_len).zip(labels.chunks(seq_len)).zip(identifiers);
        rows.map(|((tokens, labels), identifier)| {
            Ok(Row {
                tokens: tokens.iter().map(|&token| below(token, limit, "token")).collect::<Result<_, _>>()?,
                labels: labels.iter().map(|&label| read_label(label, limit)).collect::<Result<_, _>>()?,
                identifier: below(identifier, self.shape.puzzle_identifiers, "puzzle identifier")?,
            })
        })
        .collect()
    }
}

fn read_label(label: i64, vocabulary: usize) -> Result<Label, String> {
    if label == IGNORED { Ok(None) } else { below(label, vocabulary, "label").map(Some) }
}

fn below(value: i64, limit: usize, what: &str) -> Result<u32, String> {
    match u32::try_from(value) {
        Ok(number) if (number as usize) < limit => Ok(number),
        _ => Err(format!("{what} {value} is not from 0 to {}", limit.saturating_sub(1))),
    }
}

fn integers(tensors: &HashMap<String, Tensor>, name: &str, count: usize) -> Result<Vec<i64>, String> {
    let tensor = tensors.get(name).ok_or_else(|| format!("tensor `{name}` is missing"))?;
    if tensor.elem_count() != count {
        return Err(format!("tensor `{name}` has shape {:?}; the configuration asks for {count} numbers", tensor.dims()));
    }
    let values = tensor.flatten_all().and_then(|tensor| tensor.to_dtype(DType::I64)?.to_vec1::<i64>());
    values.map_err(|error| format!("tensor `{name}`: {error}"))
}

/// Whether recordings of this model can be replayed.
fn check_model(name: &str) -> Result<(), String> {
    let variants = ["singlez", "hier"];
    if name.starts_with("trm") && !variants.iter().any(|variant| name.contains(variant)) {
        return Ok(());
    }
    Err(format!("the model is `{name}`; runs of TRM with attention or with mlp_t can be replayed (trm_att, trm_mlp)"))
}

/// The configuration in this program's terms.
fn trial_config(trace: &Trace) -> Result<TrialConfig, String> {
    let (config, optim) = (&trace.config, &trace.optim);
    check_settings(config, trace.trace.len())?;
    let loss = match trace.loss_type.as_str() {
        "stablemax_cross_entropy" => Loss::Stablemax,
        "softmax_cross_entropy" => Loss::Softmax,
        other => return Err(format!("loss_type is `{other}`; stablemax_cross_entropy and softmax_cross_entropy can be replayed")),
    };
    // Without attention there is nothing to rotate; the reference then makes the tables and leaves them.
    let positions = if config.mlp_t && config.pos_encodings == PosEncodings::Rope { PosEncodings::None } else { config.pos_encodings };
    Ok(TrialConfig {
        variant: if config.mlp_t { Variant::Mlp } else { Variant::Att },
        hidden_size: config.hidden_size,
        num_heads: config.num_heads,
        layers: config.L_layers,
        h_cycles: config.H_cycles,
        l_cycles: config.L_cycles,
        halt_max_steps: config.halt_max_steps,
        halt_exploration_prob: config.halt_exploration_prob,
        expansion: config.expansion,
        inner_multiple: 256,
        puzzle_emb_len: config.puzzle_emb_len,
        puzzle_emb_ndim: Some(config.puzzle_emb_ndim),
        pos_encodings: Some(positions),
        rope_theta: config.rope_theta,
        rms_norm_eps: config.rms_norm_eps,
        loss,
        train: TrainConfig {
            steps: optim.total_steps,
            batch_size: config.batch_size,
            lr: optim.lr,
            weight_decay: optim.weight_decay,
            beta1: optim.betas.0,
            beta2: optim.betas.1,
            puzzle_emb_lr: optim.puzzle_emb_lr,
            puzzle_emb_weight_decay: optim.puzzle_emb_weight_decay,
            warmup_steps: optim.lr_warmup_steps,
            lr_min_ratio: optim.lr_min_ratio,
            ema_rate: optim.ema_rate,
            ..TrainConfig::default()
        },
        evaluation: EvaluationConfig { batch_size: config.batch_size, ..EvaluationConfig::default() },
        ..TrialConfig::default()
    })
}

/// Refuses what would make the replay another run than the recording, and sizes that make no model.
fn check_settings(config: &ReferenceConfig, steps: usize) -> Result<(), String> {
    let sizes = [
        ("batch_size", config.batch_size),
        ("seq_len", config.seq_len),
        ("vocab_size", config.vocab_size),
        ("H_cycles", config.H_cycles),
        ("L_layers", config.L_layers),
        ("hidden_size", config.hidden_size),
        ("num_heads", config.num_heads),
        ("halt_max_steps", config.halt_max_steps),
        ("the number of steps in trace", steps),
    ];
    if let Some((name, _)) = sizes.iter().find(|(_, size)| *size == 0) {
        return Err(format!("{name} is 0; it must be at least 1"));
    }
    if config.num_heads > config.hidden_size {
        return Err(format!("num_heads is {}, more than hidden_size {}", config.num_heads, config.hidden_size));
    }
    if !config.mlp_t && config.pos_encodings == PosEncodings::Rope && config.hidden_size / config.num_heads % 2 == 1 {
        return Err(format!("heads are {} wide; rotary positions need an even width", config.hidden_size / config.num_heads));
    }
    if config.halt_exploration_prob != 0.0 {
        return Err(format!("halt_exploration_prob is {}; only 0 can be replayed, since the rest is random", config.halt_exploration_prob));
    }
    if config.forward_dtype != "float32" {
        return Err(format!("forward_dtype is {}; only float32 can be replayed", config.forward_dtype));
    }
    if !config.no_ACT_continue {
        return Err("no_ACT_continue is false; only true can be replayed".into());
    }
    let prefix = if config.puzzle_emb_len == 0 { config.puzzle_emb_ndim.div_ceil(config.hidden_size) } else { config.puzzle_emb_len };
    if config.puzzle_emb_ndim > prefix * config.hidden_size {
        return Err(format!("puzzle_emb_len {prefix} cannot hold puzzle_emb_ndim {}", config.puzzle_emb_ndim));
    }
    Ok(())
}
