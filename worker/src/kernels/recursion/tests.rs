use std::sync::LazyLock;

use candle_core::{Tensor, Var};
use proptest::prelude::*;
use rand::RngExt;

use super::*;
use crate::{
    device::from_environment,
    kernels::{AttentionNorm, Over, Rotary, SwiGluNorm, matmul::PANEL, plain, plainly},
    random::{Stream, generator},
};

/// How far an operation may be off, relative to the largest value: sums of matrix products are in another order, and norms multiply what
/// that loses. Up to 1.3e-5 was seen in a gradient; a wrong formula is off by far more.
const PRODUCTS: f32 = 1e-4;
/// The same of one whose factors are rounded to bf16, in gradients at other places than the plain graph does.
const ROUNDED: f32 = 0.05;

/// How far an operation on these factors may be off.
fn bound(factors: Factors) -> f32 {
    match factors {
        Factors::F32 => PRODUCTS,
        Factors::Bf16 => ROUNDED,
    }
}

/// What to add to the mean of squares of `normed` values: so much that the gradient through the norm of a single one does not vanish, and
/// where factors are rounded that it is more than rounding makes.
fn eps(factors: Factors, normed: usize) -> f64 {
    if factors == Factors::Bf16 && normed == 1 { 8.0 } else { 0.5 }
}

fn random(shape: &[usize], seed: u64) -> Var {
    random_within(3.0, shape, seed)
}

fn random_within(bound: f32, shape: &[usize], seed: u64) -> Var {
    let mut rng = generator(seed, Stream::Data);
    let values: Vec<f32> = (0..shape.iter().product()).map(|_| (rng.random::<f32>() * 2.0 - 1.0) * bound).collect();
    Var::from_vec(values, shape, &device()).unwrap()
}

/// Where the tests compute, all of them on the same stream of a GPU.
fn device() -> Device {
    static DEVICE: LazyLock<Device> = LazyLock::new(|| from_environment().unwrap());
    DEVICE.clone()
}

fn assert_near(ours: &Tensor, plain: &Tensor, bound: f32, what: &str) {
    assert_eq!(ours.dims(), plain.dims());
    let largest = |tensor: &Tensor| tensor.abs().unwrap().max_all().unwrap().to_scalar::<f32>().unwrap();
    let error = largest(&(ours - plain).unwrap()) / largest(plain);
    assert!(error < bound, "{what}: {error}");
}

/// How many inputs of a shape are drawn. In one draw the few gradients of a small shape may nearly cancel out all at once, and an error
/// relative to them says nothing.
const DRAWS: u64 = 8;

/// The result of `operation` and gradients of a weighted sum of it by every input, each of all draws one after the other.
fn results(draws: &[Vec<Var>], operation: impl Fn(&[Var]) -> Result<Tensor>) -> Vec<Tensor> {
    let of_each: Vec<Vec<Tensor>> = (draws.iter())
        .map(|inputs| {
            let result = operation(inputs).unwrap();
            let weights = random(result.dims(), 99);
            let gradients = (&result * weights.as_detached_tensor()).unwrap().sum_all().unwrap().backward().unwrap();
            let gradients = inputs.iter().map(|input| gradients.get(input).unwrap().clone());
            std::iter::once(result.detach()).chain(gradients).collect()
        })
        .collect();
    let of_all = |index: usize| Tensor::cat(&of_each.iter().map(|tensors| &tensors[index]).collect::<Vec<_>>(), 0).unwrap();
    (0..of_each[0].len()).map(of_all).collect()
}

/// Compares two operations on `DRAWS` draws of inputs, of which `inputs` makes those of a seed.
fn check(bound: f32, inputs: impl Fn(u64) -> Vec<Var>, ours: impl Fn(&[Var]) -> Result<Tensor>, plain: impl Fn(&[Var]) -> Result<Tensor>) {
    let draws: Vec<_> = (0..DRAWS).map(inputs).collect();
    for (index, (ours, plain)) in results(&draws, ours).iter().zip(&results(&draws, plain)).enumerate() {
        assert_near(ours, plain, bound, if index == 0 { "result" } else { "gradient" });
    }
}

/// A call of the only network, on the only state and perhaps on the input.
fn only(input: bool) -> Call {
    Call { network: 0, input, reads: vec![0], writes: 0 }
}

/// What `half` makes of x, and of that: gradients of its weights are added up over both uses.
fn twice(half: Half, factors: Factors, x: &Tensor) -> Result<Tensor> {
    let calls = [Call { reads: Vec::new(), ..only(true) }, only(false)];
    let state = x.zeros_like()?.detach();
    Ok(Recursion::new(vec![vec![half]], factors, factors)?.run(x, &[state], &calls, 2)?.swap_remove(0))
}

