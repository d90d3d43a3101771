//! `GetLeaderboard`: results of the store through the ranking of the domain.

use tinysweep_proto::{
    dataset::{Benchmark, benchmark},
    metric::{Goal, test_metric},
    v1,
};

use super::status::ServiceError;
use crate::{
    domain::{
        baselines::{self, Selection},
        configuration::Configuration,
        leaderboard::{Row, RowKind, TrialResult, rank},
        spec::{MetricSpec, Role},
    },
    store::{ResultRecord, Store, StoreError, SweepRecord, goal_name, inconsistent},
};

/// Ranks the results of one sweep, or of all sweeps on one benchmark.
///
/// # Errors
/// The sweep, the benchmark or the metric does not exist, or the store fails.
pub async fn leaderboard(store: &Store, request: v1::GetLeaderboardRequest) -> Result<v1::Leaderboard, ServiceError> {
    let (benchmark, metric, sweeps) = choose(store, &request).await?;
    let mut trials = Vec::new();
    let limit = (request.limit > 0).then_some(request.limit);
    let mut left_out = 0;
    for sweep in sweeps {
        let at_hand = limit.filter(|_| request.benchmark.is_empty() && sweep.metric == metric.name);
        let results = store.results(&sweep.id, &metric.name, at_hand).await?;
        gather(store, &mut trials, &sweep, results).await?;
        if at_hand.is_some() {
            left_out = store.scored(&sweep.id).await?.saturating_sub(trials.len() as u32);
        }
    }
    let mut rows = rank(benchmark, &metric, &trials, baselines::published(), selection(request.published()));
    if let Some(limit) = limit {
        let before = rows.len();
        let mut room = limit;
        rows.retain(|row| {
            let is_shown = row.kind == RowKind::Published || room > 0;
            room -= u32::from(is_shown && row.kind != RowKind::Published);
            is_shown
        });
        left_out += (before - rows.len()) as u32;
    }
    Ok(v1::Leaderboard {
        left_out,
        benchmark: benchmark.map_or("", |benchmark| benchmark.name).into(),
        metric: metric.name.into_owned(),
        goal: goal_name(metric.goal).into(),
        rows: rows.into_iter().map(row).collect(),
    })
}

const fn selection(wanted: v1::PublishedRows) -> Selection {
    match wanted {
        v1::PublishedRows::Unspecified | v1::PublishedRows::All => Selection::All,
        v1::PublishedRows::Main => Selection::Main,
        v1::PublishedRows::None => Selection::None,
    }
}

/// What the board is of, what ranks on it, and the sweeps on it. Several sweeps may each have a metric of their own: the benchmark's ranks.
/// Programs need have no benchmark, and may have metrics of their own.
async fn choose(
    store: &Store,
    request: &v1::GetLeaderboardRequest,
) -> Result<(Option<&'static Benchmark>, MetricSpec, Vec<SweepRecord>), ServiceError> {
    if !request.benchmark.is_empty() {
        let known = benchmark(&request.benchmark)
            .ok_or_else(|| ServiceError::invalid("benchmark", format!("no benchmark is called `{}`", request.benchmark)))?;
        let mut sweeps = store.sweeps().await?;
        sweeps.retain(|sweep| sweep.benchmark == known.name);
        let metric = asked_metric(request)?.unwrap_or_else(|| baselines::headline_metric(known).into());
        return Ok((Some(known), metric, sweeps));
    }
    let id = store.find_sweep(&request.sweep).await?;
    let sweep = store.sweep(&id).await?;
    let known = benchmark(&sweep.benchmark);
    if known.is_none() && !sweep.benchmark.is_empty() {
        return Err(inconsistent(format!("sweep {id}"), "its benchmark is not known".to_owned()).into());
    }
    let asked = if sweep.program.is_some() { asked_of_program(request) } else { asked_metric(request)? };
    let metric = asked.unwrap_or_else(|| MetricSpec { name: sweep.metric.clone().into(), goal: sweep.goal });
    Ok((known, metric, vec![sweep]))
}

