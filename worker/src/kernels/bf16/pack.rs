//! Factors of a product as the inner loop reads them: rounded to bf16, two neighbours along the common dimension in a word.
//!
//! A product adds up over `depth` numbers, or `⌈depth/2⌉` pairs of them; an odd last one is paired with 0.

use super::{
    super::avx512::{COLUMNS, LANES, ROWS},
    round::pair,
};

/// Pairs of rows that are packed at once, so that what is read stays in the first-level cache while it is written elsewhere.
const BLOCK: usize = 8;

/// Words of a left factor of `rows` rows that [`left_by_rows`] and [`left_by_columns`] fill.
pub const fn left_len(rows: usize, depth: usize) -> usize {
    rows.next_multiple_of(ROWS) * depth.div_ceil(2)
}

/// Packs a left factor whose rows lie in `values` one after the other: each row's pairs one after the other.
#[inline(always)]
pub fn left_by_rows(values: &[f32], out: &mut [u32], depth: usize) {
    for (row, out) in values.chunks_exact(depth).zip(out.chunks_exact_mut(depth.div_ceil(2))) {
        pair_neighbours(row, out);
    }
}

/// Packs a left factor of `rows` rows whose columns lie in `values` one after the other: [`ROWS`] rows at a time, of these the pairs one
/// after the other, each for all these rows.
#[inline(always)]
pub fn left_by_columns(values: &[f32], out: &mut [u32], rows: usize) {
    let pairs = values.len().div_ceil(2 * rows);
    for (block, values) in values.chunks(2 * BLOCK * rows).enumerate() {
        for (panel, out) in out.chunks_exact_mut(ROWS * pairs).enumerate() {
            let start = panel * ROWS;
            let end = rows.min(start + ROWS);
            let out = &mut out[block * BLOCK * ROWS..];
            for (values, out) in values.chunks(2 * rows).zip(out.chunks_exact_mut(ROWS)) {
                pair_rows(values, rows, start..end, out);
            }
        }
    }
}

/// Packs a right factor of `columns` columns whose rows lie in `values` one after the other: [`COLUMNS`] columns at a time, of these the
/// pairs one after the other, each for all these columns. The last columns are filled up to whole vectors.
#[inline(always)]
pub fn right_by_rows(values: &[f32], out: &mut [u32], columns: usize) {
    let pairs = values.len().div_ceil(2 * columns);
    for (panel, out) in out.chunks_mut(COLUMNS * pairs).enumerate() {
        let start = panel * COLUMNS;
        let end = columns.min(start + COLUMNS);
        for (values, out) in values.chunks(2 * columns).zip(out.chunks_exact_mut((end - start).next_multiple_of(LANES))) {
            pair_rows(values, columns, start..end, out);
        }
    }
}

/// The same of a right factor whose columns lie in `values` one after the other.
#[inline(always)]
pub fn right_by_columns(values: &[f32], out: &mut [u32], depth: usize) {
    let pairs = depth.div_ceil(2);
    let panels = values.chunks(COLUMNS * depth).zip(out.chunks_mut(COLUMNS * pairs));
    for (values, out) in panels {
        let width = out.len() / pairs;
        for (group, values) in values.chunks(LANES * depth).enumerate() {
            for start in (0..pairs).step_by(LANES) {
                let block = block(values, depth, start);
                let out = out[start * width..].chunks_exact_mut(width).zip(transposed(&block));
                for (out, row) in out {
                    out[group * LANES..][..LANES].copy_from_slice(&row);
                }
            }
        }
    }
}

/// From the pair `start` on [`LANES`] pairs of each of the columns in `values`, or as many as there are.
#[inline(always)]
pub(super) fn block(values: &[f32], depth: usize, start: usize) -> [[u32; LANES]; LANES] {
    let mut block = [[0; LANES]; LANES];
    let end = depth.min(2 * (start + LANES));
    for (column, out) in values.chunks_exact(depth).zip(&mut block) {
        pair_neighbours(&column[2 * start..end], out);
    }
    block
}

#[inline(always)]
pub(super) fn transposed(block: &[[u32; LANES]; LANES]) -> [[u32; LANES]; LANES] {
    let mut out = [[0; LANES]; LANES];
    for (column, values) in block.iter().enumerate() {
        for (row, value) in values.iter().enumerate() {
            out[row][column] = *value;
        }
    }
    out
}

/// Pairs each number at an even place with the next one.
#[inline(always)]
fn pair_neighbours(values: &[f32], out: &mut [u32]) {
    let (pairs, last) = values.as_chunks::<2>();
    for ([first, second], out) in pairs.iter().zip(&mut *out) {
        *out = pair(*first, *second);
    }
    if let ([last], Some(out)) = (last, out.get_mut(pairs.len())) {
        *out = pair(*last, 0.0);
    }
}

/// Of one or two rows of `width` numbers pairs those in `range`, one above the other.
#[inline(always)]
pub(super) fn pair_rows(rows: &[f32], width: usize, range: std::ops::Range<usize>, out: &mut [u32]) {
    let (first, second) = rows.split_at(width);
    let out = &mut out[..range.len()];
    if second.is_empty() {
        for (first, out) in first[range].iter().zip(out) {
            *out = pair(*first, 0.0);
        }
    } else {
        for ((first, second), out) in first[range.clone()].iter().zip(&second[range]).zip(out) {
            *out = pair(*first, *second);
        }
    }
}
