//! What reads files of others, each as a function of bytes: for the mutations of `readers.rs`, and for cargo-fuzz in `fuzz/`.
//!
//! A reader may refuse its bytes; it may not panic, and what it says must fit a terminal.

use std::io::{Cursor, Write};

use tinysweep_proto::{config::TrialConfig, dataset::Task};
use tinysweep_worker::{
    checkpoint::{model_of, pytorch, settings},
    data::{arc, arrays, csv, decompress, reference_format},
};
use zip::{CompressionMethod, ZipWriter, write::SimpleFileOptions};

/// A reader: the name of its corpus and the function, which says whether the bytes were read.
pub type Reader = (&'static str, fn(&[u8]) -> bool);

/// Every reader.
pub const READERS: [Reader; 13] = [
    ("arc_collection", arc_collection),
    ("arc_submission", arc_submission),
    ("arc_tasks", arc_tasks),
    ("arrays", sudoku_arrays),
    ("csv", sudoku_csv),
    ("dataset_json", dataset_json),
    ("gzip", gzip),
    ("maze_csv", maze_csv),
    ("npy", npy),
    ("pickle", pickle),
    ("pytorch", pytorch_archive),
    ("safetensors", safetensors),
    ("settings", reference_settings),
];

/// The most characters that a message may have.
const MESSAGE_LIMIT: usize = 100_000;

fn is_read<T, E: std::fmt::Display>(result: Result<T, E>) -> bool {
    let Err(error) = result else { return true };
    let message = error.to_string();
    assert!(!message.is_empty() && message.len() < MESSAGE_LIMIT, "a message of {} bytes", message.len());
    false
}

/// A PyTorch checkpoint.
pub fn pytorch_archive(bytes: &[u8]) -> bool {
    is_read(pytorch::read_archive(Cursor::new(bytes), bytes.len() as u64))
}

/// The pickle of a PyTorch checkpoint whose archive is whole: changes of an archive seldom come through its checksums.
pub fn pickle(bytes: &[u8]) -> bool {
    let mut writer = ZipWriter::new(Cursor::new(Vec::new()));
    let options = SimpleFileOptions::default().compression_method(CompressionMethod::Stored);
    let numbers = [0; 48];
    for (name, bytes) in [("archive/data.pkl", bytes), ("archive/data/0", &numbers), ("archive/padding", &[0; 1024])] {
        writer.start_file(name, options).expect("a writer into memory takes every file");
        writer.write_all(bytes).expect("a writer into memory takes all bytes");
    }
    let archive = writer.finish().expect("a writer into memory can finish").into_inner();
    pytorch_archive(&archive)
}

/// The weights of a checkpoint of ours.
pub fn safetensors(bytes: &[u8]) -> bool {
    let config = TrialConfig { hidden_size: 4, layers: 1, expansion: 1.0, inner_multiple: 1, puzzle_emb_len: 1, ..TrialConfig::default() };
    is_read(model_of(&config, Task::Sudoku4x4.shape(1), bytes))
}

/// The reference's `all_config.yaml`.
pub fn reference_settings(bytes: &[u8]) -> bool {
    std::str::from_utf8(bytes)
        .is_ok_and(|text| is_read(settings::parse(text).and_then(|settings| settings::apply(TrialConfig::default(), &settings))))
}

/// A file of puzzles.
pub fn sudoku_csv(bytes: &[u8]) -> bool {
    is_read(csv::read(bytes, "a.csv", Task::Sudoku4x4))
}

/// A file of mazes.
pub fn maze_csv(bytes: &[u8]) -> bool {
    is_read(csv::read(bytes, "a.csv", Task::Maze10))
}

/// The arrays of a data set in one file.
pub fn sudoku_arrays(bytes: &[u8]) -> bool {
    is_read(arrays::decode(bytes, "a.safetensors", Task::Sudoku4x4))
}

/// An array of NumPy's, as tokens and as places.
pub fn npy(bytes: &[u8]) -> bool {
    is_read(reference_format::npy::Array::parse(bytes).and_then(|array| array.numbers(u32::MAX)))
        | is_read(reference_format::npy::Array::parse(bytes).and_then(|array| array.bytes(5)))
}

/// What describes a data set of the reference.
pub fn dataset_json(bytes: &[u8]) -> bool {
    is_read(reference_format::check_metadata(bytes, "dataset.json", Task::Sudoku4x4))
}

/// A compressed file, of which little may come out.
pub fn gzip(bytes: &[u8]) -> bool {
    is_read(decompress(bytes.to_vec(), "a.gz", 1 << 16))
}

/// Tasks of ARC, one or many.
pub fn arc_tasks(bytes: &[u8]) -> bool {
    is_read(arc::read(bytes, "a.json"))
}

/// Tasks of ARC and how they are augmented, and what becomes of them.
pub fn arc_collection(bytes: &[u8]) -> bool {
    let collection = arc::Collection::read(bytes, "a.json");
    if let Ok(collection) = &collection {
        assert_eq!(
            arc::Collection::read(&collection.write(), "a.json").as_ref().ok(),
            Some(collection),
            "what is written is not what was read"
        );
    }
    is_read(collection)
}

/// Answers to tasks of ARC.
pub fn arc_submission(bytes: &[u8]) -> bool {
    is_read(arc::Submission::read(bytes, "a.json"))
}
