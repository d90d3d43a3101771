//! What must hold of the model whatever its weights, and of fresh weights.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use candle_core::{D, Result, Tensor, Var};
use tinysweep_proto::{
    config::{PosEncodings, TrialConfig, Variant},
    dataset::DataShape,
};
use tinysweep_worker::{
    loss::grade,
    model::{Gradient, Model, Output},
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
        let scores = grade(model.config().loss, &output, &labels).unwrap().scores;
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

#[test]
fn gradients_agree_with_differences() {
    for variant in [Variant::Att, Variant::Mlp] {
        let model = model(variant, |config| (config.h_cycles, config.l_cycles) = (1, 1));
        let loss = || weighted(&run(&model, &tokens(2), Gradient::Recorded).logits).unwrap();
        let gradients = loss().backward().unwrap();
        for entry in model.parameters().trained().filter(|entry| !entry.name.starts_with("q_head")) {
            let gradient = gradients.get(&entry.var).unwrap();
            // Along its own gradient, where a difference stands out most.
            let norm = gradient.sqr().unwrap().sum_all().unwrap().to_scalar::<f32>().unwrap().sqrt();
            let step = 2e-2 / f64::from(norm) / 10.0;
            let start = entry.var.copy().unwrap();
            let at = |step: f64| {
                entry.var.set(&(&start + (gradient * step).unwrap()).unwrap()).unwrap();
                f64::from(
                    run(&model, &tokens(2), Gradient::None).logits.flatten_all().and_then(|l| weighted(&l)?.to_scalar::<f32>()).unwrap(),
                )
            };
            let slope = (at(step) - at(-step)) / (2.0 * step);
            at(0.0);
            let wanted = f64::from(norm * norm);
            assert!((slope / wanted - 1.0).abs() < 0.03, "{}: {slope} for {wanted}", entry.name);
        }
    }
}

#[test]
fn a_model_without_a_prefix_has_no_puzzle_table() {
    let model = model(Variant::Mlp, |config| config.puzzle_emb_ndim = Some(0));
    assert!(model.parameters().puzzle_table().is_none());
    let output = run(&model, &tokens(3), Gradient::None);
    assert_eq!(output.logits.dims(), [3, 10, 11]);
    assert_eq!(output.latents.answer().dims(), [3, 10, 32]);
}
