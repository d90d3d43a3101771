//! Giving kernels to a GPU.

use candle_core::{
    CudaDevice, Device, Result, Tensor, bail,
    cuda_backend::{
        WrapErr,
        cudarc::driver::{LaunchConfig, PushKernelArg},
    },
};

use super::array::Address;

/// The kernels as `build.rs` has compiled them.
#[allow(missing_docs, reason = "one text a file")]
mod compiled {
    include!(concat!(env!("OUT_DIR"), "/kernels.rs"));
}

/// A file of kernels.
#[derive(Clone, Copy, Debug)]
pub enum File {
    Adam,
    Arrays,
    Attention,
    Gate,
    Loss,
    Norm,
}

impl File {
    const fn name_and_text(self) -> (&'static str, &'static str) {
        match self {
            Self::Adam => ("adam", compiled::ADAM),
            Self::Arrays => ("arrays", compiled::ARRAYS),
            Self::Attention => ("attention", compiled::ATTENTION),
            Self::Gate => ("gate", compiled::GATE),
            Self::Loss => ("loss", compiled::LOSS),
            Self::Norm => ("norm", compiled::NORM),
        }
    }
}

/// What a kernel is given, in the order of its parameters.
#[derive(Clone, Copy, Debug)]
pub enum Argument {
    At(Address),
    Size(usize),
    Int(i32),
    Float(f32),
}

/// Threads of a block, as in `values.cuh`; in `norm.cu` they are 8 warps.
const THREADS: usize = 256;
/// Threads that go in step.
const WARP: usize = 32;

/// How threads are laid over the work.
#[derive(Clone, Copy, Debug)]
pub enum Grid {
    /// A thread for each of so many numbers.
    Each(usize),
    /// A warp for each of so many rows.
    Rows(usize),
    /// A block of 32 by 8 threads for each 32 of so many columns.
    Columns(usize),
    /// So many blocks.
    Blocks(usize),
}

impl Grid {
    fn config(self) -> Result<LaunchConfig> {
        let (blocks, block_dim) = match self {
            Self::Each(count) => (count.div_ceil(THREADS), (THREADS as u32, 1, 1)),
            Self::Rows(count) => (count.div_ceil(THREADS / WARP), (WARP as u32, (THREADS / WARP) as u32, 1)),
            Self::Blocks(count) => (count, (THREADS as u32, 1, 1)),
            Self::Columns(count) => (count.div_ceil(WARP), (WARP as u32, (THREADS / WARP) as u32, 1)),
        };
        match i32::try_from(blocks) {
            Ok(blocks) => Ok(LaunchConfig { grid_dim: (blocks as u32, 1, 1), block_dim, shared_mem_bytes: 0 }),
            Err(_) => bail!("{blocks} blocks are more than a GPU takes at once"),
        }
    }
}

/// Opens the GPU of that number. All work of this process goes to one stream, which can be recorded.
///
/// # Errors
/// When there is none, or its driver does not answer.
pub fn open(index: usize) -> Result<Device> {
    let device = Device::new_cuda_with_stream(index)?;
    if let Device::Cuda(cuda) = &device {
        // SAFETY: every tensor of the device is made, used and dropped on the one stream, in whose order memory is given back.
        unsafe { cuda.disable_event_tracking() };
    }
    Ok(device)
}

/// A GPU, by the handle that Candle has of it.
#[derive(Clone, Debug)]
pub struct Gpu {
    device: CudaDevice,
}

impl Gpu {
    /// The GPU that `tensor` is on.
    ///
    /// # Errors
    /// When it is on none.
    pub fn of(tensor: &Tensor) -> Result<Self> {
        match tensor.device() {
            Device::Cuda(device) => Ok(Self { device: device.clone() }),
            _ => bail!("the tensor is not on a GPU"),
        }
    }

    /// The GPU of that handle.
    pub fn with(device: &CudaDevice) -> Self {
        Self { device: device.clone() }
    }

    /// Candle's handle.
    pub fn device(&self) -> &CudaDevice {
        &self.device
    }

    /// Gives the kernel `name` to the device.
    ///
    /// # Safety
    /// The arguments are those that the kernel has, in its order, and what it reads and writes at the addresses is there.
    ///
    /// # Errors
    /// When the device does not take it.
    pub unsafe fn launch(&self, file: File, name: &str, grid: Grid, arguments: &[Argument]) -> Result<()> {
        let (module, text) = file.name_and_text();
        let function = self.device.get_or_load_custom_func(name, module, text)?;
        let mut builder = function.builder();
        for argument in arguments {
            match argument {
                Argument::At(address) => builder.arg(address),
                Argument::Size(size) => builder.arg(size),
                Argument::Int(number) => builder.arg(number),
                Argument::Float(number) => builder.arg(number),
            };
        }
        let config = grid.config()?;
        if config.grid_dim.0 > 0 {
            // SAFETY: the caller's promise.
            unsafe { builder.launch(config) }.w()?;
        }
        Ok(())
    }
}
