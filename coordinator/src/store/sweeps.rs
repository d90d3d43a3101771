//! Sweeps: create, find, list.

use serde::Serialize;
use tinysweep_proto::{dataset::Dataset, metric::Goal, program::Program};

use super::{
    Store, StoreError,
    error::{inconsistent, signed},
};
use crate::domain::{ids::SweepId, lifecycle::SweepState, policy::Policy};

/// A sweep to be stored.
#[derive(Clone, Debug)]
pub struct NewSweep {
    /// Its id, which no other sweep may have.
    pub id: SweepId,
    /// What its file calls it.
    pub name: String,
    /// How trials are proposed.
    pub method: String,
    /// Name of the metric that ranks.
    pub metric: String,
    /// Which way is better.
    pub goal: Goal,
    /// The sweep file and what the user calls it.
    pub yaml: String,
    /// See `yaml`.
    pub file_name: String,
    /// Its benchmark; empty for a program that says nothing of one.
    pub benchmark: String,
    /// What is trained and measured on; none of a program.
    pub dataset: Option<Dataset>,
    /// What its trials run, where that is no built-in model.
    pub program: Option<Program>,
    /// Its trials.
    pub trials: Vec<NewTrial>,
    /// One seed per replicate, the same ones for every trial.
    pub seeds: Vec<u64>,
    /// How it competes for slots.
    pub standing: Standing,
    /// How its trials are to be run.
    pub policy: Policy,
}

/// How a sweep competes for slots.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Standing {
    /// Higher ones go first.
    pub priority: i32,
    /// Of the slots, among sweeps of one priority; at least 1.
    pub share: u32,
    /// The most replicates that run at once.
    pub max_parallel: Option<u32>,
}

/// A trial to be stored.
#[derive(Clone, Debug, Serialize)]
pub struct NewTrial {
    /// Dense from 0.
    pub number: u32,
    /// The parameters that the sweep varies.
    pub name: String,
    /// [`Role::name`](crate::domain::spec::Role::name) of what it is to its sweep.
    pub role: &'static str,
    /// The whole configuration as canonical JSON.
    pub config_json: String,
    /// SHA-256 of that.
    pub config_hash: String,
}

/// A sweep as it stands.
#[derive(Clone, Debug, PartialEq)]
pub struct SweepRecord {
    /// What users call it.
    pub id: SweepId,
    /// What its file calls it.
    pub name: String,
    /// How trials were proposed.
    pub method: String,
    /// Name of the metric that ranks.
    pub metric: String,
    /// Which way is better.
    pub goal: Goal,
    /// Its state.
    pub state: SweepState,
    /// How many trials it has.
    pub trials: u32,
    /// How many of its replicates are in which state.
    pub counts: Counts,
    /// When it was submitted, in ms since 1970.
    pub created_ms: i64,
    /// When it ended.
    pub ended_ms: Option<i64>,
    /// Its benchmark; empty for a program that says nothing of one.
    pub benchmark: String,
    /// What it is trained and measured on; none of a program.
    pub dataset: Option<Dataset>,
    /// What its trials run, where that is no built-in model.
    pub program: Option<Program>,
    /// How it competes for slots.
    pub standing: Standing,
}

/// How many replicates are in which state.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Wait for a worker.
    pub queued: u32,
    /// Are leased.
    pub running: u32,
    /// Have a result.
    pub completed: u32,
    /// Ended without.
    pub failed: u32,
    /// Were ended by a user.
    pub cancelled: u32,
}

/// Trials per statement, so that its JSON stays small.
const TRIALS_PER_INSERT: usize = 1000;

