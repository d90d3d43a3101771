//! Sums, written where they belong.

use crate::kernels::avx512::LANES;

/// Writes as many of `sums` as there is room for, or adds them where `add` says so.
#[inline(always)]
pub fn write(out: &mut [f32], sums: [f32; LANES], add: bool) {
    if let Some(out) = out.first_chunk_mut::<LANES>() {
        let before = if add { *out } else { [0.0; LANES] };
        for lane in 0..LANES {
            out[lane] = before[lane] + sums[lane];
        }
    } else {
        for (out, sum) in out.iter_mut().zip(sums) {
            *out = if add { *out } else { 0.0 } + sum;
        }
    }
}
