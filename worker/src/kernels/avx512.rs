//! Products by AVX-512, of numbers in f32 or of pairs in bf16.
//!
//! The right factor is packed in panels of [`COLUMNS`] columns, the left one is read as it lies; [`ROWS`] rows of a panel's width are
//! computed at once, in registers.
#![allow(unsafe_code)]

use std::arch::x86_64::{
    __m512, __m512bh, _MM_HINT_ET0, _MM_HINT_T0, _mm_prefetch, _mm512_add_ps, _mm512_dpbf16_ps, _mm512_fmadd_ps, _mm512_loadu_ps,
    _mm512_mask_storeu_ps, _mm512_maskz_loadu_ps, _mm512_set1_ps, _mm512_setzero_ps,
};

use super::matmul::PANEL;

/// Rows of the result that are computed at once.
pub const ROWS: usize = 6;
/// Words in a vector.
pub const LANES: usize = 16;
/// Columns of the result that are computed at once, at the most.
pub const COLUMNS: usize = PANEL;

/// Words of a packed right factor of `depth` rows: the last columns are filled up to whole vectors.
pub const fn panels_len(depth: usize, columns: usize) -> usize {
    columns.next_multiple_of(LANES) * depth
}

/// Two bf16 that follow each other along the common dimension.
pub type Pair = u32;

/// What a word of a factor is: an f32, or a [`Pair`].
///
/// # Safety
/// It must have 32 bits, of which every pattern is a value.
pub unsafe trait Word: Copy {
    /// Whether this processor has the instructions that multiply such words.
    fn is_available() -> bool;

    /// Computes `product`, compiled for these instructions.
    ///
    /// # Safety
    /// The processor must have them, and the product's slices the lengths that its shapes need.
    unsafe fn compute(product: Product<'_, Self>);

    /// Adds the products of words to 16 sums.
    ///
    /// # Safety
    /// The processor must have the instructions.
    unsafe fn multiply_add(a: __m512, b: __m512, sums: __m512) -> __m512;
}

// SAFETY: it has 32 bits, of which every pattern is a value.
unsafe impl Word for f32 {
    fn is_available() -> bool {
        is_x86_feature_detected!("avx512f")
    }

    #[target_feature(enable = "avx512f")]
    unsafe fn compute(product: Product<'_, Self>) {
        // SAFETY: as the caller promises.
        unsafe { product.compute() }
    }

    #[inline(always)]
    unsafe fn multiply_add(a: __m512, b: __m512, sums: __m512) -> __m512 {
        // SAFETY: as the caller promises.
        unsafe { _mm512_fmadd_ps(a, b, sums) }
    }
}

// SAFETY: as above.
unsafe impl Word for Pair {
    fn is_available() -> bool {
        // Miri knows some of AVX-512, but not this part of it.
        !cfg!(miri) && is_x86_feature_detected!("avx512bw") && is_x86_feature_detected!("avx512bf16")
    }

    #[target_feature(enable = "avx512bw,avx512bf16")]
    unsafe fn compute(product: Product<'_, Self>) {
        // SAFETY: as the caller promises.
        unsafe { product.compute() }
    }

    #[inline(always)]
    unsafe fn multiply_add(a: __m512, b: __m512, sums: __m512) -> __m512 {
        // SAFETY: as the caller promises, and any 64 bytes are a vector of either kind.
        unsafe { _mm512_dpbf16_ps(sums, std::mem::transmute::<__m512, __m512bh>(a), std::mem::transmute::<__m512, __m512bh>(b)) }
    }
}

/// A left factor as it lies, from some row of it on.
#[derive(Clone, Copy)]
pub struct Left<'a, W> {
    pub words: &'a [W],
    /// From a row to the next, within [`ROWS`] rows.
    pub row_stride: usize,
    /// From [`ROWS`] rows to the next.
    pub tile_stride: usize,
    /// From a word of a row to the next.
    pub step: usize,
    /// How many words of a row there are in a panel of it.
    pub panel: usize,
    /// From a panel to the next.
    pub panel_stride: usize,
}

