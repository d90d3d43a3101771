//! What a sweep of built-in models has beside what every sweep has.

use tinysweep_proto::{config::TrialConfig, dataset::Benchmark};

use super::{
    DataSpec, Listed, base, data,
    error::Report,
    fields::Fields,
    listed::{self, Shared},
    parameters,
    settings::Settings,
};
use crate::domain::space::Space;

/// What a sweep of built-in models has beside what every sweep has.
#[derive(Clone, Debug)]
pub struct ModelSweep {
    /// The question that its trials answer.
    pub benchmark: &'static Benchmark,
    /// Which puzzles.
    pub data: DataSpec,
    /// What all trials share.
    pub base: TrialConfig,
    /// Configurations that are listed by name, each to be run with every combination of what varies; one without a name where none are.
    pub listed: Vec<Listed>,
    /// Configurations that are trained beside the sweep, as they are.
    pub baselines: Vec<Listed>,
    /// What `config` and `parameters` set.
    pub(super) settings: Settings,
}

/// Reads `config`, `parameters`, `trials`, `baselines` and `data`; what varies comes apart.
pub(super) fn read(report: &mut Report, keys: &Fields, benchmark: Option<&'static Benchmark>) -> (Option<ModelSweep>, Space) {
    let mut settings = Settings::default();
    let mut base = keys.get("config").map(|node| base::read(report, node, &mut settings)).unwrap_or_default();
    let parameters = keys.get("parameters").map(|node| parameters::read(report, node, &mut settings)).unwrap_or_default();
    for (path, value) in &parameters.constants {
        base = base::with(&base, path, value);
    }
    let shared = Shared { base: &base, settings: &settings };
    let listed = keys.get("trials").map_or_else(|| Some(vec![Listed::unnamed(&base)]), |node| listed::read_trials(report, node, &shared));
    let baselines = keys.get("baselines").map_or(Some(Vec::new()), |node| listed::read_baselines(report, node, &shared));
    let data = benchmark.and_then(|benchmark| data::read(report, keys.get("data"), benchmark, keys.at));
    let sweep = || Some(ModelSweep { benchmark: benchmark?, data: data?, base, listed: listed?, baselines: baselines?, settings });
    (sweep(), parameters.space)
}
