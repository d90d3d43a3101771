//! What is checked before anything is trained on puzzles from files.

use tinysweep_proto::dataset::{Rules, Sudoku, Task};

use super::sudoku::count_solutions;
use super::{DataError, Examples, RowProblem, overlap, parallel, rules};

/// The most rows that are checked while a sweep waits; `tinysweep data verify` checks all. A Sudoku takes about a tenth of a
/// millisecond.
const UNIQUENESS_ROWS: usize = 50_000;
/// The most rows that are compared up to symmetry while a sweep waits: a second or two.
const SYMMETRY_ROWS: usize = 500_000;

/// Checks every row by the rules of the task, which files of text have behind them already.
///
/// # Errors
/// Names the first row that is wrong.
pub fn check_rules(examples: &Examples, file: &str) -> Result<(), DataError> {
    let rows: Vec<usize> = (0..examples.rows()).collect();
    let problems = parallel::map(&rows, |row| rules::check(examples.task, examples.question(*row), examples.answer(*row)).err());
    match problems.into_iter().enumerate().find_map(|(row, problem)| Some((row, problem?))) {
        Some((row, problem)) => Err(DataError::Example { file: file.into(), row: row as u64 + 1, problem }),
        None => Ok(()),
    }
}

/// The originals that have several solutions, as rows from 0; none for tasks other than Sudoku. A copy has as many solutions as its
/// original.
pub fn ambiguous(examples: &Examples) -> Vec<usize> {
    let Rules::Sudoku(size) = examples.task.rules() else { return Vec::new() };
    let rows: Vec<usize> = examples.originals().collect();
    let ambiguous = parallel::map(&rows, |row| count_solutions(size, examples.question(*row), 2) > 1);
    rows.into_iter().zip(ambiguous).filter_map(|(row, is_ambiguous)| is_ambiguous.then_some(row)).collect()
}

/// Checks that Sudoku puzzles have one solution, unless there are too many to wait for.
///
/// # Errors
/// Names the first that has several.
pub fn check_uniqueness(examples: &Examples, file: &str) -> Result<(), DataError> {
    if examples.group_count() > UNIQUENESS_ROWS {
        return Ok(());
    }
    match ambiguous(examples).first() {
        Some(row) => Err(DataError::Example { file: file.into(), row: *row as u64 + 1, problem: RowProblem::SeveralSolutions }),
        None => Ok(()),
    }
}

/// Checks that no test puzzle is trained on, not even under a symmetry where that says something: 9×9 Sudoku. (Smaller grids have few
/// classes; their generator holds out solutions instead.)
///
/// # Errors
/// Names the first test puzzle that is.
pub fn check_overlap(train: (&Examples, &str), test: (&Examples, &str)) -> Result<(), DataError> {
    let leak = |overlap: &overlap::Overlap| (overlap.train as u64 + 1, overlap.test as u64 + 1);
    let (train_file, test_file) = (train.1.to_owned(), test.1.to_owned());
    if let Some((train_row, test_row)) = overlap::exact(train.0, test.0).first().map(leak) {
        return Err(DataError::Leak { train: train_file, train_row, test: test_file, test_row });
    }
    let few_enough = train.0.group_count() + test.0.group_count() <= SYMMETRY_ROWS;
    if !symmetry_matters(train.0.task) || !few_enough {
        return Ok(());
    }
    match overlap::up_to_symmetry(train.0, test.0).first().map(leak) {
        Some((train_row, test_row)) => Err(DataError::SymmetricLeak { train: train_file, train_row, test: test_file, test_row }),
        None => Ok(()),
    }
}

/// Whether a test puzzle that a symmetry turns into a training puzzle is a mistake: it is where there are so many classes of grids that
/// it does not happen by chance.
pub fn symmetry_matters(task: Task) -> bool {
    task.rules() == Rules::Sudoku(Sudoku::Grid9x9)
}
