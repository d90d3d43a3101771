//! The product by AVX-512's `vdpbf16ps`, which multiplies 32 pairs of bf16 and adds them to 16 sums in f32.
#![allow(unsafe_code)]

use std::arch::x86_64::{
    __m512, __m512bh, _MM_HINT_ET0, _mm_prefetch, _mm512_add_ps, _mm512_dpbf16_ps, _mm512_loadu_ps, _mm512_mask_storeu_ps,
    _mm512_maskz_loadu_ps, _mm512_set1_epi32, _mm512_setzero_ps,
};

use super::pack::{COLUMNS, LANES, ROWS, right_len};

/// A packed left factor, from some row of it on.
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
    let height = out.len() / columns;
    assert_eq!((out.len(), b.len()), (height * columns, right_len(columns, 2 * pairs)), "lengths of a product");
    assert!(height > 0 && pairs > 0, "an empty product");
    let (rows, last) = ((height - 1) / ROWS * ROWS * pairs, (height - 1) % ROWS);
    assert!(rows + last * a.row_stride + (pairs - 1) * a.pair_stride < a.pairs.len(), "length of a left factor");
    // SAFETY: the processor has the features that the function is compiled for, and the slices are as long as the shapes say, as just
    // asserted.
    unsafe { detected(out, a, b, columns, pairs, add) }
}

/// # Safety
/// The slices must have the lengths that [`multiply`] asserts.
#[target_feature(enable = "avx512bw,avx512bf16")]
unsafe fn detected(out: &mut [f32], a: Left, b: &[u32], columns: usize, pairs: usize, add: bool) {
    let height = out.len() / columns;
    // A panel of b stays in the cache while all rows of a go by.
    for (panel, b) in b.chunks(COLUMNS * pairs).enumerate() {
        let start = panel * COLUMNS;
        let width = COLUMNS.min(columns - start);
        for row in (0..height).step_by(ROWS) {
            let tile = Tile {
                out: out[row * columns + start..].as_mut_ptr(),
                columns,
                last: u16::MAX >> (width.next_multiple_of(LANES) - width),
                a: Left { pairs: &a.pairs[row * pairs..], ..a },
                b: b.as_ptr(),
                pairs,
                add,
            };
            // SAFETY: from `row` on there are as many rows as are asked for, of `width` columns from `start` on, and b is a panel of so many
            // columns filled up to whole vectors.
            unsafe {
                match width.div_ceil(LANES) {
                    1 => tile.rows::<1>(height - row),
                    2 => tile.rows::<2>(height - row),
                    3 => tile.rows::<3>(height - row),
                    _ => tile.rows::<4>(height - row),
                }
            }
        }
    }
}

/// A part of the result that is computed at once, and what it is computed from.
#[derive(Clone, Copy)]
struct Tile<'a> {
    /// Its first number; rows lie `columns` apart.
    out: *mut f32,
    columns: usize,
    /// Which lanes of the last vector of a row belong to it.
    last: u16,
    /// From its rows on.
    a: Left<'a>,
    /// A panel, of `pairs` rows.
    b: *const u32,
    pairs: usize,
    add: bool,
}

impl Tile<'_> {
    /// Computes [`ROWS`] rows of `VECTORS` vectors, or as many rows as are `left`.
    ///
    /// # Safety
    /// There must be as many numbers to read and write as that needs, and the processor must have the instructions.
    #[target_feature(enable = "avx512bw,avx512bf16")]
    unsafe fn rows<const VECTORS: usize>(self, left: usize) {
        // SAFETY: as the caller promises.
        unsafe {
            match left {
                1 => self.compute::<1, VECTORS>(),
                2 => self.compute::<2, VECTORS>(),
                3 => self.compute::<3, VECTORS>(),
                4 => self.compute::<4, VECTORS>(),
                5 => self.compute::<5, VECTORS>(),
                _ => self.compute::<ROWS, VECTORS>(),
            }
        }
    }

    /// Keeps the sums of `HEIGHT` rows in registers: of 32, 24 at the most, and four vectors of b.
    ///
    /// # Safety
    /// As for [`rows`](Self::rows).
    #[expect(clippy::needless_range_loop, reason = "loops of constant length keep the sums in registers, iterators do not")]
    #[target_feature(enable = "avx512bw,avx512bf16")]
    unsafe fn compute<const HEIGHT: usize, const VECTORS: usize>(self) {
        let mut sums = [[_mm512_setzero_ps(); VECTORS]; HEIGHT];
        let Left { pairs, row_stride, pair_stride } = self.a;
        let (mut a, mut b) = (pairs.as_ptr(), self.b);
        // What is written in the end comes to the cache meanwhile.
        for row in 0..HEIGHT {
            for vector in 0..VECTORS {
                _mm_prefetch::<_MM_HINT_ET0>(self.out.wrapping_add(row * self.columns + vector * LANES).cast());
            }
        }
        for _ in 0..self.pairs {
            let mut row_of_b = [_mm512_setzero_ps(); VECTORS];
            for vector in 0..VECTORS {
                // SAFETY: a row of the panel has so many vectors, and there are `pairs` of them.
                row_of_b[vector] = unsafe { _mm512_loadu_ps(b.add(vector * LANES).cast()) };
            }
            for row in 0..HEIGHT {
                // SAFETY: a has so many rows from here on, of `pairs` pairs each.
                let a = _mm512_set1_epi32(unsafe { *a.add(row * row_stride) }.cast_signed());
                for vector in 0..VECTORS {
                    // SAFETY: any 64 bytes are a vector of either kind.
                    let (a, b) =
                        unsafe { (std::mem::transmute::<_, __m512bh>(a), std::mem::transmute::<__m512, __m512bh>(row_of_b[vector])) };
                    sums[row][vector] = _mm512_dpbf16_ps(sums[row][vector], a, b);
                }
            }
            // Behind the last they are not read, so that they may point anywhere.
            (a, b) = (a.wrapping_add(pair_stride), b.wrapping_add(VECTORS * LANES));
        }
        for row in 0..HEIGHT {
            for vector in 0..VECTORS {
                let lanes = if vector + 1 == VECTORS { self.last } else { u16::MAX };
                // SAFETY: the result has so many rows, of so many vectors, of the last of which only these lanes are read and written.
                unsafe {
                    let out = self.out.add(row * self.columns + vector * LANES);
                    let before = if self.add { _mm512_maskz_loadu_ps(lanes, out) } else { _mm512_setzero_ps() };
                    _mm512_mask_storeu_ps(out, lanes, _mm512_add_ps(before, sums[row][vector]));
                }
            }
        }
    }
}
