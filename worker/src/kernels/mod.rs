//! Operations that Candle does not have, or not with a backward pass, or slower. Each is tested against the plain graph, which other
//! devices than the CPU run in its place.

mod attention_norm;
mod bf16;
mod buffer;
mod choice;
mod factors;
mod gate;
mod heads;
pub mod math;
mod matmul;
mod norm;
pub mod peak;
mod plain;
mod rotary;
pub mod slices;
mod softmax;
mod sum;
mod swiglu_norm;
mod tally;
mod vectorized;

pub use attention_norm::AttentionNorm;
pub use bf16::Unit as Bf16Unit;
pub use choice::plainly;
pub use factors::Factors;
pub use rotary::Rotary;
pub use swiglu_norm::{Over, SwiGluNorm};
pub use vectorized::vectorized;

#[cfg(test)]
mod tests {
    use candle_core::{Device, Result, Tensor, Var};
    use proptest::prelude::*;
    use rand::RngExt;

    use super::*;
    use crate::random::{Stream, generator};

    /// How far an operation may be off, relative to the largest value: sums of matrix products are in another order, and norms multiply what
    /// that loses. Up to 1.3e-5 was seen in a gradient; a wrong formula is off by far more.
    const PRODUCTS: f32 = 1e-4;
    /// The same of one whose factors are rounded to bf16, in gradients at other places than the plain graph does.
    const ROUNDED: f32 = 0.05;

    fn random(shape: &[usize], seed: u64) -> Var {
        random_within(3.0, shape, seed)
    }

    fn random_within(bound: f32, shape: &[usize], seed: u64) -> Var {
        let mut rng = generator(seed, Stream::Data);
        let values: Vec<f32> = (0..shape.iter().product()).map(|_| (rng.random::<f32>() * 2.0 - 1.0) * bound).collect();
        Var::from_vec(values, shape, &Device::Cpu).unwrap()
    }

    fn assert_near(ours: &Tensor, plain: &Tensor, bound: f32, what: &str) {
        assert_eq!(ours.dims(), plain.dims());
        let largest = |tensor: &Tensor| tensor.abs().unwrap().max_all().unwrap().to_scalar::<f32>().unwrap();
        let error = largest(&(ours - plain).unwrap()) / largest(plain);
        assert!(error < bound, "{what}: {error}");
    }

    /// Compares results, and gradients of a weighted sum of them by every input.
    fn check(bound: f32, inputs: &[Var], ours: impl Fn(&[Var]) -> Result<Tensor>, plain: impl Fn(&[Var]) -> Result<Tensor>) {
        let (ours, plain) = (ours(inputs).unwrap(), plain(inputs).unwrap());
        assert_near(&ours, &plain, bound, "result");
        let weights = random(plain.dims(), 99);
        let gradients = |tensor: &Tensor| (tensor * weights.as_detached_tensor()).unwrap().sum_all().unwrap().backward().unwrap();
        let (by_ours, by_plain) = (gradients(&ours), gradients(&plain));
        for (index, input) in inputs.iter().enumerate() {
            assert_near(by_ours.get(input).unwrap(), by_plain.get(input).unwrap(), bound, &format!("gradient by input {index}"));
        }
    }

