//! Makes a checkpoint of ours of one from elsewhere: weights of the published reference, as PyTorch or safetensors keep them.

use std::{
    collections::HashMap,
    io::Read,
    path::{Path, PathBuf},
};

use candle_core::{Device, Tensor};
use tinysweep_proto::{
    config::{TrialConfig, check},
    dataset::Task,
};

use super::{Checkpoint, CheckpointError, message, pytorch, read_limited, settings, shapes};
use crate::model::{Model, Parameters};

/// What the reference keeps beside its checkpoints.
const REFERENCE_CONFIG: &str = "all_config.yaml";

/// What stands before each name: the wrapper of torch.compile, the loss head, the model's own wrapper. Each may be missing.
const PREFIXES: [&str; 3] = ["_orig_mod.", "model.", "inner."];

/// What becomes of a puzzle table that has another number of rows than the task.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PuzzleTable {
    /// It is an error.
    Keep,
    /// Each row is the mean of its rows, as in the reference.
    Mean,
}

/// Where a checkpoint is, and what its files do not tell.
#[derive(Clone, Debug)]
pub struct ImportRequest {
    /// The weights: a PyTorch or a safetensors file.
    pub weights: PathBuf,
    /// The configuration: the reference's, or hyper-parameters by name. Else `all_config.yaml` beside the weights, if it is there.
    pub config: Option<PathBuf>,
    /// What the model was trained on, if the shapes do not tell.
    pub task: Option<Task>,
    /// What becomes of a puzzle table of another size.
    pub puzzle_table: PuzzleTable,
}

/// A checkpoint that was read, and how.
#[derive(Debug)]
pub struct Imported {
    /// The model.
    pub checkpoint: Checkpoint,
    /// What was taken from where, a line each.
    pub notes: Vec<String>,
}

/// Reads a checkpoint from elsewhere.
///
/// # Errors
/// When a file cannot be read or is not what it should be; names every tensor that does not fit.
pub fn import(request: &ImportRequest) -> Result<Imported, CheckpointError> {
    let malformed = |message| CheckpointError::Malformed { path: request.weights.clone(), message };
    let mut notes = Vec::new();
    let mut tensors = without_prefix(read_tensors(&request.weights)?, &mut notes);
    if !shapes::has_network(&tensors) {
        return Err(malformed(format!("has no network under the reference's names (L_level.layers.0.…); it has {}", some_names(&tensors))));
    }
    let inferred = shapes::settings(&tensors);
    let told = match config_file(request) {
        Some(path) => {
            notes.push(format!("configuration from {}", path.display()));
            settings::read(&path)?
        }
        None => Vec::new(),
    };
    notes.extend(sources(&inferred, &told));
    let config = settings::apply(TrialConfig::default(), &inferred).and_then(|config| settings::apply(config, &told)).map_err(malformed)?;
    if let Some(error) = check(&config).first() {
        return Err(malformed(format!("{error}; a configuration file may say")));
    }
    let task = match request.task {
        Some(task) => task,
        None => {
            let task = shapes::task(&tensors, config.prefix_len()).map_err(malformed)?;
            notes.push(format!("task {} by its shapes", task.name()));
            task
        }
    };
    // A row each for ARC's copies, as many as there were; the puzzles of the other tasks share one.
    let own_rows = if task == Task::Arc { shapes::table_rows(&tensors) } else { None };
    let shape = task.shape(own_rows.unwrap_or(1));
    let rows = shapes::table_rows(&tensors).filter(|rows| *rows != shape.puzzle_identifiers);
    match (rows, request.puzzle_table) {
        (None, _) => {}
        (Some(found), PuzzleTable::Keep) => {
            let needed = shape.puzzle_identifiers;
            return Err(malformed(format!(
                "the puzzle table has {found} rows, but {} has {needed}; ask for their mean (`--puzzle-table mean`) to replace it",
                task.name()
            )));
        }
        (Some(found), PuzzleTable::Mean) => {
            average_table(&mut tensors, shape.puzzle_identifiers).map_err(|error| malformed(message(error)))?;
            notes.push(format!("puzzle table of {found} rows replaced by {} times their mean", shape.puzzle_identifiers));
        }
    }
    let model = Parameters::from_tensors(&config, &shape, tensors)
        .and_then(|parameters| Model::new(&config, shape, parameters))
        .map_err(|error| malformed(message(error)))?;
    Ok(Imported { checkpoint: Checkpoint { task, model }, notes })
}

