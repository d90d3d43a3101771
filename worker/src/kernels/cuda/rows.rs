//! Rows of a small table, many times each.

use candle_core::{CpuStorage, CudaStorage, CustomOp2, DType, Layout, Result, Shape, Tensor, backend::BackendStorage, bail};

use super::{
    array::{Array, address},
    gpu::{
        Argument::{At, Int, Size},
        File, Gpu, Grid,
    },
    products::{Matrix, multiply},
};
use crate::kernels::Factors;

/// As [`rows`](crate::kernels::rows).
pub fn rows(table: &Tensor, indices: &Tensor) -> Result<Tensor> {
    table.apply_op2(indices, Rows)
}

/// The gradient by the table is a product, with a matrix that says which row each index means: Candle's own adds up row after row, in one
/// thread for each column of the table.
struct Rows;

impl CustomOp2 for Rows {
    fn name(&self) -> &'static str {
        "rows"
    }

    fn cpu_fwd(&self, _: &CpuStorage, _: &Layout, _: &CpuStorage, _: &Layout) -> Result<(CpuStorage, Shape)> {
        bail!("only for a GPU")
    }

    fn cuda_fwd(&self, table: &CudaStorage, at: &Layout, indices: &CudaStorage, their: &Layout) -> Result<(CudaStorage, Shape)> {
        let shape = (their.dims()[0], at.dims()[1]).into();
        Ok((table.index_select(indices, at, their, 0)?, shape))
    }

    fn bwd(&self, table: &Tensor, indices: &Tensor, _: &Tensor, g: &Tensor) -> Result<(Option<Tensor>, Option<Tensor>)> {
        let gpu = Gpu::of(table)?;
        let ((rows, width), count) = (table.dims2()?, indices.elem_count());
        let (indices, g) = (indices.contiguous()?, g.contiguous()?);
        if indices.dtype() != DType::U32 || g.dims() != [count, width] {
            bail!("a gradient of {:?} for {count} rows of {width}", g.shape());
        }
        let means = Array::new(&gpu, Factors::F32, count * rows)?;
        let arguments = [At(address(&indices)?), At(means.address()), Size(count * rows), Int(rows as i32)];
        // SAFETY: there are `count` indices, and `rows` numbers are written for each.
        unsafe { gpu.launch(File::Arrays, "one_hot", Grid::Each(count * rows), &arguments)? };
        let by_table = Array::new(&gpu, Factors::F32, rows * width)?;
        multiply(
            &gpu,
            Matrix::by_rows(&by_table, rows, width),
            Matrix::by_rows(&means, count, rows).t(),
            Matrix::of(&g, count, width)?,
            false,
            1,
        )?;
        Ok((Some(by_table.into_tensor(&gpu, table, table.shape())?), None))
    }
}
