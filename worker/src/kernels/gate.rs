//! The gate of a SwiGLU.

use candle_core::{CpuStorage, CustomOp1, CustomOp2, D, Layout, Result, Shape, Tensor};

use super::{math::sigmoid, plain, slices::slice, vectorized};

/// `silu(gate) · up`, where the last axis of `both` holds the gates and then as many ups.
///
/// # Errors
/// When the values are not f32.
pub fn gate(both: &Tensor) -> Result<Tensor> {
    if !both.device().is_cpu() {
        return plain::gate(both);
    }
    both.contiguous()?.apply_op1(Gate)
}

struct Gate;

impl CustomOp1 for Gate {
    fn name(&self) -> &'static str {
        "gate"
    }

    fn cpu_fwd(&self, both: &CpuStorage, at: &Layout) -> Result<(CpuStorage, Shape)> {
        let inner = at.shape().dim(D::Minus1)? / 2;
        let both = slice(both, at)?;
        let out = vectorized(
            #[inline(always)]
            || forward(both, inner),
        );
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
        let g = slice(g, g_at)?;
        vectorized(
            #[inline(always)]
            || backward(&mut out, g, inner),
        );
        Ok((CpuStorage::F32(out), at.shape().clone()))
    }
}

/// The gated rows of `both`, whose rows hold `inner` gates and then as many ups.
#[inline(always)]
fn forward(both: &[f32], inner: usize) -> Vec<f32> {
    let mut out = vec![0.0; both.len() / 2];
    for (row, out) in both.chunks_exact(2 * inner).zip(out.chunks_exact_mut(inner)) {
        let (gates, ups) = row.split_at(inner);
        for ((gate, up), out) in gates.iter().zip(ups).zip(out) {
            *out = gate * sigmoid(*gate) * up;
        }
    }
    out
}

/// Values that are computed side by side. Where two results are written, the compiler makes vectors of arrays, but not of slices.
const LANES: usize = 16;

/// Turns gates and ups into their gradients; `g` is the gradient of the gated rows.
#[inline(always)]
fn backward(both: &mut [f32], g: &[f32], inner: usize) {
    for (row, g) in both.chunks_exact_mut(2 * inner).zip(g.chunks_exact(inner)) {
        let (gates, ups) = row.split_at_mut(inner);
        let (gates, gates_rest) = gates.as_chunks_mut::<LANES>();
        let (ups, ups_rest) = ups.as_chunks_mut::<LANES>();
        let (g, g_rest) = g.as_chunks::<LANES>();
        for ((gates, ups), g) in gates.iter_mut().zip(ups).zip(g) {
            let (mut by_gates, mut by_ups) = ([0.0; LANES], [0.0; LANES]);
            for lane in 0..LANES {
                (by_gates[lane], by_ups[lane]) = gradients(gates[lane], ups[lane], g[lane]);
            }
            (*gates, *ups) = (by_gates, by_ups);
        }
        for ((gate, up), g) in gates_rest.iter_mut().zip(ups_rest).zip(g_rest) {
            (*gate, *up) = gradients(*gate, *up, *g);
        }
    }
}

/// The gradients by a gate and its up.
#[inline(always)]
fn gradients(gate: f32, up: f32, g: f32) -> (f32, f32) {
    let open = sigmoid(gate);
    let silu = gate * open;
    (g * up * (open + silu * (1.0 - open)), g * silu)
}
