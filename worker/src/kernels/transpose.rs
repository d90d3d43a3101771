//! Transposition by tiles.

use candle_core::{CpuStorage, CustomOp1, Layout, Result, Shape, Tensor};

use super::{plain, slices::slice};

/// Side of a tile: two of them fit into the first-level cache.
const TILE: usize = 16;

/// `[batch, rows, columns]` to `[batch, columns, rows]`, contiguous.
///
/// # Errors
/// When the tensor has not three axes.
pub fn transpose(x: &Tensor) -> Result<Tensor> {
    if !x.device().is_cpu() {
        return plain::transpose(x);
    }
    x.contiguous()?.apply_op1(Transpose)
}

struct Transpose;

impl CustomOp1 for Transpose {
    fn name(&self) -> &'static str {
        "transpose"
    }

    fn cpu_fwd(&self, x: &CpuStorage, at: &Layout) -> Result<(CpuStorage, Shape)> {
        let (batch, rows, columns) = at.shape().dims3()?;
        let x = slice(x, at)?;
        let mut out = vec![0.0; x.len()];
        for (from, to) in x.chunks_exact(rows * columns).zip(out.chunks_exact_mut(rows * columns)) {
            transpose_one(from, to, rows, columns);
        }
        Ok((CpuStorage::F32(out), (batch, columns, rows).into()))
    }

    fn bwd(&self, _: &Tensor, _: &Tensor, gradient: &Tensor) -> Result<Option<Tensor>> {
        gradient.contiguous()?.apply_op1_no_bwd(&Transpose).map(Some)
    }
}

fn transpose_one(from: &[f32], to: &mut [f32], rows: usize, columns: usize) {
    for first_row in (0..rows).step_by(TILE) {
        let rows_here = TILE.min(rows - first_row);
        for column in 0..columns {
            let out = &mut to[column * rows + first_row..][..rows_here];
            for (row, out) in out.iter_mut().enumerate() {
                *out = from[(first_row + row) * columns + column];
            }
        }
    }
}