    proptest! {
        #[test]
        fn swiglu_norm_is_the_plain_one(
            over in prop_oneof![Just(Over::Features), Just(Over::Positions)],
            (factors, bound) in prop_oneof![Just((Factors::F32, PRODUCTS)), Just((Factors::Bf16, ROUNDED))],
            [batch, positions, width, inner] in [1..8usize, 1..23usize, 1..41usize, 1..37usize],
        ) {
            let outer = if over == Over::Features { width } else { positions };
            let weights = [random_within(0.5, &[2 * inner, outer], 7), random_within(0.5, &[outer, inner], 8)];
            let inputs = [&[random(&[batch, positions, width], 6)], &weights[..]].concat();
            // So much that the gradient through the norm of a single value does not vanish.
            let eps = 0.5;
            check(
                bound,
                &inputs,
                // Twice, since gradients of weights are added up over all uses.
                |x| {
                    let half = SwiGluNorm::new(over, factors, [x[1].as_tensor().clone(), x[2].as_tensor().clone()], eps)?;
                    half.forward(&half.forward(&x[0])?)
                },
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
            [heads, half_width] in [1..5usize, 1..9usize],
            (factors, bound) in prop_oneof![Just((Factors::F32, PRODUCTS)), Just((Factors::Bf16, ROUNDED))],
        ) {
            let head_width = if is_turned { 2 * half_width } else { half_width };
            let rotary = is_turned.then(|| Rotary::new(positions, head_width, 1e4, &Device::Cpu).unwrap());
            let inner = heads * head_width;
            let weights = [random_within(0.5, &[3 * inner, width], 7), random_within(0.5, &[width, inner], 8)];
            let inputs = [&[random(&[batch, positions, width], 6)], &weights[..]].concat();
            let eps = 0.5;
            check(
                bound,
                &inputs,
                |x| {
                    let half = AttentionNorm::new(heads, factors, [x[1].as_tensor().clone(), x[2].as_tensor().clone()], rotary.clone(), eps)?;
                    half.forward(&half.forward(&x[0])?)
                },
                |x| {
                    let half = |y: &Tensor| plain::attention_norm(heads, factors, y, [&x[1], &x[2]], rotary.as_ref(), eps);
                    half(&half(&x[0])?)
                },
            );
        }
    }

    #[test]
    fn without_gradient_attention_norm_gives_the_same_in_several_parts() {
        let (x, qkv, output) = (random(&[17, 100, 12], 9), random_within(0.5, &[24, 12], 10), random_within(0.5, &[12, 8], 11));
        let rotary = Rotary::new(100, 4, 1e4, &Device::Cpu).unwrap();
        let half = |qkv: &Tensor, output: &Tensor| {
            AttentionNorm::new(2, Factors::F32, [qkv.clone(), output.clone()], Some(rotary.clone()), 1e-5).unwrap()
        };
        let recorded = half(&qkv, &output).forward(&x).unwrap();
        let frozen = half(&qkv.as_detached_tensor(), &output.as_detached_tensor());
        let ready = frozen.ready().unwrap().forward(&x).unwrap();
        let frozen = frozen.forward(&x).unwrap();
        assert_eq!(slices::read(&ready, <[f32]>::to_vec).unwrap(), slices::read(&frozen, <[f32]>::to_vec).unwrap());
        assert_eq!(slices::read(&frozen, <[f32]>::to_vec).unwrap(), slices::read(&recorded, <[f32]>::to_vec).unwrap());
        assert!(!frozen.track_op() && recorded.track_op());
        check(
            PRODUCTS,
            &[x, qkv, output],
            |x| half(&x[1], &x[2]).forward(&x[0]),
            |x| plain::attention_norm(2, Factors::F32, &x[0], [&x[1], &x[2]], Some(&rotary), 1e-5),
        );
    }

    #[test]
    fn rotary_tables_for_other_positions_are_refused() {
        let rotary = Rotary::new(5, 4, 1e4, &Device::Cpu).unwrap();
        let weights = [random(&[24, 12], 1), random(&[12, 8], 2)].map(|weight| weight.as_tensor().clone());
        let half = AttentionNorm::new(2, Factors::F32, weights, Some(rotary), 1e-5);
        let error = half.unwrap().forward(&random(&[1, 6, 12], 3)).unwrap_err();
        assert!(error.to_string().contains("not for 6 positions"), "{error}");
    }

    #[test]
    fn without_gradient_swiglu_norm_gives_the_same_in_several_parts() {
        let cases = [(Factors::F32, PRODUCTS), (Factors::Bf16, ROUNDED)];
        for (over, (factors, bound)) in [Over::Features, Over::Positions].into_iter().flat_map(|over| cases.map(|case| (over, case))) {
            let (x, gate_up, down) = (random(&[17, 33, 33], 9), random_within(0.5, &[20, 33], 10), random_within(0.5, &[33, 10], 11));
            let half = |gate_up: &Tensor, down: &Tensor| SwiGluNorm::new(over, factors, [gate_up.clone(), down.clone()], 1e-5);
            let forward = |gate_up: &Tensor, down: &Tensor| half(gate_up, down).unwrap().forward(&x);
            let recorded = forward(&gate_up, &down).unwrap();
            let frozen = forward(&gate_up.as_detached_tensor(), &down.as_detached_tensor()).unwrap();
            let ready = half(&gate_up.as_detached_tensor(), &down.as_detached_tensor()).unwrap().ready().unwrap().forward(&x).unwrap();
            assert_eq!(slices::read(&ready, <[f32]>::to_vec).unwrap(), slices::read(&frozen, <[f32]>::to_vec).unwrap());
            assert_near(&frozen, &recorded, bound, "result");
            assert!(!frozen.track_op() && recorded.track_op());
            check(
                bound,
                &[x.clone(), gate_up.clone(), down.clone()],
                |x| half(&x[1], &x[2])?.forward(&x[0]),
                |x| plain::swiglu_norm(over, factors, &x[0], [&x[1], &x[2]], 1e-5),
            );
        }
    }
}
