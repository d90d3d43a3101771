//! A trained model on disk: a folder with `model.safetensors` under the reference's tensor names, and `config.json`.
//!
//! [`import`] reads what others have written: PyTorch files, without executing anything, and their configuration.

mod import;
mod pickle;
pub mod pytorch;
mod saving;
pub mod settings;
mod shapes;
mod view;

pub use import::{ImportRequest, Imported, PuzzleTable, import};
pub use saving::Saving;

use std::{
    io::{Read, Write},
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};
use tinysweep_proto::{
    config::{TrialConfig, check, size},
    dataset::{DataShape, Task},
};

use crate::model::{Model, Parameters};

/// The weights.
const WEIGHTS: &str = "model.safetensors";
/// What they are weights of.
const DESCRIPTION: &str = "config.json";
/// The most bytes that the description may have.
const DESCRIPTION_LIMIT: u64 = 1 << 20;

/// Why a checkpoint could not be kept or read.
#[derive(Debug, thiserror::Error)]
pub enum CheckpointError {
    /// A file could not be written.
    #[error("cannot write {path}: {source}")]
    Write {
        /// The file.
        path: PathBuf,
        /// Why, as when the disk is full.
        source: std::io::Error,
    },
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
}

/// `config.json`.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Description {
    task: Task,
    /// Rows of the puzzle table.
    puzzle_identifiers: usize,
    config: TrialConfig,
}

/// A checkpoint that was read.
#[derive(Debug)]
pub struct Checkpoint {
    /// What the model was trained on.
    pub task: Task,
    /// The model, with the weights of the checkpoint.
    pub model: Model,
}

/// Writes `model` into the folder `dir`, which is made if need be. Each file is there whole or not at all, also after a power cut; the
/// description comes last, so a folder that has one is complete.
///
/// # Errors
/// When a file cannot be written.
pub fn save(dir: &Path, model: &Model, config: &TrialConfig, task: Task) -> Result<(), CheckpointError> {
    Saving::begin(dir, model)?.finish(config, task)
}

/// Reads the checkpoint in the folder `dir`.
///
/// # Errors
/// When a file cannot be read, or the weights are not those of the configuration beside them.
pub fn load(dir: &Path) -> Result<Checkpoint, CheckpointError> {
    let path = dir.join(DESCRIPTION);
    let malformed = |path: &Path, message: String| CheckpointError::Malformed { path: path.to_owned(), message };
    let description: Description =
        serde_json::from_slice(&read_limited(&path, DESCRIPTION_LIMIT)?).map_err(|error| malformed(&path, error.to_string()))?;
    if let Some(error) = check(&description.config).first() {
        return Err(malformed(&path, error.to_string()));
    }
    let (config, shape) = (&description.config, description.task.shape(description.puzzle_identifiers));
    let path = dir.join(WEIGHTS);
    let bytes = read_limited(&path, weights_limit(config, &shape))?;
    let model = model_of(config, shape, &bytes).map_err(|message| malformed(&path, message))?;
    Ok(Checkpoint { task: description.task, model })
}

/// The model of `config` whose weights are the safetensors file `bytes`.
///
/// # Errors
/// Why they are no such file; names every tensor that does not fit.
pub fn model_of(config: &TrialConfig, shape: DataShape, bytes: &[u8]) -> Result<Model, String> {
    candle_core::safetensors::load_buffer(bytes, &candle_core::Device::Cpu)
        .and_then(|tensors| Model::new(config, shape, Parameters::from_tensors(config, &shape, tensors)?))
        .map_err(message)
}

/// What an operation on tensors says, without the backtrace that it may carry: the file is wrong, not the program.
fn message(error: candle_core::Error) -> String {
    match error {
        candle_core::Error::WithBacktrace { inner, .. } => message(*inner),
        error => error.to_string(),
    }
}

/// The most bytes that the weights of a configuration can have: eight for each number, and a header.
fn weights_limit(config: &TrialConfig, shape: &DataShape) -> u64 {
    const HEADER: u64 = 1 << 20;
    let table = (shape.puzzle_identifiers as u64).saturating_mul(config.puzzle_width() as u64);
    let fixed = 2 * config.hidden_size as u64;
    size(config, shape).parameters.saturating_add(table).saturating_add(fixed).saturating_mul(8).saturating_add(HEADER)
}

