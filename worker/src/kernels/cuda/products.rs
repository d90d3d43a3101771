//! Products of matrices by cuBLAS.

use std::{ffi::c_void, marker::PhantomData};

use candle_core::{
    DType, Result, Tensor, bail,
    cuda_backend::cudarc::cublas::{result::gemm_strided_batched_ex, sys},
};

use super::{
    array::{Address, Array, address},
    gpu::Gpu,
};
use crate::kernels::Factors;

/// A matrix in an array, or many of them. It lies by rows.
#[derive(Clone, Copy, Debug)]
pub struct Matrix<'a> {
    begin: Address,
    /// Numbers from there on.
    len: usize,
    factors: Factors,
    array: PhantomData<&'a Array>,
    rows: usize,
    columns: usize,
    /// Where it begins.
    start: usize,
    /// From a row to the next.
    step: usize,
    is_transposed: bool,
    /// From a matrix to the next.
    stride: usize,
}

impl<'a> Matrix<'a> {
    /// `rows` of `columns` numbers, one after the other from the beginning of `array` on.
    pub fn by_rows(array: &'a Array, rows: usize, columns: usize) -> Self {
        Self::new(array.address(), array.len(), array.factors(), rows, columns)
    }

    /// The same of a contiguous tensor in f32.
    pub fn of(tensor: &'a Tensor, rows: usize, columns: usize) -> Result<Self> {
        if tensor.dtype() != DType::F32 {
            bail!("a matrix of {:?}", tensor.dtype());
        }
        Ok(Self::new(address(tensor)?, tensor.elem_count(), Factors::F32, rows, columns))
    }

    fn new(begin: Address, len: usize, factors: Factors, rows: usize, columns: usize) -> Self {
        Self { begin, len, factors, array: PhantomData, rows, columns, start: 0, step: columns, is_transposed: false, stride: 0 }
    }

    /// The same from the number `start` on, with rows `step` apart and the next matrix `stride` further.
    pub fn at(self, start: usize, step: usize, stride: usize) -> Self {
        Self { start, step, stride, ..self }
    }

    /// Its transpose, without moving a number.
    pub fn t(self) -> Self {
        Self { is_transposed: !self.is_transposed, ..self }
    }

    /// Rows and columns as a product sees them.
    fn shape(self) -> (usize, usize) {
        if self.is_transposed { (self.columns, self.rows) } else { (self.rows, self.columns) }
    }

    /// Whether `count` of them lie within the array.
    fn fits(self, count: usize) -> bool {
        let last = self.start + count.saturating_sub(1) * self.stride + self.rows.saturating_sub(1) * self.step + self.columns;
        self.step >= self.columns && (self.rows == 0 || self.columns == 0 || last <= self.len)
    }

    fn pointer(self) -> *mut c_void {
        let size = if self.factors == Factors::F32 { size_of::<f32>() } else { size_of::<half::bf16>() };
        (self.begin + (self.start * size) as u64) as *mut c_void
    }

    fn data_type(self) -> sys::cudaDataType {
        match self.factors {
            Factors::F32 => sys::cudaDataType::CUDA_R_32F,
            Factors::Bf16 => sys::cudaDataType::CUDA_R_16BF,
        }
    }

    /// What cuBLAS, which takes matrices by columns, must do to read this one's transpose.
    fn operation(self) -> sys::cublasOperation_t {
        if self.is_transposed { sys::cublasOperation_t::CUBLAS_OP_T } else { sys::cublasOperation_t::CUBLAS_OP_N }
    }
}

/// Writes `a·b` to `to`, or adds it to what is there, for `count` matrices each; sums are in f32.
pub fn multiply(gpu: &Gpu, to: Matrix<'_>, a: Matrix<'_>, b: Matrix<'_>, is_added: bool, count: usize) -> Result<()> {
    let ((m, k), (inner, n)) = (a.shape(), b.shape());
    if to.shape() != (m, n) || k != inner || to.is_transposed || a.factors != b.factors {
        bail!("{a:?} by {b:?} does not give {to:?}");
    }
    if ![to, a, b].iter().all(|matrix| matrix.fits(count)) {
        bail!("{a:?}, {b:?} or {to:?}, {count} times, is not within its array");
    }
    let int = |size: usize| i32::try_from(size).map_err(candle_core::Error::wrap);
    let (alpha, beta) = (1f32, if is_added { 1f32 } else { 0f32 });
    let blas = gpu.device().cublas_handle();
    // SAFETY: the matrices are within their arrays, which was checked, and the scalars live until the call returns. Arrays live on until
    // the device has done what was given to it before they are dropped. By columns, as cuBLAS sees numbers, these are the transposes, whose
    // product is that of the other order.
    unsafe {
        gemm_strided_batched_ex(
            *blas.handle(),
            b.operation(),
            a.operation(),
            int(n)?,
            int(m)?,
            int(k)?,
            (&raw const alpha).cast(),
            b.pointer(),
            b.data_type(),
            int(b.step)?,
            b.stride as i64,
            a.pointer(),
            a.data_type(),
            int(a.step)?,
            a.stride as i64,
            (&raw const beta).cast(),
            to.pointer(),
            to.data_type(),
            int(to.step)?,
            to.stride as i64,
            int(count)?,
            sys::cublasComputeType_t::CUBLAS_COMPUTE_32F,
            sys::cublasGemmAlgo_t::CUBLAS_GEMM_DEFAULT_TENSOR_OP,
        )
    }
    .map_err(candle_core::Error::wrap)
}
