//! Products in f32 whose right factor is packed in panels of 64 columns, and whose left factor is read as it lies, by rows.
//!
//! The matrix library packs factors at each use. Here a right factor that is used many times is packed once, and left factors are never.
//! Only AVX-512 has a kernel for it; elsewhere products are the matrix library's.

mod avx512;
mod pack;

use rayon::prelude::{IndexedParallelIterator, ParallelIterator, ParallelSlice, ParallelSliceMut};

use super::{buffer::Buffer, matmul::Matrix, runs::threads, vectorized};
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

/// `out = a·b`, or `out += a·b` where `add` says so, on as many threads as Candle's products have.
///
/// # Panics
/// When the shapes do not fit, `out` or `a` do not lie row by row, or [`is_available`] says no.
pub fn multiply(out: Matrix<&mut [f32]>, a: Matrix<&[f32]>, b: &Panels, add: bool) {
    assert_eq!((out.rows, out.columns, a.columns), (a.rows, b.columns, b.rows), "shapes of a product");
    assert!(out.by_rows && a.by_rows, "a product that lies row by row");
    // Each thread has rows of its own; a number comes out the same whoever computes it.
    let height = out.rows.div_ceil(threads()).next_multiple_of(pack::ROWS);
    let part = |(out, a): (&mut [f32], &[f32])| avx512::multiply(out, a, &b.values, b.columns, b.rows, add);
    if height >= out.rows {
        part((out.values, a.values));
    } else {
        out.values.par_chunks_mut(height * b.columns).zip(a.values.par_chunks(height * b.rows)).for_each(part);
    }
}

#[cfg(test)]
mod tests;
