//! Files of others, changed at random: no reader may panic, take long, or take much memory.
//!
//! The same thousands of cases every time. `fuzz/` looks further, where there is time for it.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

#[path = "readers/targets.rs"]
mod targets;

use std::{
    path::Path,
    time::{Duration, Instant},
};

use rand::{Rng, RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use targets::{READERS, Reader};

/// Changed files for each reader.
const CASES: usize = 10_000;
/// The most bytes that a changed file may have.
const SIZE_LIMIT: usize = 1 << 16;
/// The most time that one of these small files may take, on a machine that has much else to do.
const SLOWEST: Duration = Duration::from_secs(3);

/// Numbers at which readers have their limits.
const EDGES: [u64; 12] =
    [0, 1, 0x7f, 0x80, 0xff, 0xffff, 0x7fff_ffff, 0x8000_0000, 0xffff_ffff, 0x7fff_ffff_ffff_ffff, 0x8000_0000_0000_0000, u64::MAX];

/// The files from which changes start.
fn corpus(name: &str) -> Vec<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/corpus").join(name);
    let entries = std::fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let mut paths: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    paths.iter().map(|path| std::fs::read(path).unwrap()).collect()
}

fn range(bytes: &[u8], rng: &mut impl Rng) -> std::ops::Range<usize> {
    let start = rng.random_range(0..=bytes.len());
    start..rng.random_range(start..=bytes.len())
}

/// One change of `bytes`; `other` is another file of the same kind.
fn change(bytes: &mut Vec<u8>, other: &[u8], rng: &mut impl Rng) {
    if bytes.is_empty() {
        bytes.push(rng.random());
    }
    let place = rng.random_range(0..bytes.len());
    match rng.random_range(0..8) {
        0 => bytes[place] ^= 1 << rng.random_range(0..8),
        1 => bytes[place] = rng.random(),
        2 => bytes.truncate(place),
        3 => {
            let part = bytes[range(bytes, rng)].to_vec();
            bytes.splice(place..place, part);
        }
        4 => {
            bytes.drain(range(bytes, rng));
        }
        5 => {
            let part = other[range(other, rng)].to_vec();
            let target = range(bytes, rng);
            bytes.splice(target, part);
        }
        6 => {
            let edge = EDGES[rng.random_range(0..EDGES.len())].to_le_bytes();
            let width = [1, 2, 4, 8][rng.random_range(0..4)].min(bytes.len() - place);
            bytes[place..][..width].copy_from_slice(&edge[..width]);
        }
        _ => {
            // A digit, since texts have their limits in those.
            let digits: Vec<_> = (0..bytes.len()).filter(|&place| bytes[place].is_ascii_digit()).collect();
            if let Some(&place) = digits.get(rng.random_range(0..digits.len().max(1))) {
                bytes.splice(place..=place, EDGES[rng.random_range(0..EDGES.len())].to_string().into_bytes());
            }
        }
    }
    bytes.truncate(SIZE_LIMIT);
}

/// The most memory that the process has had, where the system tells.
fn peak_bytes() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    Some(line.trim().trim_end_matches(" kB").parse::<u64>().ok()? << 10)
}

fn survives_changes(name: &str) {
    let (_, read): Reader = *READERS.iter().find(|(known, _)| *known == name).unwrap();
    let corpus = corpus(name);
    assert!(corpus.iter().any(|bytes| read(bytes)), "no file of the corpus is right, so changes would show nothing");
    let mut rng = ChaCha8Rng::seed_from_u64(7);
    for case in 0..CASES {
        let mut bytes = corpus[rng.random_range(0..corpus.len())].clone();
        let other = &corpus[rng.random_range(0..corpus.len())];
        for _ in 0..rng.random_range(1..5) {
            change(&mut bytes, other, &mut rng);
        }
        let start = Instant::now();
        read(&bytes);
        assert!(start.elapsed() < SLOWEST, "case {case} takes {:?}", start.elapsed());
    }
    // Readers run side by side here: this is for all of them.
    assert!(peak_bytes().is_none_or(|bytes| bytes < 1 << 30), "{} bytes", peak_bytes().unwrap_or_default());
}

#[test]
fn arc_collections() {
    survives_changes("arc_collection");
}

#[test]
fn arc_submissions() {
    survives_changes("arc_submission");
}

#[test]
fn arc_tasks() {
    survives_changes("arc_tasks");
}

#[test]
fn arrays_of_workers() {
    survives_changes("arrays");
}

#[test]
fn arrays_of_numpy() {
    survives_changes("npy");
}

#[test]
fn descriptions_of_the_reference() {
    survives_changes("dataset_json");
}

#[test]
fn maze_files() {
    survives_changes("maze_csv");
}

#[test]
fn puzzle_files() {
    survives_changes("csv");
}

#[test]
fn compressed_files() {
    survives_changes("gzip");
}

#[test]
fn pickles() {
    survives_changes("pickle");
}

#[test]
fn pytorch_checkpoints() {
    survives_changes("pytorch");
}

#[test]
fn weights() {
    survives_changes("safetensors");
}

#[test]
fn settings_of_the_reference() {
    survives_changes("settings");
}

#[test]
fn every_file_of_the_corpus_is_read_or_refused() {
    for (name, read) in READERS {
        let files = corpus(name);
        assert!(files.iter().map(Vec::len).sum::<usize>() < 16 << 10, "the corpus of {name} is large");
        files.iter().for_each(|bytes| {
            read(bytes);
        });
    }
}