/// The tensors of a file, whichever of the two kinds it is.
fn read_tensors(path: &Path) -> Result<HashMap<String, Tensor>, CheckpointError> {
    let failed = |source| CheckpointError::Read { path: path.to_owned(), source };
    let malformed = |message: String| CheckpointError::Malformed { path: path.to_owned(), message };
    let mut start = Vec::new();
    std::fs::File::open(path).and_then(|file| file.take(16).read_to_end(&mut start)).map_err(failed)?;
    if start.starts_with(pytorch::ZIP_MAGIC) {
        return pytorch::read(path);
    }
    if start.starts_with(pytorch::OLD_MAGIC) {
        let message = "is in the format of PyTorch before 1.6; load it once in a later PyTorch and torch.save its state_dict() again";
        return Err(malformed(message.into()));
    }
    let bytes = read_limited(path, u64::MAX - 1)?;
    candle_core::safetensors::load_buffer(&bytes, &Device::Cpu)
        .map_err(|error| malformed(format!("is neither a PyTorch checkpoint (a zip archive) nor safetensors: {}", message(error))))
}

/// The tensors under the names that are within the model: without what all of them begin with.
fn without_prefix(mut tensors: HashMap<String, Tensor>, notes: &mut Vec<String>) -> HashMap<String, Tensor> {
    let mut found = String::new();
    for prefix in PREFIXES {
        if !tensors.is_empty() && tensors.keys().all(|name| name.starts_with(prefix)) {
            tensors = tensors.into_iter().map(|(name, tensor)| (name[prefix.len()..].to_owned(), tensor)).collect();
            found += prefix;
        }
    }
    if !found.is_empty() {
        notes.push(format!("prefix {found} taken from all names"));
    }
    tensors
}

/// Some names, for a message.
fn some_names(tensors: &HashMap<String, Tensor>) -> String {
    const SHOWN: usize = 5;
    let mut names: Vec<_> = tensors.keys().map(|name| format!("`{}`", name.escape_debug())).collect();
    names.sort();
    let more = names.len().saturating_sub(SHOWN);
    names.truncate(SHOWN);
    match (names.is_empty(), more) {
        (true, _) => "no tensor".into(),
        (_, 0) => names.join(", "),
        (_, more) => format!("{} and {more} more", names.join(", ")),
    }
}

fn config_file(request: &ImportRequest) -> Option<PathBuf> {
    request.config.clone().or_else(|| {
        let beside = request.weights.with_file_name(REFERENCE_CONFIG);
        beside.is_file().then_some(beside)
    })
}

/// What nobody can see in the weights, and the shapes do not tell.
const UNSEEN: [&str; 7] = ["num_heads", "h_cycles", "l_cycles", "halt_max_steps", "puzzle_emb_len", "rope_theta", "loss"];

fn sources(inferred: &[settings::Setting], told: &[settings::Setting]) -> Vec<String> {
    let is_told = |path: &str| told.iter().any(|(known, _)| *known == path);
    let shown = |(path, value): &settings::Setting| format!("{path} {value}");
    let by_shape: Vec<_> = inferred.iter().filter(|(path, _)| !is_told(path)).map(shown).collect();
    let assumed: Vec<_> = UNSEEN.into_iter().filter(|path| !is_told(path)).collect();
    let mut notes = Vec::new();
    if !by_shape.is_empty() {
        notes.push(format!("by the shapes: {}", by_shape.join(", ")));
    }
    if !assumed.is_empty() {
        notes.push(format!("as published, since nothing says otherwise: {}", assumed.join(", ")));
    }
    notes
}

