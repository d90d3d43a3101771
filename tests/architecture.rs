//! The invariants that the README states about the architecture: each is about something that must not be there.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::{
    fs,
    path::{Path, PathBuf},
};

/// The Rust files below `place` (a file or a folder of the project).
fn sources(place: &str) -> Vec<PathBuf> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(place);
    if path.is_file() {
        return vec![path];
    }
    let entries = fs::read_dir(&path).unwrap_or_else(|error| panic!("{place}: {error}"));
    let mut files: Vec<_> = entries
        .map(|entry| entry.unwrap().path())
        .flat_map(|entry| match entry.is_dir() {
            true => sources(entry.strip_prefix(env!("CARGO_MANIFEST_DIR")).unwrap().to_str().unwrap()),
            false => vec![entry],
        })
        .filter(|file| file.extension().is_some_and(|extension| extension == "rs"))
        .collect();
    files.sort();
    files
}

/// The code of a file: without comments, and without the tests at its end.
fn code(file: &Path) -> String {
    let text = fs::read_to_string(file).unwrap();
    let text = text.split("#[cfg(test)]\nmod tests").next().unwrap();
    text.lines().filter(|line| !line.trim_start().starts_with("//")).collect::<Vec<_>>().join("\n")
}

fn assert_absent(places: &[&str], forbidden: &[&str]) {
    let mut looked_at = 0;
    for file in places.iter().flat_map(|place| sources(place)) {
        looked_at += 1;
        let code = code(&file);
        for word in forbidden {
            assert!(!code.contains(word), "{} must not contain `{word}`", file.display());
        }
    }
    assert!(looked_at >= places.len());
}

#[test]
fn coordinator_and_worker_do_not_know_each_other() {
    for (one, other) in [("coordinator", "tinysweep-worker"), ("worker", "tinysweep-coordinator")] {
        let manifest = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(one).join("Cargo.toml")).unwrap();
        assert!(!manifest.contains(other), "{one} must not depend on {other}");
    }
}

#[test]
fn sql_is_in_the_store_alone() {
    let elsewhere = sources("coordinator/src").into_iter().filter(|file| !file.to_str().unwrap().contains("/store/"));
    for file in elsewhere.chain(sources("src")).chain(sources("worker/src")).chain(sources("proto/src")) {
        let code = code(&file);
        for word in ["sqlx::", "SELECT ", "INSERT ", "UPDATE ", "DELETE FROM"] {
            assert!(!code.contains(word), "{} must not contain `{word}`", file.display());
        }
    }
}

#[test]
fn the_domain_is_pure() {
    let impure =
        ["async ", "tokio", "tonic", "sqlx", "std::fs", "std::env", "std::net", "SystemTime", "Instant::now", "rand::rng()", "tracing::"];
    assert_absent(&["coordinator/src/domain"], &impure);
}

#[test]
fn below_the_runner_nothing_knows_the_network() {
    let below = [
        "runner.rs",
        "report.rs",
        "train",
        "trainer",
        "state.rs",
        "eval",
        "predict.rs",
        "checkpoint",
        "parity.rs",
        "model",
        "data",
        "kernels",
    ];
    let below: Vec<_> = below.iter().map(|name| format!("worker/src/{name}")).collect();
    let below: Vec<_> = below.iter().map(String::as_str).collect();
    assert_absent(&below, &["tonic", "tokio", "::v1"]);
}

#[test]
fn the_process_of_a_slot_knows_messages_and_no_network() {
    let process = ["child.rs", "voice.rs", "library.rs", "protocol.rs"].map(|name| format!("worker/src/slot/{name}"));
    assert_absent(&process.each_ref().map(String::as_str), &["tonic", "tokio", "connect"]);
}

#[test]
fn the_session_knows_no_tensor() {
    let session = [
        "agent.rs",
        "wire.rs",
        "program",
        "attempt.rs",
        "outbox.rs",
        "datasets.rs",
        "assignment.rs",
        "slot/mod.rs",
        "slot/supervisor.rs",
        "slot/process.rs",
    ];
    let session = session.map(|name| format!("worker/src/{name}"));
    let places: Vec<_> = session.iter().map(String::as_str).chain(["coordinator/src", "proto/src"]).collect();
    assert_absent(&places, &["candle", "Examples", "crate::train"]);
}

#[test]
fn only_output_writes_to_standard_output() {
    for file in sources("src").into_iter().chain(sources("coordinator/src")).chain(sources("worker/src")) {
        let allowed = file.ends_with("src/output.rs");
        assert!(allowed || !code(&file).replace("eprint", "").contains("println!"), "{} must not print", file.display());
    }
}

#[test]
fn gradients_are_never_cut_by_an_operation_without_backward() {
    // The kernels run their own backward passes by such operations; nobody else may.
    for file in sources("worker/src").into_iter().filter(|file| !file.to_str().unwrap().contains("/kernels/")) {
        for word in ["_no_bwd", "softmax_last_dim", "ops::rms_norm", "ops::layer_norm", "sdpa(", "rotary_emb::"] {
            assert!(!code(&file).contains(word), "{} must not contain `{word}`", file.display());
        }
    }
}
