//! Losses and scores on a GPU.

use candle_core::{DType, Result, Tensor, bail};

use super::{
    array::address,
    gpu::{
        Argument::{At, Int, Size},
        File, Gpu, Grid,
    },
};

/// Numbers of a score: the three losses, how many positions are asked and right, and the two logits of the halting head.
pub const NUMBERS: usize = 7;

/// Scores of a batch and the gradients of their losses, on a GPU.
#[derive(Clone, Debug)]
pub struct Marks {
    /// `[batch, NUMBERS]`, f64.
    pub scores: Tensor,
    /// `[batch, seq_len, vocabulary]`.
    pub by_logits: Tensor,
    /// `[batch, 2]`.
    pub by_q: Tensor,
}

/// Grades `logits` (`[batch, seq_len, vocabulary]`) and `q` (`[batch, 2]`) against `labels` (`[batch, seq_len]`, u32, below the vocabulary,
/// or `u32::MAX` where nothing is asked). Gradients are of the sum of the losses.
///
/// # Errors
/// When shapes do not fit.
pub fn grade(is_stablemax: bool, logits: &Tensor, q: &Tensor, labels: &Tensor) -> Result<Marks> {
    let (batch, seq_len, vocabulary) = logits.dims3()?;
    if q.dims() != [batch, 2] || labels.dims() != [batch, seq_len] || labels.dtype() != DType::U32 {
        bail!("answers of {:?}, {:?} and {:?} are not of one batch", logits.shape(), q.shape(), labels.shape());
    }
    let (logits, q) = (logits.contiguous()?, q.contiguous()?);
    let marks = Marks {
        scores: Tensor::zeros((batch, NUMBERS), DType::F64, logits.device())?,
        by_logits: Tensor::zeros(logits.shape(), DType::F32, logits.device())?,
        by_q: Tensor::zeros((batch, 2), DType::F32, logits.device())?,
    };
    let read = [At(address(&logits)?), At(address(&q)?), At(address(labels)?)];
    let written = [At(address(&marks.by_logits)?), At(address(&marks.by_q)?), At(address(&marks.scores)?)];
    let sizes = [Int(seq_len as i32), Int(vocabulary as i32), Int(is_stablemax.into())];
    // SAFETY: a block for each of `batch` examples, of whose numbers there are as many as the shapes say, which were checked; labels are
    // below the vocabulary by the caller's word, kept by `Labels`.
    unsafe { Gpu::of(&logits)?.launch(File::Loss, "grade", Grid::Blocks(batch), &[&read[..], &written, &sizes].concat())? };
    Ok(marks)
}

/// Adds the loss of `q_continue` to `marks`, from the next step's `next_q` and whether each example must end (`is_last`, `[batch]`, u32).
///
/// # Errors
/// When shapes do not fit.
pub fn grade_continue(marks: &Marks, next_q: &Tensor, is_last: &Tensor) -> Result<()> {
    let batch = marks.by_q.dim(0)?;
    if next_q.dims() != [batch, 2] || is_last.dims() != [batch] || is_last.dtype() != DType::U32 {
        bail!("answers of {:?} and {:?} are not of a batch of {batch}", next_q.shape(), is_last.shape());
    }
    let next_q = next_q.contiguous()?;
    let arrays = [At(address(&next_q)?), At(address(is_last)?), At(address(&marks.by_q)?), At(address(&marks.scores)?)];
    // SAFETY: two logits, a word, two gradients and a score for each of `batch` examples, which was checked.
    unsafe { Gpu::of(&next_q)?.launch(File::Loss, "grade_continue", Grid::Each(batch), &[&arrays[..], &[Size(batch)]].concat()) }
}
