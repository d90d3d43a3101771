//! `tinysweep show`: one sweep, or one trial with its replicates and attempts.

use std::collections::BTreeMap;

use clap::Args;
use serde_json::{Value, json};
use tinysweep_proto::v1::{Attempt, GetSweepRequest, GetTrialRequest, GetTrialResponse, KeptState, Replicate};

use crate::{
    cli::{
        cost::{self, CostView},
        steps,
        sweeps::SweepView,
        trial_name::TrialName,
        trials::TrialView,
    },
    client::{Client, CoordinatorArgs, refused, request},
    failure::Failure,
    output::{self, Format, Table},
    progress::{duration, trial_state_name},
};

/// Arguments of `show`.
#[derive(Args, Debug)]
pub struct ShowArgs {
    /// SWEEP, SWEEP/TRIAL, or /TRIAL of the newest sweep [default: the newest sweep]
    #[arg(default_value = "")]
    what: String,
    #[command(flatten)]
    coordinator: CoordinatorArgs,
    /// How it is printed
    #[arg(long, value_enum, env = "TINYSWEEP_OUTPUT", default_value = "table")]
    output: Format,
}

/// Prints the sweep or the trial.
pub async fn execute(args: ShowArgs) -> Result<(), Failure> {
    let (sweep, trial) = parse(&args.what)?;
    let client = Client::connect(&args.coordinator.coordinator).await?;
    match trial {
        None => show_sweep(&client, sweep, args.output).await,
        Some(trial) => show_trial(&client, sweep, trial, args.output).await,
    }
}

fn parse(what: &str) -> Result<(String, Option<u32>), Failure> {
    if !what.contains('/') {
        return Ok((what.to_owned(), None));
    }
    let TrialName { sweep, trial } = what.parse().map_err(Failure::bad_input)?;
    Ok((sweep, Some(trial)))
}

async fn show_sweep(client: &Client, sweep: String, format: Format) -> Result<(), Failure> {
    let sweep =
        client.sweeps().get_sweep(request(GetSweepRequest { sweep })).await.map_err(refused)?.into_inner().sweep.unwrap_or_default();
    let mut view = serde_json::to_value(SweepView::from(&sweep))?;
    if let Some(data) = &sweep.dataset {
        let file = |file: &Option<tinysweep_proto::v1::DataFile>| {
            file.as_ref().map(|file| json!({"origin": file.origin, "examples": file.examples, "sha256": file.sha256}))
        };
        view["data"] = json!({"task": data.task, "proxy": data.proxy, "train": file(&data.train), "test": file(&data.test)});
    }
    output::print(format, &fields(&view), &view)
}

async fn show_trial(client: &Client, sweep: String, trial: u32, format: Format) -> Result<(), Failure> {
    let answer = client.sweeps().get_trial(request(GetTrialRequest { sweep, trial })).await.map_err(refused)?.into_inner();
    let GetTrialResponse { trial: Some(trial), replicates } = &answer else {
        return Err(anyhow::anyhow!("the coordinator's answer has no trial").into());
    };
    let mut view = serde_json::to_value(TrialView::try_from(trial)?)?;
    let replicates: Vec<_> = replicates.iter().map(replicate).collect();
    if format != Format::Json {
        output::print(format, &fields(&view), &view)?;
        output::print(format, &attempts(&replicates), &view)?;
        let costs = costs(&answer.replicates);
        if !costs.rows.is_empty() {
            output::print(format, &costs, &view)?;
        }
        if answer.replicates.iter().any(|replicate| !replicate.states.is_empty()) {
            output::print(format, &states(&answer.replicates), &view)?;
        }
        return match answer.replicates.iter().find(|replicate| !replicate.metrics_by_step.is_empty()) {
            Some(first) => output::print(format, &steps::table(&steps::of(first)), &view),
            None => Ok(()),
        };
    }
    view["replicates"] = json!(replicates);
    output::print(format, &fields(&view), &view)
}

fn replicate(replicate: &Replicate) -> Value {
    let by_step: BTreeMap<_, _> = replicate.metrics_by_step.iter().map(|series| (series.name.as_str(), &series.values)).collect();
    json!({
        "replicate": replicate.index,
        "state": trial_state_name(replicate.state()),
        "seed": replicate.seed,
        "reason": replicate.reason,
        "metrics": replicate.metrics.iter().collect::<BTreeMap<_, _>>(),
        "exact_accuracy_by_step": by_step.get("test/exact_accuracy"),
        "metrics_by_step": by_step,
        "attempts": replicate.attempts.iter().map(attempt).collect::<Vec<_>>(),
        "states": replicate.states.iter().map(state).collect::<Vec<_>>(),
    })
}

