//! RMS norms of a residual sum, over the rows or over the columns of a matrix that lies row by row.

use super::{buffer::Buffer, sum::sum_of_products};

/// Turns `out` into `h / √(mean(h²) + eps)` of each row, where `h = x + out`, and writes what each row was multiplied by.
#[inline(always)]
pub fn rows(x: &[f32], out: &mut [f32], inverses: &mut [f32], eps: f32) {
    let width = x.len() / inverses.len();
    for ((x, row), inverse) in x.chunks_exact(width).zip(out.chunks_exact_mut(width)).zip(inverses) {
        for (x, out) in x.iter().zip(&mut *row) {
            *out += x;
        }
        *inverse = 1.0 / (sum_of_products(row, row) / width as f32 + eps).sqrt();
        for value in row {
            *value *= *inverse;
        }
    }
}

/// The same of each column. Sums are in f64: the positions' norms are part of a recursion that multiplies what rounding loses.
#[inline(always)]
pub fn columns(x: &[f32], out: &mut [f32], inverses: &mut [f32], eps: f32) {
    let width = inverses.len();
    let height = (x.len() / width) as f64;
    let mut sums = vec![0.0_f64; width];
    for (x, row) in x.chunks_exact(width).zip(out.chunks_exact_mut(width)) {
        for ((x, out), sum) in x.iter().zip(row).zip(&mut sums) {
            *out += x;
            *sum += f64::from(*out) * f64::from(*out);
        }
    }
    for (sum, inverse) in sums.iter().zip(&mut *inverses) {
        *inverse = (1.0 / (sum / height + f64::from(eps)).sqrt()) as f32;
    }
    for row in out.chunks_exact_mut(width) {
        for (out, inverse) in row.iter_mut().zip(&*inverses) {
            *out *= inverse;
        }
    }
}

/// Writes `(g − y·mean(g·y)) · inverse`, the gradient by the sum of each row, from the result y and its gradient g.
#[inline(always)]
pub fn rows_backward(y: &[f32], g: &[f32], inverses: &[f32], out: &mut [f32]) {
    let width = y.len() / inverses.len();
    let rows = y.chunks_exact(width).zip(g.chunks_exact(width)).zip(out.chunks_exact_mut(width));
    for (((y, g), row), inverse) in rows.zip(inverses) {
        let mean = sum_of_products(y, g) / width as f32;
        for ((y, g), out) in y.iter().zip(g).zip(row) {
            *out = (g - y * mean) * inverse;
        }
    }
}

/// The same of each column.
#[inline(always)]
pub fn columns_backward(y: &[f32], g: &[f32], inverses: &[f32], out: &mut [f32]) {
    let width = inverses.len();
    let height = (y.len() / width) as f32;
    let mut means = Buffer::zeros(width);
    for (y, g) in y.chunks_exact(width).zip(g.chunks_exact(width)) {
        for ((y, g), mean) in y.iter().zip(g).zip(&mut *means) {
            *mean += y * g;
        }
    }
    for mean in &mut *means {
        *mean /= height;
    }
    for ((y, g), row) in y.chunks_exact(width).zip(g.chunks_exact(width)).zip(out.chunks_exact_mut(width)) {
        for ((((y, g), out), mean), inverse) in y.iter().zip(g).zip(row).zip(&*means).zip(inverses) {
            *out = (g - y * mean) * inverse;
        }
    }
}
