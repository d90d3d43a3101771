//! Numbers in a GPU's memory.

use std::sync::{Mutex, PoisonError};

use candle_core::{
    CpuStorage, CudaStorage, CustomOp1, DType, InplaceOp1, Layout, Result, Shape, Storage, Tensor, WithDType, bail,
    cuda_backend::{
        CudaDType, WrapErr,
        cudarc::driver::{CudaSlice, DevicePtr, DeviceRepr},
    },
};
use half::bf16;

use super::gpu::Gpu;
use crate::kernels::Factors;

/// Where something begins in a GPU's memory; 0 is nowhere.
pub type Address = u64;

/// Numbers one after the other, which are given back to the device when this is dropped: in the order of its work, so that what was given
/// to it before still finds them.
#[derive(Debug)]
pub struct Array {
    numbers: Numbers,
}

#[derive(Debug)]
enum Numbers {
    F32(CudaSlice<f32>),
    Bf16(CudaSlice<bf16>),
}

impl Array {
    /// `len` numbers that are to be written before they are read.
    pub fn new(gpu: &Gpu, factors: Factors, len: usize) -> Result<Self> {
        let device = gpu.device();
        // SAFETY: any bits are a number, and no kernel reads what none has written (its caller's duty, of which no more depends than numbers).
        let numbers = unsafe {
            match factors {
                Factors::F32 => Numbers::F32(device.alloc(len)?),
                Factors::Bf16 => Numbers::Bf16(device.alloc(len)?),
            }
        };
        Ok(Self { numbers })
    }

    /// `len` zeros in f32.
    pub fn zeros(gpu: &Gpu, len: usize) -> Result<Self> {
        Ok(Self { numbers: Numbers::F32(gpu.device().alloc_zeros(len)?) })
    }

    /// A copy in f32 of numbers in f32.
    pub fn copy(gpu: &Gpu, of: &Self) -> Result<Self> {
        let Numbers::F32(numbers) = &of.numbers else { bail!("only f32 is copied") };
        Ok(Self { numbers: Numbers::F32(gpu.device().cuda_stream().clone_dtod(numbers).w()?) })
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        match &self.numbers {
            Numbers::F32(numbers) => numbers.len(),
            Numbers::Bf16(numbers) => numbers.len(),
        }
    }

    /// What they are in.
    pub fn factors(&self) -> Factors {
        match self.numbers {
            Numbers::F32(_) => Factors::F32,
            Numbers::Bf16(_) => Factors::Bf16,
        }
    }

    /// Where they begin.
    pub fn address(&self) -> Address {
        match &self.numbers {
            Numbers::F32(numbers) => numbers.device_ptr(numbers.stream()).0,
            Numbers::Bf16(numbers) => numbers.device_ptr(numbers.stream()).0,
        }
    }

    /// These numbers, which are in f32, as a tensor beside `like`.
    pub fn into_tensor(self, gpu: &Gpu, like: &Tensor, shape: &Shape) -> Result<Tensor> {
        if shape.elem_count() != self.len() {
            bail!("{} numbers for a tensor of {shape:?}", self.len());
        }
        like.apply_op1_no_bwd(&Made { storage: Mutex::new(Some(self.into_storage(gpu)?)), shape: shape.clone() })
    }

    /// These numbers, which are in f32, as Candle keeps them.
    pub fn into_storage(self, gpu: &Gpu) -> Result<CudaStorage> {
        let Numbers::F32(numbers) = self.numbers else { bail!("only f32 leaves the operation") };
        Ok(f32::wrap_cuda_slice(numbers, gpu.device().clone()))
    }
}

/// Writes `values` over those of a contiguous tensor on a GPU.
pub fn upload<T: WithDType + CudaDType + DeviceRepr>(tensor: &Tensor, values: &[T]) -> Result<()> {
    if tensor.elem_count() != values.len() || !tensor.is_contiguous() {
        bail!("{} numbers for a tensor of {:?}", values.len(), tensor.shape());
    }
    tensor.inplace_op1(&Upload(values))
}

struct Upload<'a, T>(&'a [T]);

impl<T: CudaDType + DeviceRepr> InplaceOp1 for Upload<'_, T> {
    fn name(&self) -> &'static str {
        "upload"
    }

    fn cpu_fwd(&self, _: &mut CpuStorage, _: &Layout) -> Result<()> {
        bail!("only for a GPU")
    }

    fn cuda_fwd(&self, storage: &mut CudaStorage, layout: &Layout) -> Result<()> {
        let stream = storage.device.cuda_stream();
        let start = layout.start_offset();
        let mut to = storage.as_cuda_slice_mut::<T>()?.slice_mut(start..start + self.0.len());
        stream.memcpy_htod(self.0, &mut to).w()
    }
}

/// Where the numbers of a contiguous tensor in f32, f64 or u32 on a GPU begin.
pub fn address(tensor: &Tensor) -> Result<Address> {
    let (storage, layout) = tensor.storage_and_layout();
    let Storage::Cuda(storage) = &*storage else { bail!("the tensor is not on a GPU") };
    let Some((start, _)) = layout.contiguous_offsets() else { bail!("the operation needs a contiguous tensor") };
    let begin = match tensor.dtype() {
        DType::F32 => storage.as_cuda_slice::<f32>().map(|numbers| numbers.device_ptr(numbers.stream()).0)?,
        DType::F64 => storage.as_cuda_slice::<f64>().map(|numbers| numbers.device_ptr(numbers.stream()).0)?,
        DType::U32 => storage.as_cuda_slice::<u32>().map(|numbers| numbers.device_ptr(numbers.stream()).0)?,
        other => bail!("the operation is not for {other:?}"),
    };
    Ok(begin + (start * tensor.dtype().size_in_bytes()) as Address)
}

/// Storage that exists already, as the result of an operation: the way that Candle has from one to a tensor.
struct Made {
    storage: Mutex<Option<CudaStorage>>,
    shape: Shape,
}

impl CustomOp1 for Made {
    fn name(&self) -> &'static str {
        "made"
    }

    fn cpu_fwd(&self, _: &CpuStorage, _: &Layout) -> Result<(CpuStorage, Shape)> {
        bail!("only for a GPU")
    }

    fn cuda_fwd(&self, _: &CudaStorage, _: &Layout) -> Result<(CudaStorage, Shape)> {
        match self.storage.lock().unwrap_or_else(PoisonError::into_inner).take() {
            Some(storage) => Ok((storage, self.shape.clone())),
            None => bail!("the result was taken already"),
        }
    }
}
