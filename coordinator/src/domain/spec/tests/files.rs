//! What is read from a right file.

use serde_json::json;

use super::*;
use crate::domain::{
    failure::{FailureKind, Reaction, RetryPolicy},
    policy::{Needs, Policy},
    retention::Retention,
    space::{Domain, Shape},
};

#[test]
fn a_whole_file() {
    let spec = spec(FULL);
    assert_eq!((spec.name.as_str(), spec.description.as_str()), ("depth-supervision-width", "Which depth?"));
    let models = spec.models().unwrap();
    assert_eq!(models.benchmark.name, "sudoku-extreme");
    let data = DataSpec {
        train: Some(PartSpec::Path("train.csv".into())),
        test: Some(PartSpec::Count(500)),
        seed: 3,
        givens: None,
        rating: None,
        arc: None,
    };
    assert_eq!(models.data, data);
    assert_eq!(spec.metric, MetricSpec { name: "test/lm_loss".into(), goal: Goal::Minimize });
    assert_eq!((spec.replicates, spec.seed, spec.run_cap), (3, 11, None));
    assert_eq!((models.base.train.steps, models.base.train.lr, models.base.train.weight_decay), (100, 1e-4, 1.0));
    assert_eq!(models.base.evaluation.examples, 64);
    let paths: Vec<_> = spec.space.parameters.iter().map(|parameter| parameter.path.as_ref()).collect();
    assert_eq!(paths, ["l_cycles", "h_cycles", "hidden_size"]);
}

#[test]
fn arc_names_files_of_tasks() {
    let read = |data: &str| spec(&format!("benchmark: arc-agi-2\ndata: {{arc: {data}}}")).models().unwrap().data.arc.clone().unwrap();
    let mut expected =
        ArcSpec { training: vec!["a.json".into()], evaluation: "c.json".into(), augmentations: 1000, seed: 42, allow_overlap: false };
    assert_eq!(read("{training: a.json, evaluation: c.json}"), expected);
    expected.training.push("b.json.gz".into());
    (expected.augmentations, expected.seed, expected.allow_overlap) = (0, 7, true);
    let all = "{training: [a.json, b.json.gz], evaluation: c.json, augmentations: 0, seed: 7, allow_overlap: true}";
    assert_eq!(read(all), expected);
}

#[test]
fn the_least_file_is_one_trial_named_after_the_file() {
    let spec = SweepSpec::parse("benchmark: sudoku-4x4", "sweeps/quick.start.yaml").unwrap();
    let trials = spec.proposals().unwrap();
    assert_eq!(trials.len(), 1);
    assert_eq!((trials[0].name.as_str(), trials[0].varied.len()), ("quick.start", 0));
    assert_eq!(*model(&trials[0]), TrialConfig::default());
    assert_eq!(spec.metric, MetricSpec { name: "test/exact_accuracy".into(), goal: Goal::Maximize });
}

#[test]
fn every_distribution_is_read() {
    let uniform = |min, max| Shape::Uniform { min, max };
    let log = |min: f64, max: f64| Shape::LogUniform { min, max };
    let numbers = |shape, step| Domain::Numbers { shape, step };
    let cases = [
        ("lr: {min: 0.1, max: 1}", numbers(uniform(0.1, 1.0), None)),
        ("lr: {min: 0, max: 1}", Domain::Integers { min: 0, max: 1 }),
        ("width: {min: 8, max: 64}", Domain::Integers { min: 8, max: 64 }),
        ("width: {distribution: int_uniform, min: 8, max: 64}", Domain::Integers { min: 8, max: 64 }),
        ("lr: {distribution: uniform, min: 0, max: 1}", numbers(uniform(0.0, 1.0), None)),
        ("width: {distribution: q_uniform, min: 8, max: 64, q: 8}", numbers(uniform(8.0, 64.0), Some(8.0))),
        ("width: {distribution: q_uniform, min: 8, max: 64}", numbers(uniform(8.0, 64.0), Some(1.0))),
        ("lr: {distribution: log_uniform, min: -1, max: 0}", numbers(log((-1.0_f64).exp(), 1.0), None)),
        ("lr: {distribution: log_uniform_values, min: 1e-5, max: 1e-3}", numbers(log(1e-5, 1e-3), None)),
        ("lr: {distribution: inv_log_uniform, min: 0, max: 3}", numbers(log((-3.0_f64).exp(), 1.0), None)),
        ("lr: {distribution: inv_log_uniform_values, min: 1e-5, max: 1e-3}", numbers(log(1e-5, 1e-3), None)),
        ("width: {distribution: q_log_uniform, min: 2, max: 4, q: 2}", numbers(log(2.0_f64.exp(), 4.0_f64.exp()), Some(2.0))),
        ("width: {distribution: q_log_uniform_values, min: 8, max: 64, q: 8}", numbers(log(8.0, 64.0), Some(8.0))),
        ("lr: {distribution: normal, mu: 0.1, sigma: 0.01}", numbers(Shape::Normal { mu: 0.1, sigma: 0.01 }, None)),
        ("lr: {distribution: normal}", numbers(Shape::Normal { mu: 0.0, sigma: 1.0 }, None)),
        ("lr: {distribution: q_normal, mu: 1, q: 0.1}", numbers(Shape::Normal { mu: 1.0, sigma: 1.0 }, Some(0.1))),
        ("lr: {distribution: log_normal, mu: -7}", numbers(Shape::LogNormal { mu: -7.0, sigma: 1.0 }, None)),
        ("width: {distribution: q_log_normal, mu: 5}", numbers(Shape::LogNormal { mu: 5.0, sigma: 1.0 }, Some(1.0))),
    ];
    for (parameter, domain) in cases {
        let spec = spec(&format!("benchmark: sudoku-4x4\nmethod: random\nrun_cap: 3\nparameters: {{{parameter}}}"));
        assert_eq!(spec.space.parameters[0].domain, domain, "{parameter}");
    }
}

