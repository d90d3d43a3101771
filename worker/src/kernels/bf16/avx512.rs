//! The product by AVX-512's `vdpbf16ps`, which multiplies 32 pairs of bf16 and adds them to 16 sums in f32.
#![allow(unsafe_code)]

use std::arch::x86_64::{__m512, __m512bh, _mm512_dpbf16_ps, _mm512_setzero_ps};

use super::{
    pack::{COLUMNS, LANES, ROWS},
    write::write,
};

/// A packed left factor.
#[derive(Clone, Copy)]
pub struct Left<'a> {
    pub pairs: &'a [u32],
    /// Words from a row to the next within [`ROWS`] rows.
    pub row_stride: usize,
    /// Words from a pair to the next.
    pub pair_stride: usize,
}

/// Whether this processor has the instructions.
pub fn is_available() -> bool {
    // Miri knows some of AVX-512, but not this part of it.
    !cfg!(miri) && is_x86_feature_detected!("avx512bw") && is_x86_feature_detected!("avx512bf16")
}

/// `out = a·b`, or `out += a·b` where `add` says so; `out` lies row by row and is `columns` wide, and sums are over `pairs` pairs.
///
/// # Panics
/// Where [`is_available`] says no, and when there are not as many words as the shapes need.
pub fn multiply(out: &mut [f32], a: Left, b: &[u32], columns: usize, pairs: usize, add: bool) {
    assert!(is_available(), "AVX512-BF16 was not detected");
    // SAFETY: the processor has the features that the function is compiled for, as just asserted.
    unsafe { detected(out, a, b, columns, pairs, add) }
}

#[target_feature(enable = "avx512bw,avx512bf16")]
fn detected(out: &mut [f32], a: Left, b: &[u32], columns: usize, pairs: usize, add: bool) {
    let height = out.len() / columns;
    // A panel of b stays in the cache while all rows of a go by.
    for (panel, b) in b.chunks(COLUMNS * pairs).enumerate() {
        let start = panel * COLUMNS;
        let width = COLUMNS.min(columns - start);
        let vectors = b.as_chunks::<LANES>().0;
        for row in (0..height).step_by(ROWS) {
            let part =
                Part { out: &mut out[row * columns + start..], columns, width, a: Left { pairs: &a.pairs[row * pairs..], ..a }, add };
            match width.div_ceil(LANES) {
                1 => rows::<1>(part, height - row, vectors),
                2 => rows::<2>(part, height - row, vectors),
                _ => rows::<3>(part, height - row, vectors),
            }
        }
    }
}

/// A part of the result: from its first number on, rows of `width` numbers that lie `columns` apart.
struct Part<'a> {
    out: &'a mut [f32],
    columns: usize,
    width: usize,
    a: Left<'a>,
    add: bool,
}

/// Computes the [`ROWS`] rows of a part, or as many as are left.
#[target_feature(enable = "avx512bw,avx512bf16")]
fn rows<const VECTORS: usize>(part: Part, left: usize, b: &[[u32; LANES]]) {
    let b = b.as_chunks::<VECTORS>().0;
    match left {
        1 => tile::<1, VECTORS>(part, b),
        2 => tile::<2, VECTORS>(part, b),
        3 => tile::<3, VECTORS>(part, b),
        4 => tile::<4, VECTORS>(part, b),
        5 => tile::<5, VECTORS>(part, b),
        6 => tile::<6, VECTORS>(part, b),
        7 => tile::<7, VECTORS>(part, b),
        _ => tile::<ROWS, VECTORS>(part, b),
    }
}

/// Keeps the sums of `HEIGHT` rows in registers: of 32, 24 at the most, and three vectors of b.
#[expect(clippy::needless_range_loop, reason = "loops of constant length keep the sums in registers, iterators do not")]
#[target_feature(enable = "avx512bw,avx512bf16")]
fn tile<const HEIGHT: usize, const VECTORS: usize>(part: Part, b: &[[[u32; LANES]; VECTORS]]) {
    let Part { out, columns, width, a, add } = part;
    let mut sums = [[_mm512_setzero_ps(); VECTORS]; HEIGHT];
    for (pair, b) in b.iter().enumerate() {
        let b = b.map(vector);
        for row in 0..HEIGHT {
            let a = vector([a.pairs[row * a.row_stride + pair * a.pair_stride]; LANES]);
            for vector in 0..VECTORS {
                sums[row][vector] = _mm512_dpbf16_ps(sums[row][vector], a, b[vector]);
            }
        }
    }
    for row in 0..HEIGHT {
        let out = &mut out[row * columns..][..width];
        for vector in 0..VECTORS {
            write(&mut out[vector * LANES..], numbers(sums[row][vector]), add);
        }
    }
}

#[inline(always)]
fn vector(pairs: [u32; LANES]) -> __m512bh {
    // SAFETY: both are 64 bytes, of which every pattern is a value.
    unsafe { std::mem::transmute(pairs) }
}

#[inline(always)]
fn numbers(vector: __m512) -> [f32; LANES] {
    // SAFETY: both are 16 f32.
    unsafe { std::mem::transmute(vector) }
}
