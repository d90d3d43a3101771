//! The right factor of a product as the inner loop reads it.

use crate::kernels::avx512::{COLUMNS, LANES};

/// Packs a right factor of `columns` columns whose rows lie in `values` one after the other. The last columns are filled up by zeros to
/// whole vectors.
#[inline(always)]
pub fn panels_by_rows(values: &[f32], out: &mut [f32], columns: usize) {
    let depth = values.len() / columns;
    for (panel, out) in out.chunks_mut(COLUMNS * depth).enumerate() {
        let start = panel * COLUMNS;
        if let (Some(_), (out, [])) = (columns.checked_sub(start + COLUMNS), out.as_chunks_mut::<COLUMNS>()) {
            for (row, out) in values.chunks_exact(columns).zip(out) {
                out.copy_from_slice(&row[start..start + COLUMNS]);
            }
        } else {
            let width = columns - start;
            out.fill(0.0);
            for (row, out) in values.chunks_exact(columns).zip(out.chunks_exact_mut(width.next_multiple_of(LANES))) {
                out[..width].copy_from_slice(&row[start..]);
            }
        }
    }
}

/// The same of a right factor whose columns lie in `values` one after the other.
#[inline(always)]
pub fn panels_by_columns(values: &[f32], out: &mut [f32], depth: usize) {
    for (values, out) in values.chunks(COLUMNS * depth).zip(out.chunks_mut(COLUMNS * depth)) {
        let width = out.len() / depth;
        if depth < LANES {
            few_rows(values, out, depth);
            continue;
        }
        for (group, values) in values.chunks(LANES * depth).enumerate() {
            for start in (0..depth).step_by(LANES) {
                let rows = transposed(values, depth, start);
                for (out, row) in out[start * width..].chunks_exact_mut(width).zip(rows) {
                    out[group * LANES..][..LANES].copy_from_slice(&row);
                }
            }
        }
    }
}

/// The same of a panel with too few rows to be worth the turning of squares, as narrow heads have.
#[inline(always)]
fn few_rows(values: &[f32], out: &mut [f32], depth: usize) {
    let width = out.len() / depth;
    out.fill(0.0);
    for (row, out) in out.chunks_exact_mut(width).enumerate() {
        for (out, value) in out.iter_mut().zip(values[row..].iter().step_by(depth)) {
            *out = *value;
        }
    }
}

/// From `start` on [`LANES`] numbers, or as many as there are, of each of the columns in `values`, as rows; else zeros.
#[inline(always)]
fn transposed(values: &[f32], depth: usize, start: usize) -> [[f32; LANES]; LANES] {
    let mut block = [[0.0; LANES]; LANES];
    let count = LANES.min(depth - start);
    for (column, out) in values.chunks_exact(depth).zip(&mut block) {
        match column[start..].first_chunk::<LANES>() {
            Some(column) => *out = *column,
            None => out[..count].copy_from_slice(&column[start..]),
        }
    }
    let mut rows = [[0.0; LANES]; LANES];
    for column in 0..LANES {
        for row in 0..LANES {
            rows[row][column] = block[column][row];
        }
    }
    rows
}
