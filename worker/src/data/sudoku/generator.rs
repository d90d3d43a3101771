//! Puzzles with one solution, in two sets that share no solution.

use std::collections::HashSet;
use std::fmt;

use rand::seq::SliceRandom;
use rand::{Rng, RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use tinysweep_proto::dataset::Sudoku;

use super::fill::random_grid;
use super::grid::{BLANK, MAX_SIDE};
use super::solver::{count_solutions, guesses};
use crate::data::csv::MAX_ROWS;
use crate::data::{DataError, Examples};

/// Draws in a row without a new puzzle after which there are taken to be no more.
const PATIENCE: usize = 10_000;

/// The share of all solution classes that may be held out for the test set, as 1 in so many. It matters for 4×4 cells only,
/// where it leaves 9 of the 12 classes to training.
const HELD_OUT_PART: u64 = 4;

/// How many givens puzzles keep. Each puzzle aims at a number drawn uniformly from the range, and keeps more only where no further
/// given can go without a second solution coming in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Givens {
    /// The fewest aimed at.
    pub least: usize,
    /// The most aimed at.
    pub most: usize,
}

impl Givens {
    /// No given can go: the hardest puzzles.
    pub const MINIMAL: Self = Self { least: 0, most: 0 };

    /// Every puzzle aims at `count` givens.
    pub const fn aim(count: usize) -> Self {
        Self { least: count, most: count }
    }

    /// Easy to hard for the small grids. Minimal for 9×9 cells: about 24 givens, as most puzzles of Sudoku-Extreme have.
    pub const fn standard(size: Sudoku) -> Self {
        match size {
            Sudoku::Grid4x4 => Self { least: 5, most: 9 },
            Sudoku::Grid6x6 => Self { least: 12, most: 21 },
            Sudoku::Grid9x9 => Self::MINIMAL,
        }
    }
}

impl fmt::Display for Givens {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match (self.least, self.most) {
            (0, 0) => write!(f, "as few as possible"),
            (least, most) if least == most => write!(f, "{least}"),
            (least, most) => write!(f, "{least} to {most}"),
        }
    }
}

/// How hard puzzles are: the guesses that [`guesses`] counts, both ends included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ratings {
    /// The fewest.
    pub least: u32,
    /// The most.
    pub most: u32,
}

impl Ratings {
    /// However hard they are.
    pub const ANY: Self = Self { least: 0, most: u32::MAX };

    const fn admit(self, rating: u32) -> bool {
        self.least <= rating && rating <= self.most
    }
}

impl fmt::Display for Ratings {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match (self.least, self.most) {
            (0, u32::MAX) => write!(f, "any"),
            (least, u32::MAX) => write!(f, "{least} or more"),
            (least, most) => write!(f, "{least} to {most}"),
        }
    }
}

/// As [`generate_rated`], however hard the puzzles are.
///
/// # Errors
/// As there.
pub fn generate(size: Sudoku, train: usize, test: usize, givens: Givens, seed: u64) -> Result<(Examples, Examples), DataError> {
    generate_rated(size, train, test, givens, Ratings::ANY, seed)
}

/// Generates `train` and `test` puzzles, each with one solution and its rating. No two have the same question, and no solution of one set is in the
/// other, not even with its digits renamed.
///
/// The same arguments give the same puzzles everywhere. The test set does not depend on `train`.
///
/// # Errors
/// A set is empty or too large, `givens` leave no cell open, or there are fewer distinct puzzles than were asked for.
pub fn generate_rated(
    size: Sudoku,
    train: usize,
    test: usize,
    givens: Givens,
    ratings: Ratings,
    seed: u64,
) -> Result<(Examples, Examples), DataError> {
    check_count("train", train)?;
    check_count("test", test)?;
    if givens.most >= size.cells() || givens.least > givens.most {
        return Err(DataError::Givens { task: size.task(), asked: givens });
    }
    let mut draw =
        Draw { size, givens, ratings, rng: ChaCha8Rng::seed_from_u64(seed), questions: HashSet::new(), held_out: HashSet::new() };
    let test = draw.examples("test", test, Draw::hold_out)?;
    // A stream of its own, so that the first puzzles stay the same when more are asked for.
    draw.rng.set_stream(1);
    let train = draw.examples("train", train, |draw, class| !draw.held_out.contains(class))?;
    Ok((train, test))
}

fn check_count(part: &'static str, count: usize) -> Result<(), DataError> {
    if (1..=MAX_ROWS).contains(&count) { Ok(()) } else { Err(DataError::Count { part, count }) }
}

/// What was drawn so far.
struct Draw {
    size: Sudoku,
    givens: Givens,
    ratings: Ratings,
    rng: ChaCha8Rng,
    questions: HashSet<Vec<u8>>,
    /// Classes of the solutions of the test set.
    held_out: HashSet<Vec<u8>>,
}

