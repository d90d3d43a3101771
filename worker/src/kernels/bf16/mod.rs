//! Products of matrices in bf16: factors are rounded to it, products are added up in f32.
//!
//! Where the processor has AMX or AVX512-BF16 the product is computed with it, by AVX512-BF16 at twice the speed of f32. Everywhere else it
//! is that of the rounded factors in f32: the same but for the order of additions, and for numbers below 2⁻¹²⁶, which both instructions take
//! for 0; and no faster than f32. A kernel for another instruction (NEON's `bfmmla`, …) is one more [`Unit`], with its packing.

#[cfg(target_arch = "x86_64")]
mod amx;
#[cfg(target_arch = "x86_64")]
mod pack;
mod round;
mod unit;
#[cfg(target_arch = "x86_64")]
mod write;

#[cfg(target_arch = "x86_64")]
use amx::tiles::{self, Lines, Rows};
#[cfg(target_arch = "x86_64")]
use rayon::prelude::{IndexedParallelIterator, ParallelIterator, ParallelSliceMut};

#[cfg(target_arch = "x86_64")]
use super::avx512::{self, Pair, ROWS};
use super::{
    buffer::Buffer,
    matmul::{self, Matrix},
    vectorized,
};
pub use unit::{Unit, UnitError};

const IN_PANELS: &str = "what is cut into panels is not packed for bf16";

/// The left factor of a product that lies row by row.
#[derive(Debug)]
pub struct Left(Packed);

/// The right factor of a product that lies row by row.
#[derive(Debug)]
pub struct Right(Packed);

#[derive(Debug)]
struct Packed {
    unit: Unit,
    /// What `unit` reads: words of two bf16 each, in tiles or otherwise, or rounded numbers in the order of the matrix.
    values: Buffer,
    rows: usize,
    columns: usize,
    by_rows: bool,
}

impl Left {
    /// `matrix`, for a product by `unit`.
    ///
    /// # Panics
    /// When it is cut into panels.
    pub fn pack(unit: Unit, matrix: Matrix<&[f32]>) -> Self {
        assert!(!matrix.in_panels, "{IN_PANELS}");
        Self(match unit {
            #[cfg(target_arch = "x86_64")]
            Unit::Amx => {
                let lines = Lines { count: matrix.rows, depth: matrix.columns, lie_together: matrix.by_rows };
                Packed::tiles(matrix, lines, Rows::Lines)
            }
            #[cfg(target_arch = "x86_64")]
            Unit::Avx512 => Packed::words(matrix, pack::left_len(matrix.rows, matrix.columns), |values, words| {
                vectorized(
                    #[inline(always)]
                    || {
                        if matrix.by_rows {
                            pack::left_by_rows(values, words, matrix.columns);
                        } else {
                            pack::left_by_columns(values, words, matrix.rows);
                        }
                    },
                );
            }),
            Unit::Rounded => Packed::rounded(matrix),
        })
    }
}

impl Right {
    /// `matrix`, for a product by `unit`.
    ///
    /// # Panics
    /// When it is cut into panels.
    pub fn pack(unit: Unit, matrix: Matrix<&[f32]>) -> Self {
        assert!(!matrix.in_panels, "{IN_PANELS}");
        Self(match unit {
            #[cfg(target_arch = "x86_64")]
            Unit::Amx => {
                let lines = Lines { count: matrix.columns, depth: matrix.rows, lie_together: !matrix.by_rows };
                Packed::tiles(matrix, lines, Rows::Pairs)
            }
            #[cfg(target_arch = "x86_64")]
            Unit::Avx512 => Packed::words(matrix, avx512::panels_len(matrix.rows.div_ceil(2), matrix.columns), |values, words| {
                vectorized(
                    #[inline(always)]
                    || {
                        if matrix.by_rows {
                            pack::right_by_rows(values, words, matrix.columns);
                        } else {
                            pack::right_by_columns(values, words, matrix.rows);
                        }
                    },
                );
            }),
            Unit::Rounded => Packed::rounded(matrix),
        })
    }
}

