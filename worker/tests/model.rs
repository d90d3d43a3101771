//! What must hold of the model whatever its weights, and of fresh weights.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use candle_core::{D, Result, Tensor, Var};
use tinysweep_proto::{
    config::{GradientSpan, Networks, PosEncodings, States, TrialConfig, Variant},
    dataset::DataShape,
};
use tinysweep_worker::{
    loss::grade,
    model::{Gradient, Latents, Model, Output},
    random::{Stream, generator},
};

const SHAPE: DataShape = DataShape { seq_len: 10, vocab_size: 11, puzzle_identifiers: 1 };

fn model(variant: Variant, change: impl FnOnce(&mut TrialConfig)) -> Model {
    let mut config =
        TrialConfig { variant, hidden_size: 32, num_heads: 4, h_cycles: 2, l_cycles: 2, inner_multiple: 16, ..TrialConfig::default() };
    change(&mut config);
    Model::init(&config, SHAPE, &mut generator(11, Stream::Weights)).unwrap()
}

fn tokens(batch: usize) -> Vec<u32> {
    (0..batch * SHAPE.seq_len).map(|index| (index * 7 % 11) as u32).collect()
}

fn run(model: &Model, tokens: &[u32], gradient: Gradient) -> Output {
    let batch = tokens.len() / SHAPE.seq_len;
    let input = model.input(tokens, &vec![0; batch]).unwrap();
    model.forward(&input, &model.initial_latents(batch).unwrap(), gradient).unwrap()
}

fn largest(tensor: &Tensor) -> f32 {
    tensor.abs().unwrap().max_all().unwrap().to_scalar().unwrap()
}

#[test]
fn a_fresh_model_never_wants_to_halt() {
    for variant in [Variant::Att, Variant::Mlp] {
        let model = model(variant, |_| {});
        let output = run(&model, &tokens(64), Gradient::None);
        assert_eq!(output.q.to_vec2::<f32>().unwrap(), vec![vec![-5.0, -5.0]; 64]);
        let labels: Vec<_> = tokens(64).iter().map(|&token| Some((token + 3) % 11)).collect();
        let scores = grade(model.config().loss, &output, &labels).unwrap().scores().unwrap();
        let mean = |value: fn(&tinysweep_worker::loss::Score) -> f64| scores.iter().map(value).sum::<f64>() / 64.0;
        assert!((mean(|score| score.q_halt_loss) - 0.006_715).abs() < 1e-6);
        assert!((2.2..2.9).contains(&mean(|score| score.lm_loss)), "logits are nearly unit normal");
        let squares = output.latents.answer().sqr().unwrap().mean(D::Minus1).unwrap();
        assert!(largest(&(squares - 1.0).unwrap()) < 1e-3, "the last norm leaves a mean square of 1");
    }
}

/// How far the answer to reordered tokens is from the reordered answer.
fn strays_under_permutation(model: &Model) -> f32 {
    let tokens = tokens(1);
    let order: Vec<u32> = (0..10).map(|index| (index * 3 + 1) % 10).collect();
    let reordered: Vec<u32> = order.iter().map(|&index| tokens[index as usize]).collect();
    let order = Tensor::new(order, &candle_core::Device::Cpu).unwrap();
    let moved = run(model, &tokens, Gradient::None).logits.index_select(&order, 1).unwrap();
    largest(&(run(model, &reordered, Gradient::None).logits - moved).unwrap())
}

#[test]
fn only_attention_without_positions_ignores_order() {
    assert!(strays_under_permutation(&model(Variant::Att, |config| config.pos_encodings = Some(PosEncodings::None))) < 1e-4);
    assert!(strays_under_permutation(&model(Variant::Att, |_| {})) > 1e-2);
    assert!(strays_under_permutation(&model(Variant::Att, |config| config.pos_encodings = Some(PosEncodings::Learned))) > 1e-2);
    assert!(strays_under_permutation(&model(Variant::Mlp, |_| {})) > 1e-2);
}

