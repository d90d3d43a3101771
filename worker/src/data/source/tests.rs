//! What is asked for is had, and what must not be is refused.

use tinysweep_proto::dataset::{Sudoku, benchmark};

use std::path::Path;

use super::*;
use crate::data::sudoku::{self, Givens};
use crate::data::{copies, reference_format};

fn request(name: &str, train: Option<Part>, test: Option<Part>) -> DataRequest {
    DataRequest {
        benchmark: benchmark(name).unwrap(),
        train,
        test,
        seed: 1,
        givens: None,
        ratings: Ratings::ANY,
        official: Vec::new(),
        arc: None,
    }
}

fn message(request: &DataRequest) -> String {
    prepare(request).unwrap_err().to_string()
}

/// Two files of 4×4 puzzles in `folder`, with columns of their own.
fn write_files(folder: &Path) -> [PathBuf; 2] {
    let train = folder.join("train.csv");
    let test = folder.join("test.csv");
    std::fs::write(&train, "rating,question,answer\n1,1.34..1.214..32.,1234341221434321\n2,..34..1.214..32.,1234341221434321\n").unwrap();
    std::fs::write(&test, "question,answer\n.234..1.214..32.,1234341221434321\n").unwrap();
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
    let expected =
        format!("row 2 of {} asks the same question as row 2 of {}; a test puzzle must not be trained on", test.display(), train.display());
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

#[test]
fn mazes_are_generated_and_stand_in_for_maze_hard() {
    let data = prepare(&request("maze-10", Some(Part::Generate(4)), Some(Part::Generate(2)))).unwrap();
    assert!(!data.dataset.proxy);
    assert_eq!(data.dataset.train.origin, "generated maze-10 training puzzles, seed 1");
    let Dataset { train, task, .. } = &data.dataset;
    assert_eq!(decode(&data.train, train, *task, Split::Train).unwrap().tags.ratings.len(), 4);
}

#[test]
fn the_official_files_are_not_proxy_and_rows_are_drawn_by_the_seed() {
    let folder = tempfile::tempdir().unwrap();
    let generated = prepare(&request("sudoku-4x4", Some(Part::Generate(20)), Some(Part::Generate(10)))).unwrap();
    let (train, test) = (folder.path().join("train.csv"), folder.path().join("test.csv"));
    std::fs::write(&train, &generated.train).unwrap();
    std::fs::write(&test, &generated.test).unwrap();
    let draw = |rows| Some(Part::Draw { file: train.clone(), rows });
    let mut drawing = request("sudoku-4x4", draw(5), Some(Part::File(test.clone())));
    drawing.official = vec![sha256(&generated.train)];
    assert!(prepare(&drawing).unwrap().dataset.proxy);
    drawing.official.push(sha256(&generated.test));
    let data = prepare(&drawing).unwrap();
    assert!(!data.dataset.proxy);
    assert_eq!((data.dataset.train.examples, prepare(&drawing).unwrap()), (5, data.clone()));
    assert_eq!(data.dataset.train.origin, format!("5 rows of {}, drawn by seed 1", train.display()));
    drawing.seed = 2;
    assert_ne!(prepare(&drawing).unwrap().train, data.train);
    drawing.train = draw(21);
    assert_eq!(message(&drawing), format!("{}: 21 rows are to be drawn, but there are 20", train.display()));
}

#[test]
fn folders_of_the_reference_travel_as_arrays() {
    let folder = tempfile::tempdir().unwrap();
    let (train, test) = sudoku::generate(Sudoku::Grid4x4, 6, 3, Givens::aim(8), 1).unwrap();
    let parts = [("train", copies::augmented(&train, 2, 1)), ("test", test)].map(|(name, examples)| {
        let path = folder.path().join(name);
        reference_format::write_split(&path, &examples).unwrap();
        (path, examples)
    });
    let [(train_path, train), (test_path, _)] = parts;
    let data = prepare(&request("sudoku-4x4", Some(Part::File(train_path.clone())), Some(Part::File(test_path)))).unwrap();
    assert_eq!((data.dataset.train.format, data.dataset.train.examples, data.dataset.proxy), (Format::Arrays, 18, true));
    assert_eq!(decode(&data.train, &data.dataset.train, Task::Sudoku4x4, Split::Train).unwrap(), train);
}

#[test]
fn several_solutions_and_symmetric_copies_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let [train, test] = write_files(folder.path());
    std::fs::write(&test, "question,answer\n1...............,1234341221434321\n").unwrap();
    let files = request("sudoku-4x4", Some(Part::File(train)), Some(Part::File(test.clone())));
    assert_eq!(message(&files), format!("{}: row 1: question has several solutions; a puzzle has one", test.display()));
    let (examples, _) = sudoku::generate(Sudoku::Grid9x9, 2, 1, Givens::aim(30), 1).unwrap();
    let copies = copies::augmented(&examples, 1, 1);
    let (train, test) = (folder.path().join("train9.csv"), folder.path().join("test9.csv"));
    std::fs::write(&train, csv::write(&examples)).unwrap();
    let row = |row: usize| Examples::plain(Task::Sudoku9x9, copies.question(row).to_vec(), copies.answer(row).to_vec());
    std::fs::write(&test, csv::write(&row(3))).unwrap();
    let files = request("sudoku-extreme", Some(Part::File(train)), Some(Part::File(test)));
    assert!(message(&files).contains("with digits renamed and lines permuted"), "{}", message(&files));
}