impl Packed {
    #[cfg(target_arch = "x86_64")]
    fn tiles(matrix: Matrix<&[f32]>, lines: Lines, rows: Rows) -> Self {
        let mut values = Buffer::new(lines.buffer_len());
        vectorized(
            #[inline(always)]
            || lines.pack(matrix.values, tiles::tiles_mut(&mut values), rows),
        );
        Self { unit: Unit::Amx, values, rows: matrix.rows, columns: matrix.columns, by_rows: matrix.by_rows }
    }

    #[cfg(target_arch = "x86_64")]
    fn words(matrix: Matrix<&[f32]>, len: usize, pack: impl FnOnce(&[f32], &mut [u32])) -> Self {
        let mut values = Buffer::new(len);
        pack(matrix.values, pulp::bytemuck::cast_slice_mut(&mut values));
        Self { unit: Unit::Avx512, values, rows: matrix.rows, columns: matrix.columns, by_rows: matrix.by_rows }
    }

    fn rounded(matrix: Matrix<&[f32]>) -> Self {
        let mut values = Buffer::new(matrix.values.len());
        vectorized(
            #[inline(always)]
            || {
                for (value, out) in matrix.values.iter().zip(&mut *values) {
                    *out = round::round(*value);
                }
            },
        );
        Self { unit: Unit::Rounded, values, rows: matrix.rows, columns: matrix.columns, by_rows: matrix.by_rows }
    }

    fn matrix(&self) -> Matrix<&[f32]> {
        Matrix { values: &self.values, rows: self.rows, columns: self.columns, by_rows: self.by_rows, in_panels: false }
    }
}

/// `out = a·b`, or `out += a·b` where `add` says so, on as many threads as Candle's products have.
///
/// # Panics
/// When the shapes do not fit, `out` does not lie row by row, or the factors are not packed for the same unit.
pub fn multiply(out: Matrix<&mut [f32]>, Left(a): &Left, Right(b): &Right, add: bool) {
    assert_eq!((out.rows, out.columns, a.columns), (a.rows, b.columns, b.rows), "shapes of a product");
    assert!(out.by_rows && a.unit == b.unit, "a product of {:?} and {:?}", a.unit, b.unit);
    match a.unit {
        #[cfg(target_arch = "x86_64")]
        Unit::Amx => multiply_tiles(out.values, a, b, add),
        #[cfg(target_arch = "x86_64")]
        Unit::Avx512 => multiply_words(out.values, a, b, add),
        Unit::Rounded => matmul::multiply(out, a.matrix(), b.matrix(), add),
    }
}

#[cfg(target_arch = "x86_64")]
fn multiply_tiles(out: &mut [f32], a: &Packed, b: &Packed, add: bool) {
    let (deep, columns) = (tiles::deep(a.columns), b.columns);
    let (a_tiles, b_tiles) = (tiles::tiles(&a.values), tiles::tiles(&b.values));
    in_parts(out, (a.rows, columns), amx::BLOCK, |first, out| {
        amx::multiply(out, &a_tiles[first / tiles::SIDE * deep..], b_tiles, columns, deep, add);
    });
}

#[cfg(target_arch = "x86_64")]
fn multiply_words(out: &mut [f32], a: &Packed, b: &Packed, add: bool) {
    let pairs = a.columns.div_ceil(2);
    let (row_stride, step) = if a.by_rows { (pairs, 1) } else { (1, ROWS) };
    let words = pulp::bytemuck::cast_slice::<_, Pair>(&a.values);
    let left = avx512::Left { words, row_stride, tile_stride: ROWS * pairs, step, panel: pairs, panel_stride: 0 };
    in_parts(out, (a.rows, b.columns), ROWS, |first, out| {
        avx512::multiply(out, left.from(first), pulp::bytemuck::cast_slice(&b.values), b.columns, pairs, add);
    });
}

/// Calls `part` with rows of `out`, and which the first of them is: each thread has rows of its own, a multiple of `step`. A number comes
/// out the same whoever computes it.
#[cfg(target_arch = "x86_64")]
fn in_parts(out: &mut [f32], (rows, columns): (usize, usize), step: usize, part: impl Fn(usize, &mut [f32]) + Sync) {
    let height = rows.div_ceil(super::runs::threads()).next_multiple_of(step);
    if height >= rows {
        part(0, out);
    } else {
        out.par_chunks_mut(height * columns).enumerate().for_each(|(index, out)| part(index * height, out));
    }
}

#[cfg(test)]
mod tests;