#[test]
fn no_gradient_goes_back_through_the_carry() {
    let model = model(Variant::Att, |config| config.h_cycles = 1);
    let carry = model.initial_latents(2).unwrap().map(|state| Ok(Var::from_tensor(state)?.into_inner())).unwrap();
    let input = model.input(&tokens(2), &[0, 0]).unwrap();
    let output = model.forward(&input, &carry, Gradient::Recorded).unwrap();
    let gradients = output.logits.sum_all().unwrap().backward().unwrap();
    assert!(carry.named().iter().all(|(_, state)| gradients.get(state).is_none()));
    for entry in model.parameters().trained().filter(|entry| !entry.name.starts_with("q_head")) {
        assert!(largest(gradients.get(&entry.var).unwrap()) > 0.0, "{}", entry.name);
    }
}

/// A fixed weighting of the logits, as a loss to differentiate.
fn weighted(logits: &Tensor) -> Result<Tensor> {
    let weights: Vec<f32> = (0..logits.elem_count()).map(|index| (index as f32 * 0.7).sin()).collect();
    (logits * Tensor::from_vec(weights, logits.shape(), logits.device())?)?.sum_all()
}

/// Checks the gradient by every weight of `model` against differences, along the gradient, where a difference stands out most.
fn assert_gradients_agree(model: &Model, what: &str) {
    let loss = || weighted(&run(model, &tokens(2), Gradient::Recorded).logits).unwrap();
    let gradients = loss().backward().unwrap();
    for entry in model.parameters().trained().filter(|entry| !entry.name.starts_with("q_head")) {
        let gradient = gradients.get(&entry.var).unwrap();
        let norm = gradient.sqr().unwrap().sum_all().unwrap().to_scalar::<f32>().unwrap().sqrt();
        let step = 2e-3 / f64::from(norm);
        let start = entry.var.copy().unwrap();
        let at = |step: f64| {
            entry.var.set(&(&start + (gradient * step).unwrap()).unwrap()).unwrap();
            f64::from(weighted(&run(model, &tokens(2), Gradient::None).logits).unwrap().to_scalar::<f32>().unwrap())
        };
        let slope = (at(step) - at(-step)) / (2.0 * step);
        at(0.0);
        let wanted = f64::from(norm * norm);
        assert!((slope / wanted - 1.0).abs() < 0.03, "{what}: {}: {slope} for {wanted}", entry.name);
    }
}

/// Every combination of states, networks and mixer, in one cycle, through all of which the gradient goes.
#[test]
fn gradients_agree_with_differences() {
    for variant in [Variant::Att, Variant::Mlp] {
        for (states, networks, latents, calls) in [
            (States::Pair, Networks::Shared, 1, 1),
            (States::Pair, Networks::Separate, 1, 2),
            (States::Pair, Networks::Shared, 3, 2),
            (States::Pair, Networks::Separate, 2, 2),
            (States::Single, Networks::Shared, 1, 1),
            (States::Single, Networks::Separate, 1, 2),
            (States::Direct, Networks::Shared, 1, 6),
        ] {
            let model = model(variant, |config| {
                (config.states, config.networks, config.latents) = (states, networks, latents);
                (config.h_cycles, config.l_cycles) = (1, calls);
            });
            assert_gradients_agree(&model, &format!("{variant:?} {states:?} {networks:?} {latents} latents"));
        }
    }
    // With one latent call a cycle is its last calls.
    for networks in [Networks::Shared, Networks::Separate] {
        let model = model(Variant::Att, |config| {
            (config.networks, config.gradient) = (networks, GradientSpan::LastCalls);
            (config.h_cycles, config.l_cycles) = (1, 1);
        });
        assert_gradients_agree(&model, "last calls");
    }
}

/// The logits, and the gradient by the first weight of the network that improves the latent.
fn logits_and_gradient(model: &Model, start: &Latents) -> (Vec<f32>, Vec<f32>) {
    let output = model.forward(&model.input(&tokens(2), &[0, 0]).unwrap(), start, Gradient::Recorded).unwrap();
    let gradients = weighted(&output.logits).unwrap().backward().unwrap();
    let values = |tensor: &Tensor| tensor.flatten_all().unwrap().to_vec1::<f32>().unwrap();
    let weight = model.parameters().trained().find(|entry| entry.name.contains("L_level")).unwrap();
    (values(&output.logits), values(gradients.get(&weight.var).unwrap()))
}

