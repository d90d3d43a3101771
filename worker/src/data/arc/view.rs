//! How an augmented copy of an ARC task shows the grids of the original: turned or reflected, with other colours.

use rand::{Rng, RngExt};

use super::canvas;
use super::grid::{COLORS, Grid};

/// Turns and reflections of a square.
pub(super) const TURNS: u32 = 8;
/// Orders of the colours 1 to 9: 9!.
const ORDERS: u32 = 362_880;
/// For each turn, the one that takes it back.
const INVERSE: [u8; TURNS as usize] = [0, 3, 2, 1, 4, 5, 6, 7];

/// A turn or reflection and a renaming of the colours 1 to 9, in one number; the background, 0, stays. The grids as they are have 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct View(u32);

impl View {
    /// Shows grids as they are.
    pub const IDENTITY: Self = Self(0);

    /// How many there are.
    pub const COUNT: u32 = TURNS * ORDERS;

    /// The view of that number, below [`Self::COUNT`]; beyond, nothing.
    pub const fn from_number(number: u32) -> Option<Self> {
        if number < Self::COUNT { Some(Self(number)) } else { None }
    }

    /// Draws uniformly among all views.
    pub fn draw(rng: &mut impl Rng) -> Self {
        Self(rng.random_range(0..Self::COUNT))
    }

    /// The turn, numbered as in the reference: 0 none, 1 to 3 quarter turns against the clock, 4 left to right, 5 upside down, 6 along the
    /// main diagonal, 7 along the other one.
    pub const fn turn(self) -> u8 {
        (self.0 % TURNS) as u8
    }

    /// What each colour becomes.
    pub fn colors(self) -> [u8; COLORS as usize] {
        let mut colors = std::array::from_fn(|color| color as u8);
        // The number in the factorial system: digit by digit, which of the colours that are left comes next.
        let mut rank = self.0 / TURNS;
        for (place, radix) in (1..9).zip((2..=9).rev()) {
            let block: u32 = (1..radix).product();
            colors[place..=place + (rank / block) as usize].rotate_right(1);
            rank %= block;
        }
        colors
    }

    /// `grid` under this view.
    pub fn show(self, grid: &Grid) -> Grid {
        transform(grid, self.turn(), self.colors())
    }

    /// The grid whose view is `shown`.
    pub fn undo(self, shown: &Grid) -> Grid {
        let mut originals = [0; COLORS as usize];
        for (original, becomes) in (0..).zip(self.colors()) {
            originals[usize::from(becomes)] = original;
        }
        transform(shown, INVERSE[usize::from(self.turn())], originals)
    }

    /// Writes the canvas `tokens`, whose grid is at the top left, to `out` under this view. A canvas without a grid stays without.
    pub fn apply(self, tokens: &[u8], out: &mut [u8]) {
        if self == Self::IDENTITY {
            out.copy_from_slice(tokens);
            return;
        }
        let (rows, columns) = canvas::size(tokens);
        let (turn, colors) = (self.turn(), self.colors());
        let (shown_rows, shown_columns) = turned_size(turn, rows, columns);
        canvas::write(shown_rows, shown_columns, out, |row, column| {
            let (row, column) = source(turn, rows, columns, row, column);
            colors[usize::from(canvas::color(tokens, row, column))]
        });
    }

    /// What the reference calls the copy of `task` under this view: `task|||t{turn}|||{colours}`, and the original just `task`.
    pub fn name(self, task: &str) -> String {
        if self == Self::IDENTITY {
            return task.to_owned();
        }
        let colors: String = self.colors().iter().map(|color| char::from(b'0' + color)).collect();
        format!("{task}|||t{}|||{colors}", self.turn())
    }
}

fn transform(grid: &Grid, turn: u8, colors: [u8; COLORS as usize]) -> Grid {
    let (rows, columns) = turned_size(turn, grid.rows(), grid.columns());
    Grid::from_fn(rows, columns, |row, column| {
        let (row, column) = source(turn, grid.rows(), grid.columns(), row, column);
        colors[usize::from(grid.cell(row, column))]
    })
}

