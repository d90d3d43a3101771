use std::sync::LazyLock;

use candle_core::{Device, Tensor};
use tinysweep_proto::{
    config::{HaltRule, PosEncodings, Precision, TrainConfig, TrialConfig, Variant},
    dataset::DataShape,
};

use super::*;
use crate::{
    carry::Row,
    device::from_environment,
    kernels::plainly,
    model::Parameters,
    random::{Stream, generator},
};

const SHAPE: DataShape = DataShape { seq_len: 6, vocab_size: 5, puzzle_identifiers: 3 };
/// Enough for some to be repeated as a whole, where a device does that, and for most slots to take a second example.
const STEPS: usize = 5;

/// Everything that a step has: a puzzle table, bounded gradients, a loss of going on, slots that halt at different times.
fn config(variant: Variant) -> TrialConfig {
    let train = TrainConfig { batch_size: 7, lr: 1e-3, warmup_steps: 2, grad_clip: 0.5, ..TrainConfig::default() };
    TrialConfig {
        variant,
        hidden_size: 16,
        num_heads: 2,
        l_cycles: 2,
        h_cycles: 2,
        halt_max_steps: 2,
        continue_loss: true,
        halt_rule: HaltRule::OverContinue,
        puzzle_emb_len: 2,
        train,
        ..TrialConfig::default()
    }
}

/// The scores of each step, and the weights and their averages after the last.
fn run(config: &TrialConfig) -> (Vec<Vec<Score>>, Vec<Tensor>) {
    // All on the same stream of a GPU.
    static DEVICE: LazyLock<Device> = LazyLock::new(|| from_environment().unwrap());
    let model = Model::init(config, SHAPE, &mut generator(3, Stream::Weights)).unwrap().to_device(&DEVICE).unwrap();
    let mut trainer = Trainer::new(model, generator(3, Stream::Halting)).unwrap();
    let mut number = 0;
    let mut next = |slot: usize| {
        number += 1;
        let token = |position: usize| (number * 7 + slot + position * position) as u32 % 5;
        let labels = (0..6).map(|position| (position != slot % 4).then(|| token(position + 1))).collect();
        Row { tokens: (0..6).map(token).collect(), labels, identifier: number as u32 % 3 }
    };
    let scores = (0..STEPS).map(|_| trainer.step(&mut next).unwrap()).collect();
    let values = |parameters: &Parameters| parameters.entries().iter().map(|entry| entry.var.as_detached_tensor()).collect::<Vec<_>>();
    let averaged = trainer.averaged_model().unwrap();
    (scores, [values(trainer.model().parameters()), values(averaged.parameters())].concat())
}

fn largest(tensor: &Tensor) -> f32 {
    tensor.abs().unwrap().max_all().unwrap().to_scalar().unwrap()
}

/// Whole steps, fused and perhaps repeated, against the plain graph, step by step.
#[test]
fn steps_are_those_of_the_plain_graph() {
    for variant in [Variant::Att, Variant::Mlp] {
        let config = config(variant);
        let ((scores, weights), (plain_scores, plain_weights)) = (run(&config), plainly(|| run(&config)));
        for (scores, plain) in scores.iter().flatten().zip(plain_scores.iter().flatten()) {
            assert!((scores.loss() - plain.loss()).abs() < 1e-3, "{variant:?}: {scores:?} is not {plain:?}");
            assert_eq!((scores.asked, scores.right), (plain.asked, plain.right));
        }
        for (weights, plain) in weights.iter().zip(&plain_weights) {
            // Adam moves by the sign of what is nearly nothing, so that few numbers may differ by a step.
            let error = largest(&(weights - plain).unwrap());
            assert!(error < 2e-3, "{variant:?}: {error} of {}", largest(plain));
        }
    }
}

/// In bf16 roundings are at other places; the losses stay near. (Of attention: the recursion of the other variant multiplies roundings.)
#[test]
fn steps_in_bf16_are_near_those_in_f32() {
    let config = TrialConfig { pos_encodings: Some(PosEncodings::Learned), ..config(Variant::Att) };
    let (scores, _) = run(&TrialConfig { precision: Precision::Bf16, ..config.clone() });
    let (exact, _) = run(&config);
    for (scores, exact) in scores.iter().flatten().zip(exact.iter().flatten()) {
        assert!((scores.loss() - exact.loss()).abs() < 0.1, "{scores:?} is not {exact:?}");
    }
}
