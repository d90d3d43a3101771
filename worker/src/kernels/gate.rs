//! The gate of a SwiGLU, forward and backward, on slices.

use super::math::sigmoid;

/// Values that are computed side by side. Where two results are written, the compiler makes vectors of arrays, but not of slices.
const LANES: usize = 16;

/// Writes `silu(gate) · up` to `out`; each row of `both` holds `inner` gates and then as many ups.
#[inline(always)]
pub fn forward(both: &[f32], out: &mut [f32], inner: usize) {
    for (row, out) in both.chunks_exact(2 * inner).zip(out.chunks_exact_mut(inner)) {
        let (gates, ups) = row.split_at(inner);
        for ((gate, up), out) in gates.iter().zip(ups).zip(out) {
            *out = gate * sigmoid(*gate) * up;
        }
    }
}

/// Writes the gradients by gates and ups to `by_both`, and turns the gradient of the gated rows, `gated`, into these rows themselves.
#[inline(always)]
pub fn backward(both: &[f32], gated: &mut [f32], by_both: &mut [f32], inner: usize) {
    let rows = both.chunks_exact(2 * inner).zip(gated.chunks_exact_mut(inner)).zip(by_both.chunks_exact_mut(2 * inner));
    for ((both, gated), by_both) in rows {
        let (gates, ups) = both.split_at(inner);
        let (by_gates, by_ups) = by_both.split_at_mut(inner);
        let ((gates, gates_rest), (ups, ups_rest)) = (gates.as_chunks::<LANES>(), ups.as_chunks::<LANES>());
        let ((by_gates, by_gates_rest), (by_ups, by_ups_rest)) = (by_gates.as_chunks_mut::<LANES>(), by_ups.as_chunks_mut::<LANES>());
        let (gated, gated_rest) = gated.as_chunks_mut::<LANES>();
        for ((((gates, ups), gated), by_gates), by_ups) in gates.iter().zip(ups).zip(gated).zip(by_gates).zip(by_ups) {
            let (mut new_gates, mut new_ups, mut new_gated) = ([0.0; LANES], [0.0; LANES], [0.0; LANES]);
            for lane in 0..LANES {
                (new_gates[lane], new_ups[lane], new_gated[lane]) = gradients(gates[lane], ups[lane], gated[lane]);
            }
            (*by_gates, *by_ups, *gated) = (new_gates, new_ups, new_gated);
        }
        let rest = gates_rest.iter().zip(ups_rest).zip(gated_rest).zip(by_gates_rest).zip(by_ups_rest);
        for ((((gate, up), gated), by_gate), by_up) in rest {
            (*by_gate, *by_up, *gated) = gradients(*gate, *up, *gated);
        }
    }
}

/// The gradients by a gate and its up, and the gated value, by the gradient `g` of which the others follow.
#[inline(always)]
fn gradients(gate: f32, up: f32, g: f32) -> (f32, f32, f32) {
    let open = sigmoid(gate);
    let silu = gate * open;
    (g * up * (open + silu * (1.0 - open)), g * silu, silu * up)
}
