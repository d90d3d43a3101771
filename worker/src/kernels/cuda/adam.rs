//! The optimiser and the moving average on a GPU.

use candle_core::{DType, Device, Result, Tensor, Var};
use tinysweep_proto::config::Optimizer;

use super::{
    array::{address, upload},
    gpu::{
        Argument::{At, Float, Size},
        File, Gpu, Grid,
    },
};
use crate::kernels::adam::Coefficients as Values;

/// Blocks that add up the squares of one gradient.
const BLOCKS: usize = 64;

/// What a step does to every number alike, where kernels read it.
#[derive(Debug)]
pub struct Coefficients(Tensor);

impl Coefficients {
    /// Room for them.
    pub fn new(device: &Device) -> Result<Self> {
        Tensor::zeros(size_of::<Values>() / size_of::<f32>(), DType::F32, device).map(Self)
    }

    /// Sends them to the device.
    pub fn set(&self, Values { scale, betas: [beta1, beta2], keep, rate, root_scale }: Values) -> Result<()> {
        upload(&self.0, &[scale, beta1, beta2, keep, rate, root_scale])
    }

    /// Sets the scale so that the norm of all `gradients` together is at most `clip`, where `eps` is added before it divides.
    pub fn bound(&self, gradients: &[&Tensor], [clip, eps]: [f64; 2]) -> Result<()> {
        let gpu = Gpu::of(&self.0)?;
        let sums = Tensor::zeros(BLOCKS * gradients.len(), DType::F64, self.0.device())?;
        let begin = address(&sums)?;
        for (index, gradient) in gradients.iter().enumerate() {
            let gradient = gradient.contiguous()?;
            let to = begin + (index * BLOCKS * size_of::<f64>()) as u64;
            let arguments = [At(address(&gradient)?), At(to), Size(gradient.elem_count())];
            // SAFETY: the gradient has so many numbers, and there are sums for each block of each gradient.
            unsafe { gpu.launch(File::Adam, "squares", Grid::Blocks(BLOCKS), &arguments)? };
        }
        let arguments = [At(begin), Size(sums.elem_count()), At(address(&self.0)?), Float(clip as f32), Float(eps as f32)];
        // SAFETY: there are so many sums, and the coefficients are as the kernel has them.
        unsafe { gpu.launch(File::Adam, "bound", Grid::Blocks(1), &arguments) }
    }

    /// Moves `weights` and their moments; all have one shape.
    pub fn step(&self, rule: Optimizer, eps: f32, weights: &Var, gradient: &Tensor, [first, second]: [&Var; 2]) -> Result<()> {
        let gpu = Gpu::of(&self.0)?;
        let gradient = gradient.contiguous()?;
        let (count, eps) = (weights.elem_count(), if rule == Optimizer::AdamW { eps } else { -1.0 });
        let arrays = [At(address(weights)?), At(address(&gradient)?), At(address(first)?), At(address(second)?), At(address(&self.0)?)];
        // SAFETY: four arrays of `count` numbers, as the caller has checked, and the coefficients.
        unsafe { gpu.launch(File::Adam, "adam", Grid::Each(count), &[&arrays[..], &[Float(eps), Size(count)]].concat()) }
    }
}

/// As [`average`](crate::kernels::average), of one shape.
pub fn average(average: &Var, weights: &Var, rate: f32) -> Result<()> {
    let count = average.elem_count();
    let arguments = [At(address(average)?), At(address(weights)?), Float(rate), Size(count)];
    // SAFETY: two arrays of `count` numbers, as the caller has checked.
    unsafe { Gpu::of(average)?.launch(File::Adam, "average", Grid::Each(count), &arguments) }
}
