//! What workers report, each event once.
//!
//! The cursor of the worker and what the event does are one transaction: either both are stored or neither is.

use serde::Serialize;

use super::{
    Store, StoreError,
    changes::{self, Change, unless_conflict, write_changes},
    checkpoints::{forget_resumed, retain, store_checkpoint},
    costs::store_cost,
    error::signed,
    leases::{self, Leased, Room},
    logs::store_lines,
    queue::Queues,
    replicates::{Loaded, perform, settle_sweep, take, unknown},
    writer::Turn,
};
use crate::{
    clock::Moment,
    domain::{
        checkpoint::Checkpoint,
        cost::Cost,
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
        /// What it has cost, where its worker says so.
        cost: Option<Cost>,
    },
    /// Its worker gives it back, through no fault of its own.
    HandedBack {
        /// Why.
        reason: String,
        /// What it has cost, where its worker says so.
        cost: Option<Cost>,
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

    /// What the attempt has cost so far, where the report says so.
    const fn cost(&self) -> Option<&Cost> {
        match self {
            Self::Progress(progress) => progress.cost.as_ref(),
            Self::Completed(outcome) => outcome.cost.as_ref(),
            Self::Failed { cost, .. } | Self::HandedBack { cost, .. } => cost.as_ref(),
            Self::Checkpointed(_) | Self::Logged(_) => None,
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
    /// What it has cost so far, where its worker says so.
    pub cost: Option<Cost>,
}

/// What became of an event.
#[derive(Clone, Debug, PartialEq)]
pub enum Applied {
    /// It counts.
    Counted {
        /// Slots of the worker that are free now.
        freed: u32,
        /// What was leased in the same write.
        leased: Vec<Leased>,
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
    /// Takes one event of a worker, unless it has been taken before. Where `room` is given, and the event is a result that counts, what is
    /// leased next goes into the same write.
    ///
    /// # Errors
    /// The database fails; the event is to be sent again.
    pub async fn apply(
        &self,
        worker: &WorkerId,
        seq: u64,
        attempt: &AttemptKey,
        report: &Report,
        room: Option<Room>,
        at: Moment,
    ) -> Result<Applied, StoreError> {
        let mut turn = self.writer.turn().await?;
        let taking = take(&mut turn, worker, signed("event number", seq)?, &attempt.replicate, at.now_ms);
        // Nobody else writes meanwhile, so that both read the same.
        let (loaded, next) = match room {
            None => (taking.await?, None),
            Some(room) => {
                let (loaded, queues) = tokio::try_join!(taking, self.read_queues(room.available.slots_with_all_of(worker), at.now_ms))?;
                (loaded, Some((queues, room)))
            }
        };
        match loaded {
            Some(loaded) if loaded.is_news => apply_news(turn, &loaded, worker, attempt, report, next, at).await,
            Some(_) => {
                turn.commit().await?;
                Ok(Applied::Duplicate)
            }
            None => {
                turn.commit().await?;
                Ok(Applied::Dropped(unknown(attempt)))
            }
        }
    }

    /// Takes a worker's goodbye: it has left, and its cursor moves past that event.
    ///
    /// # Errors
    /// The database fails.
    pub async fn apply_goodbye(&self, worker: &WorkerId, seq: u64, now_ms: i64) -> Result<(), StoreError> {
        let mut tx = self.begin().await?;
        let (id, seq) = (worker.as_str(), signed("event number", seq)?);
        sqlx::query!(
            "UPDATE workers SET state = 'left', applied_seq = MAX(applied_seq, ?), last_seen_ms = ? WHERE id = ?",
            seq,
            now_ms,
            id
        )
        .execute(&mut *tx)
        .await?;
        tx.commit().await
    }
}

/// Does what a report says that had not been taken before, and ends the transaction.
async fn apply_news(
    mut turn: Turn,
    loaded: &Loaded,
    worker: &WorkerId,
    attempt: &AttemptKey,
    report: &Report,
    next: Option<(Queues, Room)>,
    at: Moment,
) -> Result<Applied, StoreError> {
    if let Err(refusal) = loaded.replicate.expect_running_on(attempt.fence, worker) {
        turn.commit().await?;
        return Ok(Applied::Dropped(refusal));
    }
    if let Some(cost) = report.cost() {
        store_cost(&mut turn, loaded, cost).await?;
    }
    let freed = loaded.slots;
    let fail = |kind, message| Event::Fail { attempt: attempt.fence, worker: worker.clone(), kind, message };
    let applied = match report {
        Report::Progress(progress) => {
            store_progress(turn, loaded, progress).await?;
            return Ok(Applied::Counted { freed: 0, leased: Vec::new() });
        }
        Report::Failed { kind, message, cost: _ } => {
            if *kind == FailureKind::Checkpoint {
                forget_resumed(&mut turn, loaded).await?;
            }
            perform(&mut turn, loaded, fail(*kind, message.clone()), at).await?;
            Applied::Counted { freed, leased: Vec::new() }
        }
        Report::HandedBack { reason, cost: _ } => {
            let event = Event::HandBack { attempt: attempt.fence, worker: worker.clone(), reason: reason.clone() };
            perform(&mut turn, loaded, event, at).await?;
            Applied::Counted { freed, leased: Vec::new() }
        }
        Report::Checkpointed(checkpoint) => {
            store_checkpoint(&mut turn, loaded, checkpoint, at.now_ms).await?;
            Applied::Counted { freed: 0, leased: Vec::new() }
        }
        Report::Logged(lines) => {
            store_lines(&mut turn, loaded, lines, at.now_ms).await?;
            Applied::Counted { freed: 0, leased: Vec::new() }
        }
        Report::Completed(outcome) => match outcome.check(&loaded.metric) {
            Ok(()) => {
                let (mut changes, leased) = match next {
                    None => Default::default(),
                    Some((mut queues, mut room)) => {
                        queues.ends(&attempt.replicate.sweep);
                        room.available.free(worker, freed);
                        leases::decide(queues, room, at)?
                    }
                };
                let event = Event::Complete { attempt: attempt.fence, worker: worker.clone() };
                changes.push(loaded.completed(event, at)?);
                store_outcome(turn, loaded, outcome, &changes, at.now_ms).await?;
                return Ok(Applied::Counted { freed, leased });
            }
            Err(problem) => {
                perform(&mut turn, loaded, fail(FailureKind::BadResult, problem.clone()), at).await?;
                Applied::Rejected { problem, freed }
            }
        },
    };
    turn.commit().await?;
    Ok(applied)
}

#[derive(Serialize)]
struct Point<'a>(&'a str, i64, f64);

/// Notes progress, and ends the transaction.
async fn store_progress(mut turn: Turn, loaded: &Loaded, progress: &Progress) -> Result<(), StoreError> {
    let (step, total_steps) = (signed("step", progress.step)?, signed("number of steps", progress.total_steps)?);
    let points = progress
        .points
        .iter()
        .map(|(name, step, value)| Ok(Point(name, signed("step", *step)?, *value)))
        .collect::<Result<Vec<_>, StoreError>>()?;
    let points = serde_json::to_string(&points).expect("strings and finite numbers have a JSON form");
    // One statement for all points: a statement each would cost ten times as much.
    sqlx::query!(
        "UPDATE attempts SET step = ?, total_steps = ? WHERE id = ?;
         INSERT OR REPLACE INTO metric_points (attempt_id, name, step, value)
         SELECT ?, value ->> 0, value ->> 1, CAST(value ->> 2 AS REAL) FROM json_each(?);
         COMMIT",
        step,
        total_steps,
        loaded.alive,
        loaded.alive,
        points
    )
    .execute(&mut *turn)
    .await?;
    turn.committed();
    Ok(())
}

/// Stores the result of a replicate with the `changes` that complete it and lease others, and ends the transaction.
async fn store_outcome(mut turn: Turn, loaded: &Loaded, outcome: &TrialOutcome, changes: &[Change], now_ms: i64) -> Result<(), StoreError> {
    let TrialOutcome { metrics, metrics_by_step, wall_seconds, checkpoint, parameters, cost: _ } = outcome;
    let parameters = signed("number of parameters", *parameters)?;
    let metrics = serde_json::to_string(metrics).expect("strings and finite numbers have a JSON form");
    let by_step = serde_json::to_string(metrics_by_step).expect("strings and finite numbers have a JSON form");
    let json = changes::json(changes);
    // A result of what is not completed names no attempt, which `NOT NULL` refuses.
    macro_rules! store {
        ($end:literal) => {
            write_changes!(
                "",
                [
                    "; INSERT INTO results (replicate_id, attempt_id, wall_seconds, checkpoint, parameters) VALUES (?, (
           SELECT a.id FROM attempts a JOIN replicates r ON r.id = a.replicate_id
           WHERE a.id = ? AND a.state = 'completed' AND r.state = 'completed'), ?, ?, ?);
         INSERT INTO final_metrics (replicate_id, name, value) SELECT ?, key, CAST(value AS REAL) FROM json_each(?);
         INSERT INTO step_metrics (replicate_id, name, step, value)
         SELECT ?, m.key, s.key + 1, CAST(s.value AS REAL) FROM json_each(?) AS m, json_each(m.value) AS s;
         UPDATE trials SET score = (SELECT AVG(m.value) FROM replicates r JOIN final_metrics m ON m.replicate_id = r.id AND m.name = ?
           WHERE r.trial_id = trials.id AND r.state = 'completed') WHERE id = ?",
                    $end
                ],
                json,
                now_ms,
                loaded.id,
                loaded.alive,
                wall_seconds,
                checkpoint,
                parameters,
                loaded.id,
                metrics,
                loaded.id,
                by_step,
                loaded.metric,
                loaded.trial_id
            )
            .execute(&mut *turn)
            .await
            .map_err(|error| unless_conflict(error, changes))?
        };
    }
    // Nothing follows from most results, and they end the transaction by themselves.
    if loaded.others_open && !loaded.has_checkpoints {
        store!("; COMMIT");
        turn.committed();
        return Ok(());
    }
    store!("");
    if loaded.has_checkpoints {
        retain(&mut turn, loaded.id).await?;
    }
    if !loaded.others_open {
        settle_sweep(&mut turn, loaded.sweep_sequence, now_ms).await?;
    }
    turn.commit().await
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        domain::ids::{AttemptNumber, Fence, LeaseToken, ReplicateKey, SweepId},
        store::{replicates::load, rows::insert_trial_with},
    };

    const ROWS: [&str; 2] = [
        "INSERT INTO replicates (id, trial_id, sweep_sequence, replicate, seed, state, attempts)
         VALUES (7, 1, 1, 0, 0, 'running', 1), (8, 1, 1, 1, 0, 'queued', 0)",
        "INSERT INTO attempts (id, replicate_id, number, token, worker_id, state, lease_reason, started_ms)
         VALUES (3, 7, 1, 5, 'w', 'running', '', 0)",
    ];

    #[tokio::test]
    async fn a_result_is_stored_with_all_that_goes_with_it_or_not_at_all() {
        let broken = [
            "UPDATE attempts SET state = 'lost', ended_ms = 1",
            "UPDATE replicates SET state = 'cancelled' WHERE id = 7",
            "UPDATE replicates SET attempts = 2 WHERE id = 7",
        ];
        for change in broken.map(Some).into_iter().chain([None]) {
            let folder = tempfile::tempdir().unwrap();
            let store = Store::open(folder.path()).await.unwrap();
            let mut turn = store.begin().await.unwrap();
            insert_trial_with(&mut turn, &ROWS).await;
            turn.commit().await.unwrap();
            let mut turn = store.begin().await.unwrap();
            let replicate = ReplicateKey { sweep: SweepId::named("s"), trial: 0, replicate: 0 };
            let loaded = load(&mut turn, &replicate).await.unwrap().unwrap();
            let fence = Fence { number: AttemptNumber(1), token: LeaseToken(5) };
            let at = Moment { now_ms: 9, jitter: 1.0 };
            let completed = loaded.completed(Event::Complete { attempt: fence, worker: WorkerId::parse("w").unwrap() }, at).unwrap();
            if let Some(change) = change {
                sqlx::query(change).execute(&mut *turn).await.unwrap();
            }
            let outcome = TrialOutcome { metrics: [("m".to_owned(), 0.5)].into(), ..TrialOutcome::default() };
            let stored = store_outcome(turn, &loaded, &outcome, &[completed], at.now_ms).await;
            assert_eq!(stored.is_ok(), change.is_none(), "{change:?}: {stored:?}");
            assert!(matches!(stored, Ok(()) | Err(StoreError::Conflict(_))), "{change:?}: {stored:?}");
            let found: (String, String, i64, Option<f64>) = sqlx::query_as(
                "SELECT r.state, a.state, (SELECT COUNT(*) FROM results), t.score
                 FROM replicates r JOIN attempts a ON a.replicate_id = r.id JOIN trials t ON t.id = r.trial_id",
            )
            .fetch_one(&mut *store.begin().await.unwrap())
            .await
            .unwrap();
            let expected = if change.is_none() { ("completed", 1, Some(0.5)) } else { ("running", 0, None) };
            assert_eq!(found, (expected.0.into(), expected.0.into(), expected.1, expected.2), "{change:?}");
        }
    }
}
