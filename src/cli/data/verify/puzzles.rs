//! Sudoku and mazes.

use std::path::{Path, PathBuf};

use serde_json::{Map, json};
use tinysweep_proto::dataset::{Benchmark, Source};
use tinysweep_worker::data::{
    DataError, Examples, arrays, checks, csv,
    overlap::{self, Overlap},
    read_text, reference_format, sha256,
    survey::Survey,
};

use super::{Findings, VerifyArgs};
use crate::{
    failure::Failure,
    hub::{Hub, TEST, TRAIN},
};

/// Checks the files that `args` names, or those that have been downloaded.
pub fn verify(args: &VerifyArgs, findings: &mut Findings) -> Result<(), Failure> {
    let (mut train, mut test) = (args.train.first().cloned(), args.test.clone());
    if args.train.len() > 1 {
        return Err(Failure::bad_input("--train takes one file; several are for benchmarks of ARC"));
    }
    if train.is_none() && test.is_none() {
        [train, test] = downloaded(args.benchmark)?;
    }
    let train = train.map(|path| look("train", &path, args.benchmark, findings)).transpose()?;
    let test = test.map(|path| look("test", &path, args.benchmark, findings)).transpose()?;
    if let (Some(train), Some(test)) = (train, test) {
        compare(&train, &test, findings);
    }
    Ok(())
}

/// The benchmark's files that are in the cache.
fn downloaded(benchmark: &Benchmark) -> Result<[Option<PathBuf>; 2], Failure> {
    let Source::Hub { repository, .. } = benchmark.source else {
        return Err(Failure::bad_input(format!("{} has no files of its own: name some with --train and --test", benchmark.name)));
    };
    let hub = Hub::from_environment().map_err(Failure::bad_input)?;
    let files = [TRAIN, TEST].map(|file| Some(hub.place(repository, file)).filter(|path| path.is_file()));
    if files == [None, None] {
        return Err(Failure::bad_input(format!(
            "no files of {} have been downloaded to {}: name some with --train and --test, or let `tinysweep data build {}` download them",
            benchmark.name,
            hub.place(repository, "").display(),
            benchmark.name
        )));
    }
    Ok(files)
}

/// Reads one part, checks it, and notes what is in it.
fn look(part: &'static str, path: &Path, benchmark: &Benchmark, findings: &mut Findings) -> Result<Examples, Failure> {
    let name = path.display().to_string();
    let (examples, hash) = read(path, &name, benchmark).map_err(Failure::bad_input)?;
    let survey = Survey::of(&examples);
    let first = |rows: &[usize]| rows.first().map_or(0, |row| row + 1);
    if let Some(rows) = survey.ambiguous.as_deref().filter(|rows| !rows.is_empty()) {
        findings.problems.push(format!("{name}: {} puzzles have several solutions, the first one in row {}", rows.len(), first(rows)));
    }
    let known = known_hash(path, benchmark)?;
    if known.as_ref().is_some_and(|known| *known != hash) {
        findings.problems.push(format!("{name}: its SHA-256 is {hash}, but was {} when it came; remove it", known.unwrap_or_default()));
    }
    let mut facts = Map::from_iter([
        ("file".into(), json!(name)),
        ("sha256".into(), json!(hash)),
        ("is_the_benchmarks_own".into(), json!(is_official(&hash, benchmark)?)),
        ("rows".into(), json!(survey.rows)),
        ("original_puzzles".into(), json!(survey.groups)),
        ("repeated_questions".into(), json!(survey.repeated.len())),
    ]);
    let several = survey.ambiguous.map(|rows| ("several_solutions", json!(rows.len())));
    let paths = survey.same_path.map(|count| ("paths_as_maze_hard_marks_them", json!(count)));
    let ratings = survey.ratings.map(|[least, median, most]| ("rating", json!({"least": least, "median": median, "largest": most})));
    let sources = Some(("sources", json!(Map::from_iter(survey.sources.into_iter().map(|(name, count)| (name, json!(count)))))));
    let sources = sources.filter(|(_, counts)| *counts != json!({}));
    facts.extend([several, paths, ratings, sources].into_iter().flatten().map(|(name, value)| (name.to_owned(), value)));
    findings.parts.push((part, facts));
    Ok(examples)
}

/// The puzzles at `path`, each checked by the rules, and the hash that trials on them record.
fn read(path: &Path, name: &str, benchmark: &Benchmark) -> Result<(Examples, String), DataError> {
    if path.is_dir() {
        let examples = reference_format::read(path, benchmark.task)?;
        checks::check_rules(&examples, name)?;
        let hash = sha256(&arrays::encode(&examples));
        return Ok((examples, hash));
    }
    let text = read_text(path)?;
    Ok((csv::read(&text, name, benchmark.task)?, sha256(&text)))
}

/// The hash that a file of the cache had when it came.
fn known_hash(path: &Path, benchmark: &Benchmark) -> Result<Option<String>, Failure> {
    let (Source::Hub { repository, .. }, Ok(hub)) = (benchmark.source, Hub::from_environment()) else { return Ok(None) };
    let Some(file) = [TRAIN, TEST].into_iter().find(|file| hub.place(repository, file) == path) else { return Ok(None) };
    Ok(hub.known(repository, file).map_err(Failure::bad_input)?.map(|entry| entry.sha256))
}

fn is_official(hash: &String, benchmark: &Benchmark) -> Result<bool, Failure> {
    let (Source::Hub { repository, .. }, Ok(hub)) = (benchmark.source, Hub::from_environment()) else { return Ok(false) };
    Ok(hub.official(repository).map_err(Failure::bad_input)?.contains(hash))
}

/// Looks for test puzzles that are trained on.
fn compare(train: &Examples, test: &Examples, findings: &mut Findings) {
    let mut note = |what: &str, overlaps: &[Overlap], how: &str| {
        findings.both.insert(what.into(), json!(overlaps.len()));
        if let Some(first) = overlaps.first() {
            let (count, test, train) = (overlaps.len(), first.test + 1, first.train + 1);
            findings.problems.push(format!("{count} test puzzles are trained on{how}; the first is row {test}, in training row {train}"));
        }
    };
    note("test_questions_trained_on", &overlap::exact(train, test), "");
    if checks::symmetry_matters(train.task) {
        let how = ", digits renamed and lines permuted";
        note("test_questions_trained_on_up_to_symmetry", &overlap::up_to_symmetry(train, test), how);
    }
}
