//! Whole training runs, small ones.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use tinysweep_proto::config::{
    Augment, EvaluationConfig, GradientSpan, HaltRule, Loss, LrSchedule, Networks, Optimizer, Precision, States, TrainConfig, TrialConfig,
    Variant,
};
use tinysweep_proto::dataset::Task;
use tinysweep_worker::{
    data::Examples,
    device,
    report::{Directive, Report, Reporter, Wish},
    state::{StateError, TrainingState},
    train::{self, Outcome, TrainError},
};

/// Four grids of 4×4 whose questions leave the last row open.
fn puzzles() -> Examples {
    let grids = ["1234341221434321", "2143431212343412", "1342243131244213", "4321214334121234"];
    let labels: Vec<u8> = grids.iter().flat_map(|grid| grid.bytes().map(|digit| digit - b'0' + 1)).collect();
    let inputs = labels.iter().enumerate().map(|(index, &token)| if index % 16 < 12 { token } else { 1 }).collect();
    Examples::plain(Task::Sudoku4x4, inputs, labels)
}

fn config(variant: Variant) -> TrialConfig {
    TrialConfig {
        variant,
        hidden_size: 32,
        num_heads: 4,
        layers: 1,
        h_cycles: 2,
        l_cycles: 2,
        halt_max_steps: 3,
        inner_multiple: 32,
        puzzle_emb_len: 1,
        augment: Some(Augment::None),
        train: TrainConfig {
            steps: 60,
            batch_size: 8,
            lr: 3e-3,
            weight_decay: 0.1,
            warmup_steps: 5,
            ema_rate: 0.9,
            ..TrainConfig::default()
        },
        evaluation: EvaluationConfig { every: 25, examples: 2, batch_size: 3, ..EvaluationConfig::default() },
        ..TrialConfig::default()
    }
}

fn train(config: &TrialConfig, seed: u64, train: &Examples, test: &Examples, reporter: &mut dyn Reporter) -> Result<Outcome, TrainError> {
    let device = device::from_environment().unwrap();
    train::train(train::Task { config, seed, train, test, device: &device }, None, reporter)
}

/// Keeps every point; stops after so many reports.
struct Log {
    points: Vec<(usize, String, f64)>,
    left: usize,
}

impl Reporter for Log {
    fn report(&mut self, report: &Report) -> Directive {
        self.points.extend(report.points.iter().map(|(name, value)| (report.step, name.clone(), *value)));
        self.left -= 1;
        if self.left == 0 { Directive::Stop } else { Directive::Continue }
    }
}

fn run(config: &TrialConfig, seed: u64) -> (Outcome, Vec<(usize, String, f64)>) {
    let mut log = Log { points: Vec::new(), left: usize::MAX };
    let outcome = train(config, seed, &puzzles(), &puzzles(), &mut log).unwrap();
    (outcome, log.points)
}

/// Enough steps to learn the puzzles, at a rate that falls to nothing: at one that stays attention leaves again what it had learned, after
/// 600 steps from every second seed.
fn by_heart(variant: Variant) -> TrialConfig {
    let mut config = config(variant);
    (config.train.steps, config.train.lr_min_ratio) = (400, 0.0);
    config
}

#[test]
fn both_variants_learn_four_puzzles_by_heart() {
    for variant in [Variant::Att, Variant::Mlp] {
        let (outcome, points) = run(&by_heart(variant), 1);
        assert_eq!(outcome.metrics["test/exact_accuracy"], 1.0, "{variant:?}: {:?}", outcome.metrics);
        let losses: Vec<f64> = points.iter().filter(|point| point.1 == "train/lm_loss").map(|point| point.2).collect();
        assert!(losses[0] > 1.0 && losses[losses.len() - 1] < 0.1, "{losses:?}");
        assert_eq!(outcome.metrics_by_step["test/exact_accuracy"].len(), 3);
        assert_eq!(outcome.steps, 400);
    }
}

/// What makes another variant of a configuration.
type Change = fn(&mut TrialConfig);

