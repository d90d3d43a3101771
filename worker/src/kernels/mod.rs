//! Operations that Candle does not have, or not with a backward pass, or slower. Each is tested against the plain graph, which other
//! devices than the CPU run in its place.

mod gate;
pub mod math;
pub mod peak;
mod plain;
mod residual_norm;
pub mod slices;
mod softmax;
mod sum;
mod transpose;
mod vectorized;

pub use gate::gate;
pub use residual_norm::residual_norm;
pub use softmax::softmax;
pub use transpose::transpose;
pub use vectorized::vectorized;

#[cfg(test)]
mod tests {
    use candle_core::{Device, Result, Tensor, Var};
    use rand::RngExt;

    use super::*;
    use crate::random::{Stream, generator};

    fn random(shape: &[usize], seed: u64) -> Var {
        let mut rng = generator(seed, Stream::Data);
        let values: Vec<f32> = (0..shape.iter().product()).map(|_| rng.random::<f32>() * 6.0 - 3.0).collect();
        Var::from_vec(values, shape, &Device::Cpu).unwrap()
    }

    fn assert_near(ours: &Tensor, plain: &Tensor, what: &str) {
        assert_eq!(ours.dims(), plain.dims());
        let largest = |tensor: &Tensor| tensor.abs().unwrap().max_all().unwrap().to_scalar::<f32>().unwrap();
        let error = largest(&(ours - plain).unwrap()) / largest(plain);
        assert!(error < 3e-6, "{what}: {error}");
    }

    /// Compares results, and gradients of a weighted sum of them by every input.
    fn check(inputs: &[Var], ours: impl Fn(&[Var]) -> Result<Tensor>, plain: impl Fn(&[Var]) -> Result<Tensor>) {
        let (ours, plain) = (ours(inputs).unwrap(), plain(inputs).unwrap());
        assert_near(&ours, &plain, "result");
        let weights = random(plain.dims(), 99);
        let gradients = |tensor: &Tensor| (tensor * weights.as_detached_tensor()).unwrap().sum_all().unwrap().backward().unwrap();
        let (by_ours, by_plain) = (gradients(&ours), gradients(&plain));
        for (index, input) in inputs.iter().enumerate() {
            assert_near(by_ours.get(input).unwrap(), by_plain.get(input).unwrap(), &format!("gradient by input {index}"));
        }
    }

    #[test]
    fn residual_norm_is_the_plain_one() {
        let inputs = [random(&[3, 5, 37], 1), random(&[3, 5, 37], 2)];
        check(&inputs, |x| residual_norm(&x[0], &x[1], 1e-5), |x| plain::residual_norm(&x[0], &x[1], 1e-5));
    }

    #[test]
    fn gate_is_the_plain_one() {
        check(&[random(&[3, 5, 42], 3)], |x| gate(&x[0]), |x| plain::gate(&x[0]));
    }

    #[test]
    fn softmax_is_the_plain_one() {
        check(&[random(&[2, 3, 7, 19], 4)], |x| softmax(&x[0], 0.5), |x| plain::softmax(&x[0], 0.5));
    }

    #[test]
    fn transpose_is_the_plain_one() {
        check(&[random(&[3, 37, 21], 5)], |x| transpose(&x[0]), |x| plain::transpose(&x[0]));
    }
}