fn state(state: &KeptState) -> Value {
    let KeptState { step, bytes, created_ms, kept_as } = state;
    json!({"step": step, "bytes": bytes, "created_ms": created_ms, "kept_as": kept_as})
}

fn attempt(attempt: &Attempt) -> Value {
    let Attempt { number, state, worker, reason, started_ms, ended_ms, step, failure, lease_reason, resumed_step, cost } = attempt;
    json!({
        "attempt": number, "state": state, "worker": worker, "reason": reason, "failure": failure, "lease_reason": lease_reason,
        "started_ms": started_ms, "ended_ms": ended_ms, "resumed_step": resumed_step, "step": step, "cost": cost.as_ref().map(CostView::from)
    })
}

/// A JSON object's fields, one a row; nested objects get dotted names.
fn fields(value: &Value) -> Table {
    let mut rows = Vec::new();
    collect("", value, &mut rows);
    Table { headers: vec!["field", "value"], rows }
}

fn collect(name: &str, value: &Value, rows: &mut Vec<Vec<String>>) {
    match value {
        Value::Object(object) => object.iter().for_each(|(key, child)| {
            let name = if name.is_empty() { key.clone() } else { format!("{name}.{key}") };
            collect(&name, child, rows);
        }),
        Value::String(text) => rows.push(vec![name.to_owned(), text.clone()]),
        Value::Null => rows.push(vec![name.to_owned(), String::new()]),
        other => rows.push(vec![name.to_owned(), other.to_string()]),
    }
}

fn attempts(replicates: &[Value]) -> Table {
    let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), ToOwned::to_owned);
    let rows = replicates.iter().flat_map(|replicate| {
        let tries = replicate["attempts"].as_array().cloned().unwrap_or_default();
        tries.into_iter().map(move |attempt| {
            let seconds = match (attempt["started_ms"].as_i64(), attempt["ended_ms"].as_i64()) {
                (Some(start), Some(end)) => format!("{:.1}", (end - start) as f64 / 1000.0),
                _ => String::new(),
            };
            let mut row = vec![text(&replicate["replicate"]), text(&replicate["seed"])];
            row.extend(["attempt", "state", "worker", "step"].map(|key| text(&attempt[key])));
            row.extend([seconds, text(&attempt["reason"])]);
            row
        })
    });
    Table { headers: vec![">replicate", ">seed", ">attempt", "state", "worker", ">step", ">seconds", "reason"], rows: rows.collect() }
}

/// What each attempt has cost.
fn costs(replicates: &[Replicate]) -> Table {
    let attempts = replicates.iter().flat_map(|replicate| replicate.attempts.iter().map(|attempt| (replicate.index, attempt)));
    let row = |(replicate, attempt): (u32, &Attempt)| {
        let cost = attempt.cost.as_ref()?;
        let view = CostView::from(cost);
        let speed = |per_s: Option<f64>| per_s.map_or(String::new(), |per_s| format!("{per_s:.1}"));
        Some(vec![
            replicate.to_string(),
            attempt.number.to_string(),
            duration(cost.wall_seconds),
            duration(cost.device_seconds),
            speed(view.steps_per_s),
            speed(view.samples_per_s),
            format!("{:.1e}", cost.flops),
            view.peak_memory_bytes.map_or(String::new(), |bytes| cost::memory(bytes as f64)),
            cost::energy(cost.joules, cost::is_estimate(cost)),
        ])
    };
    let headers = vec![">replicate", ">attempt", ">time", ">device time", ">steps/s", ">samples/s", ">FLOP", ">peak memory", ">energy"];
    Table { headers, rows: attempts.filter_map(row).collect() }
}

/// The states of training that the coordinator keeps.
fn states(replicates: &[Replicate]) -> Table {
    let rows = replicates.iter().flat_map(|replicate| {
        let row = |state: &KeptState| {
            let mib = state.bytes as f64 / f64::from(1 << 20);
            vec![replicate.index.to_string(), state.step.to_string(), format!("{mib:.2}"), state.kept_as.clone()]
        };
        replicate.states.iter().map(row)
    });
    Table { headers: vec![">replicate", ">state after step", ">MiB", "kept as"], rows: rows.collect() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_sweeps_and_trials() {
        assert_eq!(parse("").unwrap(), (String::new(), None));
        assert_eq!(parse("k3/7").unwrap(), ("k3".into(), Some(7)));
        assert_eq!(parse("/0").unwrap(), (String::new(), Some(0)));
        assert!(matches!(parse("k3/x"), Err(Failure::BadInput(_))));
    }
}
