//! The recorded runs of the published reference, replayed with the fused operations and with the plain graph.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::path::Path;

use tinysweep_worker::{
    device, kernels,
    parity::{Check, ParityReport, replay},
};

fn assert_within(report: &ParityReport) {
    let strayed: Vec<_> = report.checks.iter().filter(|check| !check.is_ok()).collect();
    assert!(strayed.is_empty(), "{strayed:#?}");
}

/// Replays the recording `name` both ways.
fn replays(name: &str) -> [ParityReport; 2] {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(name);
    let run = || replay(&folder, &device::from_environment().unwrap()).unwrap();
    [run(), kernels::plainly(run)]
}

/// What does not multiply rounding is within its tolerances alone.
#[test]
fn attention_hrm_and_transformer() {
    for name in ["trm_att", "hrm", "transformer"] {
        for report in replays(name) {
            assert_within(&report);
            assert!(report.checks.iter().all(|check| check.rounding == 0.0), "{name}");
            assert_eq!((report.model.as_str(), report.steps), (name, 8));
        }
    }
}

/// The recursion of this one multiplies rounding errors more than tenfold from step to step: in exact arithmetic its second step is
/// 2.2e-4 from the recording already, beyond the tolerance of 1e-4. So the later steps are held to what rounding alone does.
#[test]
fn mlp() {
    for report in replays("trm_mlp") {
        assert_within(&report);
        // No licence to be wrong: what rounding has not reached yet has its tolerance and no more.
        let single_step =
            |check: &&Check| ["step 1: ", "step 2 from", "learning rate"].iter().any(|start| check.quantity.starts_with(start));
        let strict: Vec<_> = report.checks.iter().filter(single_step).collect();
        assert_eq!(strict.len(), 32);
        assert!(strict.iter().all(|check| check.rounding == 0.0 && check.error <= check.tolerance));
        // The bounds that rounding gives are wide. Before it has grown, in the second step, the errors themselves are small.
        let second: Vec<_> = report.checks.iter().filter(|check| check.quantity.starts_with("step 2: ")).collect();
        assert_eq!(second.len(), 18);
        assert!(second.iter().all(|check| check.error < 5e-4), "{second:#?}");
    }
}