impl Store {
    /// Stores a sweep with its trials and replicates, all queued; all or nothing.
    ///
    /// # Errors
    /// The database fails, also where the id is taken.
    pub async fn create_sweep(&self, sweep: &NewSweep, now_ms: i64) -> Result<(), StoreError> {
        let mut tx = self.begin().await?;
        let NewSweep { id, name, method, metric, goal, yaml, file_name, benchmark, dataset, program, trials, seeds, standing, policy } =
            sweep;
        let (id, goal) = (id.as_str(), goal_name(*goal));
        let dataset_json = serde_json::to_string(dataset).expect("strings and numbers have a JSON form");
        let program_json = program.as_ref().map(|program| serde_json::to_string(program).expect("strings have a JSON form"));
        let policy_json = serde_json::to_string(policy).expect("strings and numbers have a JSON form");
        let Standing { priority, share, max_parallel } = standing;
        let sequence = sqlx::query!(
            "INSERT INTO sweeps (id, name, benchmark, dataset_json, method, metric, goal, yaml, file_name, created_ms,
               priority, share, max_parallel, policy_json, program_json)
             VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            id,
            name,
            benchmark,
            dataset_json,
            method,
            metric,
            goal,
            yaml,
            file_name,
            now_ms,
            priority,
            share,
            max_parallel,
            policy_json,
            program_json
        )
        .execute(&mut *tx)
        .await?
        .last_insert_rowid();
        for part in trials.chunks(TRIALS_PER_INSERT) {
            let json = serde_json::to_string(part).expect("strings and numbers have a JSON form");
            sqlx::query!(
                "INSERT INTO trials (sweep_sequence, number, name, role, config_json, config_hash)
                 SELECT ?, value ->> 'number', value ->> 'name', value ->> 'role', value ->> 'config_json', value ->> 'config_hash' FROM json_each(?)",
                sequence,
                json
            )
            .execute(&mut *tx)
            .await?;
        }
        let seeds = seeds.iter().map(|seed| signed("seed", *seed)).collect::<Result<Vec<_>, _>>()?;
        let seeds = serde_json::to_string(&seeds).expect("numbers have a JSON form");
        sqlx::query!(
            "INSERT INTO replicates (trial_id, sweep_sequence, replicate, seed)
             SELECT trials.id, trials.sweep_sequence, seeds.key, seeds.value FROM trials, json_each(?) AS seeds WHERE trials.sweep_sequence = ?",
            seeds, sequence
        )
        .execute(&mut *tx)
        .await?;
        tx.commit().await
    }

    /// The sweep that a user means by an id, a unique prefix of one, or nothing for the newest.
    ///
    /// # Errors
    /// There is none, or several.
    pub async fn find_sweep(&self, given: &str) -> Result<SweepId, StoreError> {
        let mut ids =
            sqlx::query_scalar!(r#"SELECT id FROM sweeps WHERE substr(id, 1, length(?1)) = ?1 ORDER BY sequence DESC LIMIT 4"#, given)
                .fetch_all(&self.readers)
                .await?;
        match ids.as_slice() {
            [] if given.is_empty() => Err(StoreError::NoSweeps),
            [] => Err(StoreError::NoSuchSweep(given.to_owned())),
            [_, _, ..] if !given.is_empty() => Err(StoreError::Ambiguous { given: given.to_owned(), matches: ids.join(", ") }),
            _ => Ok(SweepId::named(ids.swap_remove(0))),
        }
    }

    /// All sweeps, the newest first.
    ///
    /// # Errors
    /// The database fails or contradicts itself.
    pub async fn sweeps(&self) -> Result<Vec<SweepRecord>, StoreError> {
        self.select_sweeps(None).await
    }

    /// One sweep.
    ///
    /// # Errors
    /// There is none of that id.
    pub async fn sweep(&self, id: &SweepId) -> Result<SweepRecord, StoreError> {
        self.select_sweeps(Some(id.as_str())).await?.pop().ok_or_else(|| StoreError::NoSuchSweep(id.to_string()))
    }

    async fn select_sweeps(&self, id: Option<&str>) -> Result<Vec<SweepRecord>, StoreError> {
        let rows = sqlx::query_as!(
            SweepRow,
            r#"SELECT s.id, s.name, s.benchmark, s.dataset_json, s.program_json, s.method, s.metric, s.goal, s.state, s.created_ms, s.ended_ms,
                 s.priority AS "priority: i32", s.share AS "share: u32", s.max_parallel AS "max_parallel: u32",
                 (SELECT COUNT(*) FROM trials t WHERE t.sweep_sequence = s.sequence) AS "trials!: u32",
                 (SELECT COUNT(*) FROM replicates r WHERE r.sweep_sequence = s.sequence AND r.state = 'queued') AS "queued!: u32",
                 (SELECT COUNT(*) FROM replicates r WHERE r.sweep_sequence = s.sequence AND r.state = 'running') AS "running!: u32",
                 (SELECT COUNT(*) FROM replicates r WHERE r.sweep_sequence = s.sequence AND r.state = 'completed') AS "completed!: u32",
                 (SELECT COUNT(*) FROM replicates r WHERE r.sweep_sequence = s.sequence AND r.state = 'failed') AS "failed!: u32",
                 (SELECT COUNT(*) FROM replicates r WHERE r.sweep_sequence = s.sequence AND r.state = 'cancelled') AS "cancelled!: u32"
               FROM sweeps s
               WHERE ?1 IS NULL OR s.id = ?1
               ORDER BY s.sequence DESC"#,
            id
        )
        .fetch_all(&self.readers)
        .await?;
        rows.into_iter().map(SweepRecord::try_from).collect()
    }
}

