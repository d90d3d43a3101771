//! The recorded runs of the published reference, replayed.

use std::path::Path;

use tinysweep_worker::parity::{ParityReport, replay};

fn assert_within(report: &ParityReport) {
    let strayed: Vec<_> = report.checks.iter().filter(|check| !check.is_ok()).collect();
    assert!(strayed.is_empty(), "{strayed:#?}");
}

fn recording(name: &str) -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(name)
}

#[test]
fn attention() {
    let report = replay(&recording("trm_att")).unwrap();
    assert_within(&report);
    assert_eq!((report.model.as_str(), report.steps), ("trm_att", 8));
}

#[test]
fn mlp() {
    let report = replay(&recording("trm_mlp")).unwrap();
    assert_within(&report);
    assert!(report.checks.len() > 40, "weights, gradients, losses, slots and evaluation are all compared");
}