#[test]
fn every_variant_learns_four_puzzles_by_heart() {
    let changes: [(&str, Change); 7] = [
        ("products in bf16", |config| config.precision = Precision::Bf16),
        ("products in bf16 where nothing is learned", |config| config.precision = Precision::Mixed),
        ("one state, AdamW, clipped", |config| {
            config.states = States::Single;
            (config.train.optimizer, config.train.grad_clip, config.train.schedule) = (Optimizer::AdamW, 1.0, LrSchedule::Linear);
        }),
        ("three latents, no early halt", |config| {
            (config.latents, config.l_cycles, config.halt_rule) = (3, 3, HaltRule::Never);
        }),
        ("two networks, softmax", |config| {
            (config.networks, config.h_layers, config.loss) = (Networks::Separate, Some(2), Loss::Softmax);
        }),
        ("HRM", |config| {
            (config.networks, config.gradient) = (Networks::Separate, GradientSpan::LastCalls);
            (config.continue_loss, config.halt_rule) = (true, HaltRule::OverContinue);
        }),
        ("the transformer", |config| {
            (config.variant, config.layers, config.head_width) = (Variant::Att, 2, Some(12));
            (config.states, config.h_cycles, config.l_cycles) = (States::Direct, 1, TrialConfig::default().l_cycles);
        }),
    ];
    for (name, change) in changes {
        let mut config = by_heart(Variant::Mlp);
        change(&mut config);
        let (outcome, _) = run(&config, 1);
        assert_eq!(outcome.metrics["test/exact_accuracy"], 1.0, "{name}: {:?}", outcome.metrics);
    }
}

#[test]
fn the_seed_decides_every_bit() {
    let config = config(Variant::Mlp);
    let ((first, first_points), (second, second_points)) = (run(&config, 7), run(&config, 7));
    assert_eq!(first.metrics, second.metrics);
    assert_eq!(first_points, second_points);
    for (a, b) in first.model.parameters().entries().iter().zip(second.model.parameters().entries()) {
        let values = |var: &candle_core::Var| var.flatten_all().unwrap().to_vec1::<f32>().unwrap();
        assert_eq!(values(&a.var), values(&b.var), "{}", a.name);
    }
    assert_ne!(run(&config, 8).0.metrics, first.metrics);
}

#[test]
fn evaluation_is_reported_at_its_steps() {
    let (_, points) = run(&config(Variant::Att), 1);
    let steps: Vec<usize> = points.iter().filter(|point| point.1 == "subset/exact_accuracy").map(|point| point.0).collect();
    assert_eq!(steps, [25, 50]);
}

#[test]
fn more_steps_at_test_time_leave_the_result_as_it_is() {
    let (plain, _) = run(&config(Variant::Mlp), 1);
    let mut longer = config(Variant::Mlp);
    longer.evaluation.steps = Some(7);
    let (longer, _) = run(&longer, 1);
    assert_eq!(longer.metrics, plain.metrics);
    for (name, values) in &longer.metrics_by_step {
        assert_eq!((values.len(), &values[..3]), (7, plain.metrics_by_step[name].as_slice()), "{name}");
        assert_eq!(values[2], longer.metrics[name], "{name}");
    }
    assert!(longer.metrics_by_step["test/halting_step"].windows(2).all(|pair| pair[0] <= pair[1] && pair[1] <= 7.0));
}

#[test]
fn the_subset_is_drawn_by_its_own_seed() {
    let losses = |subset_seed, seed| {
        let mut config = config(Variant::Mlp);
        (config.train.steps, config.evaluation.every, config.evaluation.examples) = (2, 1, 1);
        (config.train.lr, config.evaluation.subset_seed) = (0.0, subset_seed);
        let (_, points) = run(&config, seed);
        points.into_iter().filter(|point| point.1 == "subset/lm_loss").map(|point| point.2).collect::<Vec<_>>()
    };
    // One of four puzzles each time: with the same weights the loss tells which.
    let by_seed: Vec<_> = (0..8).map(|subset_seed| losses(subset_seed, 1)).collect();
    assert_eq!(losses(3, 1), by_seed[3]);
    assert!(by_seed.iter().any(|losses| *losses != by_seed[0]), "{by_seed:?}");
}

#[test]
fn a_stop_ends_the_final_evaluation() {
    struct StopsAtEvaluation;
    impl Reporter for StopsAtEvaluation {
        fn report(&mut self, report: &Report) -> Directive {
            if report.evaluation.is_some_and(|evaluated| evaluated.done < evaluated.total) { Directive::Stop } else { Directive::Continue }
        }
    }
    let one = puzzles();
    let many = Examples::plain(one.task, one.inputs.repeat(100_000), one.labels.repeat(100_000));
    let mut config = config(Variant::Mlp);
    (config.train.steps, config.evaluation.every, config.evaluation.batch_size) = (1, 0, 64);
    let result = train(&config, 1, &one, &many, &mut StopsAtEvaluation);
    assert!(matches!(result, Err(TrainError::Stopped)));
}