struct SweepRow {
    id: String,
    name: String,
    benchmark: String,
    dataset_json: String,
    program_json: Option<String>,
    method: String,
    metric: String,
    goal: String,
    state: String,
    created_ms: i64,
    ended_ms: Option<i64>,
    priority: i32,
    share: u32,
    max_parallel: Option<u32>,
    trials: u32,
    queued: u32,
    running: u32,
    completed: u32,
    failed: u32,
    cancelled: u32,
}

impl TryFrom<SweepRow> for SweepRecord {
    type Error = StoreError;

    fn try_from(row: SweepRow) -> Result<Self, StoreError> {
        let SweepRow {
            id,
            name,
            benchmark,
            dataset_json,
            program_json,
            method,
            metric,
            goal,
            state,
            created_ms,
            ended_ms,
            priority,
            share,
            max_parallel,
            trials,
            queued,
            running,
            completed,
            failed,
            cancelled,
        } = row;
        let state = sweep_state(&id, &state)?;
        let goal = goal_from_name(&goal).ok_or_else(|| inconsistent(format!("sweep {id}"), format!("goal `{goal}`")))?;
        let dataset = dataset_from_json(&id, &dataset_json)?;
        let program = program_from_json(&id, program_json)?;
        Ok(Self {
            id: SweepId::named(id),
            name,
            method,
            metric,
            goal,
            state,
            trials,
            counts: Counts { queued, running, completed, failed, cancelled },
            created_ms,
            ended_ms,
            benchmark,
            dataset,
            program,
            standing: Standing { priority, share, max_parallel },
        })
    }
}

pub(super) fn sweep_state(id: &str, name: &str) -> Result<SweepState, StoreError> {
    SweepState::from_name(name).ok_or_else(|| inconsistent(format!("sweep {id}"), format!("state `{name}`")))
}

pub(super) fn dataset_from_json(sweep: &str, json: &str) -> Result<Option<Dataset>, StoreError> {
    serde_json::from_str(json).map_err(|error| inconsistent(format!("sweep {sweep}"), format!("data set `{json}`: {error}")))
}

pub(super) fn program_from_json(sweep: &str, json: Option<String>) -> Result<Option<Program>, StoreError> {
    let read = |json: String| {
        serde_json::from_str(&json).map_err(|error| inconsistent(format!("sweep {sweep}"), format!("program `{json}`: {error}")))
    };
    json.map(read).transpose()
}

/// The name of a goal, as in the store and in messages.
pub const fn goal_name(goal: Goal) -> &'static str {
    match goal {
        Goal::Minimize => "minimize",
        Goal::Maximize => "maximize",
    }
}

pub(super) fn goal_from_name(name: &str) -> Option<Goal> {
    [Goal::Minimize, Goal::Maximize].into_iter().find(|goal| goal_name(*goal) == name)
}
