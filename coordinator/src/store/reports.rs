//! What workers report, each event once.
//!
//! The cursor of the worker and what the event does are one transaction: either both are stored or neither is.

use serde::Serialize;
use sqlx::SqliteConnection;

use super::{
    Store, StoreError,
    checkpoints::{forget_resumed, retain, store_checkpoint},
    error::signed,
    logs::store_lines,
    replicates::{Loaded, load, perform, unknown},
};
use crate::{
    clock::Moment,
    domain::{
        checkpoint::Checkpoint,
        failure::FailureKind,
        ids::{AttemptKey, WorkerId},
        lifecycle::{Event, Refusal},
        outcome::TrialOutcome,
    },
};

/// An event about one attempt.
#[derive(Clone, Debug, PartialEq)]
pub enum Report {
    /// It goes on.
    Progress(Progress),
    /// It has a result.
    Completed(TrialOutcome),
    /// It ended without.
    Failed {
        /// What kind of failure.
        kind: FailureKind,
        /// In the worker's words.
        message: String,
    },
    /// Its worker gives it back, through no fault of its own.
    HandedBack {
        /// Why.
        reason: String,
    },
    /// There is a state of training to go on from.
    Checkpointed(Checkpoint),
    /// It has something to say to people.
    Logged(Vec<String>),
}

impl Report {
    /// Whether its worker must keep it until it is on the disk. Metrics of the last moments may go with the power; ends may not.
    pub const fn must_survive(&self) -> bool {
        match self {
            Self::Completed(_) | Self::Failed { .. } | Self::HandedBack { .. } | Self::Checkpointed(_) => true,
            Self::Progress(_) | Self::Logged(_) => false,
        }
    }
}

/// Metrics of an attempt since its last report.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Progress {
    /// Steps done.
    pub step: u64,
    /// Steps to do.
    pub total_steps: u64,
    /// `(name, step, value)`; values must be finite.
    pub points: Vec<(String, u64, f64)>,
}

/// What became of an event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Applied {
    /// It counts.
    Counted {
        /// Slots of the worker that are free now.
        freed: u32,
    },
    /// It had been taken before.
    Duplicate,
    /// Its attempt does not count any more.
    Dropped(Refusal),
    /// It was a result that cannot stand; the attempt has failed.
    Rejected {
        /// For this reason.
        problem: String,
        /// Slots of the worker that are free now.
        freed: u32,
    },
}

impl Store {
    /// Takes one event of a worker, unless it has been taken before.
    ///
    /// # Errors
    /// The database fails; the event is to be sent again.
    pub async fn apply(
        &self,
        worker: &WorkerId,
        seq: u64,
        attempt: &AttemptKey,
        report: &Report,
        at: Moment,
    ) -> Result<Applied, StoreError> {
        let mut tx = self.begin().await?;
        let applied = if advance(&mut tx, worker, seq, at.now_ms).await? {
            apply_fresh(&mut tx, worker, attempt, report, at).await?
        } else {
            Applied::Duplicate
        };
        tx.commit().await?;
        Ok(applied)
    }

    /// Takes a worker's goodbye: it has left, and its cursor moves past that event.
    ///
    /// # Errors
    /// The database fails.
    pub async fn apply_goodbye(&self, worker: &WorkerId, seq: u64, now_ms: i64) -> Result<(), StoreError> {
        let mut tx = self.begin().await?;
        advance(&mut tx, worker, seq, now_ms).await?;
        let id = worker.as_str();
        sqlx::query!("UPDATE workers SET state = 'left' WHERE id = ?", id).execute(&mut *tx).await?;
        Ok(tx.commit().await?)
    }
}

/// Moves the worker's cursor to `seq`; false where it is there already.
///
/// A gap is let through: after a power cut the store may have forgotten events that the worker was told are stored.
async fn advance(tx: &mut SqliteConnection, worker: &WorkerId, seq: u64, now_ms: i64) -> Result<bool, StoreError> {
    let (id, seq) = (worker.as_str(), signed("event number", seq)?);
    let changed =
        sqlx::query!("UPDATE workers SET applied_seq = ?1, last_seen_ms = ?2 WHERE id = ?3 AND applied_seq < ?1", seq, now_ms, id)
            .execute(tx)
            .await?;
    Ok(changed.rows_affected() == 1)
}

