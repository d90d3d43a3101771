//! RMS norms over the rows or over the columns of a matrix that lies row by row, in place.

use super::{buffer::Buffer, sum::sum_of_products};

/// Columns that are added up at once.
const COLUMNS: usize = 64;

/// Divides each row h by `√(mean(h²) + eps)`, and writes what it was multiplied by.
#[inline(always)]
pub fn rows(values: &mut [f32], inverses: &mut [f32], eps: f32) {
    let width = values.len() / inverses.len();
    for (row, inverse) in values.chunks_exact_mut(width).zip(inverses) {
        *inverse = 1.0 / (sum_of_products(row, row) / width as f32 + eps).sqrt();
        for value in row {
            *value *= *inverse;
        }
    }
}

/// The same of each column. Sums are in f64: the positions' norms are part of a recursion that multiplies what rounding loses.
#[inline(always)]
pub fn columns(values: &mut [f32], inverses: &mut [f32], eps: f32) {
    let width = inverses.len();
    let height = (values.len() / width) as f64;
    for (block, inverses) in inverses.chunks_mut(COLUMNS).enumerate() {
        let mut sums = [0.0_f64; COLUMNS];
        for row in values.chunks_exact(width) {
            for (value, sum) in row[block * COLUMNS..].iter().zip(&mut sums) {
                *sum += f64::from(*value) * f64::from(*value);
            }
        }
        for (sum, inverse) in sums.iter().zip(&mut *inverses) {
            *inverse = (1.0 / (sum / height + f64::from(eps)).sqrt()) as f32;
        }
    }
    for row in values.chunks_exact_mut(width) {
        for (value, inverse) in row.iter_mut().zip(&*inverses) {
            *value *= inverse;
        }
    }
}

/// Turns the gradient g by each row of the result y into that by the row before, `(g − y·mean(g·y)) · inverse`.
#[inline(always)]
pub fn rows_backward(y: &[f32], gradient: &mut [f32], inverses: &[f32]) {
    let width = y.len() / inverses.len();
    for ((y, row), inverse) in y.chunks_exact(width).zip(gradient.chunks_exact_mut(width)).zip(inverses) {
        let mean = sum_of_products(y, row) / width as f32;
        for (y, g) in y.iter().zip(row) {
            *g = (*g - y * mean) * inverse;
        }
    }
}

/// The same of each column.
#[inline(always)]
pub fn columns_backward(y: &[f32], gradient: &mut [f32], inverses: &[f32]) {
    let width = inverses.len();
    let height = (y.len() / width) as f32;
    let mut means = Buffer::zeros(width);
    for (y, g) in y.chunks_exact(width).zip(gradient.chunks_exact(width)) {
        for ((y, g), mean) in y.iter().zip(g).zip(&mut *means) {
            *mean += y * g;
        }
    }
    for mean in &mut *means {
        *mean /= height;
    }
    for (y, row) in y.chunks_exact(width).zip(gradient.chunks_exact_mut(width)) {
        for (((y, g), mean), inverse) in y.iter().zip(row).zip(&*means).zip(inverses) {
            *g = (*g - y * mean) * inverse;
        }
    }
}