impl<W> Left<'_, W> {
    /// The same from `row` on, which is a multiple of [`ROWS`].
    pub fn from(self, row: usize) -> Self {
        Self { words: &self.words[row / ROWS * self.tile_stride..], ..self }
    }

    /// How far behind the first word the last one may be, of `height` rows of `depth` words.
    fn last(&self, height: usize, depth: usize) -> usize {
        let (row, panels) = (height - 1, depth.div_ceil(self.panel));
        let row = row / ROWS * self.tile_stride + (row % ROWS) * self.row_stride;
        row + (panels - 1) * self.panel_stride + (self.panel.min(depth) - 1) * self.step
    }
}

/// `out = a·b`, or `out += a·b` where `add` says so; `out` lies row by row and is `columns` wide, `b` is packed in panels of `depth` rows.
///
/// # Panics
/// Where [`Word::is_available`] says no, and when there are not as many words as the shapes need.
pub fn multiply<W: Word>(out: &mut [f32], a: Left<W>, b: &[W], columns: usize, depth: usize, add: bool) {
    assert!(W::is_available(), "the instructions were not detected");
    let height = out.len() / columns;
    assert_eq!((out.len(), b.len()), (height * columns, panels_len(depth, columns)), "lengths of a product");
    assert!(height > 0 && depth > 0 && a.last(height, depth) < a.words.len(), "length of a left factor");
    // SAFETY: the processor has the instructions, and the slices are as long as the shapes say, as just asserted.
    unsafe { W::compute(Product { out, a, b, columns, depth, add }) }
}

/// What [`multiply`] is asked.
pub struct Product<'a, W> {
    out: &'a mut [f32],
    a: Left<'a, W>,
    b: &'a [W],
    columns: usize,
    depth: usize,
    add: bool,
}

impl<W: Word> Product<'_, W> {
    /// # Safety
    /// As for [`Word::compute`].
    #[inline(always)]
    unsafe fn compute(self) {
        let Self { out, a, b, columns, depth, add } = self;
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
                    a: a.from(row),
                    b: b.as_ptr(),
                    depth,
                    add,
                };
                // SAFETY: from `row` on there are as many rows as are asked for, of `width` columns from `start` on, and b is a panel of so
                // many columns filled up to whole vectors.
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
}

/// A part of the result that is computed at once, and what it is computed from.
#[derive(Clone, Copy)]
struct Tile<'a, W> {
    /// Its first number; rows lie `columns` apart.
    out: *mut f32,
    columns: usize,
    /// Which lanes of the last vector of a row belong to it.
    last: u16,
    /// From its rows on.
    a: Left<'a, W>,
    /// A panel, of `depth` rows.
    b: *const W,
    depth: usize,
    add: bool,
}

