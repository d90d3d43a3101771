//! Memory in which cuBLAS computes.

use candle_core::{
    Result,
    cuda_backend::{
        WrapErr,
        cudarc::{
            cublas::{result::set_stream, sys::cublasSetWorkspace_v2},
            driver::{CudaSlice, DevicePtr},
        },
    },
};

use super::gpu::Gpu;

/// So many bytes cuBLAS wants on recent GPUs.
const BYTES: usize = 32 << 20;

/// Memory that stays at its place while this lives. Without it each product takes some of its own, which would become part of what is
/// recorded.
#[derive(Debug)]
pub struct Workspace {
    gpu: Gpu,
    _memory: CudaSlice<u8>,
}

impl Workspace {
    /// Gives products on `gpu` such memory.
    ///
    /// # Errors
    /// When there is none left.
    pub fn new(gpu: &Gpu) -> Result<Self> {
        // SAFETY: cuBLAS reads nothing there that it has not written.
        let memory = unsafe { gpu.device().alloc::<u8>(BYTES)? };
        let begin = memory.device_ptr(memory.stream()).0;
        // SAFETY: the handle is the device's, and the memory is as large as is said and stays until the handle is told otherwise, below.
        unsafe { cublasSetWorkspace_v2(*gpu.device().cublas_handle().handle(), begin as *mut _, BYTES) }.result().w()?;
        Ok(Self { gpu: gpu.clone(), _memory: memory })
    }
}

impl Drop for Workspace {
    fn drop(&mut self) {
        let stream = self.gpu.device().cuda_stream();
        // Setting its stream, to the one that it has, makes cuBLAS go back to memory of its own.
        // SAFETY: handle and stream are the device's. What was given to the device before still finds the memory, which goes back in order.
        if let Err(error) = unsafe { set_stream(*self.gpu.device().cublas_handle().handle(), stream.cu_stream() as _) } {
            tracing::warn!(?error, "cuBLAS does not let go of its memory");
        }
    }
}
