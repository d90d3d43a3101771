//! Every file in `sweeps/` is right, as far as that can be told without its data, and is what its comment and its name say.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::{collections::BTreeMap, fs, path::Path};

use tinysweep_coordinator::domain::spec::{Proposal, SweepSpec};
use tinysweep_proto::config::size;

/// Each sweep file by its stem, read and expanded, with its text.
fn sweeps() -> BTreeMap<String, (String, SweepSpec, Vec<Proposal>)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("sweeps");
    let files = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let sweeps = files.filter(|path| path.extension().is_some_and(|end| end == "yaml") && !path.ends_with("baselines.yaml"));
    let read = |path: std::path::PathBuf| {
        let stem = path.file_stem().unwrap().to_string_lossy().into_owned();
        let yaml = fs::read_to_string(&path).unwrap();
        let spec = SweepSpec::parse(&yaml, &stem).unwrap_or_else(|errors| panic!("{errors}"));
        let trials = spec.proposals().unwrap_or_else(|errors| panic!("{errors}"));
        (stem, (yaml, spec, trials))
    };
    sweeps.map(read).collect()
}

/// Whether a question has a file for the published size and one for a laptop.
fn is_asked_twice<T>(sweeps: &BTreeMap<String, T>, stem: &str) -> bool {
    stem.ends_with("-small") || sweeps.contains_key(&format!("{stem}-small"))
}

/// Operations to train one replicate.
fn train_flops(spec: &SweepSpec, trial: &Proposal) -> f64 {
    let (config, benchmark) = (trial.config.model().unwrap(), spec.models().unwrap().benchmark);
    size(config, &benchmark.task.shape(1)).train_flops_per_step as f64 * config.train.steps as f64
}

#[test]
fn every_file_is_right_and_says_its_question_and_its_cost() {
    let sweeps = sweeps();
    assert!(sweeps.len() >= 18, "{:?}", sweeps.keys());
    for (stem, (yaml, spec, _)) in &sweeps {
        let comment: String = yaml.lines().take_while(|line| line.starts_with('#')).collect();
        assert!(comment.contains('?'), "{stem}: the comment at the top asks no question");
        assert_eq!(&spec.name, stem);
        assert!(comment.contains("Cost") || !is_asked_twice(&sweeps, stem), "{stem}: the comment at the top does not say what it costs");
    }
}

#[test]
fn programs_are_beside_their_files() {
    let sweeps = sweeps();
    let programs: Vec<_> = sweeps.values().filter_map(|(_, spec, _)| Some(spec.program()?.program.program.clone())).collect();
    assert_eq!(programs, ["sweeps/program.sh"]);
    for program in programs {
        assert!(Path::new(env!("CARGO_MANIFEST_DIR")).join(&program).is_file(), "{program}");
    }
}

#[test]
fn every_question_has_a_small_twin_that_varies_the_same() {
    let sweeps = sweeps();
    let varied = |trials: &[Proposal]| {
        let mut paths: Vec<_> = trials[0].varied.iter().map(|(path, _)| path.clone()).collect();
        paths.sort();
        paths
    };
    for (stem, (_, _, small)) in sweeps.iter().filter_map(|(stem, sweep)| Some((stem.strip_suffix("-small")?, sweep))) {
        let (_, spec, full) = sweeps.get(stem).unwrap_or_else(|| panic!("{stem}-small has no {stem}"));
        let models = spec.models().unwrap();
        assert_eq!(models.benchmark.name, "sudoku-extreme", "{stem}");
        // Lists differ in which items fit on a laptop, and the seeds of the small sweep are those of another comparison.
        if models.listed.len() == 1 && stem != "seeds" {
            assert_eq!(varied(full), varied(small), "{stem}");
        }
    }
}

#[test]
fn what_is_compared_at_equal_cost_costs_the_same() {
    let sweeps = sweeps();
    for stem in ["iso-flop", "iso-flop-small"] {
        let (_, spec, trials) = &sweeps[stem];
        let budget = train_flops(spec, &trials[0]);
        for trial in trials {
            let share = if trial.name.ends_with("1/4") { 0.25 } else { 1.0 };
            let relative = train_flops(spec, trial) / (share * budget);
            assert!((relative - 1.0).abs() < 0.002, "{stem}: {} costs {relative} of the budget", trial.name);
        }
    }
}
