//! What the processor could do at most.

use std::{
    hint::black_box,
    thread,
    time::{Duration, Instant},
};

use pulp::{Arch, Simd, WithSimd};

/// Sums that run side by side: enough to hide the latency of a fused multiply-add, few enough to stay in registers.
const CHAINS: usize = 12;
/// Additions to each of them in one timed stretch, some milliseconds.
const ROUNDS: usize = 1 << 20;
/// Stretches that are timed; the fastest counts.
const STRETCHES: usize = 9;

/// GFLOP/s of f32 that `threads` threads together reach with fused multiply-adds in registers alone, on the widest vectors.
pub fn fma_gflop_per_s(threads: usize) -> f64 {
    thread::scope(|scope| {
        let measured: Vec<_> = (0..threads).map(|_| scope.spawn(|| Arch::new().dispatch(Fma))).collect();
        measured.into_iter().map(|thread| thread.join().unwrap_or(f64::NAN)).sum()
    })
}

struct Fma;

impl WithSimd for Fma {
    type Output = f64;

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) -> f64 {
        let flop = (2 * S::F32_LANES * CHAINS * ROUNDS) as f64;
        let mut fastest = Duration::MAX;
        // With `for`, since a closure would not be compiled for these vectors.
        for _ in 0..STRETCHES {
            fastest = fastest.min(stretch(simd));
        }
        flop / fastest.as_secs_f64() / 1e9
    }
}

#[inline(always)]
fn stretch<S: Simd>(simd: S) -> Duration {
    let factor = black_box(simd.splat_f32s(0.5));
    let mut sums = black_box([simd.splat_f32s(1.0); CHAINS]);
    let start = Instant::now();
    for _ in 0..ROUNDS {
        for sum in &mut sums {
            *sum = simd.mul_add_f32s(*sum, factor, factor);
        }
    }
    black_box(sums);
    start.elapsed()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_peak_is_that_of_some_processor() {
        let peak = fma_gflop_per_s(1);
        // No least speed: where the tests run on an emulated processor there is none.
        assert!(peak.is_finite() && peak > 0.0, "{peak}");
    }
}
