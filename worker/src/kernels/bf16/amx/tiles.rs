//! Factors of a product as tiles: rounded to bf16, two neighbours along the common dimension in a word.
//!
//! A line is what is multiplied and added up: a row of a left factor, a column of a right one. Sixteen lines at a time, and of these sixteen
//! pairs of numbers at a time, make a tile; missing ones are 0.

use super::super::pack::{block, pair_rows, transposed};
use crate::kernels::avx512::LANES;

/// Rows of a tile, and words in a row.
pub const SIDE: usize = LANES;
/// Bytes in a cache line, which is as long as a row of a tile.
const CACHE_LINE: usize = 64;
/// Numbers more than tiles have, so that the first one can begin where a cache line does.
const SPARE: usize = CACHE_LINE / size_of::<f32>() - 1;

/// As it is loaded into a register.
pub type Tile = [[u32; SIDE]; SIDE];

/// The lines of a factor, and how they lie.
#[derive(Clone, Copy, Debug)]
pub struct Lines {
    pub count: usize,
    /// Numbers in a line.
    pub depth: usize,
    /// Whether those of a line lie side by side, rather than the lines' first ones.
    pub lie_together: bool,
}

/// What the rows of a tile are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rows {
    /// Lines, as in a left factor.
    Lines,
    /// The lines' pairs, as in a right factor.
    Pairs,
}

impl Lines {
    /// Numbers of a buffer for these lines in tiles.
    pub const fn buffer_len(self) -> usize {
        self.count.div_ceil(SIDE) * deep(self.depth) * SIDE * SIDE + SPARE
    }

    /// Packs the lines, which lie in `values`, into `out`: those tiles that have the same lines one after the other.
    #[inline(always)]
    pub fn pack(self, values: &[f32], out: &mut [Tile], rows: Rows) {
        for (panel, out) in out.chunks_exact_mut(deep(self.depth)).enumerate() {
            let lines = panel * SIDE..self.count.min((panel + 1) * SIDE);
            for (index, out) in out.iter_mut().enumerate() {
                let tile = if self.lie_together {
                    block(&values[lines.start * self.depth..lines.end * self.depth], self.depth, index * SIDE)
                } else {
                    self.across(values, lines.clone(), index * SIDE)
                };
                *out = if self.lie_together == (rows == Rows::Lines) { tile } else { transposed(&tile) };
            }
        }
    }

    /// From the pair `start` on [`SIDE`] pairs, or as many as there are, of `lines`, which do not lie together.
    #[inline(always)]
    fn across(self, values: &[f32], lines: std::ops::Range<usize>, start: usize) -> Tile {
        let mut tile = [[0; SIDE]; SIDE];
        for (values, out) in values[2 * start * self.count..].chunks(2 * self.count).zip(&mut tile) {
            pair_rows(values, self.count, lines.clone(), out);
        }
        tile
    }
}

/// Tiles of as many numbers of each line.
pub const fn deep(depth: usize) -> usize {
    depth.div_ceil(2 * SIDE)
}

/// The tiles in a buffer of [`Lines::buffer_len`] numbers.
pub fn tiles(values: &[f32]) -> &[Tile] {
    let start = start(values);
    pulp::bytemuck::cast_slice(&values[start..][..values.len() - SPARE])
}

/// The same, to be filled.
pub fn tiles_mut(values: &mut [f32]) -> &mut [Tile] {
    let (start, len) = (start(values), values.len() - SPARE);
    pulp::bytemuck::cast_slice_mut(&mut values[start..][..len])
}

/// Where the first cache line begins: a row of a tile that lies in two takes twice as long to load.
fn start(values: &[f32]) -> usize {
    values.as_ptr().align_offset(CACHE_LINE).min(SPARE)
}

#[cfg(test)]
mod tests {
    use super::*;
    use half::bf16;
    use proptest::prelude::*;

    proptest! {
        #![proptest_config(ProptestConfig { cases: if cfg!(miri) { 4 } else { 256 }, ..ProptestConfig::default() })]

        #[test]
        fn every_number_is_in_its_place(
            [count, depth] in [1..50usize, 1..100usize],
            lie_together: bool,
            rows in prop_oneof![Just(Rows::Lines), Just(Rows::Pairs)],
        ) {
            let lines = Lines { count, depth, lie_together };
            // Whole numbers, of which bf16 has all up to 256, and every one is found at one place.
            let number = |line: usize, index: usize| ((line * 7 + index * 3) % 256 + 1) as f32;
            let values: Vec<_> = if lie_together {
                (0..count * depth).map(|at| number(at / depth, at % depth)).collect()
            } else {
                (0..count * depth).map(|at| number(at % count, at / count)).collect()
            };
            let mut buffer = vec![f32::NAN; lines.buffer_len()];
            lines.pack(&values, tiles_mut(&mut buffer), rows);
            let tiles = tiles(&buffer);
            prop_assert_eq!(tiles.len(), count.div_ceil(SIDE) * deep(depth));
            for (at, tile) in tiles.iter().enumerate() {
                for (line, pair) in (0..SIDE).flat_map(|line| (0..SIDE).map(move |pair| (line, pair))) {
                    let word = if rows == Rows::Lines { tile[line][pair] } else { tile[pair][line] };
                    let (line, index) = (at / deep(depth) * SIDE + line, 2 * (at % deep(depth) * SIDE + pair));
                    let wanted = [index, index + 1].map(|index| if line < count && index < depth { number(line, index) } else { 0.0 });
                    prop_assert_eq!([word as u16, (word >> 16) as u16].map(|bits| bf16::from_bits(bits).to_f32()), wanted);
                }
            }
        }
    }
}
