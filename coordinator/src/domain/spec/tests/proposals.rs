//! Which trials a file proposes, in which order, under which names.

use proptest::prelude::*;
use serde_json::json;
use tinysweep_proto::config::{Precision, Variant};

use super::*;

#[test]
fn a_grid_goes_in_the_order_of_the_file_with_the_last_fastest() {
    let trials = spec(FULL).proposals().unwrap();
    let names: Vec<_> = trials.iter().map(|trial| trial.name.as_str()).collect();
    assert_eq!(
        names,
        [
            "l_cycles=2 h_cycles=1 hidden_size=128",
            "l_cycles=2 h_cycles=1 hidden_size=256",
            "l_cycles=2 h_cycles=2 hidden_size=128",
            "l_cycles=2 h_cycles=2 hidden_size=256",
            "l_cycles=4 h_cycles=1 hidden_size=128",
            "l_cycles=4 h_cycles=1 hidden_size=256",
            "l_cycles=6 h_cycles=1 hidden_size=128",
            "l_cycles=6 h_cycles=1 hidden_size=256",
        ]
    );
    let trial = &trials[3];
    assert_eq!((trial.number, model(trial).l_cycles, model(trial).h_cycles, model(trial).hidden_size), (3, 2, 2, 256));
    assert_eq!(trial.varied, [("l_cycles".into(), json!(2)), ("h_cycles".into(), json!(2)), ("hidden_size".into(), json!(256))]);
    assert_eq!(names_with_cap(2), names[..2]);
}

fn names_with_cap(cap: u32) -> Vec<String> {
    names(&format!("{FULL}run_cap: {cap}\n"))
}

#[test]
fn names_stay_short_and_distinct() {
    let yaml = "benchmark: sudoku-4x4\nparameters:\n  batch_size: {value: 3}\n  evaluation.batch_size: {values: [8]}\n  train: {parameters: {lr: {values: [0.000123456]}}}\n  variant: {values: [mlp]}\n  halt_exploration_prob: {values: [1]}";
    assert_eq!(names(yaml), ["batch_size=8 lr=0.0001235 variant=mlp halt_exploration_prob=1.0"]);
    let both = "benchmark: sudoku-4x4\nparameters:\n  batch_size: {values: [4]}\n  evaluation.batch_size: {values: [8]}";
    assert_eq!(names(both), ["train.batch_size=4 evaluation.batch_size=8"]);
}

#[test]
fn constraints_see_what_is_not_varied() {
    let yaml =
        "benchmark: sudoku-4x4\nconfig: {variant: att}\nparameters: {width: {values: [64, 100, 128]}}\nconstraints: [width % heads == 0]";
    assert_eq!(names(yaml), ["hidden_size=64", "hidden_size=128"]);
    assert_eq!(model(&spec(yaml).proposals().unwrap()[0]).variant, Variant::Att);
}

const LISTED: &str = "\
benchmark: sudoku-4x4
config: {width: 64, ema_rate: 0.99, precision: mixed, train: {steps: 7}}
trials:
  - {name: whole}
  - {name: no EMA, ema_rate: 0}
  - {name: attention, preset: trm-att, heads: 4, train: {lr: 1e-3}}
parameters: {n: {values: [1, 2]}}
";

#[test]
fn listed_trials_replace_what_config_says_and_are_run_with_every_combination() {
    let trials = spec(LISTED).proposals().unwrap();
    let names: Vec<_> = trials.iter().map(|trial| trial.name.as_str()).collect();
    let wanted = ["whole, l_cycles=1", "whole, l_cycles=2", "no EMA, l_cycles=1", "no EMA, l_cycles=2", "attention, l_cycles=1"];
    assert_eq!(names[..5], wanted);
    let (whole, no_ema, attention) = (model(&trials[1]), model(&trials[2]), &trials[5]);
    assert_eq!((whole.hidden_size, whole.train.ema_rate, whole.l_cycles), (64, 0.99, 2));
    assert_eq!((no_ema.hidden_size, no_ema.train.ema_rate, no_ema.l_cycles), (64, 0.0, 1));
    let config = model(attention);
    assert_eq!((config.variant, config.hidden_size, config.num_heads, config.l_cycles), (Variant::Att, 512, 4, 2), "the preset's width");
    assert_eq!((config.train.steps, config.train.ema_rate, config.train.lr), (7, 0.99, 1e-3), "the sweep's training");
    assert_eq!(config.precision, Precision::Mixed, "the sweep's precision");
    assert_eq!(attention.varied, [("num_heads".into(), json!(4)), ("train.lr".into(), json!(1e-3)), ("l_cycles".into(), json!(2))]);
    assert_eq!(spec(LISTED).trial_limit(), 6);
}

