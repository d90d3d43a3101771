//! `tinysweep parity`: replays a recorded run of the published reference.

use std::path::PathBuf;

use clap::Args;
use serde_json::json;
use tinysweep_worker::parity::{Check, Measure, replay};

use super::device::DeviceArgs;
use crate::{
    failure::Failure,
    output::{self, Format, Table},
};

/// Arguments of `parity`.
#[derive(Args, Debug)]
pub struct ParityArgs {
    /// Folder with the recorded run: trace.json and its tensors
    folder: PathBuf,
    #[command(flatten)]
    device: DeviceArgs,
    /// How the comparison is printed
    #[arg(long, value_enum, env = "TINYSWEEP_OUTPUT", default_value = "table")]
    output: Format,
}

/// Prints each quantity with its largest error and its tolerance; fails unless all hold.
pub fn execute(args: &ParityArgs) -> Result<(), Failure> {
    let report = replay(&args.folder, &args.device.open()?).map_err(Failure::bad_input)?;
    let rows = report.checks.iter().map(|check| {
        vec![
            check.quantity.clone(),
            check.place.clone(),
            format!("{:.2e}", check.error),
            format!("{:.0e}", check.tolerance),
            if check.rounding > 0.0 { format!("{:.1e}", check.rounding) } else { String::new() },
            measure_name(check.measure).to_owned(),
            verdict(check).to_owned(),
        ]
    });
    let table = Table {
        headers: vec!["quantity", "worst at", ">largest error", ">tolerance", ">rounding", "measured as", ""],
        rows: rows.collect(),
    };
    let checks: Vec<_> = report
        .checks
        .iter()
        .map(|check| {
            json!({"quantity": check.quantity, "place": check.place, "error": check.error, "tolerance": check.tolerance, "rounding": check.rounding,
                "measure": measure_name(check.measure), "ok": check.is_ok()})
        })
        .collect();
    let value = json!({"model": report.model, "steps": report.steps, "ok": report.is_ok(), "checks": checks});
    output::print(args.output, &table, &value)?;
    if args.output == Format::Table && report.checks.iter().any(|check| check.rounding > 0.0) {
        output::write(ROUNDING_NOTE)?;
    }
    if report.is_ok() {
        return Ok(());
    }
    let failed = report.checks.iter().filter(|check| !check.is_ok()).count();
    Err(anyhow::anyhow!("{failed} of {} quantities are outside their bounds", report.checks.len()).into())
}

/// What the column `rounding` means.
const ROUNDING_NOTE: &str = "\
rounding: what a change of the initial weights in their last bit makes of the quantity, times four. Measured where a value that has come
through several steps is outside its tolerance: there the recursion multiplies rounding beyond it, in any implementation in f32.
";

fn verdict(check: &Check) -> &'static str {
    match (check.is_ok(), check.error <= check.tolerance) {
        (false, _) => "FAILED",
        (true, false) => "ok, within rounding",
        (true, true) => "ok",
    }
}

fn measure_name(measure: Measure) -> &'static str {
    match measure {
        Measure::Relative => "relative",
        Measure::Absolute => "absolute",
        Measure::Count => "values that differ",
    }
}