async fn apply_fresh(
    tx: &mut SqliteConnection,
    worker: &WorkerId,
    attempt: &AttemptKey,
    report: &Report,
    at: Moment,
) -> Result<Applied, StoreError> {
    let Some(loaded) = load(tx, &attempt.replicate).await? else { return Ok(Applied::Dropped(unknown(attempt))) };
    if let Err(refusal) = loaded.replicate.expect_running_on(attempt.number, worker) {
        return Ok(Applied::Dropped(refusal));
    }
    let freed = loaded.slots;
    let fail = |kind, message| Event::Fail { attempt: attempt.number, worker: worker.clone(), kind, message };
    match report {
        Report::Progress(progress) => {
            store_progress(tx, &loaded, progress).await?;
            Ok(Applied::Counted { freed: 0 })
        }
        Report::Failed { kind, message } => {
            if *kind == FailureKind::Checkpoint {
                forget_resumed(tx, &loaded).await?;
            }
            perform(tx, &attempt.replicate, &loaded, fail(*kind, message.clone()), "", at).await?;
            Ok(Applied::Counted { freed })
        }
        Report::HandedBack { reason } => {
            let event = Event::HandBack { attempt: attempt.number, worker: worker.clone(), reason: reason.clone() };
            perform(tx, &attempt.replicate, &loaded, event, "", at).await?;
            Ok(Applied::Counted { freed })
        }
        Report::Checkpointed(checkpoint) => {
            store_checkpoint(tx, &loaded, checkpoint, at.now_ms).await?;
            Ok(Applied::Counted { freed: 0 })
        }
        Report::Logged(lines) => {
            store_lines(tx, &loaded, lines, at.now_ms).await?;
            Ok(Applied::Counted { freed: 0 })
        }
        Report::Completed(outcome) => match outcome.check(&loaded.metric) {
            Ok(()) => {
                let event = Event::Complete { attempt: attempt.number, worker: worker.clone() };
                perform(tx, &attempt.replicate, &loaded, event, "", at).await?;
                store_outcome(tx, &loaded, outcome).await?;
                if loaded.has_checkpoints {
                    retain(tx, loaded.id).await?;
                }
                Ok(Applied::Counted { freed })
            }
            Err(problem) => {
                perform(tx, &attempt.replicate, &loaded, fail(FailureKind::BadResult, problem.clone()), "", at).await?;
                Ok(Applied::Rejected { problem, freed })
            }
        },
    }
}

#[derive(Serialize)]
struct Point<'a>(&'a str, i64, f64);

async fn store_progress(tx: &mut SqliteConnection, loaded: &Loaded, progress: &Progress) -> Result<(), StoreError> {
    let Some(attempt_id) = loaded.alive else { return Ok(()) };
    let (step, total_steps) = (signed("step", progress.step)?, signed("number of steps", progress.total_steps)?);
    sqlx::query!("UPDATE attempts SET step = ?, total_steps = ? WHERE id = ?", step, total_steps, attempt_id).execute(&mut *tx).await?;
    if progress.points.is_empty() {
        return Ok(());
    }
    let points = progress
        .points
        .iter()
        .map(|(name, step, value)| Ok(Point(name, signed("step", *step)?, *value)))
        .collect::<Result<Vec<_>, StoreError>>()?;
    let json = serde_json::to_string(&points).expect("strings and finite numbers have a JSON form");
    // One statement for all points: a statement each would cost ten times as much.
    sqlx::query!(
        "INSERT OR REPLACE INTO metric_points (attempt_id, name, step, value)
         SELECT ?, value ->> 0, value ->> 1, CAST(value ->> 2 AS REAL) FROM json_each(?)",
        attempt_id,
        json
    )
    .execute(tx)
    .await?;
    Ok(())
}

async fn store_outcome(tx: &mut SqliteConnection, loaded: &Loaded, outcome: &TrialOutcome) -> Result<(), StoreError> {
    let TrialOutcome { metrics, metrics_by_step, wall_seconds, checkpoint, parameters } = outcome;
    let parameters = signed("number of parameters", *parameters)?;
    sqlx::query!(
        "INSERT INTO results (replicate_id, attempt_id, wall_seconds, checkpoint, parameters) VALUES (?, ?, ?, ?, ?)",
        loaded.id,
        loaded.alive,
        wall_seconds,
        checkpoint,
        parameters
    )
    .execute(&mut *tx)
    .await?;
    let metrics = serde_json::to_string(metrics).expect("strings and finite numbers have a JSON form");
    sqlx::query!(
        "INSERT INTO final_metrics (replicate_id, name, value) SELECT ?, key, CAST(value AS REAL) FROM json_each(?)",
        loaded.id,
        metrics
    )
    .execute(&mut *tx)
    .await?;
    sqlx::query!(
        "UPDATE trials SET score = (SELECT AVG(m.value) FROM replicates r JOIN final_metrics m ON m.replicate_id = r.id AND m.name = ?1
           WHERE r.trial_id = ?2 AND r.state = 'completed') WHERE id = ?2",
        loaded.metric,
        loaded.trial_id
    )
    .execute(&mut *tx)
    .await?;
    for (name, values) in metrics_by_step {
        let values = serde_json::to_string(values).expect("finite numbers have a JSON form");
        sqlx::query!(
            "INSERT INTO step_metrics (replicate_id, name, step, value) SELECT ?, ?, key + 1, CAST(value AS REAL) FROM json_each(?)",
            loaded.id,
            name,
            values
        )
        .execute(&mut *tx)
        .await?;
    }
    Ok(())
}