/// The metric that the user asks for of a program, if it is not the sweep's own; the less the better, unless it is known to be otherwise.
fn asked_of_program(request: &v1::GetLeaderboardRequest) -> Option<MetricSpec> {
    let name = Some(&request.metric).filter(|name| !name.is_empty())?;
    Some(test_metric(name).map_or_else(|| MetricSpec { name: name.clone().into(), goal: Goal::Minimize }, MetricSpec::from))
}

/// The metric that the user asks for, if any.
fn asked_metric(request: &v1::GetLeaderboardRequest) -> Result<Option<MetricSpec>, ServiceError> {
    if request.metric.is_empty() {
        return Ok(None);
    }
    let known =
        test_metric(&request.metric).ok_or_else(|| ServiceError::invalid("metric", format!("no metric is called `{}`", request.metric)))?;
    Ok(Some(known.into()))
}

/// Adds the results of one sweep, which come in the order of its trials.
async fn gather(store: &Store, trials: &mut Vec<TrialResult>, sweep: &SweepRecord, results: Vec<ResultRecord>) -> Result<(), StoreError> {
    let (id, before) = (sweep.id.as_str(), trials.len());
    for ResultRecord { trial, name, role, config_json, metrics, value, wall_seconds, exact_accuracy_by_step } in results {
        if trials.last().is_none_or(|last| last.number != trial || last.sweep != id) {
            trials.push(new_trial(sweep, trial, name, role, &config_json)?);
        }
        if let Some(last) = trials.last_mut() {
            last.values.push(value);
            last.metrics.push(metrics);
            last.wall_seconds.push(wall_seconds);
            last.exact_accuracy_by_step.push(exact_accuracy_by_step);
        }
    }
    let numbers: Vec<_> = trials[before..].iter().map(|trial| trial.number).collect();
    let mut costs = store.costs_of_trials(&sweep.id, &numbers).await?;
    trials[before..].iter_mut().for_each(|trial| trial.cost = costs.remove(&trial.number));
    Ok(())
}

fn new_trial(sweep: &SweepRecord, number: u32, name: String, role: Role, config_json: &str) -> Result<TrialResult, StoreError> {
    let config = Configuration::from_json(config_json, sweep.program.is_some())
        .map_err(|problem| inconsistent(format!("trial {number} of sweep {}", sweep.id), problem))?;
    Ok(TrialResult {
        sweep: sweep.id.to_string(),
        number,
        name,
        role,
        config,
        benchmark: sweep.benchmark.clone(),
        dataset: sweep.dataset.clone(),
        values: Vec::new(),
        metrics: Vec::new(),
        wall_seconds: Vec::new(),
        exact_accuracy_by_step: Vec::new(),
        cost: None,
    })
}

fn row(row: Row) -> v1::LeaderboardRow {
    let kind = match row.kind {
        RowKind::Trial => v1::RowKind::Trial,
        RowKind::MeasuredBaseline => v1::RowKind::MeasuredBaseline,
        RowKind::Published => v1::RowKind::Published,
    };
    let (sweep, trial) = row.trial.unzip();
    v1::LeaderboardRow {
        kind: kind.into(),
        name: row.name,
        benchmark: row.benchmark,
        mean: row.mean,
        ci95_low: row.ci95.map(|interval| interval.low),
        ci95_high: row.ci95.map(|interval| interval.high),
        n: row.n,
        parameters: row.parameters.unwrap_or(0),
        effective_depth: row.effective_depth.unwrap_or(0),
        train_flops: row.train_flops.unwrap_or(0.0),
        inference_flops: row.inference_flops.unwrap_or(0.0),
        wall_seconds: row.wall_seconds.unwrap_or(0.0),
        config_json: row.config.map(|config| config.canonical_json()).unwrap_or_default(),
        tied_with_best: row.tied_with_best,
        proxy: row.proxy,
        source: row.source,
        caveat: row.caveat,
        sweep: sweep.unwrap_or_default(),
        trial,
        exact_accuracy_by_step: row.exact_accuracy_by_step,
        metrics: row.metrics.into_iter().collect(),
        spread: row.spread,
        second_hand: row.second_hand,
        cost: row.cost,
        joules_per_correct: row.joules_per_correct,
    }
}