impl Draw {
    /// Draws puzzles whose solution class `admits`.
    fn examples(&mut self, part: &'static str, wanted: usize, admits: impl Fn(&mut Self, &Vec<u8>) -> bool) -> Result<Examples, DataError> {
        let (mut inputs, mut labels, mut ratings) = (Vec::new(), Vec::new(), Vec::new());
        let mut failures = 0;
        while ratings.len() < wanted {
            if failures == PATIENCE {
                let (task, givens, found) = (self.size.task(), self.givens, ratings.len());
                return Err(DataError::Exhausted { part, task, givens, ratings: self.ratings, wanted, found });
            }
            failures += 1;
            let answer = random_grid(self.size, &mut self.rng);
            if !admits(self, &class_of(self.size, &answer)) {
                continue;
            }
            let question = dig(self.size, &answer, self.givens, &mut self.rng);
            let rating = guesses(self.size, &question);
            if self.ratings.admit(rating) && self.questions.insert(question.clone()) {
                ratings.push(rating as f32);
                inputs.extend(question);
                labels.extend(answer);
                failures = 0;
            }
        }
        let mut examples = Examples::plain(self.size.task(), inputs, labels);
        examples.tags.ratings = ratings;
        Ok(examples)
    }

    /// Holds `class` out for the test set, if it is or may still be.
    fn hold_out(&mut self, class: &Vec<u8>) -> bool {
        self.held_out.contains(class)
            || ((self.held_out.len() as u64) < classes(self.size) / HELD_OUT_PART && self.held_out.insert(class.clone()))
    }
}

/// Full grids that differ in more than the names of their digits. For 9×9 cells the count of 6,670,903,752,021,072,936,960 grids by
/// Felgenhauer and Jarvis (2005), divided by 9!.
const fn classes(size: Sudoku) -> u64 {
    match size {
        Sudoku::Grid4x4 => 288 / 24,
        Sudoku::Grid6x6 => 28_200_960 / 720,
        Sudoku::Grid9x9 => 18_383_222_420_692_992,
    }
}

/// The grid with its digits renamed so that the first row counts up: the same for grids that differ only in the names of their digits.
fn class_of(size: Sudoku, grid: &[u8]) -> Vec<u8> {
    let mut names = [0; MAX_SIDE + 1 + BLANK as usize];
    for (name, token) in (1..).zip(&grid[..size.side()]) {
        names[usize::from(*token)] = name;
    }
    grid.iter().map(|token| names[usize::from(*token)]).collect()
}