/// The bytes of the file at `path`, of which there may be `limit`.
fn read_limited(path: &Path, limit: u64) -> Result<Vec<u8>, CheckpointError> {
    let mut bytes = Vec::new();
    std::fs::File::open(path)
        .and_then(|file| file.take(limit.saturating_add(1)).read_to_end(&mut bytes))
        .map_err(|source| CheckpointError::Read { path: path.to_owned(), source })?;
    if bytes.len() as u64 > limit {
        return Err(CheckpointError::Malformed {
            path: path.to_owned(),
            message: format!("has more than {limit} bytes, the most it can need"),
        });
    }
    Ok(bytes)
}

/// Replaces the file at `path` by `bytes`, at once: they go to a file beside it first, which then takes its name.
fn write(path: &Path, bytes: &[u8]) -> Result<(), CheckpointError> {
    let replace = || {
        let folder = path.parent().unwrap_or(Path::new("."));
        let mut file = tempfile::NamedTempFile::new_in(folder)?;
        file.write_all(bytes)?;
        file.as_file().sync_all()?;
        file.persist(path).map_err(|error| error.error)?;
        // The new name is only durable once the folder is.
        std::fs::File::open(folder)?.sync_all()
    };
    replace().map_err(|source| CheckpointError::Write { path: path.to_owned(), source })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        kernels::slices,
        random::{Stream, generator},
    };

    fn small() -> (Model, TrialConfig) {
        let config = TrialConfig { hidden_size: 16, layers: 1, inner_multiple: 8, ..TrialConfig::default() };
        (Model::init(&config, Task::Sudoku4x4.shape(1), &mut generator(5, Stream::Weights)).unwrap(), config)
    }

    #[test]
    fn what_is_saved_loads_the_same() {
        let dir = tempfile::tempdir().unwrap();
        let (model, config) = small();
        let folder = dir.path().join("a/b");
        save(&folder, &model, &config, Task::Sudoku4x4).unwrap();
        let loaded = load(&folder).unwrap();
        assert_eq!((loaded.task, loaded.model.config()), (Task::Sudoku4x4, &config));
        for (ours, theirs) in model.parameters().entries().iter().zip(loaded.model.parameters().entries()) {
            let values = |var| slices::read(var, <[f32]>::to_vec).unwrap();
            assert_eq!((&ours.name, values(&ours.var)), (&theirs.name, values(&theirs.var)));
        }
        assert_eq!(std::fs::read_dir(&folder).unwrap().count(), 2, "no temporary file stays");
    }

    #[test]
    fn errors_name_the_file() {
        let dir = tempfile::tempdir().unwrap();
        let (model, config) = small();
        assert!(load(dir.path()).unwrap_err().to_string().contains("config.json"));
        save(dir.path(), &model, &config, Task::Sudoku4x4).unwrap();
        for wrong in [b"short".to_vec(), vec![b' '; 2 << 20], b"\x02\0\0\0\0\0\0\0{}extra".to_vec(), vec![0xff; 64]] {
            std::fs::write(dir.path().join(WEIGHTS), wrong).unwrap();
            assert!(load(dir.path()).unwrap_err().to_string().contains("model.safetensors"));
        }
        std::fs::write(dir.path().join(WEIGHTS), b"short").unwrap();
        assert!(load(dir.path()).unwrap_err().to_string().contains("model.safetensors"));
        std::fs::write(dir.path().join("file"), b"").unwrap();
        assert!(save(&dir.path().join("file"), &model, &config, Task::Sudoku4x4).unwrap_err().to_string().contains("file"));
    }

    #[test]
    fn weights_of_another_configuration_are_refused() {
        let dir = tempfile::tempdir().unwrap();
        let (model, config) = small();
        save(dir.path(), &model, &TrialConfig { layers: 2, ..config }, Task::Sudoku4x4).unwrap();
        assert!(load(dir.path()).unwrap_err().to_string().contains("L_level.layers.1"));
    }
}