fn average_table(tensors: &mut HashMap<String, Tensor>, rows: usize) -> candle_core::Result<()> {
    if let Some(table) = tensors.get_mut(shapes::PUZZLE_TABLE) {
        let (_, width) = table.dims2()?;
        *table = table.mean_keepdim(0)?.broadcast_as((rows, width))?.contiguous()?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::slices;

    fn fixture(name: &str) -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/pytorch").join(name)
    }

    fn request(weights: PathBuf) -> ImportRequest {
        ImportRequest { weights, config: None, task: Some(Task::Sudoku4x4), puzzle_table: PuzzleTable::Mean }
    }

    /// Number `i` of a weight in the fixtures.
    fn weight(name: &str, i: usize) -> f32 {
        (((i + name.len()) * 37 % 101) as f64 - 50.0) as f32 / 400.0
    }

    #[test]
    fn a_checkpoint_of_the_reference_becomes_ours() {
        let Imported { checkpoint, notes } = import(&request(fixture("model/step_10"))).unwrap();
        let config = checkpoint.model.config();
        assert_eq!((config.num_heads, config.h_cycles, config.halt_max_steps), (2, 2, 4));
        for entry in checkpoint.model.parameters().entries() {
            if matches!(entry.name.as_str(), "H_init" | "L_init" | shapes::PUZZLE_TABLE) {
                continue;
            }
            let values = slices::read(&entry.var, <[f32]>::to_vec).unwrap();
            let expected: Vec<_> = (0..values.len()).map(|i| weight(&entry.name, i)).collect();
            assert_eq!(values, expected, "{}", entry.name);
        }
        assert!(notes.contains(&"prefix _orig_mod.model.inner. taken from all names".to_owned()), "{notes:?}");
        assert!(notes.contains(&"puzzle table of 3 rows replaced by 1 times their mean".to_owned()), "{notes:?}");

        let folder = tempfile::tempdir().unwrap();
        super::super::save(folder.path(), &checkpoint.model, config, checkpoint.task).unwrap();
        assert_eq!(super::super::load(folder.path()).unwrap().model.config(), config);
    }

    #[test]
    fn a_table_of_another_size_is_refused_unless_the_mean_is_asked_for() {
        let keep = ImportRequest { puzzle_table: PuzzleTable::Keep, ..request(fixture("model/step_10")) };
        let message = import(&keep).unwrap_err().to_string();
        assert!(message.contains("the puzzle table has 3 rows, but sudoku-4x4 has 1; ask for their mean"), "{message}");
    }

    #[test]
    fn without_a_configuration_the_shapes_tell_what_they_can() {
        let folder = tempfile::tempdir().unwrap();
        let alone = folder.path().join("weights.pt");
        std::fs::copy(fixture("model/step_10"), &alone).unwrap();
        let message = import(&request(alone.clone())).unwrap_err().to_string();
        assert!(
            message.ends_with("num_heads: gives heads 1 wide; rotary positions need an even width; a configuration file may say"),
            "{message}"
        );

        let settings = folder.path().join("settings.yaml");
        let with = |text: &str| {
            std::fs::write(&settings, text).unwrap();
            import(&ImportRequest { config: Some(settings.clone()), ..request(alone.clone()) })
        };
        let imported = with("num_heads: 4\npuzzle_emb_len: 2").unwrap();
        let config = imported.checkpoint.model.config();
        assert_eq!((config.hidden_size, config.layers, config.num_heads, config.puzzle_width()), (8, 1, 4, 8));
        assert!(imported.notes.iter().any(|note| note == "by the shapes: hidden_size 8, layers 1, variant \"att\", puzzle_emb_ndim 8"));
        let assumed = "as published, since nothing says otherwise: h_cycles, l_cycles, halt_max_steps, rope_theta, loss";
        assert!(imported.notes.iter().any(|note| note == assumed), "{:?}", imported.notes);
        let message = with("num_heads: 4\nlayers: 2").unwrap_err().to_string();
        assert!(message.contains("4 tensors do not fit the configuration"), "{message}");
    }

    #[test]
    fn tensors_of_something_else_are_named() {
        let message = import(&request(fixture("views_f32.pt"))).unwrap_err().to_string();
        assert!(message.ends_with("it has `parameter`, `plain`, `scalar`, `slice`, `transposed`"), "{message}");
    }

    #[test]
    fn files_of_other_kinds_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("a.pt");
        for (bytes, message) in [
            (pytorch::OLD_MAGIC, "is in the format of PyTorch before 1.6"),
            (b"PK\x03\x04", "is no whole zip archive"),
            (b"", "is neither a PyTorch checkpoint (a zip archive) nor safetensors"),
            (b"\xff\xff\xff\xff\xff\xff\xff\x7f{}", "is neither a PyTorch checkpoint (a zip archive) nor safetensors"),
        ] {
            std::fs::write(&file, bytes).unwrap();
            let error = import(&request(file.clone())).unwrap_err().to_string();
            assert!(error.contains(message), "{error}");
        }
        assert!(matches!(import(&request(folder.path().to_owned())), Err(CheckpointError::Read { .. })));
    }

    #[test]
    fn the_same_weights_are_read_from_safetensors() {
        let imported = import(&request(fixture("model/step_10"))).unwrap();
        let folder = tempfile::tempdir().unwrap();
        super::super::save(folder.path(), &imported.checkpoint.model, imported.checkpoint.model.config(), Task::Sudoku4x4).unwrap();
        let config = Some(fixture("model/all_config.yaml"));
        let again = import(&ImportRequest { config, ..request(folder.path().join("model.safetensors")) }).unwrap();
        assert_eq!(again.checkpoint.model.config(), imported.checkpoint.model.config());
    }
}
