//! `SubmitSweep`: from a file to stored trials, all or none.

use tinysweep_proto::dataset::Dataset;
use tracing::info;

use super::status::ServiceError;
use crate::{
    clock::now_ms,
    domain::{
        ids::SweepId,
        sampler::replicate_seed,
        spec::{Proposal, Running, SweepSpec},
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

/// Stores a sweep and wakes the reconciler. Returns it with what the user should know of it, which may be nothing.
///
/// # Errors
/// The file is wrong or too large, its data are not here, or the store fails.
pub async fn submit(
    shared: &Shared,
    yaml: String,
    file_name: String,
    dataset: Dataset,
) -> Result<(SweepRecord, Option<String>), ServiceError> {
    if yaml.len() > YAML_LIMIT_BYTES || file_name.len() > FILE_NAME_LIMIT {
        return Err(ServiceError::invalid("yaml", format!("a sweep file has at most {YAML_LIMIT_BYTES} bytes")));
    }
    // A large grid takes a while to enumerate, which must not keep others waiting.
    let (sweep, note) =
        tokio::task::spawn_blocking(move || read(yaml, file_name, dataset)).await.map_err(|_| ServiceError::SpecPanic)??;
    for (split, file) in [("train", &sweep.dataset.train), ("test", &sweep.dataset.test)] {
        if shared.artifacts.size(&file.sha256).await? != Some(file.bytes) {
            return Err(ServiceError::MissingData { split, sha256: file.sha256.clone() });
        }
    }
    shared.store.create_sweep(&sweep, now_ms()).await?;
    info!(sweep = %sweep.id, name = sweep.name, trials = sweep.trials.len(), replicates = sweep.seeds.len(), "sweep submitted");
    shared.wake.notify_one();
    Ok((shared.store.sweep(&sweep.id).await?, note))
}

fn read(yaml: String, file_name: String, dataset: Dataset) -> Result<(NewSweep, Option<String>), ServiceError> {
    let spec = SweepSpec::parse(&yaml, &file_name)?;
    if spec.benchmark.name != dataset.benchmark {
        let problem = format!("are for {}, the sweep is on {}", dataset.benchmark, spec.benchmark.name);
        return Err(ServiceError::invalid("dataset.benchmark", problem));
    }
    let proposals = spec.proposals()?;
    let replicates = proposals.len() as u64 * u64::from(spec.replicates);
    if replicates > REPLICATES_LIMIT {
        return Err(ServiceError::invalid("replicates", format!("make {replicates} runs, of {REPLICATES_LIMIT} at the most")));
    }
    let note = spec.shortfall(&proposals);
    let Running { priority, share, max_parallel, policy } = spec.running;
    let sweep = NewSweep {
        id: SweepId::from_random(rand::random()),
        name: spec.name.clone(),
        method: spec.method.name().to_owned(),
        metric: spec.metric.name.to_owned(),
        goal: spec.metric.goal,
        seeds: (0..spec.replicates).map(|index| replicate_seed(spec.seed, index)).collect(),
        yaml,
        file_name,
        dataset,
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
