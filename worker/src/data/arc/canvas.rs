//! A grid on its canvas: 30×30 tokens, the grid at the top left, its right and lower edge marked, the rest padding.

use super::grid::{COLORS, Grid, MAX_SIDE as SIDE};

/// Cells of the canvas.
pub const CELLS: usize = SIDE * SIDE;
/// The token beyond the edge of a grid.
const PADDING: u8 = 0;
/// The token at the edge: right of each row and below each column, where there is room.
const EDGE: u8 = 1;
/// The token of the colour 0; colour c has this plus c.
const FIRST_COLOR: u8 = 2;

/// The canvas with `grid` at the top left.
pub fn encode(grid: &Grid) -> [u8; CELLS] {
    let mut tokens = [PADDING; CELLS];
    write(grid.rows(), grid.columns(), &mut tokens, |row, column| grid.cell(row, column));
    tokens
}

/// Writes a canvas with a grid of such a size, whose cells have the colours that `color` gives.
pub(super) fn write(rows: usize, columns: usize, out: &mut [u8], color: impl Fn(usize, usize) -> u8) {
    for (cell, token) in out.iter_mut().enumerate() {
        let (row, column) = (cell / SIDE, cell % SIDE);
        *token = match (row < rows, column < columns) {
            (true, true) => FIRST_COLOR + color(row, column),
            (true, false) if column == columns => EDGE,
            (false, true) if row == rows => EDGE,
            _ => PADDING,
        };
    }
}

/// The grid that a model has drawn, as the reference's evaluator sees it: the largest rectangle from the top left that has nothing but
/// colours. Of equally large ones, the one with fewer rows; empty if the first cell has no colour.
pub fn crop(tokens: &[u8]) -> Grid {
    let (mut best, mut width) = ((0, 0), SIDE);
    for (line, rows) in tokens.chunks_exact(SIDE).zip(1..) {
        width = line[..width].iter().position(|token| !is_color(*token)).unwrap_or(width);
        if rows * width > best.0 * best.1 {
            best = (rows, width);
        }
    }
    Grid::from_fn(best.0, best.1, |row, column| color(tokens, row, column))
}

/// Rows and columns of the grid on a canvas that [`encode`] has written.
pub(super) fn size(tokens: &[u8]) -> (usize, usize) {
    let rows = tokens.iter().step_by(SIDE).take_while(|token| is_color(**token)).count();
    (rows, tokens.iter().take(SIDE).take_while(|token| is_color(**token)).count())
}

/// The colour at a row and a column, where there is one.
pub(super) fn color(tokens: &[u8], row: usize, column: usize) -> u8 {
    tokens[row * SIDE + column] - FIRST_COLOR
}

fn is_color(token: u8) -> bool {
    (FIRST_COLOR..FIRST_COLOR + COLORS).contains(&token)
}

/// How far question and answer can both be moved down, and to the right, before either grid leaves the canvas.
pub fn room(question: &[u8], answer: &[u8]) -> (usize, usize) {
    let used = |index: fn(usize) -> usize| {
        let cells = question.iter().chain(answer).zip((0..CELLS).cycle());
        cells.filter(|(token, _)| is_color(**token)).map(|(_, cell)| index(cell) + 1).max().unwrap_or(0)
    };
    (SIDE - used(|cell| cell / SIDE), SIDE - used(|cell| cell % SIDE))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn grid(rows: usize, columns: usize) -> Grid {
        Grid::from_fn(rows, columns, |row, column| ((7 * row + column) % 10) as u8)
    }

    #[test]
    fn edges_are_marked_where_there_is_room() {
        let tokens = encode(&grid(2, 3));
        assert_eq!(tokens[..5], [2, 3, 4, 1, 0]);
        assert_eq!(tokens[30..35], [9, 10, 11, 1, 0]);
        // The corner stays padding.
        assert_eq!(tokens[60..65], [1, 1, 1, 0, 0]);
        assert!(tokens[90..].iter().all(|token| *token == PADDING));
        assert!(encode(&grid(30, 30)).iter().all(|token| is_color(*token)));
        let high = encode(&grid(30, 1));
        assert_eq!((high[870..872].to_vec(), high[1]), (vec![2 + 3, 1], 1));
    }

    #[test]
    fn what_is_encoded_is_cropped_back() {
        for (rows, columns) in [(1, 1), (2, 3), (30, 1), (1, 30), (30, 30), (29, 30)] {
            assert_eq!(crop(&encode(&grid(rows, columns))), grid(rows, columns));
            assert_eq!(size(&encode(&grid(rows, columns))), (rows, columns));
        }
    }

    #[test]
    fn the_largest_rectangle_of_colors_counts() {
        // Lines of 5, 5, 2, 9: 10 cells in two rows beat 6 in three and 8 in four.
        let mut tokens = [PADDING; CELLS];
        for (line, width) in [5, 5, 2, 9].into_iter().enumerate() {
            tokens[line * SIDE..][..width].fill(4);
        }
        let (rows, columns) = (crop(&tokens).rows(), crop(&tokens).columns());
        assert_eq!((rows, columns), (2, 5));
        // Lines of 4, 2: both rectangles have 4 cells, and the flatter one is taken.
        let mut tokens = [PADDING; CELLS];
        tokens[..4].fill(4);
        tokens[SIDE..SIDE + 2].fill(4);
        assert_eq!((crop(&tokens).rows(), crop(&tokens).columns()), (1, 4));
        assert_eq!(crop(&[EDGE; CELLS]), Grid::default());
    }

    #[test]
    fn the_larger_grid_decides_how_far_both_may_move() {
        assert_eq!(room(&encode(&grid(2, 3)), &encode(&grid(5, 1))), (25, 27));
        assert_eq!(room(&encode(&grid(30, 30)), &encode(&grid(1, 1))), (0, 0));
    }
}