proptest! {
    #[test]
    fn swiglu_norm_is_the_plain_one(
        over in prop_oneof![Just(Over::Features), Just(Over::Positions)],
        factors in prop_oneof![Just(Factors::F32), Just(Factors::Bf16)],
        [batch, positions] in [1..8usize, 1..23usize],
        // Also those of which what is inside lies in panels.
        (width, inner) in (prop_oneof![2 => 1..41usize, 1 => Just(2 * PANEL)], prop_oneof![2 => 1..37usize, 1 => Just(PANEL)]),
    ) {
        let outer = if over == Over::Features { width } else { positions };
        let weights = |seed| [random_within(0.5, &[2 * inner, outer], seed + 10), random_within(0.5, &[outer, inner], seed + 20)];
        let inputs = |seed| [&[random(&[batch, positions, width], seed)], &weights(seed)[..]].concat();
        let eps = eps(factors, outer);
        check(
            bound(factors),
            inputs,
            |x| twice(Half::SwiGlu(SwiGluNorm::new(over, [x[1].as_tensor().clone(), x[2].as_tensor().clone()], eps)?), factors, &x[0]),
            |x| {
                let half = |h: &Tensor| plain::swiglu_norm(over, factors, h, [&x[1], &x[2]], eps);
                half(&half(&x[0])?)
            },
        );
    }

    #[test]
    fn attention_norm_is_the_plain_one(
        is_turned in any::<bool>(),
        [batch, positions, width] in [1..8usize, 1..23usize, 1..41usize],
        // Also those that lie in panels.
        (heads, half_width) in prop_oneof![4 => (1..5usize, 1..9usize), 1 => Just((4, 8)), 1 => Just((2, 32))],
        factors in prop_oneof![Just(Factors::F32), Just(Factors::Bf16)],
    ) {
        let head_width = if is_turned { 2 * half_width } else { half_width };
        let rotary = is_turned.then(|| Rotary::new(positions, head_width, 1e4, &device()).unwrap());
        let inner = heads * head_width;
        let weights = |seed| [random_within(0.5, &[3 * inner, width], seed + 10), random_within(0.5, &[width, inner], seed + 20)];
        let inputs = |seed| [&[random(&[batch, positions, width], seed)], &weights(seed)[..]].concat();
        let eps = eps(factors, width);
        check(
            bound(factors),
            inputs,
            |x| {
                let weights = [x[1].as_tensor().clone(), x[2].as_tensor().clone()];
                twice(Half::Attention(AttentionNorm::new(heads, weights, rotary.clone(), eps)?), factors, &x[0])
            },
            |x| {
                let half = |y: &Tensor| plain::attention_norm(heads, factors, y, [&x[1], &x[2]], rotary.as_ref(), eps);
                half(&half(&x[0])?)
            },
        );
    }
}

/// A block of attention and a SwiGLU over features, and one of two SwiGLUs, on examples of 12 positions by 8.
fn networks() -> (Vec<Var>, impl Fn(&[Var]) -> Vec<Vec<Half>>) {
    let shapes = [[24, 8], [8, 8], [20, 8], [8, 10], [14, 12], [12, 7], [18, 8], [8, 9]];
    let weights = (20..).zip(shapes).map(|(seed, shape)| random_within(0.5, &shape, seed)).collect();
    let networks = |weights: &[Var]| {
        let pair = |index: usize| [index, index + 1].map(|index| weights[index].as_tensor().clone());
        let rotary = Rotary::new(12, 4, 1e4, &device()).unwrap();
        let swiglu = |over, index| Half::SwiGlu(SwiGluNorm::new(over, pair(index), 0.5).unwrap());
        let attention = Half::Attention(AttentionNorm::new(2, pair(0), Some(rotary), 0.5).unwrap());
        vec![vec![attention, swiglu(Over::Features, 2)], vec![swiglu(Over::Positions, 4), swiglu(Over::Features, 6)]]
    };
    (weights, networks)
}

