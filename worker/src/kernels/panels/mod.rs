//! Products in f32 whose right factor is packed in panels of 64 columns, and whose left factor is read as it lies, as a rule.
//!
//! The matrix library packs factors at each use. Here a right factor that is used many times is packed once, one that lies by rows and is no
//! wider than a panel never, as left factors are not. What lies between two products can be written and read in panels.
//! Only AVX-512 has a kernel for it; elsewhere products are the matrix library's.

mod pack;

use rayon::prelude::{ParallelBridge, ParallelIterator};

use super::{
    avx512::{self, COLUMNS, LANES, Left, ROWS, Word, panels_len},
    buffer::Buffer,
    matmul::{Matrix, PANEL},
    runs::threads,
    vectorized,
};

/// Numbers of a left factor by columns, up to which it is read as it lies: half of a second-level cache of 1 MiB. From farther away it comes
/// too late, since the processor foresees only what it reads one after the other.
const IN_PLACE: usize = 1 << 17;

/// Whether this processor has the instructions.
pub fn is_available() -> bool {
    f32::is_available()
}

/// The right factor of a product that lies row by row: [`COLUMNS`] columns at a time, of these the rows one after the other.
#[derive(Debug)]
pub struct Panels {
    values: Buffer,
    rows: usize,
    columns: usize,
}

impl Panels {
    /// A copy of `matrix`.
    ///
    /// # Panics
    /// When it is cut into panels by columns; by rows it is what a copy would be.
    pub fn pack(matrix: Matrix<&[f32]>) -> Self {
        let Matrix { values: from, rows, columns, by_rows, in_panels } = matrix;
        assert!(!in_panels, "a right factor that is cut into panels by columns");
        let mut values = Buffer::new(panels_len(rows, columns));
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
/// When the shapes do not fit, `out` does not lie row by row, a factor is cut into panels by columns, or [`is_available`] says no.
pub fn multiply_once(out: Matrix<&mut [f32]>, a: Matrix<&[f32]>, b: Matrix<&[f32]>, add: bool) {
    // Rows that fill a panel, or whole vectors of it, are one as they lie.
    let is_panel = b.columns <= COLUMNS && b.columns.is_multiple_of(LANES);
    if b.by_rows && (b.in_panels || is_panel) {
        multiply_panels(out, a, b, add);
    } else {
        multiply(out, a, &Panels::pack(b), add);
    }
}

/// The same for a right factor that is packed.
///
/// # Panics
/// As for [`multiply_once`].
pub fn multiply(out: Matrix<&mut [f32]>, a: Matrix<&[f32]>, b: &Panels, add: bool) {
    let Panels { ref values, rows, columns } = *b;
    multiply_panels(out, a, Matrix { values, rows, columns, by_rows: true, in_panels: true }, add);
}

/// On as many threads as Candle's products have; the values of `b` are those of [`Panels`].
fn multiply_panels(out: Matrix<&mut [f32]>, a: Matrix<&[f32]>, b: Matrix<&[f32]>, add: bool) {
    assert_eq!((out.rows, out.columns, a.columns), (a.rows, b.columns, b.rows), "shapes of a product");
    assert!(out.by_rows, "a product that lies row by row");
    let turned = (!a.by_rows && a.values.len() > IN_PLACE).then(|| a.lying(true));
    let (a, threads) = (left(turned.as_ref().map_or(a, Matrix::view)), threads());
    // Each thread has panels or rows of its own; a number comes out the same whoever computes it.
    if out.in_panels {
        let part = |(out, b): (&mut [f32], &[f32])| avx512::multiply(out, a, b, PANEL, b.len() / PANEL, add);
        let (out, b) = (out.values.chunks_mut(PANEL * out.rows), b.values.chunks(PANEL * b.rows));
        if threads == 1 { out.zip(b).for_each(part) } else { out.zip(b).par_bridge().for_each(part) }
    } else {
        let height = out.rows.div_ceil(threads).next_multiple_of(ROWS);
        let part = |(index, out): (usize, &mut [f32])| {
            avx512::multiply(out, a.from(index * height), b.values, b.columns, b.rows, add);
        };
        let parts = out.values.chunks_mut(height * b.columns).enumerate();
        if threads == 1 { parts.for_each(part) } else { parts.par_bridge().for_each(part) }
    }
}

/// How `a` lies.
fn left(a: Matrix<&[f32]>) -> Left<'_, f32> {
    let Matrix { values, rows, columns, by_rows, in_panels } = a;
    assert!(by_rows || !in_panels, "a left factor that is cut into panels by columns");
    let (row_stride, step) = match (by_rows, in_panels) {
        (true, true) => (PANEL, 1),
        (true, false) => (columns, 1),
        (false, _) => (1, rows),
    };
    let (panel, panel_stride) = if in_panels { (PANEL, PANEL * rows) } else { (columns, 0) };
    Left { words: values, row_stride, tile_stride: ROWS * row_stride, step, panel, panel_stride }
}

#[cfg(test)]
mod tests;
