//! `SubmitSweep`: from a file to stored trials, all or none.

use tinysweep_proto::dataset::Dataset;
use tracing::info;

use super::status::ServiceError;
use crate::{
    domain::{
        ids::SweepId,
        plan::NO_COMMANDS,
        sampler::replicate_seed,
        spec::{Proposal, Running, Subject, SweepSpec},
    },
    shared::Shared,
    store::{NewSweep, NewTrial, Standing, SweepRecord},
};

/// The most bytes of a sweep file.
const YAML_LIMIT_BYTES: usize = 1 << 20;
/// The most bytes of its name.
const FILE_NAME_LIMIT: usize = 4096;
/// The most replicates of one sweep.
const REPLICATES_LIMIT: u64 = 1_000_000;

/// A sweep that has been stored, and what the user should know of it.
pub struct Submitted {
    /// As it stands.
    pub sweep: SweepRecord,
    /// May be empty.
    pub note: String,
    /// Why no worker here can run it; empty where one may.
    pub waits: String,
}

/// Stores a sweep and wakes the reconciler.
///
/// # Errors
/// The file is wrong or too large, its data are not here, or the store fails.
pub async fn submit(shared: &Shared, yaml: String, file_name: String, dataset: Option<Dataset>) -> Result<Submitted, ServiceError> {
    if yaml.len() > YAML_LIMIT_BYTES || file_name.len() > FILE_NAME_LIMIT {
        return Err(ServiceError::invalid("yaml", format!("a sweep file has at most {YAML_LIMIT_BYTES} bytes")));
    }
    // A large grid takes a while to enumerate, which must not keep others waiting.
    let id = SweepId::from_random(shared.machine.random());
    let read = async { tokio::task::spawn_blocking(move || read(id, yaml, file_name, dataset)).await };
    let (sweep, note) = shared.machine.disk(read).await.map_err(|_| ServiceError::SpecPanic)??;
    let files = sweep.dataset.iter().flat_map(|dataset| [("train", &dataset.train), ("test", &dataset.test)]);
    for (split, file) in files {
        if shared.machine.disk(shared.artifacts.size(&file.sha256)).await? != Some(file.bytes) {
            return Err(ServiceError::MissingData { split, sha256: file.sha256.clone() });
        }
    }
    shared.machine.disk(shared.store.create_sweep(&sweep, shared.machine.now_ms())).await?;
    info!(sweep = %sweep.id, name = sweep.name, trials = sweep.trials.len(), replicates = sweep.seeds.len(), "sweep submitted");
    shared.wake.notify_one();
    let now_ms = shared.machine.now_ms();
    let waits = sweep.policy.needs.commands && !shared.sessions.reachable(now_ms).iter().any(|worker| worker.traits.commands);
    let waits = if waits { format!("{NO_COMMANDS}; the sweep waits for one") } else { String::new() };
    let record = shared.machine.disk(shared.store.sweep(&sweep.id)).await?;
    Ok(Submitted { sweep: record, note: note.unwrap_or_default(), waits })
}

fn read(id: SweepId, yaml: String, file_name: String, dataset: Option<Dataset>) -> Result<(NewSweep, Option<String>), ServiceError> {
    let spec = SweepSpec::parse(&yaml, &file_name)?;
    let (benchmark, program) = match &spec.subject {
        Subject::Models(models) => (Some(models.benchmark), None),
        Subject::Program(sweep) => (sweep.benchmark, Some(sweep.program.clone())),
    };
    let benchmark = benchmark.map_or("", |benchmark| benchmark.name);
    match (&dataset, &program) {
        (None, None) => return Err(ServiceError::invalid("dataset", "is missing")),
        (Some(_), Some(_)) => return Err(ServiceError::invalid("dataset", "means nothing to a program")),
        (Some(dataset), None) if dataset.benchmark != benchmark => {
            let problem = format!("are for {}, the sweep is on {benchmark}", dataset.benchmark);
            return Err(ServiceError::invalid("dataset.benchmark", problem));
        }
        _ => {}
    }
    let proposals = spec.proposals()?;
    let replicates = proposals.len() as u64 * u64::from(spec.replicates);
    if replicates > REPLICATES_LIMIT {
        return Err(ServiceError::invalid("replicates", format!("make {replicates} runs, of {REPLICATES_LIMIT} at the most")));
    }
    let note = spec.shortfall(&proposals);
    let Running { priority, share, max_parallel, policy } = spec.running;
    let sweep = NewSweep {
        id,
        name: spec.name.clone(),
        method: spec.method.name().to_owned(),
        metric: spec.metric.name.into_owned(),
        goal: spec.metric.goal,
        seeds: (0..spec.replicates).map(|index| replicate_seed(spec.seed, index)).collect(),
        yaml,
        file_name,
        benchmark: benchmark.to_owned(),
        dataset,
        program,
        standing: Standing { priority, share, max_parallel },
        policy,
        trials: proposals.into_iter().map(trial).collect(),
    };
    Ok((sweep, note))
}

fn trial(proposal: Proposal) -> NewTrial {
    NewTrial {
        number: proposal.number,
        name: proposal.name,
        role: proposal.role.name(),
        config_json: proposal.config.canonical_json(),
        config_hash: proposal.config.hash(),
    }
}
