//! Products in f32 whose right factor is packed in panels of 64 columns, and whose left factor is read as it lies.
//!
//! The matrix library packs factors at each use. Here a right factor that is used many times is packed once, one that lies by rows and is no
//! wider than a panel never, as left factors are not.
//! Only AVX-512 has a kernel for it; elsewhere products are the matrix library's.

mod avx512;
mod pack;

use rayon::prelude::{IndexedParallelIterator, ParallelIterator, ParallelSliceMut};

use super::{buffer::Buffer, matmul::Matrix, runs::threads, vectorized};
use avx512::Left;
pub use avx512::is_available;

/// The right factor of a product that lies row by row: [`pack::COLUMNS`] columns at a time, of these the rows one after the other.
#[derive(Debug)]
pub struct Panels {
    values: Buffer,
    rows: usize,
    columns: usize,
}

impl Panels {
    /// A copy of `matrix`.
    pub fn pack(matrix: Matrix<&[f32]>) -> Self {
        let Matrix { values: from, rows, columns, by_rows } = matrix;
        let mut values = Buffer::new(pack::panels_len(rows, columns));
        vectorized(
            #[inline(always)]
            || {
                if by_rows {
                    pack::panels_by_rows(from, &mut values, columns);
                } else {
                    pack::panels_by_columns(from, &mut values, rows);
                }
            },
        );
        Self { values, rows, columns }
    }
}

/// `out = a·b`, or `out += a·b` where `add` says so, for a right factor that is used once.
///
/// # Panics
/// When the shapes do not fit, `out` does not lie row by row, or [`is_available`] says no.
pub fn multiply_once(out: Matrix<&mut [f32]>, a: Matrix<&[f32]>, b: Matrix<&[f32]>, add: bool) {
    // Rows that fill a panel, or whole vectors of it, are one as they lie.
    if b.by_rows && b.columns <= pack::COLUMNS && b.columns.is_multiple_of(pack::LANES) {
        multiply_panels(out, a, b, add);
    } else {
        multiply(out, a, &Panels::pack(b), add);
    }
}

/// The same for a right factor that is packed.
///
/// # Panics
/// When the shapes do not fit, `out` does not lie row by row, or [`is_available`] says no.
pub fn multiply(out: Matrix<&mut [f32]>, a: Matrix<&[f32]>, b: &Panels, add: bool) {
    let Panels { ref values, rows, columns } = *b;
    multiply_panels(out, a, Matrix { values, rows, columns, by_rows: true }, add);
}

/// On as many threads as Candle's products have; the values of `b` are those of [`Panels`].
fn multiply_panels(out: Matrix<&mut [f32]>, a: Matrix<&[f32]>, b: Matrix<&[f32]>, add: bool) {
    assert_eq!((out.rows, out.columns, a.columns), (a.rows, b.columns, b.rows), "shapes of a product");
    assert!(out.by_rows, "a product that lies row by row");
    let (row_stride, step) = if a.by_rows { (a.columns, 1) } else { (1, a.rows) };
    // Each thread has rows of its own; a number comes out the same whoever computes it.
    let height = out.rows.div_ceil(threads()).next_multiple_of(pack::ROWS);
    let part = |(index, out): (usize, &mut [f32])| {
        let a = Left { values: &a.values[index * height * row_stride..], row_stride, step };
        avx512::multiply(out, a, b.values, b.columns, b.rows, add);
    };
    if height >= out.rows {
        part((0, out.values));
    } else {
        out.values.par_chunks_mut(height * b.columns).enumerate().for_each(part);
    }
}

#[cfg(test)]
mod tests;
