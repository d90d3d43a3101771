//! What users look at: trials, replicates, what runs, results.

use std::collections::BTreeMap;

use super::{
    Store, StoreError,
    checkpoints::{StateRecord, states},
    error::inconsistent,
};
use crate::domain::{
    cost::Cost,
    ids::SweepId,
    lifecycle::{AttemptState, ReplicateStatus},
    spec::Role,
};

/// A trial as it stands.
#[derive(Clone, Debug, PartialEq)]
pub struct TrialRecord {
    /// Dense from 0.
    pub number: u32,
    /// The parameters that the sweep varies.
    pub name: String,
    /// What it is to its sweep.
    pub role: Role,
    /// The whole configuration as canonical JSON, and its hash.
    pub config_json: String,
    /// See `config_json`.
    pub config_hash: String,
    /// The earliest state, in the order of a life, among its replicates.
    pub state: ReplicateStatus,
    /// How many replicates it has.
    pub replicates: u32,
    /// How many have a result.
    pub completed: u32,
    /// The sweep's metric, the mean over those.
    pub metric: Option<f64>,
    /// The trial that it extends.
    pub extends: Option<u32>,
    /// Why the first of its replicates that has a reason is in its state; else empty.
    pub reason: String,
}

/// A replicate with its attempts.
#[derive(Clone, Debug, PartialEq)]
pub struct ReplicateRecord {
    /// Dense from 0.
    pub replicate: u32,
    /// Its state.
    pub status: ReplicateStatus,
    /// Seeds weights, data order and augmentation.
    pub seed: u64,
    /// Why it is in this state.
    pub reason: String,
    /// Every attempt, in order.
    pub attempts: Vec<AttemptRecord>,
    /// Final metrics by name.
    pub metrics: BTreeMap<String, f64>,
    /// Metrics after supervision step 1, 2, …, by name.
    pub metrics_by_step: BTreeMap<String, Vec<f64>>,
    /// States of training that are kept, by step.
    pub states: Vec<StateRecord>,
}

/// One attempt.
#[derive(Clone, Debug, PartialEq)]
pub struct AttemptRecord {
    /// From 1.
    pub number: u32,
    /// Its state.
    pub state: AttemptState,
    /// Name of the worker.
    pub worker: String,
    /// Why it ended.
    pub reason: String,
    /// The kind of failure, where it was one; empty else.
    pub failure: String,
    /// Why this worker got it.
    pub lease_reason: String,
    /// The step that it went on from.
    pub resumed_step: u64,
    /// In ms since 1970.
    pub started_ms: i64,
    /// In ms since 1970.
    pub ended_ms: Option<i64>,
    /// The last step that was reported.
    pub step: u64,
    /// What it has cost, where that was reported.
    pub cost: Option<Cost>,
}

/// An attempt that runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunningRecord {
    /// Number of the trial.
    pub trial: u32,
    /// Index of the replicate.
    pub replicate: u32,
    /// Number of the attempt.
    pub attempt: u32,
    /// Token of its lease.
    pub token: u64,
    /// Name of the trial.
    pub name: String,
    /// Name of the worker.
    pub worker: String,
    /// The last step that was reported.
    pub step: u64,
    /// Steps to do; 0 before the first report.
    pub total_steps: u64,
}

/// The result of one replicate.
#[derive(Clone, Debug, PartialEq)]
pub struct ResultRecord {
    /// Number of the trial.
    pub trial: u32,
    /// Name of the trial.
    pub name: String,
    /// What it is to its sweep.
    pub role: Role,
    /// The whole configuration as canonical JSON.
    pub config_json: String,
    /// Every metric by name.
    pub metrics: BTreeMap<String, f64>,
    /// The metric that was asked for.
    pub value: f64,
    /// Of the whole attempt.
    pub wall_seconds: f64,
    /// After supervision step 1, 2, …
    pub exact_accuracy_by_step: Vec<f64>,
}

impl Store {
    /// Up to `limit` trials of a sweep from number `first`, in the order of their numbers.
    ///
    /// # Errors
    /// The database fails or contradicts itself.
    pub async fn trials(&self, sweep: &SweepId, first: u32, limit: u32) -> Result<Vec<TrialRecord>, StoreError> {
        self.select_trials(sweep, first, limit).await
    }

    /// One trial.
    ///
    /// # Errors
    /// The sweep has none of that number.
    pub async fn trial(&self, sweep: &SweepId, number: u32) -> Result<TrialRecord, StoreError> {
        let missing = || StoreError::NoSuchTrial { sweep: sweep.to_string(), trial: number };
        self.select_trials(sweep, number, 1).await?.pop().filter(|trial| trial.number == number).ok_or_else(missing)
    }

