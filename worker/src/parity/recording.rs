//! The files of a recorded run.

use std::{
    collections::HashMap,
    io::ErrorKind,
    path::{Path, PathBuf},
};

use candle_core::{DType, Device, Tensor};
use tinysweep_proto::{config::TrialConfig, dataset::DataShape};

use super::{reference::trial_config, trace::Trace};
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
        let trace: Trace =
            serde_json::from_str(&text).map_err(|error| ParityError::Malformed { path: path.clone(), message: error.to_string() })?;
        let config = trial_config(&trace).map_err(|message| ParityError::Unsupported { path, message })?;
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

    /// The moving average of the weights at the end; nothing where none was kept, and so none recorded.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn averages(&self) -> Result<HashMap<String, Tensor>, ParityError> {
        match self.tensors("final_ema.safetensors") {
            Err(ParityError::Read { source, .. }) if self.config.train.ema_rate == 0.0 && source.kind() == ErrorKind::NotFound => {
                Ok(HashMap::new())
            }
            read => read,
        }
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
        let name = format!("puzzle_identifiers.{step}");
        let without_table = self.config.puzzle_width() == 0 && !tensors.contains_key(&name);
        let identifiers = if without_table { vec![0; batch] } else { integers(tensors, &name, batch)? };
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
