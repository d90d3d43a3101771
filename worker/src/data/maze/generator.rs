//! Random mazes whose shortest path is long, in two sets.

use std::collections::HashSet;

use rand::{Rng, RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use tinysweep_proto::dataset::{Rules, Task};

use super::grid::{FREE, GOAL, PATH, START, WALL};
use super::path;
use crate::data::csv::MAX_ROWS;
use crate::data::{DataError, Examples, parallel};

/// Cells along a side of the largest maze.
const MAX_SIDE: usize = 30;
/// Shares of walls that can be drawn, in parts of 256: from 0.3 to 0.5.
const WALLS: std::ops::RangeInclusive<u8> = 77..=128;
/// Draws in a row that one thread makes: some milliseconds.
const BLOCK: usize = 1 << 14;

/// The least steps from S to G that a generated maze of that side has: what Maze-Hard's puzzles have, and as hard a bound for the
/// small ones.
pub const fn least_steps(side: usize) -> usize {
    match side {
        0..=10 => 18,
        11..=15 => 32,
        _ => 109,
    }
}

/// Generates `train` and `test` mazes, each with the answer that Maze-Hard would give. No two have the same question.
///
/// The law is that of Maze-Hard: a share of walls is drawn uniformly from 0.3 to 0.5 (in steps of 1/256), each cell is a wall with that probability, S and
/// G are distinct open cells, and the maze is kept if they are [`least_steps`] apart.
///
/// The same arguments give the same mazes everywhere. The test set does not depend on `train`.
///
/// # Errors
/// The task has no mazes, or a set is empty or too large.
pub fn generate(task: Task, train: usize, test: usize, seed: u64) -> Result<(Examples, Examples), DataError> {
    let Rules::Maze(side) = task.rules() else { return Err(DataError::NoGenerator { task }) };
    for (part, count) in [("train", train), ("test", test)] {
        if !(1..=MAX_ROWS).contains(&count) {
            return Err(DataError::Count { part, count });
        }
    }
    let mut known = HashSet::new();
    // Random streams of their own, so that the first mazes stay the same when more are asked for.
    let test = draw_set(task, side, test, &mut known, seed, 0);
    let train = draw_set(task, side, train, &mut known, seed, 1);
    Ok((train, test))
}

/// Draws `count` mazes that are not in `known`, from the random stream of that number on, in steps of two.
fn draw_set(task: Task, side: usize, count: usize, known: &mut HashSet<Vec<u8>>, seed: u64, first_stream: u64) -> Examples {
    let (mut inputs, mut labels, mut ratings) = (Vec::new(), Vec::new(), Vec::new());
    let mut streams = (first_stream..).step_by(2);
    while ratings.len() < count {
        let blocks: Vec<u64> = streams.by_ref().take(parallel::cores()).collect();
        let drawn = parallel::map(&blocks, |stream| draw_block(side, seed, *stream));
        for (question, answer) in drawn.into_iter().flatten() {
            if ratings.len() < count && known.insert(question.clone()) {
                // A step to each marked cell, and one to the goal.
                ratings.push(answer.iter().filter(|token| **token == PATH).count() as f32 + 1.0);
                inputs.extend(question);
                labels.extend(answer);
            }
        }
    }
    let mut examples = Examples::plain(task, inputs, labels);
    examples.tags.ratings = ratings;
    examples
}

fn draw_block(side: usize, seed: u64, stream: u64) -> Vec<(Vec<u8>, Vec<u8>)> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    rng.set_stream(stream);
    let kept = |_| {
        let question = draw(side, &mut rng)?;
        let answer = path::solve(side, &question)?;
        Some((question, answer))
    };
    (0..BLOCK).filter_map(kept).collect()
}

/// One draw by the law; nothing if its path is too short.
fn draw(side: usize, rng: &mut impl Rng) -> Option<Vec<u8>> {
    let board = Board::draw(side, rng.random_range(WALLS), rng);
    let open = board.open_cells();
    if open < 2 {
        return None;
    }
    let start = rng.random_range(0..open);
    // Uniform among the others: those from `start` on are one further.
    let goal = rng.random_range(0..open - 1);
    let goal = if goal >= start { goal + 1 } else { goal };
    let [start, goal] = [start, goal].map(|number| board.open_cell(number));
    (board.distance(start, goal)? >= least_steps(side)).then(|| board.tokens(start, goal))
}

/// Open cells, a bit each, a word for each row. Nearly all draws are thrown away, and this finds out which at 30 cells a step.
struct Board {
    side: usize,
    rows: [u32; MAX_SIDE],
}

impl Board {
    /// Each cell is a wall with probability `walls` / 256.
    fn draw(side: usize, walls: u8, rng: &mut impl Rng) -> Self {
        let mut planes = [0; 4 * MAX_SIDE * 8];
        rng.fill_bytes(&mut planes[..4 * side * 8]);
        // A random number below 256 for each cell, a bit a plane, compared with `walls` from its lowest bit on.
        let mut below = [0; MAX_SIDE];
        for (bit, plane) in planes[..4 * side * 8].chunks_exact(4 * side).enumerate() {
            let set = walls >> bit & 1 == 1;
            for (row, word) in below.iter_mut().zip(plane.chunks_exact(4)) {
                let word = u32::from_le_bytes([word[0], word[1], word[2], word[3]]);
                *row = if set { *row | !word } else { *row & !word };
            }
        }
        let mut rows = [0; MAX_SIDE];
        for (row, below) in rows.iter_mut().zip(&below[..side]) {
            *row = !below & (u32::MAX >> (u32::BITS as usize - side));
        }
        Self { side, rows }
    }

