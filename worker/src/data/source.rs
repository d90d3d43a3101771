//! From what a sweep asks for to the data set of its trials, and back on the workers.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};
use tinysweep_proto::dataset::{Benchmark, DataFile, Dataset, Format, Rules, Source, Task};

use super::arc::{self, Collection};
use super::sudoku::{Givens, generate};
use super::{DataError, Examples, Split, csv, file};

/// The data that a sweep asks for.
#[derive(Clone, Debug)]
pub struct DataRequest {
    /// What is measured.
    pub benchmark: &'static Benchmark,
    /// Training puzzles; nothing for the benchmark's own.
    pub train: Option<Part>,
    /// Test puzzles; nothing for the benchmark's own.
    pub test: Option<Part>,
    /// Seed of generated puzzles.
    pub seed: u64,
    /// Givens that generated puzzles aim at; 0 for as few as possible, nothing for [`Givens::standard`].
    pub givens: Option<usize>,
    /// Tasks for a benchmark of ARC, in place of all the above.
    pub arc: Option<ArcRequest>,
}

/// The ARC tasks that a sweep asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ArcRequest {
    /// Files of tasks that are trained on with all their pairs.
    pub training: Vec<PathBuf>,
    /// The file of tasks whose demonstrations are trained on and whose test inputs are measured.
    pub evaluation: PathBuf,
    /// Copies of each task.
    pub augmentations: u32,
    /// Seed of the copies.
    pub seed: u64,
    /// Whether test inputs may be trained on.
    pub allow_overlap: bool,
}

/// Where one half of the data comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Part {
    /// A file of puzzles, plain or in gzip.
    File(PathBuf),
    /// So many generated puzzles.
    Generate(usize),
}

/// A data set and its texts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PreparedData {
    /// What trials know of it.
    pub dataset: Dataset,
    /// The uncompressed training file.
    pub train: Vec<u8>,
    /// The uncompressed test file.
    pub test: Vec<u8>,
}

/// Reads or generates the puzzles that `request` asks for, and checks that no test puzzle is among the training puzzles.
///
/// Results on files are *proxy*: whether they are the benchmark's own cannot be verified.
///
/// # Errors
/// A file is wrong, a part is missing, or the puzzles cannot be generated.
pub fn prepare(request: &DataRequest) -> Result<PreparedData, DataError> {
    if request.benchmark.source == Source::Arc {
        let arc = request.arc.as_ref().ok_or(DataError::NoArc { benchmark: request.benchmark.name })?;
        return prepare_arc(request.benchmark, arc);
    }
    let own = match request.benchmark.source {
        Source::Generated { train, test } => [Some(Part::Generate(train)), Some(Part::Generate(test))],
        Source::Hub { .. } | Source::Arc => [None, None],
    };
    let [own_train, own_test] = own;
    let train = resolve(request, "train", &request.train, own_train)?;
    let test = resolve(request, "test", &request.test, own_test)?;
    let task = request.benchmark.task;
    let (halves, generated) = match (train, test) {
        (Part::Generate(train), Part::Generate(test)) => (generate_halves(request, train, test)?, true),
        (Part::File(train), Part::File(test)) => ([Half::from_file(&train, task)?, Half::from_file(&test, task)?], false),
        (Part::File(_), Part::Generate(_)) => return Err(DataError::Mixed { file_part: "train" }),
        (Part::Generate(_), Part::File(_)) => return Err(DataError::Mixed { file_part: "test" }),
    };
    let [train, test] = halves;
    check_leak(&train, &test)?;
    let proxy = !(generated && matches!(request.benchmark.source, Source::Generated { .. }));
    let dataset = Dataset {
        benchmark: request.benchmark.name.into(),
        task,
        proxy,
        puzzle_identifiers: train.examples.puzzle_identifiers,
        train: train.file,
        test: test.file,
    };
    Ok(PreparedData { dataset, train: train.text, test: test.text })
}

/// Share of test inputs that may be trained on without a word: ARC-AGI-1 itself has 2 of 419.
const TOLERATED_OVERLAP: f64 = 0.01;