#[test]
fn a_stop_ends_training() {
    let mut log = Log { points: Vec::new(), left: 3 };
    let result = train(&config(Variant::Att), 1, &puzzles(), &puzzles(), &mut log);
    assert!(matches!(result, Err(TrainError::Stopped)));
    // The first report says that training begins.
    assert_eq!(log.points.iter().map(|point| point.0).max(), Some(2));
}

#[test]
fn what_cannot_be_trained_is_refused() {
    let mut log = Log { points: Vec::new(), left: usize::MAX };
    let mut with = |config: &TrialConfig, examples: &Examples| train(config, 1, examples, &puzzles(), &mut log).unwrap_err();
    let none = Examples::plain(Task::Sudoku4x4, Vec::new(), Vec::new());
    assert!(with(&config(Variant::Att), &none).to_string().contains("no training puzzle"));
    let other = Examples { task: Task::Sudoku6x6, ..puzzles() };
    assert!(with(&config(Variant::Att), &other).to_string().contains("sudoku-6x6"));
    let odd = TrialConfig { num_heads: 5, ..config(Variant::Att) };
    assert!(matches!(with(&odd, &puzzles()), TrainError::Config(_)));
    let unknown = Examples { inputs: vec![200; 64], ..puzzles() };
    assert!(with(&config(Variant::Att), &unknown).to_string().contains("token 200"));
}

#[test]
fn a_loss_that_is_not_finite_ends_training() {
    let mut wild = config(Variant::Att);
    wild.train.lr = 10.0;
    wild.train.weight_decay = 1000.0;
    wild.train.steps = 200;
    let mut log = Log { points: Vec::new(), left: usize::MAX };
    assert!(matches!(train(&wild, 1, &puzzles(), &puzzles(), &mut log), Err(TrainError::NonFinite { .. })));
}

/// Keeps every point, and the state after some steps.
struct Cut {
    points: Vec<(usize, String, f64)>,
    at: Vec<usize>,
    states: Vec<(usize, Vec<u8>)>,
    asked: usize,
}

impl Cut {
    fn at(steps: &[usize]) -> Self {
        Self { points: Vec::new(), at: steps.to_vec(), states: Vec::new(), asked: 0 }
    }
}

impl Reporter for Cut {
    fn report(&mut self, report: &Report) -> Directive {
        self.points.extend(report.points.iter().map(|(name, value)| (report.step, name.clone(), *value)));
        Directive::Continue
    }

    fn wish(&mut self, _is_end: bool) -> Wish {
        self.asked += 1;
        if self.at.contains(&self.asked) { Wish::State } else { Wish::Nothing }
    }

    fn state(&mut self, step: usize, bytes: Vec<u8>) {
        self.states.push((step, bytes));
    }
}

fn weights(outcome: &Outcome) -> Vec<Vec<u32>> {
    let bits = |var: &candle_core::Var| var.flatten_all().unwrap().to_vec1::<f32>().unwrap().into_iter().map(f32::to_bits).collect();
    outcome.model.parameters().entries().iter().map(|entry| bits(&entry.var)).collect()
}

fn go_on(config: &TrialConfig, seed: u64, state: &[u8], reporter: &mut dyn Reporter) -> Result<Outcome, TrainError> {
    let (puzzles, device) = (puzzles(), device::from_environment().unwrap());
    let task = train::Task { config, seed, train: &puzzles, test: &puzzles, device: &device };
    train::train(task, Some(&TrainingState::from_bytes(state)?), reporter)
}

