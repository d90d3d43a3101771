//! `tinysweep bench`: that it measures, not how fast anything is.

use serde_json::Value;

use crate::harness::{scratch, stdout_of, tinysweep};

#[test]
fn dispatch_measures_every_figure() {
    let folder = scratch();
    let mut command = tinysweep(folder.path());
    command.args(["bench", "dispatch", "--workers", "3", "--trials", "40", "--stored", "30", "--output", "json"]);
    let figures: Value = serde_json::from_str(&stdout_of(command)).unwrap();
    assert_eq!([&figures["workers"], &figures["trials"], &figures["stored"]], [3, 40, 30]);
    let measured = ["trials_per_s", "lease_ms_p50", "lease_ms_p99", "metric_points_per_s", "coordinator_rss_mib", "leaderboard_ms"];
    for name in measured {
        assert!(figures[name].as_f64().is_some_and(|figure| figure > 0.0), "{name}: {figures:#}");
    }
    assert!(figures["lease_ms_p50"].as_f64() <= figures["lease_ms_p99"].as_f64());
}

#[test]
fn inference_measures_every_figure() {
    let folder = scratch();
    let mut command = tinysweep(folder.path());
    command.args(["bench", "inference", "--shape", "small_mlp", "--batch", "2", "--supervision-steps", "1", "--steps", "3"]);
    command.args(["--output", "json"]);
    let figures: Value = serde_json::from_str(&stdout_of(command)).unwrap();
    assert_eq!([&figures["batch"], &figures["supervision_steps"], &figures["threads"]], [2, 1, 1]);
    for name in ["answer_ms_p50", "answer_ms_p99", "cpu_ms_per_answer", "puzzles_per_s", "peak_rss_mib"] {
        assert!(figures[name].as_f64().is_some_and(|figure| figure > 0.0), "{name}: {figures:#}");
    }
    assert!(figures["answer_ms_p50"].as_f64() <= figures["answer_ms_p99"].as_f64());
}

#[test]
fn training_says_what_computes_products() {
    let folder = scratch();
    let bench = |unit: &str| {
        let mut command = tinysweep(folder.path());
        command.args(["bench", "train", "--shape", "small_mlp", "--precision", "bf16", "--steps", "1", "--output", "json"]);
        command.env("TINYSWEEP_BF16_UNIT", unit);
        command
    };
    let figures: Value = serde_json::from_str(&stdout_of(bench("rounded"))).unwrap();
    assert_eq!(figures["unit"], "rounded");
    let refused = bench("neon").output().unwrap();
    assert_eq!(refused.status.code(), Some(2));
    let message = String::from_utf8(refused.stderr).unwrap();
    assert!(message.starts_with("error: TINYSWEEP_BF16_UNIT: on this machine products in bf16 are not computed by `neon`"), "{message}");
}
