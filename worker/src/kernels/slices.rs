//! The numbers behind a tensor, as slices.

use std::cell::Cell;

use candle_core::{CpuStorage, Device, InplaceOp1, Layout, Result, Storage, Tensor, Var, bail};

/// The values of a contiguous f32 tensor, from the storage and layout that a custom operation is given.
///
/// # Errors
/// When they are not contiguous, or not f32.
pub fn slice<'a>(storage: &'a CpuStorage, layout: &Layout) -> Result<&'a [f32]> {
    let Some((start, end)) = layout.contiguous_offsets() else { bail!("the operation needs a contiguous tensor") };
    Ok(&storage.as_slice::<f32>()?[start..end])
}

/// Calls `read` with the values of `tensor`, in the order of its indices, without copying them where they lie in that order in the
/// machine's own memory.
///
/// # Errors
/// When they are not f32.
pub fn read<R>(tensor: &Tensor, read: impl FnOnce(&[f32]) -> R) -> Result<R> {
    let tensor = tensor.contiguous()?.to_device(&Device::Cpu)?;
    let (storage, layout) = tensor.storage_and_layout();
    let Storage::Cpu(storage) = &*storage else { bail!("the tensor is not on the CPU") };
    Ok(read(slice(storage, layout)?))
}

/// The same of several tensors at once.
///
/// # Errors
/// When they are not f32.
pub fn read_all<R>(tensors: &[Tensor], read: impl FnOnce(&[&[f32]]) -> R) -> Result<R> {
    let tensors = tensors.iter().map(|tensor| tensor.contiguous()?.to_device(&Device::Cpu)).collect::<Result<Vec<_>>>()?;
    let storages: Vec<_> = tensors.iter().map(Tensor::storage_and_layout).collect();
    let values = storages.iter().map(|(storage, layout)| match &**storage {
        Storage::Cpu(storage) => slice(storage, layout),
        _ => bail!("the tensor is not on the CPU"),
    });
    Ok(read(&values.collect::<Result<Vec<_>>>()?))
}

/// Calls `write` with the values of `var` to change in place; every tensor that shares them sees the change. The values of a GPU come to
/// the machine's memory and go back.
///
/// # Errors
/// When they are not contiguous f32.
pub fn update<R>(var: &Var, write: impl FnOnce(&mut [f32]) -> R) -> Result<R> {
    if var.device().is_cpu() {
        let operation = InPlace { write: Cell::new(Some(write)), result: Cell::new(None) };
        var.inplace_op1(&operation)?;
        let Some(result) = operation.result.take() else { bail!("the update was not made") };
        return Ok(result);
    }
    let mut values = read(var, <[f32]>::to_vec)?;
    let result = write(&mut values);
    var.set(&Tensor::from_vec(values, var.shape(), var.device())?)?;
    Ok(result)
}

struct InPlace<F, R> {
    write: Cell<Option<F>>,
    result: Cell<Option<R>>,
}

impl<R, F: FnOnce(&mut [f32]) -> R> InplaceOp1 for InPlace<F, R> {
    fn name(&self) -> &'static str {
        "update-in-place"
    }

    fn cpu_fwd(&self, storage: &mut CpuStorage, layout: &Layout) -> Result<()> {
        let Some((start, end)) = layout.contiguous_offsets() else { bail!("only a contiguous tensor can be updated in place") };
        let CpuStorage::F32(values) = storage else { bail!("only f32 values can be updated in place") };
        let Some(write) = self.write.take() else { bail!("the update was made already") };
        self.result.set(Some(write(&mut values[start..end])));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use candle_core::Device;

    #[test]
    fn views_see_updates() {
        let var = Var::new(&[[1f32, 2.], [3., 4.]], &Device::Cpu).unwrap();
        let view = var.as_detached_tensor().t().unwrap();
        update(&var, |values| values[1] = 7.0).unwrap();
        assert_eq!(read(&view, <[f32]>::to_vec).unwrap(), [1.0, 3.0, 7.0, 4.0]);
    }
}