fn prepare_arc(benchmark: &Benchmark, request: &ArcRequest) -> Result<PreparedData, DataError> {
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

/// The puzzles of `split` in `text`, which must be the content of `file`. Formats that have a file for each split ignore which one it is.
///
/// # Errors
/// The text is another one, or does not hold puzzles of `task`.
pub fn decode(text: &[u8], file: &DataFile, task: Task, split: Split) -> Result<Examples, DataError> {
    let found = sha256(text);
    if found != file.sha256 {
        return Err(DataError::OtherContent { file: file.origin.clone(), expected: file.sha256.clone(), found });
    }
    let examples = match file.format {
        Format::Arc if task == Task::Arc => Collection::read(text, &file.origin)?.examples(split),
        _ => csv::read(text, &file.origin, task)?,
    };
    if examples.len() as u64 != file.examples {
        return Err(DataError::OtherCount { file: file.origin.clone(), expected: file.examples, found: examples.len() as u64 });
    }
    Ok(examples)
}

fn resolve(request: &DataRequest, part: &'static str, asked: &Option<Part>, own: Option<Part>) -> Result<Part, DataError> {
    asked.clone().or(own).ok_or(DataError::Unspecified { benchmark: request.benchmark.name, part })
}

/// Training or test puzzles.
struct Half {
    file: DataFile,
    text: Vec<u8>,
    examples: Examples,
}

impl Half {
    fn from_file(path: &Path, task: Task) -> Result<Self, DataError> {
        let origin = path.display().to_string();
        let text = file::read_text(path)?;
        let examples = csv::read(&text, &origin, task)?;
        Ok(Self::new(origin, text, examples))
    }

    fn new(origin: String, text: Vec<u8>, examples: Examples) -> Self {
        let file =
            DataFile { origin, format: Format::Csv, sha256: sha256(&text), bytes: text.len() as u64, examples: examples.len() as u64 };
        Self { file, text, examples }
    }

    fn questions(&self) -> impl Iterator<Item = &[u8]> {
        (0..self.examples.rows()).map(|index| self.examples.question(index))
    }
}

fn generate_halves(request: &DataRequest, train: usize, test: usize) -> Result<[Half; 2], DataError> {
    let task = request.benchmark.task;
    let Rules::Sudoku(size) = task.rules() else { return Err(DataError::NoGenerator { task }) };
    let givens = request.givens.map_or(Givens::standard(size), Givens::aim);
    let (train, test) = generate(size, train, test, givens, request.seed)?;
    let half = |part: &str, examples: Examples| {
        let origin = format!("generated {} {part} puzzles, seed {}, givens {givens}", task.name(), request.seed);
        Half::new(origin, csv::write(&examples), examples)
    };
    Ok([half("training", train), half("test", test)])
}

fn sha256(text: &[u8]) -> String {
    tinysweep_proto::hex(&Sha256::digest(text))
}

fn check_leak(train: &Half, test: &Half) -> Result<(), DataError> {
    let mut train_rows = HashMap::new();
    for (question, row) in train.questions().zip(1..) {
        train_rows.entry(question).or_insert(row);
    }
    for (question, test_row) in test.questions().zip(1..) {
        if let Some(&train_row) = train_rows.get(question) {
            let (train, test) = (train.file.origin.clone(), test.file.origin.clone());
            return Err(DataError::Leak { train, train_row, test, test_row });
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use tinysweep_proto::dataset::benchmark;

    use super::*;

    fn request(name: &str, train: Option<Part>, test: Option<Part>) -> DataRequest {
        DataRequest { benchmark: benchmark(name).unwrap(), train, test, seed: 1, givens: None, arc: None }
    }

    fn message(request: &DataRequest) -> String {
        prepare(request).unwrap_err().to_string()
    }

    /// Two files of 4×4 puzzles in `folder`, with columns of their own.
    fn write_files(folder: &Path) -> [PathBuf; 2] {
        let train = folder.join("train.csv");
        let test = folder.join("test.csv");
        std::fs::write(&train, "rating,question,answer\n1,1...............,1234341221434321\n2,..34..1.214..32.,1234341221434321\n")
            .unwrap();
        std::fs::write(&test, "question,answer\n.2..............,1234341221434321\n").unwrap();
        [train, test]
    }

    #[test]
    fn a_generated_benchmark_needs_no_files() {
        let data = prepare(&request("sudoku-4x4", None, Some(Part::Generate(20)))).unwrap();
        let Dataset { benchmark, task, proxy, train, test, .. } = &data.dataset;
        assert_eq!((benchmark.as_str(), *task, *proxy), ("sudoku-4x4", Task::Sudoku4x4, false));
        assert_eq!((train.examples, test.examples), (1000, 20));
        assert_eq!(train.origin, "generated sudoku-4x4 training puzzles, seed 1, givens 5 to 9");
        assert_eq!((test.bytes as usize, &test.sha256), (data.test.len(), &sha256(&data.test)));
        assert_eq!(decode(&data.train, train, *task, Split::Train).unwrap().len(), 1000);
        assert_eq!(prepare(&request("sudoku-4x4", None, Some(Part::Generate(20)))).unwrap(), data);
    }

    #[test]
    fn files_are_kept_as_they_are_and_are_proxy() {
        let folder = tempfile::tempdir().unwrap();
        let [train, test] = write_files(folder.path());
        let data = prepare(&request("sudoku-4x4", Some(Part::File(train.clone())), Some(Part::File(test)))).unwrap();
        assert_eq!(data.train, std::fs::read(&train).unwrap());
        assert!(data.dataset.proxy);
        let DataFile { origin, bytes, examples, .. } = &data.dataset.train;
        assert_eq!((origin, *bytes as usize, *examples), (&train.display().to_string(), data.train.len(), 2));
    }

    #[test]
    fn generated_puzzles_stand_in_for_sudoku_extreme_as_proxy() {
        let mut request = request("sudoku-extreme", Some(Part::Generate(2)), Some(Part::Generate(2)));
        request.givens = Some(30);
        let data = prepare(&request).unwrap();
        assert!(data.dataset.proxy);
        assert_eq!(data.dataset.test.origin, "generated sudoku-9x9 test puzzles, seed 1, givens 30");
    }

    #[test]
    fn what_is_missing_or_mixed_is_refused() {
        let file = || Some(Part::File("a.csv".into()));
        assert_eq!(
            message(&request("sudoku-extreme", file(), None)),
            "benchmark sudoku-extreme has no puzzles of its own: `test` must name a file, or a number of puzzles to generate in their place"
        );
        let mixed = "is a file, but the other part is generated and could share its solutions; name files for both or for neither";
        assert_eq!(message(&request("sudoku-4x4", file(), None)), format!("`train` {mixed}"));
        assert_eq!(message(&request("sudoku-4x4", Some(Part::Generate(1)), file())), format!("`test` {mixed}"));
    }

    #[test]
    fn a_test_puzzle_that_is_trained_on_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let [train, test] = write_files(folder.path());
        let mut text = std::fs::read_to_string(&test).unwrap();
        // The same question as in the second training row, written otherwise.
        text.push_str("0034001021400320,1234341221434321\n");
        std::fs::write(&test, text).unwrap();
        let expected = format!(
            "row 2 of {} asks the same question as row 2 of {}; a test puzzle must not be trained on",
            test.display(),
            train.display()
        );
        assert_eq!(message(&request("sudoku-4x4", Some(Part::File(train)), Some(Part::File(test)))), expected);
    }

    #[test]
    fn other_texts_than_announced_are_refused() {
        let data = prepare(&request("sudoku-4x4", Some(Part::Generate(3)), Some(Part::Generate(2)))).unwrap();
        let Dataset { task, train, test, .. } = data.dataset;
        let (origin, ours, theirs) = (&train.origin, &train.sha256, &test.sha256);
        assert_eq!(
            decode(&data.test, &train, task, Split::Train).unwrap_err().to_string(),
            format!("{origin}: SHA-256 is {theirs}, but {ours} was announced; the data were damaged or exchanged")
        );
        let more = DataFile { examples: 4, ..train.clone() };
        assert_eq!(
            decode(&data.train, &more, task, Split::Train).unwrap_err().to_string(),
            format!("{origin}: 3 puzzles, but 4 were announced")
        );
    }
}
