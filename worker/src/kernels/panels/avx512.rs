//! The product by AVX-512's fused multiply-adds.
#![allow(unsafe_code)]

use std::arch::x86_64::{
    _MM_HINT_ET0, _MM_HINT_T0, _mm_prefetch, _mm512_add_ps, _mm512_fmadd_ps, _mm512_loadu_ps, _mm512_mask_storeu_ps, _mm512_maskz_loadu_ps,
    _mm512_set1_ps, _mm512_setzero_ps,
};

use super::pack::{COLUMNS, LANES, ROWS, panels_len};

/// Whether this processor has the instructions.
pub fn is_available() -> bool {
    !cfg!(miri) && is_x86_feature_detected!("avx512f")
}

/// A left factor as it lies, from some row of it on.
#[derive(Clone, Copy)]
pub struct Left<'a> {
    pub values: &'a [f32],
    /// From a row to the next.
    pub row_stride: usize,
    /// From a number of a row to the next.
    pub step: usize,
    /// How many numbers of a row there are in a panel of it.
    pub panel: usize,
    /// From a panel to the next.
    pub panel_stride: usize,
}

impl Left<'_> {
    /// How far behind the first number the last one may be, of `height` rows of `depth` numbers.
    fn last(&self, height: usize, depth: usize) -> usize {
        let panels = depth.div_ceil(self.panel);
        (height - 1) * self.row_stride + (panels - 1) * self.panel_stride + (self.panel.min(depth) - 1) * self.step
    }
}

/// `out = a·b`, or `out += a·b` where `add` says so; `out` lies row by row and is `columns` wide, `b` is packed in panels of `depth` rows.
///
/// # Panics
/// Where [`is_available`] says no, and when there are not as many numbers as the shapes need.
pub fn multiply(out: &mut [f32], a: Left, b: &[f32], columns: usize, depth: usize, add: bool) {
    assert!(is_available(), "AVX-512 was not detected");
    let height = out.len() / columns;
    assert_eq!((out.len(), b.len()), (height * columns, panels_len(depth, columns)), "lengths of a product");
    assert!(height > 0 && depth > 0 && a.last(height, depth) < a.values.len(), "length of a left factor");
    // SAFETY: the processor has the features that the function is compiled for, and the slices are as long as the shapes say, as just
    // asserted.
    unsafe { detected(out, a, b, columns, depth, add) }
}

/// # Safety
/// The slices must have the lengths that [`multiply`] asserts.
#[target_feature(enable = "avx512f")]
unsafe fn detected(out: &mut [f32], a: Left, b: &[f32], columns: usize, depth: usize, add: bool) {
    let height = out.len() / columns;
    // A panel of b stays in the cache while all rows of a go by.
    for (panel, b) in b.chunks(COLUMNS * depth).enumerate() {
        let start = panel * COLUMNS;
        for row in (0..height).step_by(ROWS) {
            let width = COLUMNS.min(columns - start);
            let tile = Tile {
                out: out[row * columns + start..].as_mut_ptr(),
                columns,
                last: u16::MAX >> (width.next_multiple_of(LANES) - width),
                a: Left { values: &a.values[row * a.row_stride..], ..a },
                b: b.as_ptr(),
                depth,
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
    /// A panel, of `depth` rows.
    b: *const f32,
    depth: usize,
    add: bool,
}

impl Tile<'_> {
    /// Computes [`ROWS`] rows of `VECTORS` vectors, or as many rows as are `left`.
    ///
    /// # Safety
    /// There must be as many numbers to read and write as that needs, and the processor must have AVX-512.
    #[target_feature(enable = "avx512f")]
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
    #[target_feature(enable = "avx512f")]
    unsafe fn compute<const HEIGHT: usize, const VECTORS: usize>(self) {
        let mut sums = [[_mm512_setzero_ps(); VECTORS]; HEIGHT];
        let Left { values, row_stride, step, panel, panel_stride } = self.a;
        let (mut panel_of_a, mut b) = (values.as_ptr(), self.b);
        // What is written in the end comes to the cache meanwhile, and the next panel of a does, which the processor does not foresee.
        // SAFETY: to fetch in advance may be tried with any address.
        unsafe { fetch::<_MM_HINT_ET0, HEIGHT, VECTORS>(self.out, self.columns) };
        for start in (0..self.depth).step_by(panel) {
            let mut a = panel_of_a;
            if start + panel < self.depth {
                // SAFETY: as above.
                unsafe { fetch::<_MM_HINT_T0, HEIGHT, { COLUMNS / LANES }>(panel_of_a.wrapping_add(panel_stride), row_stride) };
            }
            for _ in start..self.depth.min(start + panel) {
                let mut row_of_b = [_mm512_setzero_ps(); VECTORS];
                for vector in 0..VECTORS {
                    // SAFETY: a row of the panel has so many vectors, and there are `depth` of them.
                    row_of_b[vector] = unsafe { _mm512_loadu_ps(b.add(vector * LANES)) };
                }
                for row in 0..HEIGHT {
                    // SAFETY: a has so many rows from here on, of `depth` numbers each.
                    let a = _mm512_set1_ps(unsafe { *a.add(row * row_stride) });
                    for vector in 0..VECTORS {
                        sums[row][vector] = _mm512_fmadd_ps(a, row_of_b[vector], sums[row][vector]);
                    }
                }
                // Behind the last they are not read, so that they may point anywhere.
                (a, b) = (a.wrapping_add(step), b.wrapping_add(VECTORS * LANES));
            }
            panel_of_a = panel_of_a.wrapping_add(panel_stride);
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

/// Lets `HEIGHT` rows of `LINES` cache lines come to the cache. They may be anywhere.
#[inline(always)]
unsafe fn fetch<const HINT: i32, const HEIGHT: usize, const LINES: usize>(values: *const f32, stride: usize) {
    for row in 0..HEIGHT {
        for line in 0..LINES {
            // SAFETY: it changes nothing, and reads nothing where it may not.
            unsafe { _mm_prefetch::<HINT>(values.wrapping_add(row * stride + line * LANES).cast()) };
        }
    }
}
