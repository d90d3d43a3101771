//! What is written is read, and a folder that lies is refused.

use std::fs;
use std::path::Path;

use tinysweep_proto::dataset::{Sudoku, Task};

use super::*;
use crate::data::copies::augmented;
use crate::data::sudoku::{Givens, generate};

const TASK: Task = Task::Sudoku4x4;

fn folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let (train, _) = generate(Sudoku::Grid4x4, 3, 1, Givens::aim(8), 1).unwrap();
    write_split(folder.path(), &augmented(&train, 2, 5)).unwrap();
    folder
}

fn problem(folder: &Path) -> String {
    read(folder, TASK).unwrap_err().to_string().replace(&folder.display().to_string(), "DIR")
}

#[test]
fn groups_of_copies_come_back() {
    let folder = folder();
    let examples = read(folder.path(), TASK).unwrap();
    assert_eq!((examples.group_count(), examples.puzzles.len(), examples.rows()), (3, 9, 9));
    let again = tempfile::tempdir().unwrap();
    write_split(again.path(), &examples).unwrap();
    for entry in fs::read_dir(folder.path()).unwrap().map(Result::unwrap) {
        assert_eq!(fs::read(entry.path()).unwrap(), fs::read(again.path().join(entry.file_name())).unwrap());
    }
    write_identifiers(again.path(), &["<blank>".into()]).unwrap();
    assert_eq!(fs::read(again.path().join("identifiers.json")).unwrap(), b"[\"<blank>\"]");
}

#[test]
fn metadata_must_fit_the_task_and_the_arrays() {
    let folder = folder();
    let path = folder.path().join("dataset.json");
    let right = fs::read_to_string(&path).unwrap();
    let cases = [
        ("\"pad_id\":0", "\"pad_id\":1", "DIR/dataset.json: `pad_id` must be 0, not 1"),
        ("\"ignore_label_id\":0", "\"ignore_label_id\":-100", "DIR/dataset.json: `ignore_label_id` must be 0, not -100"),
        ("\"vocab_size\":6", "\"vocab_size\":11", "DIR/dataset.json: `vocab_size` must be 6, as sudoku-4x4 has, not 11"),
        ("\"seq_len\":16", "\"seq_len\":81", "DIR/dataset.json: `seq_len` must be 16, as sudoku-4x4 has, not 81"),
        ("\"total_groups\":3", "\"total_groups\":4", "DIR/dataset.json: `total_groups` must be 3, not 4"),
        (
            "\"num_puzzle_identifiers\":1",
            "\"num_puzzle_identifiers\":0",
            "DIR/dataset.json: `num_puzzle_identifiers` must be 1 or more, not 0",
        ),
        ("[\"all\"]", "[\"all\",\"more\"]", "DIR/dataset.json: `sets` must be [\"all\"], not [\"all\", \"more\"]"),
    ];
    for (from, to, message) in cases {
        assert!(right.contains(from), "{from}");
        fs::write(&path, right.replace(from, to)).unwrap();
        assert_eq!(problem(folder.path()), message);
    }
    fs::write(&path, &right[..40]).unwrap();
    assert!(problem(folder.path()).starts_with("DIR/dataset.json: not the JSON that is expected: "), "{}", problem(folder.path()));
    fs::remove_file(&path).unwrap();
    assert!(problem(folder.path()).starts_with("cannot read DIR/dataset.json: "));
}

#[test]
fn torn_and_lying_arrays_are_named() {
    let folder = folder();
    let path = folder.path().join("all__labels.npy");
    let right = fs::read(&path).unwrap();
    fs::write(&path, &right[..right.len() - 1]).unwrap();
    assert_eq!(problem(folder.path()), "DIR/all__labels.npy: shape [9, 16] needs 144 bytes, but 143 follow the header");
    fs::write(&path, npy::write(npy::Kind::U8, &[16, 9], &[2; 144])).unwrap();
    assert_eq!(problem(folder.path()), "DIR/all__labels.npy: the shape must be [rows, 16], not [16, 9]");
    fs::write(&path, npy::write(npy::Kind::U8, &[8, 16], &[2; 128])).unwrap();
    assert_eq!(problem(folder.path()), "DIR: `labels` must be 9 rows of 16, not 128 tokens");
    fs::write(&path, npy::write(npy::Kind::U8, &[9, 16], &[6; 144])).unwrap();
    assert_eq!(problem(folder.path()), "DIR/all__labels.npy: number 0 is 6; 5 is the most here, and 0 the least");
    fs::write(&path, right).unwrap();
    let negative: Vec<u8> = (0..9).flat_map(|_| (-1_i32).to_le_bytes()).collect();
    fs::write(folder.path().join("all__puzzle_identifiers.npy"), npy::write(npy::Kind::I32, &[9], &negative)).unwrap();
    assert_eq!(problem(folder.path()), "DIR/all__puzzle_identifiers.npy: number 0 is -1; 4294967295 is the most here, and 0 the least");
}
