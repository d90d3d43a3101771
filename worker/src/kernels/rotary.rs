//! Rotary positions, arXiv 2104.09864, which turn features i and i + width/2 of a head together.

use candle_core::{D, Device, Result, Tensor};

use super::slices::read;

/// By how much the features of each position are turned.
#[derive(Clone, Debug)]
pub struct Rotary {
    /// `[positions, head_width]`, both halves the same.
    cos: Tensor,
    sin: Tensor,
}

impl Rotary {
    /// Angles `position · theta^(−2i/head_width)`, in f32 as the reference computes them. `head_width` is even.
    ///
    /// # Errors
    /// When a tensor cannot be made.
    pub fn new(positions: usize, head_width: usize, theta: f64, device: &Device) -> Result<Self> {
        let frequency = |i: usize| 1.0 / (theta as f32).powf((2 * (i % (head_width / 2))) as f32 / head_width as f32);
        let angles: Vec<f32> = (0..positions).flat_map(|position| (0..head_width).map(move |i| position as f32 * frequency(i))).collect();
        let table = |function: fn(f32) -> f32| {
            Tensor::from_vec(angles.iter().copied().map(function).collect::<Vec<_>>(), (positions, head_width), device)
        };
        Ok(Self { cos: table(f32::cos)?, sin: table(f32::sin)? })
    }

    /// How many positions there are angles for.
    pub(super) fn positions(&self) -> usize {
        self.cos.dims()[0]
    }

    /// The tables of cosines and sines.
    #[cfg(feature = "cuda")]
    pub(super) fn tables(&self) -> (&Tensor, &Tensor) {
        (&self.cos, &self.sin)
    }

    /// `[batch, heads, positions, head_width]` to the same, as a graph of Candle's own operations, on any device.
    pub(super) fn turn(&self, x: &Tensor) -> Result<Tensor> {
        let half = x.dim(D::Minus1)? / 2;
        let crossed = Tensor::cat(&[&x.narrow(D::Minus1, half, half)?.neg()?, &x.narrow(D::Minus1, 0, half)?], D::Minus1)?;
        x.broadcast_mul(&self.cos)? + crossed.broadcast_mul(&self.sin)?
    }

    /// Calls `with` with the tables' numbers.
    pub(super) fn read<R>(&self, with: impl FnOnce(Tables<'_>) -> R) -> Result<R> {
        let width = self.cos.dim(D::Minus1)?;
        read(&self.cos, |cos| read(&self.sin, |sin| with(Tables { cos, sin, width })))?
    }
}

/// Which way vectors are turned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Turn {
    /// To their positions.
    Forward,
    /// From them: what the gradient needs.
    Back,
}

/// Cosines and sines, position by position.
#[derive(Clone, Copy, Debug)]
pub struct Tables<'a> {
    cos: &'a [f32],
    sin: &'a [f32],
    width: usize,
}

impl Tables<'_> {
    /// Writes the vector `x` of a head at `position`, turned, to `out`.
    #[inline(always)]
    pub fn turn(&self, turn: Turn, position: usize, x: &[f32], out: &mut [f32]) {
        let (half, start) = (self.width / 2, position * self.width);
        let (cos, sin) = (&self.cos[start..][..half], &self.sin[start..][..half]);
        let ((a, b), (out_a, out_b)) = (x.split_at(half), out.split_at_mut(half));
        let sign = if turn == Turn::Forward { 1.0 } else { -1.0 };
        for ((((out, a), b), cos), sin) in out_a.iter_mut().zip(a).zip(b).zip(cos).zip(sin) {
            *out = a * cos - b * (sin * sign);
        }
        for ((((out, a), b), cos), sin) in out_b.iter_mut().zip(a).zip(b).zip(cos).zip(sin) {
            *out = b * cos + a * (sin * sign);
        }
    }
}