    async fn select_trials(&self, sweep: &SweepId, first: u32, limit: u32) -> Result<Vec<TrialRecord>, StoreError> {
        let id = sweep.as_str();
        let rows = sqlx::query_as!(
            TrialRow,
            r#"SELECT t.number AS "number: u32", t.name, t.role, t.config_json, t.config_hash,
                 (SELECT x.number FROM trials x WHERE x.id = t.extends_id) AS "extends?: u32", COUNT(*) AS "replicates!: u32",
                 SUM(r.state = 'queued') AS "queued!: u32",
                 SUM(r.state = 'running') AS "running!: u32",
                 SUM(r.state = 'completed') AS "completed!: u32",
                 SUM(r.state = 'failed') AS "failed!: u32",
                 AVG(m.value) AS "metric: f64",
                 COALESCE((SELECT x.reason FROM replicates x WHERE x.trial_id = t.id AND x.reason <> '' ORDER BY x.replicate LIMIT 1), '') AS "reason!: String"
               FROM sweeps s JOIN trials t ON t.sweep_sequence = s.sequence JOIN replicates r ON r.trial_id = t.id
               LEFT JOIN final_metrics m ON m.replicate_id = r.id AND m.name = s.metric
               WHERE s.id = ?1 AND t.number BETWEEN ?2 AND ?2 + ?3 - 1
               GROUP BY t.id ORDER BY t.number"#,
            id, first, limit
        )
        .fetch_all(&self.readers)
        .await?;
        rows.into_iter().map(TrialRecord::try_from).collect()
    }

    /// The replicates of a trial with every attempt.
    ///
    /// # Errors
    /// The database fails or contradicts itself.
    pub async fn replicates(&self, sweep: &SweepId, trial: u32) -> Result<Vec<ReplicateRecord>, StoreError> {
        let id = sweep.as_str();
        let rows = sqlx::query!(
            r#"SELECT r.id, r.replicate AS "replicate: u32", r.state, r.seed AS "seed: u64", r.reason FROM replicates r
               JOIN trials t ON t.id = r.trial_id JOIN sweeps s ON s.sequence = t.sweep_sequence
               WHERE s.id = ? AND t.number = ? ORDER BY r.replicate"#,
            id,
            trial
        )
        .fetch_all(&self.readers)
        .await?;
        let mut replicates = Vec::with_capacity(rows.len());
        for row in rows {
            let place = || format!("replicates row {}", row.id);
            replicates.push(ReplicateRecord {
                replicate: row.replicate,
                status: ReplicateStatus::from_name(&row.state).ok_or_else(|| inconsistent(place(), format!("state `{}`", row.state)))?,
                seed: row.seed,
                reason: row.reason,
                attempts: self.attempts(row.id).await?,
                metrics: self.final_metrics(row.id).await?,
                metrics_by_step: self.metrics_by_step(row.id).await?,
                states: self.states(row.id).await?,
            });
        }
        Ok(replicates)
    }

    async fn states(&self, replicate_row: i64) -> Result<Vec<StateRecord>, StoreError> {
        let mut reader = self.readers.acquire().await?;
        Ok(states(&mut reader, replicate_row).await?.into_iter().map(|(_, state)| state).collect())
    }

    async fn attempts(&self, replicate_row: i64) -> Result<Vec<AttemptRecord>, StoreError> {
        let mut costs = self.costs_of_attempts(replicate_row).await?;
        let rows = sqlx::query!(
            r#"SELECT a.number AS "number: u32", a.state, w.name AS worker, a.reason, COALESCE(a.failure, '') AS "failure!: String",
                 a.lease_reason, a.resumed_step AS "resumed_step: u64", a.started_ms, a.ended_ms, a.step AS "step: u64"
               FROM attempts a JOIN workers w ON w.id = a.worker_id WHERE a.replicate_id = ? ORDER BY a.number"#,
            replicate_row
        )
        .fetch_all(&self.readers)
        .await?;
        rows.into_iter()
            .map(|row| {
                let place = || format!("attempt {} of replicates row {replicate_row}", row.number);
                Ok(AttemptRecord {
                    number: row.number,
                    state: AttemptState::from_name(&row.state).ok_or_else(|| inconsistent(place(), format!("state `{}`", row.state)))?,
                    worker: row.worker,
                    reason: row.reason,
                    failure: row.failure,
                    lease_reason: row.lease_reason,
                    resumed_step: row.resumed_step,
                    started_ms: row.started_ms,
                    ended_ms: row.ended_ms,
                    step: row.step,
                    cost: costs.remove(&row.number),
                })
            })
            .collect()
    }

