//! Hashes of what a task shows under a view, without drawing it.
//!
//! The builder of ARC-1 compares 1.4 million drawn copies. A grid's hash here is the sum, over its cells, of a weight of the place times a
//! weight of the colour. For one turn, the places that share a colour are summed beforehand, and a renaming of colours costs ten
//! multiplications a grid, whatever its size.

use std::sync::LazyLock;

use rand::{Rng, RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::canvas::CELLS;
use super::grid::{COLORS, Grid, MAX_SIDE};
use super::tasks::ArcTask;
use super::view::{TURNS, View, source, turned_size};

/// For each colour of a grid, the sum of the weights of its places.
type Sums = [u128; COLORS as usize];

/// What a task shows under every view.
pub struct Contents {
    /// For each pair and turn, input and output.
    pairs: Vec<[[Sums; 2]; TURNS as usize]>,
}

struct Weights {
    places: [u128; CELLS],
    colors: Sums,
}

/// Any random numbers would do; these are the same on every machine.
static WEIGHTS: LazyLock<Weights> = LazyLock::new(|| {
    let mut rng = ChaCha8Rng::seed_from_u64(0);
    Weights { places: std::array::from_fn(|_| odd(&mut rng)), colors: std::array::from_fn(|_| odd(&mut rng)) }
});

fn odd(rng: &mut impl Rng) -> u128 {
    rng.random::<u128>() | 1
}

impl Contents {
    /// Prepares the pairs of `task`.
    pub fn new(task: &ArcTask) -> Self {
        let turns = |grid: Option<&Grid>| std::array::from_fn(|turn| grid.map_or([0; COLORS as usize], |grid| sums(grid, turn as u8)));
        let pair = |input: [Sums; TURNS as usize], output: [Sums; TURNS as usize]| std::array::from_fn(|turn| [input[turn], output[turn]]);
        Self { pairs: task.pairs().map(|shown| pair(turns(Some(&shown.input)), turns(shown.output.as_ref()))).collect() }
    }

    /// The same for views under which the pairs are the same, in whatever order, and for no others (but once in 2¹²⁸ or so).
    pub fn hash(&self, view: View) -> u128 {
        let colors = view.colors().map(|color| WEIGHTS.colors[usize::from(color)]);
        let grid = |sums: &Sums| sums.iter().zip(colors).fold(0u128, |hash, (sum, color)| hash.wrapping_add(sum.wrapping_mul(color)));
        let pair = |[input, output]: &[Sums; 2]| mix(mix(grid(input)).wrapping_add(grid(output)));
        self.pairs.iter().map(|turns| pair(&turns[usize::from(view.turn())])).fold(0, u128::wrapping_add)
    }
}

/// The sums of `grid` after a turn.
fn sums(grid: &Grid, turn: u8) -> Sums {
    let mut sums = [0u128; COLORS as usize];
    let (rows, columns) = turned_size(turn, grid.rows(), grid.columns());
    for (row, column) in (0..rows).flat_map(|row| (0..columns).map(move |column| (row, column))) {
        let (from_row, from_column) = source(turn, grid.rows(), grid.columns(), row, column);
        let sum = &mut sums[usize::from(grid.cell(from_row, from_column))];
        *sum = sum.wrapping_add(WEIGHTS.places[row * MAX_SIDE + column]);
    }
    sums
}

/// Makes sums of hashes mean nothing, so that grids cannot be exchanged between pairs unnoticed.
fn mix(hash: u128) -> u128 {
    let mixed = (hash ^ (hash >> 67)).wrapping_mul(WEIGHTS.places[0]);
    (mixed ^ (mixed >> 59)).wrapping_mul(WEIGHTS.places[1])
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::super::tasks;
    use super::*;

    /// Every turn, with colours swapped and not: views share a hash exactly if they show the same pairs.
    #[test]
    fn views_share_a_hash_exactly_if_they_show_the_same() {
        let text = r#"{"train":[{"input":[[1,0],[2,0]],"output":[[1]]},{"input":[[2,0],[1,0]],"output":[[2]]},{"input":[[0,1],[0,2]],"output":[[1]]}],
            "test":[{"input":[[1,2,1]],"output":[[1,1]]},{"input":[[2,1,2]]}]}"#;
        let task = &tasks::read(text.as_bytes(), "a.json").unwrap()[0];
        let contents = Contents::new(task);
        let mut by_hash: HashMap<u128, Vec<_>> = HashMap::new();
        let mut all = std::collections::HashSet::new();
        for view in (0..View::COUNT).step_by(997).chain(0..64).filter_map(View::from_number) {
            let mut shown: Vec<_> =
                task.pairs().map(|pair| (view.show(&pair.input), pair.output.as_ref().map(|output| view.show(output)))).collect();
            shown.sort();
            all.insert(shown.clone());
            assert_eq!(by_hash.entry(contents.hash(view)).or_insert_with(|| shown.clone()), &shown);
        }
        assert_eq!(by_hash.len(), all.len());
        assert!(all.len() > 100 && all.len() < 2000, "{}", all.len());
    }
}
