//! ARC: one file of tasks for both parts.

use std::path::PathBuf;

use tinysweep_proto::dataset::{Benchmark, DataFile, Dataset, Format};

use super::{ArcRequest, PreparedData, sha256};
use crate::data::arc::{self, Collection};
use crate::data::{DataError, Split, file};

/// Share of test inputs that may be trained on without a word: ARC-AGI-1 itself has 2 of 419.
const TOLERATED_OVERLAP: f64 = 0.01;

/// Reads the tasks that `request` asks for.
///
/// # Errors
/// A file is wrong, or test inputs are trained on.
pub fn prepare(benchmark: &Benchmark, request: &ArcRequest) -> Result<PreparedData, DataError> {
    let name = |path: &PathBuf| path.display().to_string();
    let read = |path: &PathBuf| Ok::<_, DataError>(arc::read(&file::read_text(path)?, &name(path))?);
    let evaluation = (name(&request.evaluation), read(&request.evaluation)?);
    let proxy = !arc::is_official(benchmark.name, &evaluation.1);
    let training = request.training.iter().map(|path| Ok((name(path), read(path)?))).collect::<Result<Vec<_>, DataError>>()?;
    let collection = Collection::new(request.seed, request.augmentations, training, evaluation)?;
    collection.check_answers(&name(&request.evaluation))?;
    let (overlaps, inputs) = (arc::overlaps(&collection), collection.evaluation().iter().map(|task| task.test.len()).sum());
    if let Some(first) = overlaps.first()
        && !request.allow_overlap
        && overlaps.len() as f64 > TOLERATED_OVERLAP * inputs as f64
    {
        return Err(DataError::Overlap { count: overlaps.len(), inputs, first: first.clone() });
    }
    let names: Vec<String> = request.training.iter().chain([&request.evaluation]).map(name).collect();
    let origin = format!(
        "ARC tasks of {}, {} augmentations, seed {}; {} of {inputs} test inputs are also trained on",
        names.join(", "),
        request.augmentations,
        request.seed,
        overlaps.len()
    );
    let text = collection.write();
    let sha256 = sha256(&text);
    let half = |split| {
        let examples = collection.examples(split);
        let (len, rows) = (examples.len() as u64, examples.puzzle_identifiers);
        (DataFile { origin: origin.clone(), format: Format::Arc, sha256: sha256.clone(), bytes: text.len() as u64, examples: len }, rows)
    };
    let ((train, puzzle_identifiers), (test, _)) = (half(Split::Train), half(Split::Test));
    let dataset = Dataset { benchmark: benchmark.name.into(), task: benchmark.task, proxy, puzzle_identifiers, train, test };
    Ok(PreparedData { dataset, train: text.clone(), test: text })
}