/// Whatever the step at which it is cut, in the middle of a metric window, right after an evaluation or at the very end: what goes on from
/// the state gives the same weights, metrics and points, to the last bit.
#[test]
fn a_run_goes_on_from_its_state_to_the_same_bits() {
    for (variant, precision) in [(Variant::Mlp, Precision::F32), (Variant::Att, Precision::F32), (Variant::Mlp, Precision::Bf16)] {
        let mut config = TrialConfig { precision, ..config(variant) };
        (config.train.steps, config.augment) = (130, Some(Augment::Full)); // windows of two steps
        let mut whole = Cut::at(&[1, 25, 63, 130]);
        let outcome = train(&config, 7, &puzzles(), &puzzles(), &mut whole).unwrap();
        assert_eq!(whole.states.iter().map(|state| state.0).collect::<Vec<_>>(), [1, 25, 63, 130]);
        for (step, state) in &whole.states {
            let mut rest = Cut::at(&[]);
            let resumed = go_on(&config, 7, state, &mut rest).unwrap();
            assert_eq!(resumed.metrics, outcome.metrics, "{variant:?} from {step}");
            assert_eq!(resumed.metrics_by_step, outcome.metrics_by_step);
            assert_eq!(weights(&resumed), weights(&outcome), "{variant:?} from {step}");
            let expected: Vec<_> = whole.points.iter().filter(|point| point.0 > *step).cloned().collect();
            assert_eq!(rest.points, expected, "{variant:?} from {step}");
        }
    }
}

/// More steps from the end of a shorter run: the same bits as a run of so many steps from the start, evaluations included, also where one
/// is due at the very step where the shorter run ended.
#[test]
fn a_longer_run_goes_on_from_the_end_of_a_shorter_one() {
    for (variant, steps) in [(Variant::Mlp, 50), (Variant::Att, 60)] {
        let shorter =
            TrialConfig { train: TrainConfig { steps, ..config(variant).train }, augment: Some(Augment::Full), ..config(variant) };
        let longer = TrialConfig { train: TrainConfig { steps: 2 * steps, ..shorter.train.clone() }, ..shorter.clone() };
        let mut first = Cut::at(&[steps]);
        train(&shorter, 7, &puzzles(), &puzzles(), &mut first).unwrap();
        let mut whole = Cut::at(&[]);
        let expected = train(&longer, 7, &puzzles(), &puzzles(), &mut whole).unwrap();
        let mut rest = Cut::at(&[]);
        let found = go_on(&longer, 7, &first.states[0].1, &mut rest).unwrap();
        assert_eq!((&found.metrics, &found.metrics_by_step), (&expected.metrics, &expected.metrics_by_step), "{variant:?}");
        assert_eq!(weights(&found), weights(&expected), "{variant:?}");
        // A window of training metrics ends where the shorter run does, in all three.
        let expected: Vec<_> = whole.points.into_iter().filter(|(step, name, _)| *step > steps || name.starts_with("subset/")).collect();
        let evaluated = |points: &[(usize, String, f64)]| points.iter().filter(|(_, name, _)| name == "subset/exact_accuracy").count();
        let found = [first.points.into_iter().filter(|(_, name, _)| name.starts_with("subset/")).collect(), rest.points].concat();
        assert_eq!((&found, evaluated(&found)), (&expected, (2 * steps - 1) / 25), "{variant:?}");
    }
}

#[test]
fn a_state_of_something_else_is_refused() {
    let config = config(Variant::Mlp);
    let mut kept = Cut::at(&[3]);
    train(&config, 7, &puzzles(), &puzzles(), &mut kept).unwrap();
    let state = &kept.states[0].1;
    let refused = |config: &TrialConfig, seed, state: &[u8]| go_on(config, seed, state, &mut Cut::at(&[])).unwrap_err();
    let other = TrialConfig { hidden_size: 64, ..config.clone() };
    assert!(matches!(refused(&other, 7, state), TrainError::State(StateError::Other { what: "configuration" })));
    assert!(matches!(refused(&config, 8, state), TrainError::State(StateError::Other { what: "run" })));
    let shorter = TrialConfig { train: TrainConfig { steps: 2, ..config.train.clone() }, ..config.clone() };
    assert!(matches!(refused(&shorter, 7, state), TrainError::State(StateError::Other { what: "run" })));
    assert!(matches!(refused(&config, 7, &state[..state.len() / 2]), TrainError::State(StateError::Malformed(_))));
    let mut fewer = TrainingState::from_bytes(state).unwrap();
    fewer.put_integers("sampler.order", vec![0]);
    assert!(refused(&config, 7, &fewer.to_bytes()).to_string().contains("sampler.order"));
    let mut strange = TrainingState::from_bytes(state).unwrap();
    strange.put_integers("carry.tokens", vec![999; 8 * 16]);
    assert!(refused(&config, 7, &strange.to_bytes()).to_string().contains("must be below"));
}
