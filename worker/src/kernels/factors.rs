//! Products in f32 or in bf16, and weights that are made ready once for many of them.

#[cfg(target_arch = "x86_64")]
use super::panels::{self, Panels};
use super::{
    bf16::{self, Left, Right, Unit},
    buffer::Buffer,
    matmul::{self, Matrix},
};

/// What a product is computed from. Its sums are in f32 in any case.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Factors {
    /// The numbers as they are.
    F32,
    /// The numbers rounded to bf16.
    Bf16,
}

impl Factors {
    /// `out = a·b`, or `out += a·b` where `add` says so, for factors that are used once.
    ///
    /// # Panics
    /// When the shapes do not fit.
    pub fn multiply(self, out: Matrix<&mut [f32]>, a: Matrix<&[f32]>, b: Matrix<&[f32]>, add: bool) {
        // What lies by columns is a transposed product that lies by rows.
        let (out, a, b) = if out.by_rows { (out, a, b) } else { (out.t(), b.t(), a.t()) };
        match self {
            #[cfg(target_arch = "x86_64")]
            Self::F32 if panels::is_available() => panels::multiply_once(out, a, b, add),
            Self::F32 => matmul::multiply(out, a, b, add),
            Self::Bf16 => {
                let unit = Unit::in_use();
                bf16::multiply(out, &Left::pack(unit, a), &Right::pack(unit, b), add);
            }
        }
    }
}

/// A copy of a weight matrix W, made ready for many products `W·x`.
#[derive(Debug)]
pub enum Weight {
    /// As the matrix library takes it fastest: by rows where x and products lie so, else by columns.
    Library(Matrix<Buffer>),
    /// By rows, for x and products that do.
    #[cfg(target_arch = "x86_64")]
    Rows(Matrix<Buffer>),
    /// Wᵀ, of `xᵀ·Wᵀ`, for x and products that lie by columns.
    #[cfg(target_arch = "x86_64")]
    Panels(Panels),
    /// In bf16, for x and products that lie by rows.
    Left(Left),
    /// In bf16, for x and products that lie by columns: Wᵀ, of `xᵀ·Wᵀ`.
    Right(Right),
}

impl Weight {
    /// For x and products that lie by rows or by columns, as `by_rows` says.
    pub fn new(factors: Factors, weight: Matrix<&[f32]>, by_rows: bool) -> Self {
        match factors {
            #[cfg(target_arch = "x86_64")]
            Factors::F32 if panels::is_available() && by_rows => Self::Rows(weight.lying(by_rows)),
            #[cfg(target_arch = "x86_64")]
            Factors::F32 if panels::is_available() => Self::Panels(Panels::pack(weight.t())),
            Factors::F32 => Self::Library(weight.lying(by_rows)),
            Factors::Bf16 if by_rows => Self::Left(Left::pack(Unit::in_use(), weight)),
            Factors::Bf16 => Self::Right(Right::pack(Unit::in_use(), weight.t())),
        }
    }

    /// Whether x and products may be cut into panels.
    pub fn takes_panels(&self) -> bool {
        match self {
            #[cfg(target_arch = "x86_64")]
            Self::Rows(_) | Self::Panels(_) => true,
            Self::Library(_) | Self::Left(_) | Self::Right(_) => false,
        }
    }

    /// `out = W·x`, or `out += W·x` where `add` says so.
    ///
    /// # Panics
    /// When the shapes do not fit, or `out` and x do not lie as was said, or in panels where none are taken.
    pub fn multiply(&self, out: Matrix<&mut [f32]>, x: Matrix<&[f32]>, add: bool) {
        match self {
            Self::Library(weight) => matmul::multiply(out, weight.view(), x, add),
            #[cfg(target_arch = "x86_64")]
            Self::Rows(weight) => panels::multiply_once(out, weight.view(), x, add),
            #[cfg(target_arch = "x86_64")]
            Self::Panels(weight) => panels::multiply(out.t(), x.t(), weight, add),
            Self::Left(weight) => bf16::multiply(out, weight, &Right::pack(Unit::in_use(), x), add),
            Self::Right(weight) => bf16::multiply(out.t(), &Left::pack(Unit::in_use(), x.t()), weight, add),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::{Stream, generator};
    use rand::RngExt;

    fn random(count: usize, seed: u64) -> Vec<f32> {
        let mut rng = generator(seed, Stream::Data);
        (0..count).map(|_| rng.random::<f32>() * 2.0 - 1.0).collect()
    }

    /// `out` as a matrix of 5 by 7 that lies by rows, or by columns.
    fn lying(out: &mut [f32], by_rows: bool) -> Matrix<&mut [f32]> {
        if by_rows { Matrix::by_rows(out, 5, 7) } else { Matrix::by_rows(out, 7, 5).t() }
    }

    #[test]
    fn weights_give_the_same_as_factors_that_are_used_once_however_things_lie() {
        let (w, x) = (random(5 * 9, 1), random(9 * 7, 2));
        let w = Matrix::by_rows(&w[..], 5, 9);
        for factors in [Factors::F32, Factors::Bf16] {
            for by_rows in [true, false] {
                let x = if by_rows { Matrix::by_rows(&x[..], 9, 7) } else { Matrix::by_rows(&x[..], 7, 9).t() };
                let [mut once, mut many, mut from_turned, mut exact] = [[1.0; 35]; 4];
                for add in [false, true] {
                    factors.multiply(lying(&mut once, by_rows), w, x, add);
                    Weight::new(factors, w, by_rows).multiply(lying(&mut many, by_rows), x, add);
                    let turned = w.lying(false);
                    Weight::new(factors, turned.view(), by_rows).multiply(lying(&mut from_turned, by_rows), x, add);
                    matmul::multiply(lying(&mut exact, by_rows), w, x, add);
                }
                let furthest = |from: [f32; 35]| once.iter().zip(from).map(|(once, other)| (once - other).abs()).fold(0.0, f32::max);
                // What lies otherwise is added up in another order.
                assert!(furthest(many) < 1e-6 && furthest(from_turned) < 1e-6, "{factors:?}");
                let off = furthest(exact);
                let bound = if factors == Factors::F32 { 1e-6 } else { 0.05 };
                assert!(off < bound && (off > 1e-4) == (factors == Factors::Bf16), "{factors:?}: {off}");
            }
        }
    }
}
