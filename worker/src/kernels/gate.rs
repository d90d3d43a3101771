//! The gate of a SwiGLU.

use candle_core::{CpuStorage, CustomOp1, CustomOp2, D, Layout, Result, Shape, Tensor};

use super::{math::sigmoid, slices::slice};

/// `silu(gate) · up`, where the last axis of `both` holds the gates and then as many ups.
///
/// # Errors
/// When the values are not f32 on the CPU.
pub fn gate(both: &Tensor) -> Result<Tensor> {
    both.contiguous()?.apply_op1(Gate)
}

struct Gate;

impl CustomOp1 for Gate {
    fn name(&self) -> &'static str {
        "gate"
    }

    fn cpu_fwd(&self, both: &CpuStorage, at: &Layout) -> Result<(CpuStorage, Shape)> {
        let inner = at.shape().dim(D::Minus1)? / 2;
        let mut out = Vec::with_capacity(at.shape().elem_count() / 2);
        for row in slice(both, at)?.chunks_exact(2 * inner) {
            let (gates, ups) = row.split_at(inner);
            out.extend(gates.iter().zip(ups).map(|(&gate, up)| gate * sigmoid(gate) * up));
        }
        let mut shape = at.dims().to_vec();
        shape.pop();
        shape.push(inner);
        Ok((CpuStorage::F32(out), shape.into()))
    }

    fn bwd(&self, both: &Tensor, _: &Tensor, gradient: &Tensor) -> Result<Option<Tensor>> {
        both.apply_op2_no_bwd(&gradient.contiguous()?, &Backward).map(Some)
    }
}

/// The gradient by gates and ups, from them and the gradient of the result.
struct Backward;

impl CustomOp2 for Backward {
    fn name(&self) -> &'static str {
        "gate-backward"
    }

    fn cpu_fwd(&self, both: &CpuStorage, at: &Layout, g: &CpuStorage, g_at: &Layout) -> Result<(CpuStorage, Shape)> {
        let inner = g_at.shape().dim(D::Minus1)?;
        let mut out = slice(both, at)?.to_vec();
        for (row, g) in out.chunks_exact_mut(2 * inner).zip(slice(g, g_at)?.chunks_exact(inner)) {
            let (gates, ups) = row.split_at_mut(inner);
            for ((gate, up), g) in gates.iter_mut().zip(ups).zip(g) {
                let open = sigmoid(*gate);
                let silu = *gate * open;
                *gate = g * *up * (open + silu * (1.0 - open));
                *up = g * silu;
            }
        }
        Ok((CpuStorage::F32(out), at.shape().clone()))
    }
}