/// The size of a grid after a turn.
pub(super) const fn turned_size(turn: u8, rows: usize, columns: usize) -> (usize, usize) {
    if matches!(turn, 1 | 3 | 6 | 7) { (columns, rows) } else { (rows, columns) }
}

/// Which cell of a grid of `rows` × `columns` comes to `row` and `column` by a turn.
pub(super) const fn source(turn: u8, rows: usize, columns: usize, row: usize, column: usize) -> (usize, usize) {
    match turn {
        1 => (column, columns - 1 - row),
        2 => (rows - 1 - row, columns - 1 - column),
        3 => (rows - 1 - column, row),
        4 => (row, columns - 1 - column),
        5 => (rows - 1 - row, column),
        6 => (column, row),
        7 => (rows - 1 - column, columns - 1 - row),
        _ => (row, column),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use proptest::prelude::*;

    use super::*;

    fn view(turn: u32, order: u32) -> View {
        View::from_number(order * TURNS + turn).unwrap()
    }

    prop_compose! {
        fn grids()(rows in 0..=30usize, columns in 0..=30usize)
            (cells in prop::collection::vec(0..COLORS, rows * columns), columns in Just(columns)) -> Grid {
            Grid::from_fn(cells.len().checked_div(columns).unwrap_or(0), columns, |row, column| cells[row * columns + column])
        }
    }

    proptest! {
        #[test]
        fn undoing_a_view_gives_the_grid_back(grid in grids(), order in 0..ORDERS) {
            for turn in 0..TURNS {
                let view = view(turn, order);
                prop_assert_eq!(&view.undo(&view.show(&grid)), &grid);
                prop_assert_eq!(&view.show(&view.undo(&grid)), &grid);
            }
        }

        #[test]
        fn a_canvas_is_shown_as_its_grid_is(grid in grids(), number in 0..View::COUNT) {
            prop_assume!(!grid.cells().is_empty());
            let view = View(number);
            let (mut shown, mut expected) = (vec![7; canvas::CELLS], vec![7; canvas::CELLS]);
            view.apply(&canvas::encode(&grid), &mut shown);
            expected.copy_from_slice(&canvas::encode(&view.show(&grid)));
            prop_assert_eq!(shown, expected);
        }
    }

    #[test]
    fn turns_are_those_of_the_reference() {
        let grid = Grid::from_fn(2, 3, |row, column| (3 * row + column) as u8);
        let shown: Vec<String> = (0..8).map(|turn| serde_json::to_string(&view(turn, 0).show(&grid)).unwrap()).collect();
        assert_eq!(
            shown,
            [
                "[[0,1,2],[3,4,5]]",
                "[[2,5],[1,4],[0,3]]",
                "[[5,4,3],[2,1,0]]",
                "[[3,0],[4,1],[5,2]]",
                "[[2,1,0],[5,4,3]]",
                "[[3,4,5],[0,1,2]]",
                "[[0,3],[1,4],[2,5]]",
                "[[5,2],[4,1],[3,0]]",
            ]
        );
    }

    #[test]
    fn every_number_is_another_order_of_the_colors() {
        let orders: HashSet<_> = (0..ORDERS).map(|order| view(0, order).colors()).collect();
        assert_eq!(orders.len(), ORDERS as usize);
        assert!(orders.iter().all(|colors| colors[0] == 0 && colors.iter().map(|color| 1 << color).sum::<u32>() == 1023));
        assert_eq!(View::from_number(View::COUNT), None);
    }

    #[test]
    fn names_tell_the_view() {
        assert_eq!(View::IDENTITY.name("007bbfb7"), "007bbfb7");
        assert_eq!(view(6, 0).name("007bbfb7"), "007bbfb7|||t6|||0123456789");
        assert_eq!(view(0, ORDERS - 1).name("a"), "a|||t0|||0987654321");
    }

    #[test]
    fn a_canvas_without_a_grid_stays_empty() {
        let mut shown = vec![7; canvas::CELLS];
        view(3, 5).apply(&[0; canvas::CELLS], &mut shown);
        assert_eq!(shown, [0; canvas::CELLS]);
    }
}
