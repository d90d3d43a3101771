//! Products of matrices that lie in slices, by rows or by columns.

use gemm::Parallelism;

use super::{buffer::Buffer, runs::threads};

/// Lines that are turned at once: as many numbers as a cache line has.
const LINES: usize = 16;

/// Numbers of a line that lie side by side in a matrix that is cut into panels.
pub const PANEL: usize = 64;

/// A matrix in a slice, without gaps.
#[derive(Clone, Copy, Debug)]
pub struct Matrix<T> {
    pub(super) values: T,
    pub(super) rows: usize,
    pub(super) columns: usize,
    /// Whether a row's values lie side by side, rather than a column's.
    pub(super) by_rows: bool,
    /// Whether lines, of a multiple of [`PANEL`] values, are cut into panels: first that many of each line, then the next of each.
    pub(super) in_panels: bool,
}

impl<T: AsRef<[f32]>> Matrix<T> {
    /// `values` row by row.
    ///
    /// # Panics
    /// When there are not `rows · columns` values.
    pub fn by_rows(values: T, rows: usize, columns: usize) -> Self {
        assert_eq!(values.as_ref().len(), rows * columns, "a matrix of {rows} by {columns}");
        Self { values, rows, columns, by_rows: true, in_panels: false }
    }

    /// The transposed matrix, on the same values.
    pub fn t(self) -> Self {
        Self { rows: self.columns, columns: self.rows, by_rows: !self.by_rows, ..self }
    }

    /// On the same values.
    pub fn view(&self) -> Matrix<&[f32]> {
        self.on(self.values.as_ref())
    }

    /// One that lies the same way, on other values.
    fn on<U>(&self, values: U) -> Matrix<U> {
        let Self { rows, columns, by_rows, in_panels, .. } = *self;
        Matrix { values, rows, columns, by_rows, in_panels }
    }

    /// The same matrix, copied so that it lies the other way.
    fn turned(&self) -> Matrix<Buffer> {
        let (from, mut values) = (self.values.as_ref(), Buffer::new(self.rows * self.columns));
        let (lines, length) = if self.by_rows { (self.rows, self.columns) } else { (self.columns, self.rows) };
        // Some lines at once, so that what is written shares cache lines.
        for (block, from) in from.chunks(LINES * length).enumerate() {
            for (index, to) in values.chunks_exact_mut(lines).enumerate() {
                for (to, from) in to[block * LINES..].iter_mut().zip(from[index..].iter().step_by(length)) {
                    *to = *from;
                }
            }
        }
        Matrix { values, rows: self.rows, columns: self.columns, by_rows: !self.by_rows, in_panels: false }
    }

    /// A copy that lies by rows or by columns, as `by_rows` says.
    pub fn lying(&self, by_rows: bool) -> Matrix<Buffer> {
        assert!(!self.in_panels, "a matrix in panels is no matrix by rows");
        if self.by_rows == by_rows { self.on(Buffer::of(self.values.as_ref())) } else { self.turned() }
    }

    /// On the same values, which are cut into panels where `in_panels` says so.
    ///
    /// # Panics
    /// When lines cannot be cut so.
    pub fn cut(self, in_panels: bool) -> Self {
        let length = if self.by_rows { self.columns } else { self.rows };
        assert!(!in_panels || length.is_multiple_of(PANEL), "panels of {PANEL} for lines of {length}");
        Self { in_panels, ..self }
    }

    /// From a row to the next, and from a column to the next.
    fn strides(&self) -> (isize, isize) {
        assert!(!self.in_panels, "a matrix in panels has no strides");
        if self.by_rows { (self.columns as isize, 1) } else { (1, self.rows as isize) }
    }
}

impl Matrix<&mut [f32]> {
    /// On the same values, for a while.
    pub fn view_mut(&mut self) -> Matrix<&mut [f32]> {
        let Self { ref mut values, rows, columns, by_rows, in_panels } = *self;
        Matrix { values, rows, columns, by_rows, in_panels }
    }
}

/// `out = a·b`, or `out += a·b` where `add` says so, on as many threads as the matrix library may have.
///
/// # Panics
/// When the shapes do not fit.
pub fn multiply(out: Matrix<&mut [f32]>, a: Matrix<&[f32]>, b: Matrix<&[f32]>, add: bool) {
    assert_eq!((out.rows, out.columns, a.columns), (a.rows, b.columns, b.rows), "shapes of a product");
    let ((out_rs, out_cs), (a_rs, a_cs), (b_rs, b_cs)) = (out.strides(), a.strides(), b.strides());
    let (alpha, beta) = (if add { 1.0 } else { 0.0 }, 1.0);
    // SAFETY: `by_rows` has checked that each slice has `rows · columns` values, and no index of a matrix leaves them with the strides of
    // either order; the shapes fit, as asserted; `out` is borrowed mutably, so that nothing else reads or writes it meanwhile.
    #[allow(unsafe_code)]
    unsafe {
        gemm::gemm(
            out.rows,
            out.columns,
            a.columns,
            out.values.as_mut_ptr(),
            out_cs,
            out_rs,
            add,
            a.values.as_ptr(),
            a_cs,
            a_rs,
            b.values.as_ptr(),
            b_cs,
            b_rs,
            alpha,
            beta,
            false,
            false,
            false,
            if threads() > 1 { Parallelism::Rayon(0) } else { Parallelism::None },
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_turned_matrix_is_the_same_one() {
        let values: Vec<f32> = (0..19 * 3).map(|index| index as f32).collect();
        let matrix = Matrix::by_rows(&values[..], 19, 3);
        let turned = matrix.lying(false);
        assert!(!turned.by_rows && (turned.rows, turned.columns) == (19, 3));
        assert!((0..19).all(|row| (0..3).all(|column| turned.values[column * 19 + row] == values[row * 3 + column])));
        assert_eq!(turned.lying(true).values[..], values);
        assert_eq!(turned.lying(false).values[..], turned.values[..]);
        assert_eq!(matrix.t().lying(true).values[..], turned.values[..], "it lies by rows of the transposed one");
    }

    #[test]
    fn products_by_rows_and_by_columns() {
        let (a, b) = ([1.0, 2.0, 3.0, 4.0, 5.0, 6.0], [1.0, 0.0, 2.0, -1.0, 3.0, 1.0]);
        let mut out = [0.0; 4];
        multiply(Matrix::by_rows(&mut out[..], 2, 2), Matrix::by_rows(&a[..], 2, 3), Matrix::by_rows(&b[..], 3, 2), false);
        assert_eq!(out, [14.0, 1.0, 32.0, 1.0]);
        multiply(Matrix::by_rows(&mut out[..], 2, 2).t(), Matrix::by_rows(&a[..], 2, 3), Matrix::by_rows(&b[..], 3, 2), true);
        assert_eq!(out, [28.0, 33.0, 33.0, 2.0]);
        multiply(Matrix::by_rows(&mut out[..], 2, 2), Matrix::by_rows(&a[..], 3, 2).t(), Matrix::by_rows(&b[..], 2, 3).t(), false);
        assert_eq!(out, [11.0, 13.0, 14.0, 16.0]);
    }
}
