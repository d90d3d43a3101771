//! Rows of a table.

use candle_core::{Result, Tensor};

/// The rows of `table` (`[rows, width]`) that `indices` (u32) mean, `[indices, width]`.
///
/// # Errors
/// When an index on the CPU means none.
pub fn rows(table: &Tensor, indices: &Tensor) -> Result<Tensor> {
    #[cfg(feature = "cuda")]
    if table.device().is_cuda() && super::is_fused(table) {
        return super::cuda::rows(table, indices);
    }
    table.index_select(indices, 0)
}
