//! Operations that Candle does not have, or not with a backward pass, or slower. Each is tested against the plain graph, which other
//! devices than the CPU run in its place.

mod buffer;
mod gate;
pub mod math;
mod matmul;
mod norm;
pub mod peak;
mod plain;
mod residual_norm;
pub mod slices;
mod softmax;
mod sum;
mod swiglu_norm;
mod tally;
mod vectorized;

pub use residual_norm::residual_norm;
pub use softmax::softmax;
pub use swiglu_norm::{Over, SwiGluNorm};
pub use vectorized::vectorized;

#[cfg(test)]
mod tests {
    use candle_core::{Device, Result, Tensor, Var};
    use proptest::prelude::*;
    use rand::RngExt;

    use super::*;
    use crate::random::{Stream, generator};

    /// How far an operation may be off, relative to the largest value, that goes over its values once.
    const ONE_PASS: f32 = 3e-6;
    /// The same of one with matrix products, whose sums are in another order, and norms, which multiply what that loses: up to 1.3e-5 was
    /// seen in a gradient. A wrong formula is off by far more.
    const PRODUCTS: f32 = 1e-4;

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

    #[test]
    fn residual_norm_is_the_plain_one() {
        let inputs = [random(&[3, 5, 37], 1), random(&[3, 5, 37], 2)];
        check(ONE_PASS, &inputs, |x| residual_norm(&x[0], &x[1], 1e-5), |x| plain::residual_norm(&x[0], &x[1], 1e-5));
    }

    #[test]
    fn softmax_is_the_plain_one() {
        check(ONE_PASS, &[random(&[2, 3, 7, 19], 4)], |x| softmax(&x[0], 0.5), |x| plain::softmax(&x[0], 0.5));
    }

    proptest! {
        #[test]
        fn swiglu_norm_is_the_plain_one(
            over in prop_oneof![Just(Over::Features), Just(Over::Positions)],
            [batch, positions, width, inner] in [1..8usize, 1..23usize, 1..41usize, 1..37usize],
        ) {
            let outer = if over == Over::Features { width } else { positions };
            let weights = [random_within(0.5, &[2 * inner, outer], 7), random_within(0.5, &[outer, inner], 8)];
            let inputs = [&[random(&[batch, positions, width], 6)], &weights[..]].concat();
            // So much that the gradient through the norm of a single value does not vanish.
            let eps = 0.5;
            check(
                PRODUCTS,
                &inputs,
                // Twice, since gradients of weights are added up over all uses.
                |x| {
                    let half = SwiGluNorm::new(over, x[1].as_tensor().clone(), x[2].as_tensor().clone(), eps)?;
                    half.forward(&half.forward(&x[0])?)
                },
                |x| plain::swiglu_norm(over, &plain::swiglu_norm(over, &x[0], &x[1], &x[2], eps)?, &x[1], &x[2], eps),
            );
        }
    }

    #[test]
    fn without_gradient_swiglu_norm_gives_the_same_in_several_parts() {
        for over in [Over::Features, Over::Positions] {
            let (x, gate_up, down) = (random(&[17, 33, 33], 9), random_within(0.5, &[20, 33], 10), random_within(0.5, &[33, 10], 11));
            let forward = |gate_up: &Tensor, down: &Tensor| SwiGluNorm::new(over, gate_up.clone(), down.clone(), 1e-5).unwrap().forward(&x);
            let recorded = forward(&gate_up, &down).unwrap();
            let frozen = forward(&gate_up.as_detached_tensor(), &down.as_detached_tensor()).unwrap();
            assert_near(&frozen, &recorded, PRODUCTS, "result");
            assert!(!frozen.track_op() && recorded.track_op());
            check(
                PRODUCTS,
                &[x.clone(), gate_up.clone(), down.clone()],
                |x| SwiGluNorm::new(over, x[1].as_tensor().clone(), x[2].as_tensor().clone(), 1e-5)?.forward(&x[0]),
                |x| plain::swiglu_norm(over, &x[0], &x[1], &x[2], 1e-5),
            );
        }
    }
}