    fn open_cells(&self) -> u32 {
        self.rows.iter().map(|row| row.count_ones()).sum()
    }

    /// The open cell with that many before it, which must be fewer than there are.
    fn open_cell(&self, mut number: u32) -> usize {
        let mut row = 0;
        while number >= self.rows[row].count_ones() {
            number -= self.rows[row].count_ones();
            row += 1;
        }
        let mut open = self.rows[row];
        for _ in 0..number {
            open &= open - 1;
        }
        row * self.side + open.trailing_zeros() as usize
    }

    /// Steps between two open cells, if there is a way.
    fn distance(&self, start: usize, goal: usize) -> Option<usize> {
        // A row of walls above and below spares every step a question.
        let mut reached = [0; MAX_SIDE + 2];
        reached[start / self.side + 1] = 1 << (start % self.side);
        let (goal_row, goal_bit) = (goal / self.side + 1, 1 << (goal % self.side));
        let (mut top, mut bottom) = (start / self.side + 1, start / self.side + 1);
        for steps in 0.. {
            if reached[goal_row] & goal_bit != 0 {
                return Some(steps);
            }
            (top, bottom) = ((top - 1).max(1), (bottom + 1).min(self.side));
            let mut above = reached[top - 1];
            let mut grown = 0;
            for row in top..=bottom {
                let here = reached[row];
                let next = here | ((here << 1 | here >> 1 | above | reached[row + 1]) & self.rows[row - 1]);
                grown |= next ^ here;
                reached[row] = next;
                above = here;
            }
            if grown == 0 {
                return None;
            }
        }
        None
    }

    fn tokens(&self, start: usize, goal: usize) -> Vec<u8> {
        let token = |cell: usize| match self.rows[cell / self.side] >> (cell % self.side) & 1 {
            _ if cell == start => START,
            _ if cell == goal => GOAL,
            1 => FREE,
            _ => WALL,
        };
        (0..self.side * self.side).map(token).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::super::grid;
    use super::*;
    use crate::data::csv;

    fn questions(examples: &Examples) -> Vec<&[u8]> {
        (0..examples.rows()).map(|row| examples.question(row)).collect()
    }

    #[test]
    fn mazes_are_right_long_and_distinct() {
        for (task, side) in [(Task::Maze10, 10), (Task::Maze15, 15)] {
            let (train, test) = generate(task, 60, 30, 7).unwrap();
            assert_eq!((train.rows(), test.rows()), (60, 30));
            let distinct: HashSet<_> = questions(&train).into_iter().chain(questions(&test)).collect();
            assert_eq!(distinct.len(), 90);
            for examples in [&train, &test] {
                for row in 0..examples.rows() {
                    let (question, answer) = (examples.question(row), examples.answer(row));
                    assert_eq!(grid::check(side, question, answer), Ok(()));
                    let steps = path::shortest(side, question).unwrap().len() - 1;
                    assert!(steps >= least_steps(side));
                    assert_eq!(examples.tags.ratings[row], steps as f32);
                }
            }
        }
    }

    #[test]
    fn the_seed_decides_the_mazes_and_more_of_them_begin_alike() {
        let text = |train, seed| {
            let (train, test) = generate(Task::Maze10, train, 5, seed).unwrap();
            (csv::write(&train), csv::write(&test))
        };
        let (few, test) = text(5, 1);
        let (many, same_test) = text(50, 1);
        assert_eq!(text(5, 1), (few.clone(), test.clone()));
        assert!(many.starts_with(&few) && many.len() > few.len());
        assert_eq!(test, same_test);
        let (other, other_test) = text(5, 2);
        assert!(other != few && other_test != test);
    }

    #[test]
    fn walls_are_as_many_as_asked_for() {
        let mut rng = ChaCha8Rng::seed_from_u64(3);
        for walls in [77, 128] {
            let open: u32 = (0..200).map(|_| Board::draw(30, walls, &mut rng).open_cells()).sum();
            let share = 1.0 - f64::from(open) / (200.0 * 900.0);
            assert!((share - f64::from(walls) / 256.0).abs() < 0.005, "{share}");
        }
    }

    #[test]
    fn the_distance_is_that_of_the_path() {
        let mut rng = ChaCha8Rng::seed_from_u64(5);
        for _ in 0..200 {
            let board = Board::draw(15, 90, &mut rng);
            let (start, goal) = (board.open_cell(0), board.open_cell(board.open_cells() - 1));
            let steps = path::shortest(15, &board.tokens(start, goal)).map(|path| path.len() - 1);
            assert_eq!(board.distance(start, goal), steps);
        }
    }

    #[test]
    fn what_cannot_be_had_is_refused() {
        assert_eq!(generate(Task::Arc, 1, 1, 0).unwrap_err().to_string(), "puzzles of arc cannot be generated; name files");
        assert_eq!(generate(Task::Maze10, 0, 1, 0).unwrap_err().to_string(), "`train` asks for 0 puzzles; ask for 1 to 5000000");
    }
}
