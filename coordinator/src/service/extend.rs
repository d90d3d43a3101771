//! More steps for the best trials of a sweep, or for those that a user names.

use std::collections::BTreeMap;

use tinysweep_proto::{
    config::{self, TrialConfig},
    v1::{self, extend_sweep_request::Which},
};
use tracing::info;

use super::{convert, status::ServiceError};
use crate::{
    domain::{
        extension::{Choice, Extensions, Wanted, choose, rate_falls},
        ids::SweepId,
    },
    shared::Shared,
    store::{NewExtension, StoreError, SweepRecord, TrialRecord, inconsistent},
};

/// The most trials that one call extends.
const TRIALS_LIMIT: usize = 1000;

/// Adds the trials that extend others, where there are none yet, and wakes the reconciler.
///
/// # Errors
/// There are not so many trials to extend, they cannot be, or their states are not kept.
pub async fn extend(shared: &Shared, request: v1::ExtendSweepRequest) -> Result<v1::ExtendSweepResponse, ServiceError> {
    let choice = choice(&request)?;
    let steps = request.steps;
    let id = shared.machine.disk(shared.store.find_sweep(&request.sweep)).await?;
    let SweepRecord { goal, program, .. } = shared.machine.disk(shared.store.sweep(&id)).await?;
    if program.is_some() {
        return Err(StoreError::NoTraining(id.to_string()).into()); // whatever it calls its parameters
    }
    let Extensions { wanted, present } = choose(&shared.machine.disk(shared.store.candidates(&id)).await?, goal, &choice, steps)?;
    let (added, falling) = if wanted.is_empty() { Default::default() } else { add(shared, &id, &wanted, steps).await? };
    let extension = |trial, extends, is_new| v1::Extension { trial, extends, is_new };
    let mut extensions: Vec<_> = present.iter().map(|present| extension(present.trial, present.extends, false)).collect();
    extensions.extend(added.iter().zip(&wanted).map(|(trial, wanted)| extension(*trial, wanted.extends, true)));
    extensions.sort_by_key(|extension| extension.trial);
    Ok(v1::ExtendSweepResponse {
        sweep: Some(convert::sweep(shared.machine.disk(shared.store.sweep(&id)).await?)),
        extensions,
        note: note(&falling, steps).unwrap_or_default(),
    })
}

fn choice(request: &v1::ExtendSweepRequest) -> Result<Choice, ServiceError> {
    let many = |field, count: usize| {
        if (1..=TRIALS_LIMIT).contains(&count) {
            Ok(())
        } else {
            Err(ServiceError::invalid(field, format!("must be 1 to {TRIALS_LIMIT} trials, not {count}")))
        }
    };
    match &request.which {
        Some(Which::Top(count)) => many("top", *count as usize).map(|()| Choice::Top(*count)),
        Some(Which::Trials(v1::TrialNumbers { numbers })) => many("trials", numbers.len()).map(|()| Choice::Trials(numbers.clone())),
        None => Err(ServiceError::invalid("which", "is missing; say how many of the best, or which")),
    }
}

/// Adds an extension for each of `wanted`. Returns the numbers of these, and which of what they extend had a rate that falls.
async fn add(shared: &Shared, id: &SweepId, wanted: &[Wanted], steps: u64) -> Result<(Vec<u32>, Vec<u32>), ServiceError> {
    let trials: Vec<_> = wanted.iter().map(|wanted| wanted.extends).collect();
    let missing = shared.machine.disk(shared.store.without_final_state(id, &trials)).await?;
    if !missing.is_empty() {
        return Err(ServiceError::NoFinalState(listed(&missing)));
    }
    let (mut extensions, mut falling) = (Vec::with_capacity(wanted.len()), Vec::new());
    for Wanted { extends, head } in wanted {
        let extended = configuration(id, &shared.machine.disk(shared.store.trial(id, *extends)).await?)?;
        if rate_falls(&extended.train) {
            falling.push(*extends);
        }
        let name = format!("{}, extended to {steps} steps", shared.machine.disk(shared.store.trial(id, *head)).await?.name);
        extensions.push(extension(*extends, name, extended, steps)?);
    }
    let numbers = shared.machine.disk(shared.store.extend(id, &extensions, shared.machine.now_ms())).await?;
    info!(sweep = %id, ?trials, steps, ?numbers, "trials extended by a user");
    shared.wake.notify_one();
    Ok((numbers, falling))
}

/// The configuration of a trial.
pub fn configuration(sweep: &SweepId, trial: &TrialRecord) -> Result<TrialConfig, ServiceError> {
    let wrong = |problem| inconsistent(format!("trial {} of sweep {sweep}", trial.number), problem);
    Ok(config::parse(&trial.config_json).map_err(wrong)?)
}

fn extension(extends: u32, name: String, mut config: TrialConfig, steps: u64) -> Result<NewExtension, ServiceError> {
    config.train.steps = usize::try_from(steps).unwrap_or(usize::MAX);
    match config::check(&config).first() {
        Some(error) => Err(ServiceError::invalid("steps", error.to_string())),
        None => Ok(NewExtension { extends, name, config_json: config.canonical_json(), config_hash: config.hash() }),
    }
}

/// Replicates by trial, for people: `trial 3 (replicates 0, 1), trial 7 (replicate 0)`.
fn listed(replicates: &[(u32, u32)]) -> String {
    let mut by_trial = BTreeMap::<_, Vec<_>>::new();
    for (trial, replicate) in replicates {
        by_trial.entry(trial).or_default().push(replicate.to_string());
    }
    let one = |(trial, replicates): (_, Vec<String>)| {
        format!("trial {trial} (replicate{} {})", if replicates.len() == 1 { "" } else { "s" }, replicates.join(", "))
    };
    by_trial.into_iter().map(one).collect::<Vec<_>>().join(", ")
}

fn note(falling: &[u32], steps: u64) -> Option<String> {
    let trials = falling.iter().map(u32::to_string).collect::<Vec<_>>().join(", ");
    (!falling.is_empty()).then(|| {
        format!(
            "the learning rate of trial {trials} falls over train.steps: what is added has the rates of a run of {steps} steps, what came \
             before those of its own length, so that the result is not that of {steps} steps from the start"
        )
    })
}
