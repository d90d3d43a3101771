//! What peers say. It may be anything, and is bounded here.

use tinysweep_proto::v1;

use super::super::status::ServiceError;
use crate::{
    domain::{
        checkpoint::Checkpoint,
        cost::{self, Cost},
        failure::FailureKind,
        ids::{AttemptKey, AttemptNumber, Fence, LeaseToken, ReplicateKey, SweepId, WorkerId},
        lifecycle::SweepVerb,
        metric_name,
        outcome::TrialOutcome,
        policy::Traits,
    },
    live::LiveProgress,
    store::{Changes, Greeting, Progress, Report},
};

/// The most metric points in one message.
const POINTS_LIMIT: usize = 10_000;
/// The most attempts that one hello may claim.
const CLAIMS_LIMIT: usize = 1000;
/// The most labels of one worker.
const LABELS_LIMIT: usize = 64;
/// The most lines in one message.
const LINES_LIMIT: usize = 1000;
/// The most slots of one worker.
const SLOTS_LIMIT: u32 = 1024;
/// The most characters of a text for people; what is longer is cut.
const TEXT_LIMIT: usize = 4096;
/// The same for names.
const NAME_LIMIT: usize = 128;

/// The attempt that a message names; it need not exist.
///
/// # Errors
/// The name is missing or none that this coordinator can have given.
pub fn attempt_key(message: Option<v1::AttemptRef>) -> Result<AttemptKey, ServiceError> {
    let v1::AttemptRef { sweep, trial, replicate, attempt, token } =
        message.ok_or_else(|| ServiceError::invalid("attempt", "is missing"))?;
    if sweep.len() > NAME_LIMIT {
        return Err(ServiceError::invalid("attempt.sweep", "is no sweep's id"));
    }
    let fence = Fence { number: AttemptNumber(attempt), token: LeaseToken(token) };
    Ok(AttemptKey { replicate: ReplicateKey { sweep: SweepId::named(sweep), trial, replicate }, fence })
}

/// What a worker says of itself, and what it still runs.
///
/// # Errors
/// The id or the number of slots is impossible.
pub fn hello(message: v1::Hello) -> Result<(Greeting, Vec<AttemptKey>), ServiceError> {
    let v1::Hello { protocol_version: _, worker_id, name, slots, version, running, labels, device, memory_mib, commands } = message;
    let id = WorkerId::parse(&worker_id).map_err(|error| ServiceError::invalid("hello.worker_id", error.to_string()))?;
    if !(1..=SLOTS_LIMIT).contains(&slots) {
        return Err(ServiceError::invalid("hello.slots", format!("must be 1 to {SLOTS_LIMIT}, not {slots}")));
    }
    if running.len() > CLAIMS_LIMIT {
        return Err(ServiceError::invalid("hello.running", format!("are {}, of {CLAIMS_LIMIT} at the most", running.len())));
    }
    if labels.len() > LABELS_LIMIT {
        return Err(ServiceError::invalid("hello.labels", format!("are {}, of {LABELS_LIMIT} at the most", labels.len())));
    }
    let labels = labels.into_iter().map(|(name, value)| (cut(&name, NAME_LIMIT), cut(&value, NAME_LIMIT))).collect();
    let traits = Traits { device: cut(&device, NAME_LIMIT), memory_mib, labels, commands };
    let running = running.into_iter().map(|attempt| attempt_key(Some(attempt))).collect::<Result<_, _>>()?;
    Ok((Greeting { id, name: cut(&name, NAME_LIMIT), version: cut(&version, NAME_LIMIT), slots, traits }, running))
}

/// What a report says that its attempt has cost so far.
///
/// # Errors
/// Nothing can cost this: what is wrong, for people.
pub fn cost(message: Option<Cost>) -> Result<Option<Cost>, String> {
    message.map(|cost| cost::check(&cost).map(|()| cost)).transpose()
}

/// A report of progress: what is stored, what is shown, and how many points were left out because they are no numbers
/// or have no proper name.
///
/// # Errors
/// There are too many points.
pub fn progress(message: v1::Progress, cost: Option<Cost>) -> Result<(Progress, LiveProgress, usize), ServiceError> {
    let v1::Progress { attempt: _, step, total_steps, points, seconds_left, evaluated, to_evaluate, cost: _ } = message;
    if points.len() > POINTS_LIMIT {
        return Err(ServiceError::invalid("progress.points", format!("are {}, of {POINTS_LIMIT} at the most", points.len())));
    }
    let sent = points.len();
    let points: Vec<_> = points
        .into_iter()
        .filter(|point| point.value.is_finite() && metric_name(&point.name).is_ok())
        .map(|v1::MetricPoint { name, step, value }| (name, step, value))
        .collect();
    let last = |wanted: &str| points.iter().rev().find(|(name, ..)| name == wanted).map(|(_, _, value)| *value);
    let live = LiveProgress {
        step,
        total_steps,
        loss: last("train/lm_loss"),
        train_accuracy: last("train/exact_accuracy"),
        test_accuracy: last("subset/exact_accuracy"),
        seconds_left: seconds_left.filter(|seconds| seconds.is_finite()),
        evaluation: evaluated.zip(to_evaluate),
    };
    let left_out = sent - points.len();
    Ok((Progress { step, total_steps, points, cost }, live, left_out))
}

