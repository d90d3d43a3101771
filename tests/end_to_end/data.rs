//! `tinysweep data`: lists, writes and checks puzzles.

use std::{fs, path::Path};

use serde_json::Value;

use crate::harness::{finish, scratch, stdout_of, tinysweep, write};

/// An address where nobody answers.
const NOWHERE: &str = "http://127.0.0.1:1";

fn data(folder: &Path, arguments: &[&str]) -> std::process::Command {
    let mut command = tinysweep(folder);
    command.arg("data").args(arguments).env("TINYSWEEP_CACHE", folder.join("cache")).env("TINYSWEEP_HUB_URL", NOWHERE);
    command
}

fn json(folder: &Path, arguments: &[&str]) -> Value {
    serde_json::from_str(&stdout_of(data(folder, &[arguments, &["--output", "json"]].concat()))).unwrap()
}

fn refusal(folder: &Path, arguments: &[&str]) -> String {
    let output = finish(data(folder, arguments));
    assert_eq!(output.status.code(), Some(2), "{arguments:?}: {output:?}");
    String::from_utf8(output.stderr).unwrap()
}

#[test]
fn every_benchmark_is_listed() {
    let folder = scratch();
    let listed = json(folder.path(), &["list"]);
    let named = |name: &str| listed["benchmarks"].as_array().unwrap().iter().find(|one| one["benchmark"] == name).unwrap().clone();
    assert_eq!(listed["benchmarks"].as_array().unwrap().len(), 8);
    assert_eq!(named("sudoku-extreme")["cached"], Value::Array(vec![]));
    assert!(named("sudoku-extreme")["published_results"].as_u64().unwrap() > 5);
    assert_eq!(named("maze-10")["cached"], Value::Null);
}

#[test]
fn the_same_arguments_build_the_same_files_and_those_are_right() {
    let folder = scratch();
    for (benchmark, seed) in [("sudoku-4x4", "7"), ("maze-10", "3")] {
        let build = |out: &str| json(folder.path(), &["build", benchmark, "--out", out, "--train", "20", "--test", "10", "--seed", seed]);
        let (one, other) = (format!("{benchmark}-one"), format!("{benchmark}-other"));
        let (built, again) = (build(&one), build(&other));
        for part in 0..2 {
            assert_eq!(built["parts"][part]["sha256"], again["parts"][part]["sha256"]);
        }
        assert_eq!((&built["proxy"], &built["parts"][0]["examples"]), (&false.into(), &20.into()));
        let (train, test) = (format!("{one}/train.csv"), format!("{one}/test.csv"));
        let found = json(folder.path(), &["verify", benchmark, "--train", &train, "--test", &test]);
        assert_eq!((&found["ok"], &found["both"]["test_questions_trained_on"]), (&true.into(), &0.into()));
        assert_eq!(found["parts"][0]["found"]["sha256"], built["parts"][0]["sha256"]);
        assert_eq!(found["parts"][1]["found"]["rows"], 10);
        let message = refusal(folder.path(), &["build", benchmark, "--out", &one, "--train", "20", "--test", "10"]);
        assert!(message.contains("train.csv is there already"), "{message}");
    }
}

#[test]
fn the_references_format_and_text_are_each_others_inverse() {
    let folder = scratch();
    let built = json(folder.path(), &["build", "sudoku-4x4", "--out", "text", "--train", "20", "--test", "10"]);
    let files = ["--train", "text/train.csv", "--test", "text/test.csv"];
    let arrays = json(folder.path(), &[&["build", "sudoku-4x4", "--out", "arrays", "--format", "reference"][..], &files].concat());
    assert_eq!(fs::read_to_string(folder.path().join("arrays/identifiers.json")).unwrap(), "[\"<blank>\"]");
    json(folder.path(), &["build", "sudoku-4x4", "--out", "back", "--train", "arrays/train", "--test", "arrays/test"]);
    let (text, back) = ["text", "back"].map(|name| fs::read_to_string(folder.path().join(name).join("test.csv")).unwrap()).into();
    // The arrays have no place for ratings.
    let questions = |text: &str| text.lines().map(|line| line.split(',').take(2).collect::<Vec<_>>().join(",")).collect::<Vec<_>>();
    assert_eq!(questions(&text), questions(&back));
    let found = json(folder.path(), &["verify", "sudoku-4x4", "--train", "arrays/train", "--test", "arrays/test"]);
    assert_eq!(found["parts"][0]["found"]["sha256"], arrays["parts"][0]["sha256"]);
    assert_ne!(built["parts"][0]["sha256"], arrays["parts"][0]["sha256"]);

    let copies = [&["build", "sudoku-4x4", "--out", "copies", "--format", "reference", "--copies", "3"][..], &files].concat();
    let copies = json(folder.path(), &copies);
    assert_eq!((&copies["parts"][0]["examples"], &copies["parts"][1]["examples"]), (&80.into(), &10.into()));
    let message = refusal(folder.path(), &["build", "sudoku-4x4", "--out", "flat", "--train", "copies/train", "--test", "copies/test"]);
    assert!(message.contains("CSV has no place"), "{message}");
}