/// Removes givens from the full grid `answer` in random order, as long as there is one solution and more givens than aimed at.
fn dig(size: Sudoku, answer: &[u8], givens: Givens, rng: &mut impl Rng) -> Vec<u8> {
    let aim = rng.random_range(givens.least..=givens.most);
    let mut order: Vec<usize> = (0..answer.len()).collect();
    order.shuffle(rng);
    let mut question = answer.to_vec();
    let mut left = question.len();
    for cell in order {
        if left == aim {
            break;
        }
        question[cell] = BLANK;
        if count_solutions(size, &question, 2) == 1 {
            left -= 1;
        } else {
            question[cell] = answer[cell];
        }
    }
    question
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::grid::find_repeat;
    use super::*;
    use crate::data::csv;

    fn givens_of(examples: &Examples) -> Vec<usize> {
        let count = |index| examples.question(index).iter().filter(|token| **token != BLANK).count();
        (0..examples.len()).map(count).collect()
    }

    fn classes_of(size: Sudoku, examples: &Examples) -> HashSet<Vec<u8>> {
        (0..examples.len()).map(|index| class_of(size, examples.answer(index))).collect()
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(12))]

        #[test]
        fn puzzles_have_one_solution_and_sets_share_none(size in prop::sample::select(&Sudoku::ALL), seed: u64) {
            let (train, test) = generate(size, 20, 10, Givens::standard(size), seed).unwrap();
            prop_assert_eq!((train.len(), test.len()), (20, 10));
            for examples in [&train, &test] {
                for index in 0..examples.len() {
                    let (question, answer) = (examples.question(index), examples.answer(index));
                    prop_assert_eq!(find_repeat(size, answer), None);
                    prop_assert!(question.iter().zip(answer).all(|(given, answer)| *given == BLANK || given == answer));
                    prop_assert_eq!(count_solutions(size, question, 2), 1);
                }
            }
            prop_assert!(classes_of(size, &train).is_disjoint(&classes_of(size, &test)));
            let questions: HashSet<&[u8]> = (0..20).map(|index| train.question(index)).chain((0..10).map(|index| test.question(index))).collect();
            prop_assert_eq!(questions.len(), 30);
        }

        #[test]
        fn minimal_puzzles_need_every_given(seed: u64) {
            let (train, _) = generate(Sudoku::Grid6x6, 1, 1, Givens::MINIMAL, seed).unwrap();
            for cell in 0..36 {
                let mut question = train.inputs.clone();
                question[cell] = BLANK;
                let solutions = count_solutions(Sudoku::Grid6x6, &question, 2);
                prop_assert_eq!(solutions == 1, train.inputs[cell] == BLANK);
            }
        }
    }

    #[test]
    fn classes_of_4x4_are_held_out_whole() {
        let size = Sudoku::Grid4x4;
        let (train, test) = generate(size, 1000, 500, Givens::standard(Sudoku::Grid4x4), 1).unwrap();
        assert_eq!((classes_of(size, &train).len(), classes_of(size, &test).len()), (9, 3));
    }

    #[test]
    fn a_class_is_the_same_under_other_names_of_digits() {
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        let grid = random_grid(Sudoku::Grid6x6, &mut rng);
        let renamed: Vec<u8> = grid.iter().map(|token| if *token == 7 { 2 } else { token + 1 }).collect();
        assert_ne!(grid, renamed);
        assert_eq!(class_of(Sudoku::Grid6x6, &grid), class_of(Sudoku::Grid6x6, &renamed));
        assert_ne!(class_of(Sudoku::Grid6x6, &grid), class_of(Sudoku::Grid6x6, &random_grid(Sudoku::Grid6x6, &mut rng)));
    }

    #[test]
    fn the_seed_decides_the_puzzles_and_more_of_them_begin_alike() {
        let text = |train, seed| {
            let (train, test) = generate(Sudoku::Grid6x6, train, 5, Givens::standard(Sudoku::Grid6x6), seed).unwrap();
            (csv::write(&train), csv::write(&test))
        };
        let (few, test) = text(5, 1);
        let (many, same_test) = text(10, 1);
        assert_eq!(text(5, 1), (few.clone(), test.clone()));
        assert!(many.starts_with(&few) && many.len() > few.len());
        assert_eq!(test, same_test);
        let (other, other_test) = text(5, 2);
        assert!(other != few && other_test != test);
    }

    #[test]
    fn the_puzzles_of_a_seed_never_change() {
        let (train, test) = generate(Sudoku::Grid4x4, 1, 1, Givens::standard(Sudoku::Grid4x4), 0).unwrap();
        assert_eq!(String::from_utf8(csv::write(&train)).unwrap(), "question,answer,rating\n....4.12..31..2.,1243431224313124,0\n");
        assert_eq!(String::from_utf8(csv::write(&test)).unwrap(), "question,answer,rating\n..42.2.3.431.32.,3142421324311324,0\n");
    }

    #[test]
    fn givens_are_as_aimed_at_where_that_can_be() {
        let (train, _) = generate(Sudoku::Grid6x6, 50, 1, Givens::aim(20), 1).unwrap();
        assert!(givens_of(&train).iter().all(|givens| *givens == 20));
        let (train, _) = generate(Sudoku::Grid6x6, 300, 1, Givens::standard(Sudoku::Grid6x6), 1).unwrap();
        let givens = givens_of(&train);
        let mean = givens.iter().sum::<usize>() as f64 / givens.len() as f64;
        assert!((16.0..17.0).contains(&mean), "{mean}");
        assert_eq!((givens.iter().min(), givens.iter().max()), (Some(&12), Some(&21)));
    }

    #[test]
    fn ratings_are_as_asked_for() {
        let ratings = Ratings { least: 3, most: 20 };
        let (train, test) = generate_rated(Sudoku::Grid9x9, 5, 3, Givens::MINIMAL, ratings, 1).unwrap();
        for examples in [train, test] {
            for row in 0..examples.rows() {
                let rating = guesses(Sudoku::Grid9x9, examples.question(row));
                assert!((3..=20).contains(&rating));
                assert_eq!(examples.tags.ratings[row], rating as f32);
            }
        }
        let impossible = generate_rated(Sudoku::Grid4x4, 1, 1, Givens::aim(15), Ratings { least: 3, most: u32::MAX }, 1).unwrap_err();
        assert_eq!(
            impossible.to_string(),
            "`test` asks for 1 puzzles, but only 0 distinct ones of sudoku-4x4 with 15 givens and rating 3 or more were found for it; \
             ask for fewer puzzles, fewer givens or other ratings"
        );
    }

    #[test]
    fn what_cannot_be_had_is_refused() {
        let standard = Givens::standard(Sudoku::Grid4x4);
        let backwards = Givens { least: 9, most: 5 };
        let cases = [
            (0, 1, standard, "`train` asks for 0 puzzles; ask for 1 to 5000000"),
            (1, 5_000_001, standard, "`test` asks for 5000001 puzzles; ask for 1 to 5000000"),
            (1, 1, Givens::aim(16), "16 givens cannot be asked of sudoku-4x4, which has 16 cells; leave out at least one"),
            (1, 1, backwards, "9 to 5 givens cannot be asked of sudoku-4x4, which has 16 cells; leave out at least one"),
            (
                1,
                2000,
                Givens::aim(15),
                "`test` asks for 2000 puzzles, but only 1152 distinct ones of sudoku-4x4 with 15 givens and rating any were found for it; \
                 ask for fewer puzzles, fewer givens or other ratings",
            ),
        ];
        for (train, test, givens, message) in cases {
            assert_eq!(generate(Sudoku::Grid4x4, train, test, givens, 1).unwrap_err().to_string(), message);
        }
    }
}