    async fn final_metrics(&self, replicate_row: i64) -> Result<BTreeMap<String, f64>, StoreError> {
        let rows =
            sqlx::query!("SELECT name, value FROM final_metrics WHERE replicate_id = ?", replicate_row).fetch_all(&self.readers).await?;
        Ok(rows.into_iter().map(|row| (row.name, row.value)).collect())
    }

    async fn metrics_by_step(&self, replicate_row: i64) -> Result<BTreeMap<String, Vec<f64>>, StoreError> {
        let rows = sqlx::query!("SELECT name, value FROM step_metrics WHERE replicate_id = ? ORDER BY name, step", replicate_row)
            .fetch_all(&self.readers)
            .await?;
        let mut series: BTreeMap<String, Vec<f64>> = BTreeMap::new();
        for row in rows {
            series.entry(row.name).or_default().push(row.value);
        }
        Ok(series)
    }

    /// What runs of a sweep, by trial and replicate.
    ///
    /// # Errors
    /// The database fails.
    pub async fn running(&self, sweep: &SweepId) -> Result<Vec<RunningRecord>, StoreError> {
        let id = sweep.as_str();
        Ok(sqlx::query_as!(
            RunningRecord,
            r#"SELECT t.number AS "trial: u32", r.replicate AS "replicate: u32", a.number AS "attempt: u32", a.token AS "token: u64", t.name, w.name AS worker,
                 a.step AS "step: u64", a.total_steps AS "total_steps: u64"
               FROM sweeps s JOIN replicates r ON r.sweep_sequence = s.sequence AND r.state = 'running'
               JOIN attempts a ON a.replicate_id = r.id AND a.state = 'running' JOIN workers w ON w.id = a.worker_id
               JOIN trials t ON t.id = r.trial_id WHERE s.id = ? ORDER BY t.number, r.replicate"#,
            id
        )
        .fetch_all(&self.readers)
        .await?)
    }

    /// The trial with the best mean of the sweep's metric so far, baselines apart: its name and that mean.
    ///
    /// # Errors
    /// The database fails.
    pub async fn best(&self, sweep: &SweepId) -> Result<Option<(String, f64)>, StoreError> {
        let id = sweep.as_str();
        let row = sqlx::query!(
            r#"SELECT name, score AS "score!: f64" FROM (
                 SELECT * FROM (SELECT t.name, t.score FROM sweeps s JOIN trials t ON t.sweep_sequence = s.sequence
                   WHERE s.id = ?1 AND s.goal = 'maximize' AND t.score IS NOT NULL AND t.role = 'proposed' ORDER BY t.score DESC, t.number LIMIT 1)
                 UNION ALL
                 SELECT * FROM (SELECT t.name, t.score FROM sweeps s JOIN trials t ON t.sweep_sequence = s.sequence
                   WHERE s.id = ?1 AND s.goal = 'minimize' AND t.score IS NOT NULL AND t.role = 'proposed' ORDER BY t.score, t.number LIMIT 1))"#,
            id
        )
        .fetch_optional(&self.readers)
        .await?;
        Ok(row.map(|row| (row.name, row.score)))
    }

    /// How many trials of a sweep have a result.
    ///
    /// # Errors
    /// The database fails.
    pub async fn scored(&self, sweep: &SweepId) -> Result<u32, StoreError> {
        let id = sweep.as_str();
        Ok(sqlx::query_scalar!(
            r#"SELECT COUNT(*) AS "count!: u32" FROM sweeps s JOIN trials t ON t.sweep_sequence = s.sequence AND t.score IS NOT NULL WHERE s.id = ?"#,
            id
        )
        .fetch_one(&self.readers)
        .await?)
    }

    /// Numbers of the `limit` trials of a sweep that are best by its metric.
    async fn best_trials(&self, sweep: &SweepId, limit: u32) -> Result<Vec<u32>, StoreError> {
        let id = sweep.as_str();
        Ok(sqlx::query_scalar!(
            r#"SELECT number AS "number!: u32" FROM (
                 SELECT * FROM (SELECT t.number FROM sweeps s JOIN trials t ON t.sweep_sequence = s.sequence
                   WHERE s.id = ?1 AND s.goal = 'maximize' AND t.score IS NOT NULL ORDER BY t.score DESC LIMIT ?2)
                 UNION ALL
                 SELECT * FROM (SELECT t.number FROM sweeps s JOIN trials t ON t.sweep_sequence = s.sequence
                   WHERE s.id = ?1 AND s.goal = 'minimize' AND t.score IS NOT NULL ORDER BY t.score LIMIT ?2))"#,
            id,
            limit
        )
        .fetch_all(&self.readers)
        .await?)
    }

    /// Every result of a sweep by trial and replicate, with the value of `metric`; those without that metric are left out. With a `limit`
    /// only those of the so many trials that are best by the sweep's own metric.
    ///
    /// # Errors
    /// The database fails or contradicts itself.
    pub async fn results(&self, sweep: &SweepId, metric: &str, limit: Option<u32>) -> Result<Vec<ResultRecord>, StoreError> {
        let id = sweep.as_str();
        // What has a result has a score, so that without a limit these are all.
        let numbers = self.best_trials(sweep, limit.unwrap_or(u32::MAX)).await?;
        let numbers = serde_json::to_string(&numbers).expect("numbers have a JSON form");
        let rows = sqlx::query_as!(
            ResultRow,
            r#"SELECT t.number AS "trial: u32", t.name, t.role, t.config_json, m.value, o.wall_seconds,
                 (SELECT json_group_object(f.name, f.value) FROM final_metrics f WHERE f.replicate_id = r.id) AS "metrics!: String",
                 (SELECT json_group_array(v.value ORDER BY v.step) FROM step_metrics v
                  WHERE v.replicate_id = r.id AND v.name = 'test/exact_accuracy') AS "curve!: String"
               FROM sweeps s CROSS JOIN json_each(?3) AS chosen CROSS JOIN trials t ON t.sweep_sequence = s.sequence AND t.number = chosen.value
               JOIN replicates r ON r.trial_id = t.id AND r.state = 'completed' JOIN results o ON o.replicate_id = r.id
               JOIN final_metrics m ON m.replicate_id = r.id AND m.name = ?2
               WHERE s.id = ?1 ORDER BY t.number, r.replicate"#,
            id,
            metric,
            numbers
        )
        .fetch_all(&self.readers)
        .await?;
        rows.into_iter().map(ResultRecord::try_from).collect()
    }
}