/// A result as reported; whether it can stand is for the domain to say.
pub fn completed(message: v1::Completed, cost: Option<Cost>) -> Report {
    let v1::Completed { attempt: _, metrics, metrics_by_step, wall_seconds, checkpoint, parameters, cost: _ } = message;
    Report::Completed(TrialOutcome {
        metrics: metrics.into_iter().collect(),
        metrics_by_step: metrics_by_step.into_iter().map(|v1::Series { name, values }| (name, values)).collect(),
        wall_seconds,
        checkpoint: cut(&checkpoint, TEXT_LIMIT),
        parameters,
        cost,
    })
}

/// A failure as reported.
pub fn failed(message: &v1::Failed, cost: Option<Cost>) -> Report {
    let kind = match message.kind() {
        v1::FailureKind::NonFinite => FailureKind::NonFinite,
        v1::FailureKind::Panic => FailureKind::Panic,
        v1::FailureKind::Data => FailureKind::Data,
        v1::FailureKind::Checkpoint => FailureKind::Checkpoint,
        v1::FailureKind::OutOfMemory => FailureKind::OutOfMemory,
        v1::FailureKind::Timeout => FailureKind::Timeout,
        v1::FailureKind::Crashed => FailureKind::Crashed,
        v1::FailureKind::Program => FailureKind::Program,
        v1::FailureKind::CannotStart => FailureKind::CannotStart,
        v1::FailureKind::Other | v1::FailureKind::Unspecified => FailureKind::Other,
    };
    Report::Failed { kind, message: cut(&message.message, TEXT_LIMIT), cost }
}

/// A hand-back as reported.
pub fn handed_back(message: &v1::HandedBack, cost: Option<Cost>) -> Report {
    Report::HandedBack { reason: cut(&message.reason, TEXT_LIMIT), cost }
}

/// A checkpoint as reported.
///
/// # Errors
/// It cannot be one.
pub fn checkpoint(message: v1::Checkpointed) -> Result<Checkpoint, ServiceError> {
    let v1::Checkpoint { step, bytes, chunks } = message.checkpoint.ok_or_else(|| ServiceError::invalid("checkpoint", "is missing"))?;
    let checkpoint = Checkpoint { step, bytes, chunks };
    checkpoint.check().map_err(|problem| ServiceError::invalid("checkpoint", problem))?;
    Ok(checkpoint)
}

/// Lines for people as reported; long ones are cut.
///
/// # Errors
/// There are too many.
pub fn log_lines(message: v1::LogLines) -> Result<Report, ServiceError> {
    if message.lines.len() > LINES_LIMIT {
        return Err(ServiceError::invalid("log_lines.lines", format!("are {}, of {LINES_LIMIT} at the most", message.lines.len())));
    }
    Ok(Report::Logged(message.lines.iter().map(|line| cut(line, TEXT_LIMIT)).collect()))
}

/// What a user wants of a sweep.
///
/// # Errors
/// It is nothing that this coordinator knows.
pub fn verb(verb: v1::SweepVerb) -> Result<SweepVerb, ServiceError> {
    match verb {
        v1::SweepVerb::Pause => Ok(SweepVerb::Pause),
        v1::SweepVerb::Resume => Ok(SweepVerb::Resume),
        v1::SweepVerb::Stop => Ok(SweepVerb::Stop),
        v1::SweepVerb::Cancel => Ok(SweepVerb::Cancel),
        v1::SweepVerb::Retry => Ok(SweepVerb::Retry),
        v1::SweepVerb::Unspecified => Err(ServiceError::invalid("verb", "is missing or unknown")),
    }
}

/// What a user changes about a sweep.
///
/// # Errors
/// A share or a limit is 0.
pub fn changes(message: &v1::UpdateSweepRequest) -> Result<Changes, ServiceError> {
    use v1::update_sweep_request::Parallel;
    let max_parallel = message.parallel.as_ref().map(|parallel| match parallel {
        Parallel::MaxParallel(most) => Some(*most),
        Parallel::NoMaxParallel(_) => None,
    });
    for (field, number) in [("share", message.share), ("max_parallel", max_parallel.flatten())] {
        if number == Some(0) {
            return Err(ServiceError::invalid(field, "must be at least 1"));
        }
    }
    Ok(Changes { priority: message.priority, share: message.share, max_parallel })
}

fn cut(text: &str, limit: usize) -> String {
    text.chars().take(limit).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn points_that_are_no_numbers_are_left_out() {
        let point = |name: &str, value| v1::MetricPoint { name: name.into(), step: 1, value };
        let message = v1::Progress {
            step: 5,
            total_steps: 9,
            points: vec![
                point("train/lm_loss", 2.0),
                point("train/lm_loss", f64::NAN),
                point("", 1.0),
                point("subset/exact_accuracy", 0.5),
            ],
            seconds_left: Some(f64::INFINITY),
            ..v1::Progress::default()
        };
        let (stored, live, left_out) = progress(message, None).unwrap();
        assert_eq!((stored.points.len(), left_out), (2, 2));
        assert_eq!((live.loss, live.test_accuracy, live.seconds_left), (Some(2.0), Some(0.5), None));
    }

    #[test]
    fn floods_are_refused() {
        let message = v1::Progress { points: vec![v1::MetricPoint::default(); POINTS_LIMIT + 1], ..v1::Progress::default() };
        assert!(progress(message, None).unwrap_err().to_string().contains("10000 at the most"));
        let greeting = |slots| v1::Hello { worker_id: "w".into(), name: "n".repeat(9999), slots, ..v1::Hello::default() };
        assert_eq!(hello(greeting(1)).unwrap().0.name.len(), NAME_LIMIT);
        assert!(hello(greeting(0)).is_err() && hello(greeting(9999)).is_err());
    }
}