/// So many examples that there are several parts, of which the last is smaller.
const EXAMPLES: usize = 100;

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    /// Any calls of two networks on three states, of which any number is recorded.
    #[test]
    fn calls_give_the_same_as_the_plain_graph(
        calls in prop::collection::vec((0..2usize, any::<bool>(), prop::collection::btree_set(0..3usize, 1..3), 0..3usize), 1..6),
        unrecorded in 0..5usize,
        mixed in any::<bool>(),
    ) {
        let call = |(network, input, reads, writes): (usize, bool, std::collections::BTreeSet<usize>, usize)| {
            Call { network, input, reads: reads.into_iter().collect(), writes }
        };
        let calls: Vec<_> = calls.into_iter().map(call).collect();
        let recorded = calls.len() - unrecorded.min(calls.len() - 1);
        let (weights, networks) = networks();
        let states = [31, 32, 33].map(|seed| random(&[EXAMPLES, 12, 8], seed).as_detached_tensor());
        let (unrecorded, bound) = if mixed { (Factors::Bf16, ROUNDED) } else { (Factors::F32, PRODUCTS) };
        let recursion = Recursion::new(networks(&weights), unrecorded, Factors::F32).unwrap();
        let input = random(&[EXAMPLES, 12, 8], 30);
        let last = calls[calls.len() - 1].writes;
        let run = |recorded: usize| recursion.run(&input, &states, &calls, recorded).unwrap();
        let (ours, plain) = (run(recorded), plainly(|| run(recorded)));
        for (ours, plain) in ours.iter().zip(&plain) {
            assert_near(ours, plain, bound, "state");
        }
        // In one precision a record changes no number.
        if !mixed {
            for (bare, ours) in run(0).iter().zip(&ours) {
                assert!(!bare.track_op());
                prop_assert_eq!(read(bare, <[f32]>::to_vec).unwrap(), read(ours, <[f32]>::to_vec).unwrap());
            }
        }
        let factors = random(ours[last].dims(), 99);
        let gradients = |state: &Tensor| (state * factors.as_detached_tensor()).unwrap().sum_all().unwrap().backward().unwrap();
        let (by_ours, by_plain) = (gradients(&ours[last]), gradients(&plain[last]));
        for var in weights.iter().chain([&input]) {
            match by_plain.get(var) {
                Some(plain) => assert_near(by_ours.get(var).unwrap(), plain, bound, "gradient"),
                // Where nothing depends on it the fused operation may say zeros.
                None => assert!(by_ours.get(var).is_none_or(|ours| ours.abs().unwrap().max_all().unwrap().to_scalar::<f32>().unwrap() == 0.0)),
            }
        }
    }
}

/// A pool's own thread computes all examples, one outside of it gives each thread of the pool a run.
#[test]
fn runs_on_several_threads_give_the_same_as_one_thread() {
    let (weights, networks) = networks();
    let recursion = Recursion::new(networks(&weights), Factors::F32, Factors::F32).unwrap();
    let [input, state, factors] = [30, 31, 32].map(|seed| random(&[EXAMPLES, 12, 8], seed));
    let calls = [only(true), Call { network: 1, ..only(true) }];
    let run = || {
        let result = recursion.run(&input, &[state.as_detached_tensor()], &calls, 2).unwrap().swap_remove(0);
        let gradients = (&result * factors.as_detached_tensor()).unwrap().sum_all().unwrap().backward().unwrap();
        (result, gradients)
    };
    let (ours, by_ours) = run();
    let (alone, by_alone) = rayon::ThreadPoolBuilder::new().num_threads(1).build().unwrap().install(run);
    assert_eq!(read(&ours, <[f32]>::to_vec).unwrap(), read(&alone, <[f32]>::to_vec).unwrap());
    for var in weights.iter().chain([&input]) {
        assert_near(by_ours.get(var).unwrap(), by_alone.get(var).unwrap(), PRODUCTS, "gradient");
    }
    let (_, again) = run();
    for var in &weights {
        let numbers = |gradients: &candle_core::backprop::GradStore| read(gradients.get(var).unwrap(), <[f32]>::to_vec).unwrap();
        assert_eq!(numbers(&by_ours), numbers(&again), "sums are in the order of the runs");
    }
}

#[test]
fn what_does_not_fit_is_refused() {
    let (weights, networks) = networks();
    let recursion = Recursion::new(networks(&weights), Factors::F32, Factors::F32).unwrap();
    let refusal = |shape: [usize; 3], states: [usize; 3], call: Call, recorded: usize| {
        recursion.run(&random(&shape, 1), &[random(&states, 2).as_detached_tensor()], &[call], recorded).unwrap_err().to_string()
    };
    assert!(refusal([1, 6, 8], [1, 6, 8], only(true), 0).contains("not for 6 positions"));
    assert!(refusal([1, 12, 9], [1, 12, 9], only(true), 1).contains("are not for 2 heads on 9 values"));
    assert!(refusal([1, 6, 8], [1, 6, 8], Call { network: 1, ..only(true) }, 1).contains("do not mix 6 values"));
    assert!(refusal([1, 12, 8], [2, 12, 8], only(true), 0).contains("a state of"));
    assert!(refusal([1, 12, 8], [1, 12, 8], Call { reads: Vec::new(), ..only(false) }, 0).contains("without summands"));
}