struct TrialRow {
    number: u32,
    name: String,
    role: String,
    config_json: String,
    config_hash: String,
    replicates: u32,
    queued: u32,
    running: u32,
    completed: u32,
    failed: u32,
    metric: Option<f64>,
    extends: Option<u32>,
    reason: String,
}

pub(super) fn role(trial: u32, name: &str) -> Result<Role, StoreError> {
    Role::from_name(name).ok_or_else(|| inconsistent(format!("trial {trial}"), format!("role `{name}`")))
}

impl TryFrom<TrialRow> for TrialRecord {
    type Error = StoreError;

    fn try_from(row: TrialRow) -> Result<Self, StoreError> {
        let TrialRow {
            number,
            name,
            role: role_name,
            config_json,
            config_hash,
            replicates,
            queued,
            running,
            completed,
            failed,
            metric,
            extends,
            reason,
        } = row;
        let state = [
            (queued, ReplicateStatus::Queued),
            (running, ReplicateStatus::Running),
            (completed, ReplicateStatus::Completed),
            (failed, ReplicateStatus::Failed),
        ]
        .into_iter()
        .find_map(|(count, status)| (count > 0).then_some(status))
        .unwrap_or(ReplicateStatus::Cancelled);
        let role = role(number, &role_name)?;
        Ok(Self { number, name, role, config_json, config_hash, state, replicates, completed, metric, extends, reason })
    }
}

struct ResultRow {
    trial: u32,
    name: String,
    role: String,
    config_json: String,
    value: f64,
    wall_seconds: f64,
    metrics: String,
    curve: String,
}

impl TryFrom<ResultRow> for ResultRecord {
    type Error = StoreError;

    fn try_from(row: ResultRow) -> Result<Self, StoreError> {
        let ResultRow { trial, name, role: role_name, config_json, value, wall_seconds, metrics, curve } = row;
        let role = role(trial, &role_name)?;
        let metrics =
            serde_json::from_str(&metrics).map_err(|error| inconsistent(format!("metrics of trial {trial}"), error.to_string()))?;
        let exact_accuracy_by_step =
            serde_json::from_str(&curve).map_err(|error| inconsistent(format!("supervision steps of trial {trial}"), error.to_string()))?;
        Ok(Self { trial, name, role, config_json, metrics, value, wall_seconds, exact_accuracy_by_step })
    }
}