#[test]
fn baselines_come_last_and_are_not_varied() {
    let yaml =
        format!("{LISTED}constraints: [n < 2]\nrun_cap: 2\nbaselines: [trm-mlp, {{preset: trm-att, name: small, width: 32, n: 3}}]\n");
    let trials = spec(&yaml).proposals().unwrap();
    let of = |trial: &Proposal| (trial.number, trial.role, trial.name.clone());
    let found: Vec<_> = trials.iter().map(of).collect();
    let wanted = [
        (0, Role::Proposed, "whole, l_cycles=1".to_owned()),
        (1, Role::Proposed, "no EMA, l_cycles=1".to_owned()),
        (2, Role::Baseline, "trm-mlp".to_owned()),
        (3, Role::Baseline, "small".to_owned()),
    ];
    assert_eq!(found, wanted);
    let (published, small) = (model(&trials[2]), model(&trials[3]));
    assert_eq!((published.hidden_size, published.l_cycles, published.train.steps), (512, 6, 7));
    assert_eq!((small.variant, small.hidden_size, small.l_cycles), (Variant::Att, 32, 3));
}

#[test]
fn random_trials_depend_on_the_seed_and_the_number_alone() {
    let yaml = |seed: u64, cap: u32| {
        format!(
            "benchmark: sudoku-4x4\nmethod: random\nseed: {seed}\nrun_cap: {cap}\nparameters:\n  lr: {{distribution: log_uniform_values, min: 1e-5, max: 1e-2}}\n  l_cycles: {{min: 1, max: 8}}\nconstraints: [l_cycles != 3]"
        )
    };
    let (few, many) = (names(&yaml(5, 10)), names(&yaml(5, 40)));
    assert_eq!(many.len(), 40);
    assert_eq!(few, many[..10]);
    assert!(many.iter().all(|name| !name.contains("l_cycles=3")));
    assert_ne!(few, names(&yaml(6, 10)));
}

#[test]
fn random_trials_are_all_different() {
    let yaml =
        "benchmark: sudoku-4x4\nmethod: random\nmax_trials: 12\nparameters:\n  h_cycles: {values: [1, 2, 3]}\n  l_cycles: {min: 1, max: 4}";
    let mut trials = names(yaml);
    trials.sort();
    trials.dedup();
    assert_eq!(trials.len(), 12);
}

proptest! {
    #[test]
    fn a_grid_has_the_product_of_its_values(h in 1_u64..5, l in 1_u64..5, min in 1_u64..50, count in 1_u64..6) {
        let list = |count: u64| (1..=count).map(|value| value.to_string()).collect::<Vec<_>>().join(", ");
        let yaml = format!(
            "benchmark: sudoku-4x4\nparameters:\n  h_cycles: {{values: [{}]}}\n  l_cycles: {{values: [{}]}}\n  width: {{min: {min}, max: {}}}",
            list(h), list(l), min + count - 1
        );
        let spec = spec(&yaml);
        let trials = spec.proposals().unwrap();
        prop_assert_eq!(trials.len() as u64, h * l * count);
        prop_assert_eq!(spec.trial_limit(), h * l * count);
        let distinct: std::collections::HashSet<_> = trials.iter().map(|trial| trial.config.hash()).collect();
        prop_assert_eq!(distinct.len(), trials.len());
        prop_assert!(trials.iter().enumerate().all(|(index, trial)| trial.number as usize == index));
    }

    #[test]
    fn random_proposals_are_repeatable_and_right(seed in 0_u64..1000) {
        let yaml = format!(
            "benchmark: sudoku-4x4\nmethod: random\nseed: {seed}\nrun_cap: 8\nparameters:\n  lr: {{distribution: log_uniform_values, min: 1e-5, max: 1e-2}}\n  width: {{distribution: q_log_uniform_values, min: 12, max: 100, q: 8}}\n  h_cycles: {{min: 1, max: 3}}"
        );
        let first = spec(&yaml).proposals().unwrap();
        prop_assert_eq!(&first, &spec(&yaml).proposals().unwrap());
        for trial in first {
            prop_assert!((1e-5..=1e-2).contains(&model(&trial).train.lr));
            prop_assert!(model(&trial).hidden_size.is_multiple_of(8) || [12, 100].contains(&model(&trial).hidden_size));
            prop_assert!((12..=100).contains(&model(&trial).hidden_size));
            prop_assert!((1..=3).contains(&model(&trial).h_cycles));
        }
    }
}
