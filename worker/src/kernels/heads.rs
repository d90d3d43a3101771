//! Vectors of attention heads: those of a token one after the other, as products give them, or those of a head, as attention takes them.

use super::{
    matmul::PANEL,
    rotary::{Tables, Turn},
};

/// Queries, keys and values.
pub const PARTS: usize = 3;

/// How many vectors there are, and how wide.
#[derive(Clone, Copy, Debug)]
pub struct Heads {
    pub examples: usize,
    pub positions: usize,
    pub heads: usize,
    pub head_width: usize,
    /// Whether rows of vectors of all heads lie in panels.
    pub in_panels: bool,
}

impl Heads {
    /// Features of all heads together.
    pub fn inner(self) -> usize {
        self.heads * self.head_width
    }

    /// Numbers of one matrix, `[positions, head_width]`, of a head of an example.
    pub fn matrix(self) -> usize {
        self.positions * self.head_width
    }

    /// Puts tokens' `rows`, which have a vector for each part and head, together as a matrix for each part of each head of each example.
    /// Queries and keys are turned by `tables`.
    #[inline(always)]
    pub fn split(self, rows: &[f32], matrices: &mut [f32], tables: Option<Tables<'_>>) {
        let parts = rows.len() / (self.examples * self.positions * self.inner());
        for (place, matrix) in self.places(parts).zip(matrices.chunks_exact_mut(self.matrix())) {
            for (position, out) in matrix.chunks_exact_mut(self.head_width).enumerate() {
                let x = &rows[place.start + position * place.step..][..self.head_width];
                match tables {
                    Some(tables) if place.is_turned() => tables.turn(Turn::Forward, position, x, out),
                    _ => out.copy_from_slice(x),
                }
            }
        }
    }

    /// The other way round, also in the turning.
    #[inline(always)]
    pub fn join(self, matrices: &[f32], rows: &mut [f32], tables: Option<Tables<'_>>) {
        let parts = rows.len() / (self.examples * self.positions * self.inner());
        for (place, matrix) in self.places(parts).zip(matrices.chunks_exact(self.matrix())) {
            for (position, x) in matrix.chunks_exact(self.head_width).enumerate() {
                let out = &mut rows[place.start + position * place.step..][..self.head_width];
                match tables {
                    Some(tables) if place.is_turned() => tables.turn(Turn::Back, position, x, out),
                    _ => out.copy_from_slice(x),
                }
            }
        }
    }

    /// Where the vectors of each matrix lie in rows, in the order of the matrices.
    fn places(self, parts: usize) -> impl Iterator<Item = Place> {
        (0..self.examples * self.heads * parts).map(move |index| {
            let (example, head, part) = (index / (self.heads * parts), index / parts % self.heads, index % parts);
            let (token, feature) = (example * self.positions, part * self.inner() + head * self.head_width);
            let (panel, step) = if self.in_panels { (feature / PANEL, PANEL) } else { (0, parts * self.inner()) };
            let start = panel * PANEL * self.examples * self.positions + token * step + feature - panel * PANEL;
            Place { part, start, step }
        })
    }
}

/// Where the vectors of one matrix lie in rows.
struct Place {
    part: usize,
    start: usize,
    /// From a position to the next.
    step: usize,
}

impl Place {
    /// Whether these are queries or keys, rather than values.
    fn is_turned(&self) -> bool {
        self.part < PARTS - 1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_split_by_head_and_joined_again() {
        let heads = Heads { examples: 2, positions: 3, heads: 2, head_width: 2, in_panels: false };
        let rows: Vec<f32> = (0..72).map(|number| number as f32).collect();
        let (mut matrices, mut again) = ([0.0; 72], [0.0; 72]);
        heads.split(&rows, &mut matrices, None);
        // The first head's queries, keys and values, then the second head's queries; a row has 12 numbers.
        assert_eq!(matrices[..6], [0.0, 1.0, 12.0, 13.0, 24.0, 25.0]);
        assert_eq!(matrices[6..8], [4.0, 5.0]);
        assert_eq!(matrices[12..14], [8.0, 9.0]);
        assert_eq!(matrices[18..20], [2.0, 3.0]);
        assert_eq!(matrices[36..38], [36.0, 37.0]);
        heads.join(&matrices, &mut again, None);
        assert_eq!(again[..], rows);
    }

    #[test]
    fn rows_in_panels_are_split_into_the_same_heads() {
        let heads = Heads { examples: 2, positions: 3, heads: 4, head_width: 32, in_panels: false };
        let in_panels = Heads { in_panels: true, ..heads };
        for parts in [1, PARTS] {
            let width = parts * heads.inner();
            let rows: Vec<f32> = (0..6 * width).map(|number| number as f32).collect();
            let panels: Vec<f32> = (0..width / PANEL)
                .flat_map(|panel| rows.chunks(width).flat_map(move |row| &row[panel * PANEL..][..PANEL]))
                .copied()
                .collect();
            let (mut matrices, mut same, mut again) = (vec![0.0; rows.len()], vec![0.0; rows.len()], vec![0.0; rows.len()]);
            heads.split(&rows, &mut matrices, None);
            in_panels.split(&panels, &mut same, None);
            assert_eq!(same, matrices);
            in_panels.join(&matrices, &mut again, None);
            assert_eq!(again, panels);
        }
    }
}