#[test]
fn choices_keep_their_probabilities_and_take_the_type_of_their_field() {
    let spec =
        spec("benchmark: sudoku-4x4\nmethod: random\nrun_cap: 5\nparameters:\n  lr: {values: [1, 1e-3], probabilities: [0.25, 0.75]}");
    match &spec.space.parameters[0].domain {
        Domain::Choices { values, probabilities } => {
            assert_eq!(values.iter().map(|choice| choice.value.clone()).collect::<Vec<_>>(), [json!(1.0), json!(0.001)]);
            assert_eq!(probabilities.as_deref(), Some(&[0.25, 0.75][..]));
        }
        other => panic!("{other:?}"),
    }
    let trials = spec.proposals().unwrap();
    assert_eq!(trials.len(), 2, "two values give two different trials");
    assert_eq!(spec.shortfall(&trials).as_deref(), Some("only 2 different trials were found of the 5 asked for"));
}

#[test]
fn anchors_and_other_yaml_that_people_write() {
    let yaml = "%YAML 1.2\n---\nbenchmark: 'sudoku-4x4' # here\nconfig: &c\n  puzzle_emb_ndim: null\n  pos_encodings: none\nparameters:\n  h_cycles: &v {values: [0x1, 2]}\n  l_cycles: *v\n...\n";
    assert_eq!(names(yaml).len(), 4);
    assert_eq!(names("{\"benchmark\": \"sudoku-4x4\", \"config\": {\"train\": {\"learning_rate\": 1E-3}}}\n").len(), 1);
}

#[test]
fn how_trials_are_run_can_be_said() {
    let yaml = "benchmark: sudoku-4x4\npriority: -3\nshare: 2\nmax_parallel: 4\ntimeout_secs: 90\ncheckpoint_secs: 0\n\
                resources: {slots: 2, device: cuda, memory_gib: 1.5, labels: {gpu: a100}}\n\
                retry: {max_attempts: 3, backoff_secs: 1, max_backoff_secs: 9, on: {panic: give_up, non_finite: anywhere}}\n";
    let running = SweepSpec::parse(yaml, "s.yaml").unwrap().running;
    let policy = Policy {
        needs: Needs {
            slots: 2,
            device: Some("cuda".into()),
            memory_mib: 1536,
            labels: [("gpu".to_owned(), "a100".to_owned())].into(),
            commands: false,
        },
        retry: RetryPolicy {
            max_attempts: 3,
            backoff_secs: 1,
            max_backoff_secs: 9,
            on: [(FailureKind::Panic, Reaction::GiveUp), (FailureKind::NonFinite, Reaction::Anywhere)].into(),
        },
        timeout_secs: 90,
        checkpoint_secs: 0,
        retention: Retention::default(),
    };
    assert_eq!(running, Running { priority: -3, share: 2, max_parallel: Some(4), policy });
    assert_eq!(SweepSpec::parse("benchmark: sudoku-4x4", "s.yaml").unwrap().running, Running::default());
}

#[test]
fn which_checkpoints_are_kept_can_be_said() {
    let policy = |line: &str| {
        let yaml = format!("benchmark: sudoku-4x4\nconfig: {{evaluation: {{every: 10}}}}\ncheckpoints: {line}\n");
        SweepSpec::parse(&yaml, "s.yaml").unwrap().running.policy
    };
    let usual = Policy::default();
    assert_eq!(policy("{}"), usual);
    assert_eq!(policy("{every_secs: 5}"), Policy { checkpoint_secs: 5, ..usual.clone() });
    let kept = Retention { keep_last: 3, keep_best: 2, keep_final: None };
    assert_eq!(policy("{keep_last: 3, keep_best: 2, keep_final: all}"), Policy { retention: kept, ..usual.clone() });
    assert_eq!(policy("{keep_final: 0}").retention.keep_final, Some(0));
}