#[test]
fn a_file_that_breaks_a_promise_is_named_after_the_report() {
    let folder = scratch();
    let path = write(folder.path(), "a.csv", "question,answer\n..34..1.214..32.,1234341221434321\n................,1234341221434321\n");
    let output = finish(data(folder.path(), &["verify", "sudoku-4x4", "--train", "a.csv", "--test", "a.csv"]));
    let (stdout, stderr) = (String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap());
    assert_eq!(output.status.code(), Some(2));
    assert!(stdout.contains("several solutions"), "{stdout}");
    assert!(stderr.contains("a.csv: 1 puzzles have several solutions, the first one in row 2"), "{stderr}");
    assert!(stderr.contains("2 test puzzles are trained on; the first is row 1, in training row 1"), "{stderr}");
    fs::write(path, "question,answer\n..34..1.214..32.,1234341221434322\n").unwrap();
    assert!(refusal(folder.path(), &["verify", "sudoku-4x4", "--train", "a.csv"]).contains("a.csv: row 1 (line 2): "));
}

#[test]
fn offline_it_says_what_to_fetch_and_where_to_put_it() {
    let folder = scratch();
    let message = refusal(folder.path(), &["build", "maze-hard", "--out", "a"]);
    let url = format!("{NOWHERE}/datasets/sapientinc/maze-30x30-hard-1k/resolve/main/train.csv");
    let place = folder.path().join("cache/hub/sapientinc/maze-30x30-hard-1k/train.csv");
    assert!(message.contains(&url) && message.contains(&place.display().to_string()), "{message}");
    assert!(refusal(folder.path(), &["verify", "maze-hard"]).contains("no files of maze-hard have been downloaded"));
}

#[test]
fn arguments_without_effect_are_refused() {
    let folder = scratch();
    for (arguments, message) in [
        (&["build", "maze-11", "--out", "a"][..], "maze-10"),
        (&["build", "maze-10", "--out", "a", "--givens", "8"], "--givens and --rating are for generated Sudoku puzzles"),
        (&["build", "sudoku-4x4", "--out", "a", "--copies", "8"], "--copies needs --format reference"),
        (&["build", "sudoku-4x4", "--out", "a", "--rating", "5", "1"], "give the least number of guesses, then the largest"),
        (&["build", "sudoku-4x4", "--out", "a", "--train", "no.csv", "--test", "no.csv", "--seed", "1"], "--seed has no effect on files"),
        (&["build", "sudoku-4x4", "--out", "a", "--train", "99999999999999999999"], "are too many"),
        (&["build", "sudoku-4x4", "--out", "a", "--train", "no.csv"], "`train` is a file, but the other part is generated"),
        (&["build", "sudoku-4x4", "--out", "a", "--train", "0"], "`train` asks for 0 puzzles"),
        (&["build", "arc-agi-1", "--out", "a"], "name files, as in --train"),
        (&["verify", "maze-10"], "maze-10 has no files of its own"),
        (&["verify", "arc-agi-2", "--test", "no.json"], "cannot read no.json"),
    ] {
        let found = refusal(folder.path(), arguments);
        assert!(found.contains(message), "{arguments:?}: {found}");
    }
}