impl<W: Word> Tile<'_, W> {
    /// Computes [`ROWS`] rows of `VECTORS` vectors, or as many rows as are `left`.
    ///
    /// # Safety
    /// There must be as many words to read and numbers to write as that needs, and the processor must have the instructions.
    #[inline(always)]
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
    #[inline(always)]
    unsafe fn compute<const HEIGHT: usize, const VECTORS: usize>(self) {
        // SAFETY: the processor has the instruction.
        let zeros = unsafe { _mm512_setzero_ps() };
        let mut sums = [[zeros; VECTORS]; HEIGHT];
        let Left { words, row_stride, step, panel, panel_stride, .. } = self.a;
        let (mut panel_of_a, mut b) = (words.as_ptr(), self.b);
        // What is written in the end comes to the cache meanwhile, and the next panel of a does, which the processor does not foresee.
        // SAFETY: to fetch in advance may be tried with any address.
        unsafe { fetch::<_MM_HINT_ET0, HEIGHT, VECTORS>(self.out, self.columns) };
        for start in (0..self.depth).step_by(panel) {
            let mut a = panel_of_a;
            if start + panel < self.depth {
                // SAFETY: as above.
                unsafe { fetch::<_MM_HINT_T0, HEIGHT, { COLUMNS / LANES }>(panel_of_a.wrapping_add(panel_stride).cast(), row_stride) };
            }
            for _ in start..self.depth.min(start + panel) {
                let mut row_of_b = [zeros; VECTORS];
                for vector in 0..VECTORS {
                    // SAFETY: a row of the panel has so many vectors, and there are `depth` of them.
                    row_of_b[vector] = unsafe { _mm512_loadu_ps(b.add(vector * LANES).cast()) };
                }
                for row in 0..HEIGHT {
                    // SAFETY: a has so many rows from here on, of `depth` words each, which have the 32 bits of an f32.
                    let a = unsafe { _mm512_set1_ps(*a.add(row * row_stride).cast()) };
                    for vector in 0..VECTORS {
                        // SAFETY: the processor has the instruction.
                        sums[row][vector] = unsafe { W::multiply_add(a, row_of_b[vector], sums[row][vector]) };
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
                    let before = if self.add { _mm512_maskz_loadu_ps(lanes, out) } else { zeros };
                    _mm512_mask_storeu_ps(out, lanes, _mm512_add_ps(before, sums[row][vector]));
                }
            }
        }
    }
}

/// Lets `HEIGHT` rows of `LINES` cache lines come to the cache. They may be anywhere.
#[inline(always)]
unsafe fn fetch<const HINT: i32, const HEIGHT: usize, const LINES: usize>(words: *const f32, stride: usize) {
    for row in 0..HEIGHT {
        for line in 0..LINES {
            // SAFETY: it changes nothing, and reads nothing where it may not.
            unsafe { _mm_prefetch::<HINT>(words.wrapping_add(row * stride + line * LANES).cast()) };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Numbers of which products and sums are exact, none of them 0.
    fn numbers(count: usize) -> Vec<f32> {
        (0..count).map(|index| (index % 7) as f32 - 3.5).collect()
    }

    /// Of an `[height, depth]` left factor, by rows or in panels of two columns, and a right one of `columns`. Slices end where what is read
    /// and written ends, so that Miri sees each step beyond.
    fn check(height: usize, columns: usize, depth: usize, in_panels: bool, add: bool) {
        let panel = if in_panels { 2 } else { depth };
        let a = Left {
            words: &numbers(height * depth.next_multiple_of(panel))[..],
            row_stride: panel,
            tile_stride: ROWS * panel,
            step: 1,
            panel,
            panel_stride: height * panel,
        };
        let at = |row: usize, k: usize| a.words[k / panel * a.panel_stride + row * panel + k % panel];
        let right = numbers(depth * columns);
        let mut b = Vec::new();
        for start in (0..columns).step_by(COLUMNS) {
            let end = columns.min(start + COLUMNS);
            for row in right.chunks_exact(columns) {
                b.extend_from_slice(&row[start..end]);
                b.resize(b.len().next_multiple_of(LANES), 0.0);
            }
        }
        let before = numbers(height * columns);
        let mut out = before.clone();
        multiply(&mut out, a, &b, columns, depth, add);
        for (index, out) in out.into_iter().enumerate() {
            let (row, column) = (index / columns, index % columns);
            let sum: f32 = (0..depth).map(|k| at(row, k) * right[k * columns + column]).sum();
            assert_eq!(out, sum + if add { before[index] } else { 0.0 }, "{height}·{depth}·{columns}: row {row}, column {column}");
        }
    }

    #[test]
    fn products_of_every_height_and_width_of_a_tile_are_exact() {
        if !f32::is_available() {
            return;
        }
        for height in 1..=ROWS + 1 {
            check(height, 17, 3, false, height % 2 == 0);
        }
        for (index, columns) in [1, LANES, 2 * LANES, 3 * LANES - 1, COLUMNS, COLUMNS + 1].into_iter().enumerate() {
            check(ROWS + 1, columns, 2, true, index % 2 == 0);
            check(1, columns, 5, true, index % 2 == 1);
        }
    }
}
