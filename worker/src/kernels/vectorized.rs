//! Loops compiled for the widest vectors that the processor has.

use pulp::{Arch, Simd, WithSimd};

/// Runs `work` as it was compiled for this processor: for AVX-512, for AVX2, or for the least that its family has. The program runs on
/// all of them, and gives the same numbers: nothing here changes the order of operations, or fuses them.
///
/// `work` and what it calls must be marked `#[inline(always)]`, and loop with `for`, to be compiled along with it.
pub fn vectorized<R>(work: impl FnOnce() -> R) -> R {
    Arch::new().dispatch(Work(work))
}

struct Work<F>(F);

impl<R, F: FnOnce() -> R> WithSimd for Work<F> {
    type Output = R;

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) -> R {
        (self.0)()
    }
}