/// What the cycles before the last hand on is a constant to the gradient, so the last one alone, started from there, has the same.
#[test]
fn more_cycles_change_forward_values_alone() {
    for states in [States::Pair, States::Single] {
        let deep = |cycles| model(Variant::Att, |config| (config.states, config.h_cycles) = (states, cycles));
        let (one, three) = (deep(1), deep(3));
        let mut start = one.initial_latents(2).unwrap();
        assert_ne!(logits_and_gradient(&one, &start).0, logits_and_gradient(&three, &start).0);
        let deep = logits_and_gradient(&three, &start);
        for _ in 0..2 {
            start = one.forward(&one.input(&tokens(2), &[0, 0]).unwrap(), &start, Gradient::None).unwrap().latents;
        }
        assert_eq!(logits_and_gradient(&one, &start), deep, "{states:?}");
    }
}

#[test]
fn the_last_calls_give_the_same_answer_and_another_gradient() {
    let with = |gradient| model(Variant::Att, |config| (config.gradient, config.l_cycles) = (gradient, 3));
    let (whole, last) = (with(GradientSpan::LastCycle), with(GradientSpan::LastCalls));
    let start = whole.initial_latents(2).unwrap();
    let ((whole_logits, whole_gradient), (last_logits, last_gradient)) =
        (logits_and_gradient(&whole, &start), logits_and_gradient(&last, &start));
    assert_eq!(whole_logits, last_logits);
    assert_ne!(whole_gradient, last_gradient);
}

/// The recursion that the reference calls hier6 is, with one latent, TRM's.
#[test]
fn latents_take_turns() {
    let model = model(Variant::Att, |config| (config.latents, config.h_cycles, config.l_cycles) = (3, 1, 2));
    let start = model.initial_latents(2).unwrap();
    let output = run(&model, &tokens(2), Gradient::None);
    let moved: Vec<bool> = start
        .named()
        .iter()
        .zip(output.latents.named())
        .map(|((name, before), (_, after))| {
            assert!(model.parameters().get(&format!("{name}_init")).is_ok());
            largest(&(*before - after).unwrap()) > 0.0
        })
        .collect();
    assert_eq!(moved, [true, true, true, false], "the answer, and the two latents whose turn came");
}

/// Initial losses by vocabulary, as of unit normal logits.
#[test]
fn fresh_losses_follow_from_the_vocabulary() {
    for (vocab_size, wanted) in [(11, 2.57), (12, 2.66), (6, 1.95)] {
        let config = TrialConfig { hidden_size: 64, h_cycles: 1, l_cycles: 1, ..TrialConfig::default() };
        let shape = DataShape { vocab_size, ..SHAPE };
        let mut losses = Vec::new();
        for seed in 0..6 {
            let model = Model::init(&config, shape, &mut generator(seed, Stream::Weights)).unwrap();
            let tokens: Vec<u32> = tokens(32).iter().map(|token| (token + seed as u32) % vocab_size as u32).collect();
            let labels: Vec<_> = tokens.iter().map(|&token| Some((token + 1) % vocab_size as u32)).collect();
            let scores = grade(config.loss, &run(&model, &tokens, Gradient::None), &labels).unwrap().scores().unwrap();
            losses.extend(scores.iter().map(|score| score.lm_loss));
        }
        let mean = losses.iter().sum::<f64>() / losses.len() as f64;
        assert!((mean - wanted).abs() < 0.2, "{vocab_size}: {mean}, not {wanted}");
    }
}

#[test]
fn an_average_shares_the_puzzle_table() {
    let parameters = model(Variant::Mlp, |_| {}).parameters().clone();
    let copy = parameters.with_own_weights().unwrap();
    let raise = |var: &Var| var.set(&(var.as_detached_tensor() + 1.0).unwrap()).unwrap();
    raise(parameters.puzzle_table().unwrap());
    raise(parameters.get("lm_head.weight").unwrap());
    let differs = |name: &str| largest(&(parameters.get(name).unwrap().as_tensor() - copy.get(name).unwrap().as_tensor()).unwrap()) > 0.0;
    assert!(!differs("puzzle_emb.weights") && differs("lm_head.weight"));
}

#[test]
fn a_model_without_a_prefix_has_no_puzzle_table() {
    let model = model(Variant::Mlp, |config| config.puzzle_emb_ndim = Some(0));
    assert!(model.parameters().puzzle_table().is_none());
    let output = run(&model, &tokens(3), Gradient::None);
    assert_eq!(output.logits.dims(), [3, 10, 11]);
    assert_eq!(output.latents.answer().dims(), [3, 10, 32]);
}
