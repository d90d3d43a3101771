//! Whether operations run fused, or as plain graphs.

use std::cell::Cell;

use candle_core::Tensor;

thread_local! {
    static IS_PLAIN: Cell<bool> = const { Cell::new(false) };
}

/// Runs `work` with the plain graph in place of every fused operation that it makes on this thread, as on other devices: the same
/// numbers but for rounding, slower.
pub fn plainly<R>(work: impl FnOnce() -> R) -> R {
    let _before = Before(IS_PLAIN.replace(true));
    work()
}

/// Whether an operation on `x` runs fused.
pub fn is_fused(x: &Tensor) -> bool {
    (x.device().is_cpu() || x.device().is_cuda()) && !IS_PLAIN.get()
}

/// What was chosen before, and is again when this is dropped.
struct Before(bool);

impl Drop for Before {
    fn drop(&mut self) {
        IS_PLAIN.set(self.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use candle_core::Device;

    #[test]
    fn plain_for_a_while() {
        let x = Tensor::new(1f32, &Device::Cpu).unwrap();
        assert!(is_fused(&x));
        assert!(!plainly(|| plainly(|| is_fused(&x)) || is_fused(&x)));
        assert!(is_fused(&x));
    }
}
