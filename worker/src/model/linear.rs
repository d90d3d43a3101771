//! Linear maps without bias.

use candle_core::{D, Result, Tensor};

/// `x · weight` over the last axis of `x`, where `weight` is `[in, out]`: a transposed view of what checkpoints hold.
///
/// The caller keeps that view for all its uses, so that the gradients of all uses add up before they are transposed back.
pub fn linear(x: &Tensor, weight: &Tensor) -> Result<Tensor> {
    let mut shape = x.dims().to_vec();
    let (inputs, outputs) = weight.dims2()?;
    let rows = x.elem_count() / x.dim(D::Minus1)?;
    if let Some(last) = shape.last_mut() {
        *last = outputs;
    }
    x.reshape((rows, inputs))?.matmul(weight)?.reshape(shape)
}
